"""The actor that evaluates architectures: it builds a fitness once and evaluates batches by it.

An error crosses processes as one line that names the architecture.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from raynas.errors import InputError, RunError
from raynas.fitness import Fitness
from raynas.search_space import Architecture


class Evaluator:
    """Evaluates candidates in a process of its own."""

    def __init__(self, threads: int) -> None:
        """Takes the number of threads that torch may use."""
        import torch

        torch.set_num_threads(threads)
        self._version: int | None = None
        self._fitness: Fitness | None = None

    def evaluate(
        self,
        version: int,
        boxed: list[Any],
        quantities: tuple[str, ...],
        together: int,
        architectures: Sequence[Architecture],
    ) -> tuple[np.ndarray, float]:
        """Returns the quantities of the candidates, ``(n, q)``, and the seconds that the evaluation took.

        Args:
            version: Number of the fitness. Another number than before builds it first.
            boxed: References to the function that builds the fitness and to its arguments. They are in a list, so that
                only an actor that builds fetches them.
            quantities: The quantities that the fitness must measure.
            together: How many candidates it is asked for at once.
            architectures: The candidates.

        Raises:
            InputError: If the fitness raises one.
            RunError: If it fails in any other way.
        """
        if version != self._version:
            import ray

            self._version = self._fitness = None  # the memory of the old fitness is free for the new one
            with _in_one_line("building the fitness"):
                make, *objects = ray.get(boxed)
                self._fitness = make(*objects)
                if self._fitness.quantities != quantities:
                    raise TypeError(f"it measures {self._fitness.quantities}, expected {quantities}")
            self._version = version
        assert self._fitness is not None
        began = time.perf_counter()
        starts = range(0, len(architectures), together)
        rows = [evaluate_some(self._fitness, architectures[start : start + together]) for start in starts]
        return np.concatenate(rows), time.perf_counter() - began


def evaluate_some(fitness: Fitness, architectures: Sequence[Architecture]) -> np.ndarray:
    """Returns the quantities of one or more candidates, ``(n, q)``, after checking their shape and values."""
    with _in_one_line(f"evaluating {' or '.join(map(str, architectures))}"):
        values = np.asarray(fitness(architectures), dtype=np.float64)
        expected = (len(architectures), len(fitness.quantities))
        if values.shape != expected:
            raise TypeError(f"expected shape {expected}, one row each, got {values.shape}")
        for row in values:
            if not np.isfinite(row).all():
                raise ArithmeticError(f"expected finite {', '.join(fitness.quantities)}, got {row.tolist()}")
    return values


@contextlib.contextmanager
def _in_one_line(doing: str) -> Iterator[None]:
    """Turns an error of the block into one of a single line: an InputError stays one, others become a RunError."""
    try:
        yield
    except Exception as error:
        message = " ".join(str(error).partition("\ntraceback: ")[0].split())  # Ray's own errors end with one
        if isinstance(error, InputError):
            raise InputError(f"{doing} failed: {message}") from error
        raise RunError(f"{doing} failed: {type(error).__name__}: {message}") from error
