"""Regret of searches, groups of seeds, and links between pages."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from raynas.report.blocks import Figures
from raynas.report.gallery import Gallery
from raynas.report.groups import groups_of, looks_of_groups
from raynas.report.page import write_comparison, write_report
from raynas.report.palette import SERIES
from raynas.report.regret import Regret, known_accuracies, mean_curve, random_search, regret_of
from raynas.report.run_files import read_run
from raynas.report.run_values import Run
from raynas.report.sweep_files import read_sweep
from raynas.report.sweep_page import write_sweep_report
from raynas.report.sweep_regret import regret_of_settings
from tests.report import runs, sweeps
from tests.report.pages import Page

CELLS = [[k // 5, k % 5, 3, 3, 0, 0] for k in range(25)]
TRUE = [70.0 + k for k in range(25)]


def searched(
    folder: Path,
    order: list[int],
    *,
    fitness: list[float] | None = None,
    seconds: list[float] | None = None,
    seed: int = 0,
) -> Path:
    """Writes a run that evaluated some of 25 ranked architectures; by default fitness and accuracy agree."""
    runs.write_config(folder, name=folder.name, seed=seed, train={"base_seeds": [seed]})
    lines = []
    for place, cell in enumerate(order):
        value = TRUE[cell] if fitness is None else fitness[place]
        line = {"generation": 0, **runs.evaluated(CELLS[cell], value)}
        lines.append(line | ({} if seconds is None else {"seconds": seconds[place]}))
    runs.write_lines(folder / "search/history.jsonl", lines)
    best = max(lines, key=lambda line: line["fitness"])
    runs.write_result(folder, fitness="angle", lines=lines, best=[best])
    runs.write_rank(folder, cells=CELLS, values=TRUE, true=TRUE)
    return folder


def regret(folder: Path) -> Regret:
    run = read_run(folder)
    (rank,) = known_accuracies([run]).values()
    found = regret_of(run, rank)
    assert found is not None
    return found


def test_the_regret_is_that_of_the_fittest_so_far_and_may_grow(tmp_path: Path) -> None:
    found = regret(searched(tmp_path / "a", [3, 10, 5, 24], fitness=[0.1, 0.4, 0.5, 0.2]))
    assert found.values.tolist() == [94 - 73, 94 - 80, 94 - 75, 94 - 75]
    assert found.evaluations.tolist() == [1, 2, 3, 4] and found.seconds is None


def test_seconds_go_on_over_an_interruption_and_begin_after_the_training(tmp_path: Path) -> None:
    folder = searched(tmp_path / "a", [1, 2, 3, 4], seconds=[1.0, 3.0, 0.5, 2.0])
    runs.write_training(folder, epochs=4, seconds=2.5)
    assert regret(folder).seconds is not None
    assert regret(folder).seconds.tolist() == [11.0, 13.0, 13.5, 15.0]  # type: ignore[union-attr]


def test_architectures_that_no_ranking_knows_have_no_regret(tmp_path: Path) -> None:
    folder = searched(tmp_path / "a", [3, 10])
    runs.write_rank(folder, cells=CELLS[10:11], values=[1.0], true=[80.0])
    assert regret(folder).values.tolist() == [0.0] and regret(folder).evaluations.tolist() == [2]
    runs.write_rank(folder, cells=CELLS[20:21], values=[1.0], true=[80.0])
    run = read_run(folder)
    assert regret_of(run, next(iter(known_accuracies([run]).values()))) is None


def test_a_mean_covers_what_all_searches_cover() -> None:
    one = Regret(np.array([8.0, 4.0, 2.0]), np.array([1, 2, 3]), np.array([1.0, 2.0, 8.0]))
    other = Regret(np.array([6.0, 6.0]), np.array([2, 3]), np.array([2.0, 4.0]))
    by_evaluations = mean_curve("both", [one, other], "evaluations")
    assert by_evaluations is not None and by_evaluations.x.tolist() == [2, 3]
    assert by_evaluations.mean.tolist() == [5.0, 4.0]
    assert by_evaluations.low.tolist() == [4.0, 2.0] and by_evaluations.high.tolist() == [6.0, 6.0]
    by_seconds = mean_curve("both", [one, other], "seconds")
    assert by_seconds is not None and (by_seconds.x[0], by_seconds.x[-1]) == pytest.approx((2.0, 8.0))
    assert (by_seconds.mean[:-1] == 5.0).all() and by_seconds.mean[-1] == 4.0
    assert mean_curve("both", [one, dataclasses.replace(other, seconds=None)], "seconds") is None
    late = Regret(np.array([6.0]), np.array([9]), None)
    assert mean_curve("apart", [one, late], "evaluations") is None


def test_random_search_ends_at_the_best_of_the_space(tmp_path: Path) -> None:
    (rank,) = known_accuracies([read_run(searched(tmp_path / "a", [1]))]).values()
    counts, values = random_search(rank, 25, by_benchmark=True)
    assert counts[0] == 1 and counts[-1] == 25
    assert values[0] == pytest.approx(94 - np.mean(TRUE)) and values[-1] == pytest.approx(0)
    assert (np.diff(values) < 0).all()
    np.testing.assert_allclose(random_search(rank, 25, by_benchmark=False)[1], values)  # the fitness is the accuracy


def test_runs_that_differ_in_their_seeds_are_one_group_of_one_colour(tmp_path: Path) -> None:
    folders = [searched(tmp_path / f"own-{seed}", [seed, 5], seed=seed) for seed in range(3)]
    other = searched(tmp_path / "other", [7])
    runs.write_config(other, name="other", train={"epochs": 99})
    named = [(folder.name, read_run(folder)) for folder in (*folders, other)]
    groups = groups_of(named)
    assert [group.title for group in groups] == ["own (3 seeds)", "other"]
    looks = looks_of_groups(groups)
    own = [looks[f"own-{seed}"] for seed in range(3)]
    assert {color for color, _ in own} == {looks["own (3 seeds)"][0]} and len(set(own)) == 3
    assert looks["other"][0] != own[0][0]


def test_the_page_of_a_sweep_has_a_curve_for_each_setting_with_a_band_over_its_seeds(tmp_path: Path) -> None:
    axes = {"train.epochs": ("grid", [10, 20])}
    content = sweeps.results(
        axes,
        lambda point, seed: {"true_accuracy": 80.0 + point["train.epochs"] + seed},
        missing={"point-1_seed-2": ("failed", "no memory")},
    )
    folder = sweeps.write(tmp_path / "swept", content)
    orders = {"point-0": [[3, 10], [5, 6], [7, 8]], "point-1": [[20, 24], [24, 1], [0, 0]]}
    for point, of_seeds in orders.items():
        for seed, order in enumerate(of_seeds):
            searched(folder / f"trials/{point}_seed-{seed}", order, seed=seed, seconds=[1.0, 4.0])
    page = Page(write_sweep_report(folder))
    assert "Regret" in page.said_by("h2")
    texts = " ".join(page.text.split())
    assert "train.epochs 10 (3 seeds)" in texts and "train.epochs 20 (2 seeds)" in texts, "a failed trial has no curve"
    assert "Lines are means over seeds, bands reach from the least to the largest." in texts
    names = {file.name for file in (folder / "report/figures").iterdir()}
    assert {"regret-evaluations-1.svg", "regret-seconds-1.svg"} <= names

    (shown,) = regret_of_settings(read_sweep(folder), folder, Gallery()).blocks
    assert isinstance(shown, Figures) and len(shown.members) == 2
    for name, regret in (("train.epochs 10 (3 seeds)", 94 - 75), ("train.epochs 20 (2 seeds)", 94 - 92)):
        assert f"<title>{name}, evaluated architectures 1: {regret}</title>" in shown.members[0].values
        assert f"<title>{name}, seconds, training included 1: {regret}</title>" in shown.members[1].values


def test_a_sweep_without_rankings_has_no_regret(tmp_path: Path) -> None:
    content = sweeps.results({"train.epochs": ("grid", [10, 20])}, lambda point, seed: {"true_accuracy": 80.0})
    folder = sweeps.write(tmp_path / "swept", content)
    runs.write_config(folder / "trials/point-0_seed-0")
    runs.write_search(folder / "trials/point-0_seed-0")
    assert "Regret" not in Page(write_sweep_report(folder)).said_by("h2")


@pytest.mark.parametrize(
    ("names", "title"),
    [
        (("lr0.1-0", "lr0.1-1"), "lr0.1"),
        (("nasbench201_0", "nasbench201_1"), "nasbench201"),
        (("nasbench201", "nasbench201 again"), "nasbench201"),
        (("run-10", "run-11"), "run"),
        (("run1", "run10"), "run"),
        (("0", "1"), "0"),
    ],
)
def test_a_group_is_called_by_what_its_names_share_without_the_number_that_is_cut_off(
    tmp_path: Path, names: tuple[str, str], title: str
) -> None:
    folders = [searched(tmp_path / name, [5], seed=seed) for seed, name in enumerate(names)]
    (group,) = groups_of([(folder.name, read_run(folder)) for folder in folders])
    assert group.title == f"{title} (2 seeds)"


def settings(folder: Path, names_by_epochs: dict[int, list[str]]) -> list[tuple[str, Run]]:
    """Returns runs of several seeds for each number of epochs."""
    named = []
    for epochs, names in names_by_epochs.items():
        for seed, name in enumerate(names):
            place = searched(folder / name, [seed, 5], seed=seed)
            runs.write_config(place, name=name, seed=seed, train={"base_seeds": [seed], "epochs": epochs})
            named.append((name, read_run(place)))
    return named


@pytest.mark.parametrize(
    ("names", "titles"),
    [
        ({1: ["lr0.1-0", "lr0.1-1"], 2: ["lr0.2-0", "lr0.2-1"]}, ["lr0.1 (2 seeds)", "lr0.2 (2 seeds)"]),
        ({1: ["a-x", "a-y"], 2: ["a-v", "a-w"], 3: ["b"]}, ["a-x (2 seeds)", "a-v (2 seeds)", "b"]),
    ],
)
def test_groups_of_different_settings_have_different_titles(
    tmp_path: Path, names: dict[int, list[str]], titles: list[str]
) -> None:
    assert [group.title for group in groups_of(settings(tmp_path, names))] == titles


def test_groups_that_share_a_colour_have_other_dashes_in_figures_and_for_their_runs(tmp_path: Path) -> None:
    names = {epochs: [f"{chr(96 + epochs)}"] for epochs in range(1, len(SERIES) + 2)} | {99: ["z-0", "z-1"]}
    groups = groups_of(settings(tmp_path, names))
    looks = looks_of_groups(groups)
    first, same = groups[0], groups[len(SERIES)]
    assert looks[first.title][0] == looks[same.title][0] and looks[first.title] != looks[same.title]
    for group in groups:
        assert looks[group.members[0][0]] == looks[group.title]
    assert len({looks[name] for group in groups for name, _ in group.members}) == len(SERIES) + 3


@pytest.mark.slow
def test_a_comparison_shows_groups_with_intervals_and_links_to_pages_that_exist(tmp_path: Path) -> None:
    folders = [searched(tmp_path / f"own-{seed}", [3 + seed, 9 + 2 * seed], seed=seed) for seed in range(3)]
    write_report(folders[1])
    page = Page(write_comparison(folders, tmp_path / "sub dir" / "c.html"))
    head, row = page.rows(1)
    assert head[:3] == ["", "found (percent)", "95 percent interval"]
    assert row[0] == "● own (3 seeds)" and row[1] == "81.00"
    half = 4.303 * 2 / 3**0.5
    assert row[2] == f"{81 - half:.2f} to {81 + half:.2f}"
    section = page.section("Search")
    assert "regret" in section and "bands reach from the least to the largest" in section
    links = [value for tag, name, value in page.attributes if tag == "a" and name == "href"]
    assert links == ["../own-1/report/index.html"]
    assert (tmp_path / "sub dir" / links[0]).is_file()


@pytest.mark.slow
def test_a_trial_and_its_sweep_link_to_each_other_once_their_pages_exist(tmp_path: Path) -> None:
    content = sweeps.results({"train.epochs": ("grid", [1])}, lambda p, s: {"true_accuracy": 90.0}, seeds=1)
    folder = sweeps.write(tmp_path / "a sweep", content)
    (folder / "sweep.json").write_text("{}")
    trial = folder / content["trials"][0]["folder"]
    searched(trial, [3, 4])

    def links(page: Path) -> list[str]:
        return [value for tag, name, value in Page(page).attributes if tag == "a" and name == "href"]

    assert links(write_report(trial)) == []
    (link,) = links(write_sweep_report(folder))
    assert (folder / "report" / link).is_file()
    (back,) = links(write_report(trial))
    assert (trial / "report" / back).resolve() == (folder / "report/index.html").resolve()


@pytest.mark.slow
def test_links_between_pages_lead_there_where_the_folder_of_runs_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "a disk/deep down").mkdir(parents=True)
    (tmp_path / "runs").symlink_to(tmp_path / "a disk/deep down")
    content = sweeps.results({"train.epochs": ("grid", [1])}, lambda p, s: {"true_accuracy": 90.0}, seeds=1)
    folder = sweeps.write(tmp_path / "runs/swept", content)
    (folder / "sweep.json").write_text("{}")
    trial = searched(folder / content["trials"][0]["folder"], [3, 4])
    own = searched(tmp_path / "runs/own", [5])
    write_report(trial)
    write_sweep_report(folder)
    write_report(own)
    both, targets_of_both = [own, trial.resolve()], [own / "report/index.html", trial / "report/index.html"]
    there = {
        write_report(trial): [folder / "report/index.html"],
        write_sweep_report(folder): [trial / "report/index.html"],
        write_comparison(both, tmp_path / "beside/c.html"): targets_of_both,
        write_comparison(both, tmp_path / "runs/c.html"): targets_of_both,
    }
    for page, targets in there.items():
        found = [unquote(value) for tag, name, value in Page(page).attributes if tag == "a" and name == "href"]
        assert [(page.parent / link).resolve() for link in found] == [target.resolve() for target in targets]
        assert all((page.parent / link).is_file() for link in found)
