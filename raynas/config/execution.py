"""How a training is carried out: by how many workers, with what, and when it saves."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from raynas.errors import InputError
from raynas.messages import echo
from raynas.options import MOST, Count, Execution, Options, Positive, Processes

WorkerRange = Annotated[list[Processes], Field(min_length=2, max_length=2)]
"""The least and the most workers."""

RAYS_OWN = ("CPU", "GPU", "memory", "object_store_memory")
"""Names of resources that Ray uses itself."""


class WorkerOptions(Options):
    """Who trains.

    Attributes:
        workers: Training workers; a pair ``[min, max]`` trains elastically; 0 trains without Ray, in this process.
            Results are the same bits with 0 and 1. With more they agree to rounding, but for batch normalisation,
            which sees the share of each worker.
        cpus_per_worker: CPUs, and torch threads, of a worker. Another number of threads rounds otherwise: results
            agree, but not to the bit.
        use_gpu: Whether each worker takes a GPU; results agree with those of a CPU to rounding.
        deterministic: Whether a GPU uses only algorithms that give the same bits every time, in training and in
            evaluation. They are slower, and an operation without such an algorithm ends the run with an error. On the
            CPU the bits are the same without it.
        resource: Name of a resource of the cluster. Each training worker takes 1 of it, so that it runs only on nodes
            that offer it. None by default.
        max_failures: Number of failures in a row, without a new checkpoint between them, after which the run ends with
            an error.
    """

    workers: Annotated[Annotated[int, Field(ge=0, le=100_000)] | WorkerRange, Execution(rounds=True)] = 1
    cpus_per_worker: Annotated[Processes, Execution(rounds=True)] = 1
    use_gpu: Annotated[bool, Execution(rounds=True)] = False
    deterministic: Annotated[bool, Execution()] = False
    resource: Annotated[
        Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")] | None,
        Execution(),
    ] = None
    max_failures: Annotated[Count, Execution()] = 3

    @field_validator("resource")
    @classmethod
    def _of_their_own(cls, value: str | None) -> str | None:
        if value in RAYS_OWN:
            raise InputError(f"expected a name of your own such as raynas_train, got Ray's own {echo(value)}")
        return value

    @property
    def worker_range(self) -> tuple[int, int]:
        """The least and the most workers."""
        if isinstance(self.workers, int):
            return self.workers, self.workers
        least, most = self.workers
        return least, most


class CheckpointOptions(Options):
    """When a training saves, and what it keeps.

    Attributes:
        checkpoint_every: Number of epochs between two checkpoints.
        checkpoint_minutes: Number of minutes after which a checkpoint is written in the middle of an epoch. null: only
            at epochs, and before a machine is taken back.
        keep_checkpoints: Number of checkpoints that are kept, the latest ones.
    """

    checkpoint_every: Annotated[Positive, Execution()] = 10
    checkpoint_minutes: Annotated[Annotated[float, Field(gt=0)] | None, Execution()] = 10.0
    keep_checkpoints: Annotated[Annotated[int, Field(ge=2, le=MOST)], Execution()] = 2


class TrainingExecution(WorkerOptions, CheckpointOptions):
    """How any training is carried out."""
