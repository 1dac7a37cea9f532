"""Faults against a sweep of two leading trials: its results must be those of the undisturbed sweep."""

from __future__ import annotations

import datetime
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.on_ray.faults.kinds import KINDS, Run
from tests.on_ray.faults.places import Local
from tests.on_ray.faults.processes import wait_for_end
from tests.on_ray.test_sweep import sweep_file
from tests.stages.runs import outcome

ATTEMPTS = 3
"""How often the command is given again after one strike before the sweep counts as lost."""


class OfSweeps(Local):
    """A Ray of its own for every command, with room for the workers of one trial at a time."""

    def command(self, file: Path) -> list[str]:
        return ["sweep", str(file), "--set", "local_cpus=2"]


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
        process = place.start(file, place.folder / "said")
        if process.wait():
            raise RuntimeError((place.folder / "said").read_text())
        self._end(place)
        self._expected = results(place.folder / "runs/small", epochs)

    def run(self, strikes: Sequence[str]) -> tuple[list[tuple[str, int]], list[str], list[str]]:
        """Carries out one disturbed sweep.

        Args:
            strikes: The kinds of faults, which come in an order and at epochs that the seed draws.

        Returns:
            The strikes, each with how often the command was given again after it; what was lost; what was left behind.
        """
        place, file = self._new_place()
        kinds = self._chance.sample(list(strikes), len(strikes))
        positions = sorted(self._chance.sample(range(3, 2 * self._epochs - 3), len(kinds)))
        done: list[tuple[str, int]] = []
        lost: list[str] = []
        left: list[str] = []
        run = Run(
            place,
            place.folder / "runs",
            random.Random(self._chance.random()),
            place.start(file, place.folder / "said-0"),
        )
        try:
            for kind, position in zip(kinds, positions, strict=True):
                done.append((kind, self._bring_to(run, file, position)))
                self._say(f"    epoch {epochs_done(run.folder)} of {2 * self._epochs}: {kind}")
                KINDS[kind].strike(run)
            again = self._bring_to(run, file, None)
            given = [*(times for _, times in done[1:]), again]  # what a strike cost shows before the next
            done = [(kind, times) for (kind, _), times in zip(done, given, strict=True)]
            found = results(run.folder, self._epochs)
            lost += [f"{name} differs" for name in self._expected if found.get(name) != self._expected[name]]
        finally:
            run.process.kill()
            left += self._end(place)
        return done, lost, left

    def _bring_to(self, run: Run, file: Path, position: int | None) -> int:
        """Waits until so many epochs are done, or for the end; returns how often the command was given again."""
        again = 0
        while position is None or epochs_done(run.folder) < position:
            status = run.process.poll()
            if status == 0:
                break
            if status is not None:
                said = run.place.folder / f"said-{len(run.place.commands) - 1}"
                if again == ATTEMPTS:
                    raise RuntimeError(f"the sweep cannot be brought to its end: {said.read_text()[-2000:]}")
                again += 1
                run.process = run.place.start(file, run.place.folder / f"said-{len(run.place.commands)}")
            time.sleep(0.1)
        return again

    def _new_place(self) -> tuple[OfSweeps, Path]:
        folder = self._folder / f"sweep-{self._number}"
        folder.mkdir()
        self._number += 1
        return OfSweeps(folder), leading_sweep(folder, self._epochs)

    def _end(self, place: OfSweeps) -> list[str]:
        """Returns what is left of a place, after waiting for it to go."""
        left = [f"process {process.pid} {process.name[:80]}" for process in wait_for_end(place.processes, 60)]
        left += [f"temporary file {name}" for name in place.remains()]
        left += [str(path) for pid in place.commands for path in Path("/tmp").glob(f"raynas-{pid}-*")]
        place.remove()
        return left

    def _say(self, line: str) -> None:
        print(f"{datetime.datetime.now():%H:%M:%S} {line}", file=self._log, flush=True)
