"""A short campaign of faults; the long one is a command of its own, `make faults`."""

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.on_ray.fault_campaign import DECKS, SHORT, Campaign, Report, Size, Strike, schedule, table, written
from tests.on_ray.faults.kinds import KINDS
from tests.on_ray.faults.sweeps import SweepCampaign


def test_a_schedule_is_the_seeds_and_leaves_out_nothing() -> None:
    for deck in DECKS.values():
        first, again, other = (schedule(random.Random(seed), deck, Size()) for seed in (0, 0, 1))
        assert first == again != other
        for strikes in (first, other):
            places = [(("train", "search", "after").index(strike.stage), strike.at) for strike in strikes]
            assert places == sorted(set(places))
            assert sorted(strike.kinds for strike in strikes) == sorted(deck[0] + deck[1] + deck[2])
    assert {kind for deck in DECKS.values() for groups in deck for group in groups for kind in group} == set(KINDS)


def test_an_account_is_of_all_campaigns_that_left_their_reports() -> None:
    first = Report("workers", 0, [Strike("train", 9, ("worker", "flipped"), when=1.5, again=1, epochs=3)], seconds=60.0)
    second = Report(
        "sweep", 7, [Strike("train", 0, ("leader",))], missed=["driver: no"], lost=["it differs"], seconds=6.0
    )
    read = [Report.read(json.dumps(asdict(report))) for report in (first, second)]
    assert read == [first, second]
    account = written(read)
    assert account.startswith("3 faults of 3 kinds in 2 runs, seeds 0, 7, ")
    assert "1 minutes on" in account and ": 1 results lost, 0 things left behind." in account
    assert "| workers | 1 | 2 | 2 | 0 | 0 |" in account and "| sweep | 1 | 1 | 1 | 1 | 0 |" in account
    assert "- run 2, missed: driver: no" in account and "- run 2, lost: it differs" in account


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_nothing_is_lost_and_nothing_stays_behind_whatever_is_killed_or_damaged(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, 0, Size(epochs=60, population=24, generations=3), sys.stderr)
    report = campaign.run("local", SHORT)
    assert (report.missed, report.lost, report.left, report.untidy) == ([], [], [], [])
    assert report.faults == 6
    assert table([report])[-1].startswith("| all | 6 | 3 | 3 |")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_a_sweep_of_leading_trials_is_what_it_is_undisturbed_whatever_is_killed(tmp_path: Path) -> None:
    sweeps = SweepCampaign(tmp_path, random.Random(0), sys.stderr)
    struck = sweeps.run(["worker", "leader", "driver"])
    assert (struck.missed, struck.lost, struck.left, struck.untidy) == ([], [], [], [])
    assert sorted(struck.strikes) == [("driver", 1), ("leader", 0), ("worker", 0)]
