"""The backend of a run on Ray: its trainer and its pool of evaluators."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from raynas.config.run_config import RunConfig
from raynas.fitness import Fitness
from raynas.on_ray.cluster import Cluster, evaluator_needs, worker_needs
from raynas.on_ray.gauges import Gauges
from raynas.stages.backend import Stream
from raynas.stages.progress import Progress
from raynas.stages.training import Trainings
from raynas.storage.mirror import Mirror


class RayBackend:
    """Trains and evaluates on Ray, which starts when a stage first needs it."""

    def __init__(self, config: RunConfig, cluster: Cluster) -> None:
        """Stores the resolved configuration and its cluster, without joining it."""
        self._config, self._cluster = config, cluster

    def train(self, trainings: Trainings, mirror: Mirror, progress: Progress, watch: Callable[[], None]) -> None:
        """Runs trainings of the run, as described in `Backend.train`."""
        from raynas.on_ray.trainer import fit

        progress.start("Ray")
        self._cluster.join(worker_needs(self._config))
        fit(self._config, trainings, mirror, progress, watch)

    @contextmanager
    def evaluators(
        self,
        make: Callable[..., Fitness],
        arguments: Sequence[Any],
        quantities: tuple[str, ...],
        together: int,
        progress: Progress,
    ) -> Iterator[Stream]:
        """Yields a pool of evaluation actors, as described in `Backend.evaluators`."""
        from raynas.on_ray.pool import Pool

        search, needs = self._config.search, evaluator_needs(self._config)
        progress.start("Ray")
        self._cluster.join(needs)
        progress.start("evaluators")
        with Pool(
            evaluators=search.evaluators or self._cluster.room_for(needs),
            cpus=search.cpus_per_evaluator,
            gpus=search.gpus_per_evaluator,
            note=progress.note,
            wait_for=progress.wait_for,
        ) as pool:
            stream = pool.fitness(make, *arguments, quantities=quantities, together=together).stream
            yield Gauges(self._config).measured(stream)


@contextmanager
def on_ray(config: RunConfig) -> Iterator[RayBackend]:
    """Yields the backend of a run on Ray; a local Ray ends with the block."""
    with Cluster(config) as cluster:
        yield RayBackend(config, cluster)
