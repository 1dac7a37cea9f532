"""Faults against a sweep of two leading trials: its results must be those of the undisturbed sweep."""

from __future__ import annotations

import datetime
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.on_ray.faults.kinds import KINDS, Missed, Run
from tests.on_ray.faults.places import Local
from tests.on_ray.faults.processes import wait_for_end
from tests.on_ray.test_sweep import sweep_file
from tests.stages.runs import outcome

ATTEMPTS = 3
"""How often the command is given again after one strike before the sweep counts as lost."""


VICTIM_SECONDS = 30.0
"""How long a strike waits for its victim: between two trials, or two attempts of one, nothing trains."""


@dataclass
class Struck:
    """What became of one disturbed sweep.

    Attributes:
        strikes: The kinds of faults, each with how often the command was given again after it.
        missed: What could not be done, and why.
        lost: What differs from the undisturbed sweep.
        left: What stayed behind.
        untidy: What was said as it should not be.
    """

    strikes: list[tuple[str, int]] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    untidy: list[str] = field(default_factory=list)


class OfSweeps(Local):
    """A Ray of its own for every command, with room for the workers of one trial at a time."""

    def options(self) -> list[str]:
        return ["--set", "local_cpus=2"]


def leading_sweep(folder: Path, epochs: int) -> Path:
    """Writes the sweep: two trainings on two workers each, and a search on two evaluators."""
    images = {"evaluation_images": 256, "calibration_images": 64, "evaluation_batch_size": 64}
    sweep = {"keys": {"data.labels": {"grid": ["true", "random"]}}, "metric": "fitness"}
    return sweep_file(
        folder,
        sweep,
        space={"name": "tests.on_ray.faults.space.CountedSpace", "channels": 2, "cells": 1},
        train={"epochs": epochs, "workers": 2, "checkpoint_every": 3, "keep_checkpoints": 3},
        search={"fitness": "one_shot_accuracy", **images},
    )


def results(folder: Path, epochs: int) -> dict[str, Any]:
    """Returns what must not depend on what happened to a sweep, by trial."""
    timed = ("train_seconds", "search_seconds")
    trials = json.loads((folder / "results.json").read_text())["trials"]
    return {
        trial["name"]: {
            "status": trial["status"],
            "metrics": {name: value for name, value in trial["metrics"].items() if name not in timed},
            "outcome": outcome(folder / trial["folder"], epochs),
        }
        for trial in trials
    }


def epochs_done(folder: Path) -> int:
    """Returns how many epochs the trials have trained, all together."""
    files = folder.glob("trials/*/supernet/seed_0/metrics.jsonl")
    return sum(file.read_bytes().count(b"\n") for file in files)


class SweepCampaign:
    """Sweeps, one after another, each compared with the undisturbed one."""

    def __init__(self, folder: Path, chance: random.Random, log: Any, epochs: int = 30) -> None:
        """Carries the undisturbed sweep out."""
        self._folder, self._chance, self._log, self._epochs = folder, chance, log, epochs
        self._number = 0
        place, file = self._new_place()
        process = place.start(file, place.folder / "said", "sweep")
        if process.wait():
            raise RuntimeError((place.folder / "said").read_text())
        self._end(place)
        self._expected = results(place.folder / "runs/small", epochs)
        if any(trial["status"] != "done" for trial in self._expected.values()):
            raise RuntimeError(f"a trial of the undisturbed sweep has failed: {self._expected}")

    def run(self, strikes: Sequence[str]) -> Struck:
        """Carries out one disturbed sweep.

        Args:
            strikes: The kinds of faults, which come in an order and at epochs that the seed draws.
        """
        place, file = self._new_place()
        kinds = self._chance.sample(list(strikes), len(strikes))
        positions = sorted(self._chance.sample(range(3, 2 * self._epochs - 3), len(kinds)))
        struck = Struck()
        run = Run(
            place,
            place.folder / "runs",
            random.Random(self._chance.random()),
            place.start(file, place.folder / "said-0", "sweep"),
        )
        try:
            for kind, position in zip(kinds, positions, strict=True):
                self._bring_to(run, file, position, struck)
                self._strike(run, kind, struck)
            self._bring_to(run, file, None, struck)
            found = results(run.folder, self._epochs)
            struck.lost += [f"{name} differs" for name in self._expected if found.get(name) != self._expected[name]]
        except RuntimeError as error:
            struck.lost.append(str(error))
        finally:
            run.process.kill()
            said = [path.read_text(errors="replace") for path in sorted(place.folder.glob("said-*"))]
            struck.untidy += [f"a traceback was shown: {text[-2000:]}" for text in said if "Traceback" in text]
            struck.left += self._end(place)
        return struck

    def _strike(self, run: Run, kind: str, struck: Struck) -> None:
        """Strikes a sweep, as soon as there is what the strike is for."""
        deadline = time.monotonic() + VICTIM_SECONDS
        while True:
            try:
                KINDS[kind].strike(run)
                break
            except Missed as why:
                if run.process.poll() is not None or time.monotonic() > deadline:
                    struck.missed.append(f"{kind}: {why}")
                    return
            time.sleep(0.2)
        struck.strikes.append((kind, 0))
        self._say(f"    epoch {epochs_done(run.folder)} of {2 * self._epochs}: {kind}")

    def _bring_to(self, run: Run, file: Path, position: int | None, struck: Struck) -> None:
        """Waits until so many epochs are done, or for the end; gives the command again where it has failed.

        Raises:
            RuntimeError: If that does not help.
        """
        again = 0
        while position is None or epochs_done(run.folder) < position:
            status = run.process.poll()
            if status == 0:
                break
            if status is not None:
                said = run.place.folder / f"said-{len(run.place.commands) - 1}"
                if again == ATTEMPTS or not struck.strikes:
                    raise RuntimeError(f"the sweep cannot be brought to its end: {said.read_text()[-2000:]}")
                again += 1
                run.process = run.place.start(file, run.place.folder / f"said-{len(run.place.commands)}", "sweep")
            time.sleep(0.1)
        if again:
            kind, times = struck.strikes[-1]
            struck.strikes[-1] = (kind, times + again)

    def _new_place(self) -> tuple[OfSweeps, Path]:
        folder = self._folder / f"sweep-{self._number}"
        folder.mkdir()
        self._number += 1
        return OfSweeps(folder), leading_sweep(folder, self._epochs)

    def _end(self, place: OfSweeps) -> list[str]:
        """Returns what is left of a place, after waiting for it to go."""
        left = [f"process {process.pid} {process.name[:80]}" for process in wait_for_end(place.processes, 60)]
        left += [f"temporary file {name}" for name in place.remains()]
        left += place.rays()
        place.remove()
        return left

    def _say(self, line: str) -> None:
        print(f"{datetime.datetime.now():%H:%M:%S} {line}", file=self._log, flush=True)
