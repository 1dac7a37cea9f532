"""The two functions that stages are given from above: how to train, and how to evaluate, in more than this process."""

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
"""Yields rows ``(k, quantities)`` in the order of the architectures it is given, as they are known."""


class Backend(Protocol):
    """Where the work of a run is done that takes more than this process."""

    def train(self, trainings: Trainings, mirror: Mirror, progress: Progress, watch: Callable[[], None]) -> None:
        """Carries out trainings of the run, from their last checkpoints on, until they are done.

        Args:
            trainings: What to train.
            mirror: The run's folder, and what carries its files.
            progress: Told what is waited for, and of failures.
            watch: Called twice a second.

        Raises:
            InputError: If the configuration, the data or the folder is not as it should be.
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
        """Returns a context that holds processes which evaluate architectures in parallel.

        Args:
            make: Builds the fitness inside such a process, from what it must not write to.
            arguments: What it takes.
            quantities: What the fitness measures.
            together: How many architectures it is asked for at once.
            progress: Told what is waited for.
        """
        ...


OpenBackend: TypeAlias = Callable[[RunConfig], AbstractContextManager[Backend]]
"""Makes the backend of a run, which holds what it needs for the time of a ``with`` block."""
