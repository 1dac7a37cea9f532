"""The interface of training and evaluation in other processes, which callers pass to the stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy as np

from raynas.config.run_config import RunConfig
from raynas.fitness import Fitness
from raynas.search_space import Architecture
from raynas.stages.progress import Progress
from raynas.stages.training import Trainings
from raynas.storage.mirror import Mirror

Stream: TypeAlias = Callable[[Sequence[Architecture]], Iterator[np.ndarray]]
"""Evaluates architectures, and yields rows ``(k, quantities)`` in their order as soon as they are known."""


class Backend(Protocol):
    """Trains and evaluates for a run in other processes."""

    def train(self, trainings: Trainings, mirror: Mirror, progress: Progress, watch: Callable[[], None]) -> None:
        """Runs trainings of the run to their end, from their last checkpoints.

        Args:
            trainings: The trainings.
            mirror: The run's folder, and the copying of its files.
            progress: Receives the reasons for waiting, and failures.
            watch: Called twice a second.

        Raises:
            InputError: If the configuration, the data or the folder is invalid.
            RunError: If training keeps failing.
            KeyboardInterrupt: If a signal came.
        """
        ...

    def evaluators(
        self,
        make: Callable[..., Fitness],
        arguments: Sequence[Any],
        quantities: tuple[str, ...],
        together: int,
        progress: Progress,
    ) -> AbstractContextManager[Stream]:
        """Returns a context of processes that evaluate architectures in parallel.

        Args:
            make: Builds the fitness inside such a process, from arguments that are read-only.
            arguments: The arguments of `make`.
            quantities: The quantities that the fitness measures.
            together: Number of architectures in one call.
            progress: Receives the reasons for waiting.
        """
        ...


OpenBackend: TypeAlias = Callable[[RunConfig], AbstractContextManager[Backend]]
"""Opens the backend of a run, which keeps its resources during a ``with`` block."""
