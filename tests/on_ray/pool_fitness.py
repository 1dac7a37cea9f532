"""Fitnesses for the tests of the pool, in a module that actors can import."""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raynas.errors import InputError
from raynas.search_space import Architecture


class Weighted:
    """<weights, a> and its square, after `seconds` for each unit of the first gene."""

    quantities: tuple[str, ...] = ("fitness", "square")

    def __init__(self, weights: np.ndarray, seconds: float = 0) -> None:
        self.weights, self.seconds = weights, seconds

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        time.sleep(self.seconds * sum(architecture[0] for architecture in architectures))
        values = (np.array(architectures, dtype=np.float64) * self.weights).sum(axis=1)  # to the bit, row by row
        return np.stack([values, values**2], axis=1)


class Where(Weighted):
    """Says also which process evaluates, and appends each architecture to a file before it is evaluated."""

    quantities = ("fitness", "process")

    def __init__(self, weights: np.ndarray, seconds: float, log: Path) -> None:
        super().__init__(weights, seconds)
        self.log = log

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        with self.log.open("a") as stream:
            stream.writelines(f"{architecture}\n" for architecture in architectures)
        rows = super().__call__(architectures)
        rows[:, 1] = os.getpid()
        return rows


class Uneven(Where):
    """As `Where`, but the process that comes first is twenty times as slow."""

    def __init__(self, weights: np.ndarray, seconds: float, log: Path) -> None:
        super().__init__(weights, seconds, log)
        try:
            log.with_suffix(".slow").touch(exist_ok=False)
            self.seconds *= 20
        except FileExistsError:
            pass


class Troubled(Weighted):
    """Fails at one architecture, in one of many ways."""

    def __init__(self, weights: np.ndarray, architecture: Architecture, trouble: str) -> None:
        super().__init__(weights)
        self.architecture, self.trouble = architecture, trouble

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        rows = super().__call__(architectures)
        if self.architecture not in architectures:
            return rows
        if self.trouble == "mistake":
            raise InputError("data.path: no images\nthere")
        if self.trouble == "error":
            raise KeyError("what")
        if self.trouble == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        wrong = {
            "infinite": rows * [1, np.inf],
            "nan": rows * np.nan,
            "flat": rows[:, 0],
            "narrow": rows[:, :1],
            "long": np.concatenate([rows, rows]),
        }
        return wrong[self.trouble]


class Surroundings:
    """What a fitness finds in its process: torch's threads, and whether the weights could be written or are copies."""

    quantities = ("fitness", "writeable", "owned")

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights["w"]

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        import torch

        return np.array([[torch.get_num_threads(), self.weights.flags.writeable, self.weights.flags.owndata]])


class Memory:
    """MB that belong to this process alone after all of its weights have been read as torch tensors."""

    quantities = ("fitness",)

    def __init__(self, weights: dict[str, np.ndarray], copied: bool) -> None:
        import torch

        arrays = [array.copy() if copied else array for array in weights.values()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that they cannot be written
            self.weights = [torch.from_numpy(array) for array in arrays]

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        assert all(float(weight.sum()) > 0 for weight in self.weights)
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        private = (int(line.split()[1]) for line in lines if line.startswith(("Private_Clean:", "Private_Dirty:")))
        return np.array([[sum(private) * 1024 / 1e6]])


def unbuildable(*objects: Any) -> Weighted:
    raise OSError("no\nroom")


class CannotStart:
    """Stands for an actor whose machine lacks what it imports."""

    def __init__(self, threads: int) -> None:
        raise ModuleNotFoundError("No module named 'raynas'")


class DiesStarting:
    """Stands for an actor that is killed while it starts."""

    def __init__(self, threads: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
