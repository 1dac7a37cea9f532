"""Faults, counted: runs of the whole pipeline to which a seeded schedule does what can be done to them.

    python -m tests.on_ray.fault_campaign [--seed 0] [--faults 50] [--minutes 60] [--out FILE.md]
    python -m tests.on_ray.fault_campaign --of FILE.jsonl ...    # one account of several campaigns

Beside FILE.md lies FILE.jsonl, with a line for each run as soon as it has ended.

Each run trains a supernet on random paths, with alphas, and searches by one-shot accuracy on two evaluation actors. It
is struck at epochs and numbers of evaluated architectures that the seed draws, and given the same command again when
it has ended. What it leaves must equal, to the bit, what the undisturbed run leaves.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import itertools
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.on_ray.faults.kinds import KINDS, Missed, Run, small_disk
from tests.on_ray.faults.places import PLACES, OneProcess, Place, TwoWorkers
from tests.on_ray.faults.processes import wait_for_end
from tests.on_ray.faults.sweeps import SweepCampaign
from tests.stages.runs import outcome

ATTEMPTS = 4
"""How often the command is given again before a run counts as lost."""

Groups = list[tuple[str, ...]]
Deck = tuple[Groups, Groups, Groups]

DECKS: dict[str, Deck] = {
    "local": (
        [
            ("worker", "flipped"),
            ("driver", "metrics", "progress", "locks", "halves"),
            ("controller",),
            ("interrupt",),
            ("full",),
            ("terminate",),
            ("read_only",),
        ],
        [("evaluator",), ("driver", "history", "halves"), ("evaluator",), ("full",), ("read_only",), ("interrupt",)],
        [("rank",)],
    ),
    "workers": (
        [("worker",), ("terminate",), ("worker", "truncated"), ("owner",), ("interrupt",), ("twice",)],
        [("evaluator",), ("away",)],
        [],
    ),
    "cluster": (
        [
            ("worker", "truncated"),
            ("node",),
            ("controller",),
            ("driver", "missing", "metrics"),
            ("terminate",),
            ("node",),
        ],
        [("evaluator",), ("node",), ("terminate",), ("driver", "history"), ("evaluator",)],
        [],
    ),
    "job": ([("worker",), ("stop",), ("head", "flipped", "locks")], [("evaluator",), ("head", "history")], []),
    "process": (
        [
            ("driver", "truncated", "metrics"),
            ("full",),
            ("away",),
            ("read_only",),
            ("owner", "flipped"),
            ("terminate",),
            ("driver", "missing", "progress", "locks", "halves"),
            ("interrupt",),
        ],
        [("full",), ("driver", "history"), ("away",), ("owner", "history", "progress", "halves"), ("read_only",)],
        [("rank",), ("report",), ("rank",), ("report",)],
    ),
    "sweep": ([("worker",), ("leader",), ("terminate",), ("driver",)], [], []),
}
"""What strikes a run's training, its search and what follows, by where it is carried out; groups strike together."""

ORDER = ("local", "workers", "cluster", "job", "cluster", "process", "sweep")
SHORT: Deck = ([("worker", "flipped"), ("driver", "metrics", "progress")], [("evaluator",)], [])


@dataclass(frozen=True)
class Size:
    """How long the runs are.

    Attributes:
        epochs: Of training.
        population: Architectures of a generation.
        generations: Of the search.
    """

    epochs: int = 40
    population: int = 24
    generations: int = 6


@dataclass
class Strike:
    """What is done to a run at once.

    Attributes:
        stage: ``train``, ``search`` or ``after``.
        at: How many epochs are done, or architectures evaluated.
        kinds: The faults; the first stops whoever writes, if the others are of files.
        when: The time it happened at.
        again: How often the command had to be given again after it, before the next.
        epochs: Epochs that were trained again for it.
        evaluated: Architectures that were evaluated again for it.
    """

    stage: str
    at: int
    kinds: tuple[str, ...]
    when: float = 0.0
    again: int = 0
    epochs: int = 0
    evaluated: int = 0


@dataclass
class Report:
    """What became of one run.

    Attributes:
        place: Where it was carried out.
        seed: Of the campaign.
        strikes: What was done to it.
        missed: What could not be done, and why.
        lost: What differs from the undisturbed run.
        left: What stayed behind.
        untidy: What was said as it should not be, or not said.
        seconds: How long it took.
    """

    place: str
    seed: int = 0
    strikes: list[Strike] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    untidy: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> int:
        return sum(len(strike.kinds) for strike in self.strikes)

    @classmethod
    def read(cls, line: str) -> Report:
        """Returns the report that a line of JSON holds."""
        values = json.loads(line)
        strikes = [Strike(**{**strike, "kinds": tuple(strike["kinds"])}) for strike in values.pop("strikes")]
        return cls(**values, strikes=strikes)


def run_file(folder: Path, storage: Path, size: Size) -> Path:
    """Writes the run file of all runs, which differ only in where they are kept."""
    values = {
        "storage_path": str(storage),
        "report": False,
        "space": {"name": "tests.on_ray.faults.space.CountedSpace", "channels": 2, "cells": 1},
        "alphas": {"gates": "gumbel"},
        "data": {"name": "digits", "train_portion": 0.5, "labels": True},
        "train": {"epochs": size.epochs, "workers": 1, "checkpoint_every": 3, "keep_checkpoints": 3},
        "search": {
            "name": "evolution",
            "fitness": "one_shot_accuracy",
            "evaluators": 2,
            "population": size.population,
            "generations": size.generations,
            "select": 6,
            "mutations": 10,
            "crossovers": 10,
            "evaluation_images": 256,
            "calibration_images": 64,
            "evaluation_batch_size": 64,
        },
    }
    file = folder / "small.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def schedule(chance: random.Random, deck: Deck, size: Size) -> list[Strike]:
    """Returns the strikes of a run in the order in which they come."""
    strikes = []
    for stage, groups, last in (
        ("train", deck[0], size.epochs - 4),
        ("search", deck[1], size.population * (size.generations - 1)),
    ):
        shuffled = chance.sample(groups, len(groups))
        places = sorted(chance.sample(range(5, last), len(groups)))
        strikes += [Strike(stage, at, kinds) for at, kinds in zip(places, shuffled, strict=True)]
    return strikes + [Strike("after", at, kinds) for at, kinds in enumerate(chance.sample(deck[2], len(deck[2])))]


class Campaign:
    """Runs, one after another, each compared with the undisturbed one."""

    def __init__(self, folder: Path, seed: int, size: Size, log: Any) -> None:
        """Takes an empty folder, the seed of all that is drawn, and where to say what happens."""
        self._size = size
        self._folder, self._seed, self._chance, self._log = folder, seed, random.Random(seed), log
        self.reports: list[Report] = []
        self._sweeps: SweepCampaign | None = None
        self._expected: dict[int, dict[str, Any]] = {}

    def _undisturbed(self, workers: int) -> dict[str, Any]:
        """Returns what a run of so many workers leaves: of one, as it is in one process."""
        if workers not in self._expected:
            place = (OneProcess if workers == 1 else TwoWorkers)(self._new_folder(f"undisturbed-{workers}"))
            file = run_file(place.folder, place.folder / "runs", self._size)
            began = time.monotonic()
            if place.start(file, place.folder / "said").wait():
                raise RuntimeError((place.folder / "said").read_text())
            place.remove()
            self._say(f"the undisturbed run of {workers} took {time.monotonic() - began:.0f} s")
            self._expected[workers] = outcome(place.folder / "runs/small", self._size.epochs)
        return self._expected[workers]

    def run(self, name: str, deck: Deck) -> Report:
        """Carries out one disturbed run at a place and returns what became of it."""
        if name == "sweep":
            return self._run_sweep([kind for group in deck[0] for kind in group])
        expected = self._undisturbed(PLACES[name].workers)
        report = Report(name, self._seed)
        self.reports.append(report)
        began, before = time.monotonic(), set(Path("/dev/shm").iterdir())
        folder = self._new_folder(f"{len(self.reports)}-{name}")
        place = PLACES[name](folder)
        with small_disk(folder / "disk") as why_not:
            strikes = schedule(self._chance, deck, self._size)
            if why_not:
                report.missed += [f"{kind}: {why_not}" for s in strikes for kind in s.kinds if KINDS[kind].of_disk]
                strikes = [s for s in strikes if not any(KINDS[kind].of_disk for kind in s.kinds)]
            try:
                place.open()
                self._carry_out(place, run_file(folder, folder / "disk", self._size), strikes, report, expected)
                report.left += place.left()
            finally:
                place.close()
                for process in wait_for_end(place.processes, 60):
                    report.left.append(f"process {process.pid} {process.name[:80]}")
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process.pid, signal.SIGKILL)
                report.left += [f"temporary file {name}" for name in place.remains()]
                place.remove()
            self._count_repeated(folder, report)
            report.left += [f"in the run's folder: {path}" for path in _halves(folder / "disk/small")]
        report.left += [str(path) for path in _unused(set(Path("/dev/shm").iterdir()) - before)]
        report.left += place.rays()
        report.seconds = time.monotonic() - began
        self._say(f"{report}")
        return report

    def _run_sweep(self, kinds: Sequence[str]) -> Report:
        """Carries out one disturbed sweep and returns what became of it."""
        report, began = Report("sweep", self._seed), time.monotonic()
        self.reports.append(report)
        if self._sweeps is None:
            self._sweeps = SweepCampaign(self._new_folder("sweeps"), self._chance, self._log)
        try:
            struck = self._sweeps.run(kinds)
        except (RuntimeError, OSError) as error:
            report.lost.append(str(error))
        else:
            report.strikes = [Strike("train", 0, (kind,), again=again) for kind, again in struck.strikes]
            report.missed, report.lost, report.left = struck.missed, struck.lost, struck.left
            report.untidy = struck.untidy
        report.seconds = time.monotonic() - began
        self._say(f"{report}")
        return report

    def _carry_out(
        self, place: Place, file: Path, strikes: list[Strike], report: Report, expected: dict[str, Any]
    ) -> None:
        """Starts the run, strikes it, and starts it again until it is done."""
        said = (place.folder / f"said-{number}" for number in itertools.count())
        saids: list[Path] = []

        def start() -> subprocess.Popen[bytes]:
            saids.append(next(said))
            return place.start(file, saids[-1])

        run = Run(place, file.parent / "disk", random.Random(self._chance.random()), start())
        last: Strike | None = None
        after = dict.fromkeys(("train", "search"), 0)  # work between two strikes shows that the first was survived

        def goes_on() -> bool:
            """Returns whether the command runs, after giving it again if it has failed; False if it is done."""
            status = run.process.poll()
            if status is None:
                return True
            if status == 0:
                return False
            text = saids[-1].read_text()
            self._say(f"    exit status {status}: {text.strip().splitlines()[-1:]}")
            if status > 0 and ("Traceback" in text or "raynas: " not in text):
                report.untidy.append(f"exit status {status}: {text[-2000:]}")
            if last is None or last.again == ATTEMPTS:
                raise RuntimeError(f"the run cannot be brought to its end: {text[-2000:]}")
            last.again += 1
            run.began, run.process = time.time(), start()
            return True

        try:
            for strike in [strike for strike in strikes if strike.stage != "after"]:
                at = max(strike.at, after[strike.stage])
                while (over := not goes_on()) is False and not _reached(run, strike.stage, at):
                    time.sleep(0.05)
                if over or (strike.stage == "train" and (run.supernet / "result.json").exists()):
                    report.missed.append(f"{' + '.join(strike.kinds)}: the {strike.stage} stage was over before")
                    continue
                if self._strike(run, strike, report):
                    last = strike
                    after[strike.stage] = _position(run, strike.stage) + 2
            while goes_on():
                time.sleep(0.1)
            for strike in [strike for strike in strikes if strike.stage == "after"]:
                strike.again = int(self._strike(run, strike, report))  # the strike itself gives its command again
            found = outcome(run.folder, self._size.epochs)
            report.lost += [key for key in expected if found[key] != expected[key]] + run.lost
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            report.lost.append(str(error))
        finally:
            run.process.kill()
        texts = "\n".join(file.read_text(errors="replace") for file in saids)
        report.untidy += [f"not said: {line}" for line in run.expected if line not in texts]
        if "not saved within" in texts:
            report.untidy.append("a signal was not heard by the workers")
        if "Traceback" in texts:
            report.untidy.append("a traceback was shown: " + texts[texts.index("Traceback") :][:2000])

    def _strike(self, run: Run, strike: Strike, report: Report) -> bool:
        """Returns whether anything of a strike could be done to a run, after doing it."""
        self._say(f"    {strike.stage} at {_position(run, strike.stage)}: {' + '.join(strike.kinds)}")
        strike.when, planned, strike.kinds = time.time(), strike.kinds, ()
        try:
            for kind in planned:
                KINDS[kind].strike(run)
                strike.kinds += (kind,)
        except Missed as why:
            report.missed.append(f"{' + '.join(planned[len(strike.kinds) :])}: {why}")
        if strike.kinds:
            report.strikes.append(strike)
        return bool(strike.kinds)

    def _count_repeated(self, folder: Path, report: Report) -> None:
        """Counts what was done again, for the strike before it was."""
        for epochs, when in _repeated_epochs(folder / "disk/small/tensorboard/seed_0"):
            _blamed(report.strikes, when).epochs += epochs
        seen = set()
        evaluated = folder / "evaluated"
        end = min((strike.when for strike in report.strikes if strike.stage == "after"), default=float("inf"))
        for line in evaluated.read_text().splitlines() if evaluated.exists() else ():
            when, _, architecture = line.partition(" ")
            if float(when) > end:  # `raynas rank` evaluates what the search did
                break
            if architecture in seen:
                _blamed(report.strikes, float(when)).evaluated += 1
            seen.add(architecture)

    def _new_folder(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder

    def _say(self, line: str) -> None:
        print(f"{datetime.datetime.now():%H:%M:%S} {line}", file=self._log, flush=True)


def _blamed(strikes: list[Strike], when: float) -> Strike:
    """Returns the last strike before a time."""
    return next((strike for strike in reversed(strikes) if strike.when <= when), Strike("", 0, ()))


def _position(run: Run, stage: str) -> int:
    file = run.supernet / "metrics.jsonl" if stage == "train" else run.history
    return file.read_bytes().count(b"\n") if file.exists() else 0


def _reached(run: Run, stage: str, at: int) -> bool:
    return (stage == "train" and (run.supernet / "result.json").exists()) or _position(run, stage) >= at


def _repeated_epochs(events: Path) -> Iterator[tuple[int, float]]:
    """Yields how many whole epochs each attempt at training did again, and when it began, from its events."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    reached = 0
    for file in sorted(events.glob("events*"), key=lambda file: file.stat().st_mtime_ns):
        steps = [(e.step, e.wall_time) for e in EventFileLoader(str(file)).Load() if e.HasField("summary")]
        ends = sorted({step for step, _ in steps})
        again = sum(step <= reached for step in ends)
        if again:
            yield again, steps[0][1]
        reached = max(reached, *ends) if ends else reached


def _halves(folder: Path) -> list[str]:
    """Returns what is left in a run's folder of files and folders that were not written to their end."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name.startswith(".")) + [
        path.name for path in folder.glob("ray")
    ]


def _unused(files: set[Path]) -> list[Path]:
    """Returns the files that no process maps or holds open."""
    used = set()
    for process in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            used |= (
                {Path(os.readlink(handle)) for handle in (process / "fd").iterdir()}
                if process.name.isdigit()
                else set()
            )
            used |= {
                Path(line.split()[-1]) for line in (process / "maps").read_text().splitlines() if "/dev/shm" in line
            }
    return sorted(files - used)


def table(reports: list[Report]) -> list[str]:
    """Returns the faults by kind as lines of Markdown."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for report in reports:
        for strike in report.strikes:
            for number, kind in enumerate(strike.kinds):
                counts[kind]["faults"] += 1
                counts[kind]["again" if strike.again else "itself"] += 1
                if number == 0:
                    counts[kind]["epochs"] += strike.epochs
                    counts[kind]["evaluated"] += strike.evaluated
    columns = ("faults", "itself", "again", "epochs", "evaluated")
    rows = [(KINDS[kind].says, *(counts[kind][column] for column in columns)) for kind in KINDS if kind in counts]
    total = ("all", *(sum(int(row[at]) for row in rows) for at in range(1, len(columns) + 1)))
    return [
        "| fault | faults | raynas went on by itself | by the same command | epochs again | evaluated again |",
        "| --- | --- | --- | --- | --- | --- |",
        *("| " + " | ".join(map(str, row)) + " |" for row in (*rows, total)),
    ]


def place_table(reports: list[Report]) -> list[str]:
    """Returns the faults by place as lines of Markdown."""
    lines = ["| where | runs | faults | kinds | lost | left behind |", "| --- | --- | --- | --- | --- | --- |"]
    for place in dict.fromkeys(ORDER):
        there = [report for report in reports if report.place == place]
        kinds = {kind for report in there for strike in report.strikes for kind in strike.kinds}
        lost = sum(bool(report.lost) for report in there)
        left = sum(len(report.left) for report in there)
        faults = sum(report.faults for report in there)
        lines.append(f"| {place} | {len(there)} | {faults} | {len(kinds)} | {lost} | {left} |")
    return lines


def written(reports: list[Report]) -> str:
    """Returns the whole account as Markdown."""
    kinds = [kind for report in reports for strike in report.strikes for kind in strike.kinds]
    seeds = sorted({report.seed for report in reports})
    minutes = sum(report.seconds for report in reports) / 60
    lines = [
        f"{len(kinds)} faults of {len(set(kinds))} kinds in {len(reports)} runs, seed{'s' * (len(seeds) > 1)} "
        f"{', '.join(map(str, seeds))}, {datetime.date.today()}, {minutes:.0f} minutes on "
        f"{platform.machine()} with {os.cpu_count()} cores, Python {platform.python_version()}: "
        f"{sum(bool(report.lost) for report in reports)} results lost, "
        f"{sum(len(report.left) for report in reports)} things left behind.",
        "",
        *table(reports),
        "",
        *place_table(reports),
        "",
        "| run | where | faults | command given | seconds | lost | left behind |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, report in enumerate(reports, start=1):
        given = 1 + sum(strike.again for strike in report.strikes)
        lines.append(
            f"| {number} | {report.place} | {report.faults} | {given} | {report.seconds:.0f} | {len(report.lost)} | "
            f"{len(report.left)} |"
        )
    for number, report in enumerate(reports, start=1):
        for what in ("missed", "lost", "left", "untidy"):
            lines += [f"- run {number}, {what}: {line}" for line in getattr(report, what)]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=50, help="runs are added until there are so many")
    parser.add_argument("--minutes", type=float, default=60, help="no run is begun after so many")
    parser.add_argument("--places", nargs="+", default=ORDER, choices=[*PLACES, "sweep"], help="where, in turn")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--of", nargs="+", type=Path, help="print the account of what earlier campaigns left")
    options = parser.parse_args(arguments)
    if options.of:
        print(written([Report.read(line) for file in options.of for line in file.read_text().splitlines()]))
        return 0
    for ends in (signal.SIGINT, signal.SIGTERM):  # in the background the first may be ignored, also by what is started
        signal.signal(ends, signal.default_int_handler)
    if options.out:
        options.out.with_suffix(".jsonl").unlink(missing_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="raynas_faults_") as folder:
        campaign = Campaign(Path(folder), options.seed, Size(), sys.stderr)
        for name in itertools.cycle(options.places):
            done = sum(report.faults for report in campaign.reports) >= options.faults
            if done or time.monotonic() - began > 60 * options.minutes:
                break
            report = campaign.run(name, DECKS[name])
            if options.out:
                options.out.write_text(written(campaign.reports))
                with options.out.with_suffix(".jsonl").open("a") as stream:
                    stream.write(json.dumps(asdict(report)) + "\n")
    print(written(campaign.reports))
    return int(any(report.lost or report.left or report.untidy for report in campaign.reports))


if __name__ == "__main__":
    sys.exit(main())
