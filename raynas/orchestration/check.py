"""What `raynas check` says of a run file before anything is trained."""

from __future__ import annotations

import numpy as np
import torch
import yaml

from raynas.config import RunConfig
from raynas.orchestration.judge import check_judge
from raynas.orchestration.task import make_space, make_task, read_benchmark
from raynas.search import Limits
from raynas.search_space import all_architectures, as_array, sample

DOWNLOADED = {"cifar10": (10, 32), "cifar100": (100, 32)}
"""Classes and resolution of the data sets that a run may have to download, which a check does not do."""


def describe(config: RunConfig) -> str:
    """Returns the resolved configuration as YAML, then what it means, as comments.

    Raises:
        ValueError: If the space, the data or the limits are not as they should be.
    """
    lines = [yaml.safe_dump(config.model_dump(), sort_keys=False, width=120).rstrip(), ""]
    if config.data.name in DOWNLOADED:
        num_classes, own = DOWNLOADED[config.data.name]
        space, resolution = make_space(config), config.data.resolution or own
    else:
        task = make_task(config)
        space, resolution, num_classes = task.space, task.dataset.resolution, task.dataset.num_classes
        check_judge(task)
        batches = task.train_batches(config.base_seeds[0], torch.device("cpu"))
        lines.append(
            f"# training: {batches.steps_per_epoch:,} steps of {config.train.batch_size} images an epoch, "
            f"{batches.steps_per_epoch * config.train.epochs:,} in all, for each of {len(config.base_seeds)} base seeds"
        )
    table = space.costs(resolution, num_classes)
    everything = space.size <= 1_000_000
    rng = np.random.default_rng(0)
    architectures = all_architectures(space) if everything else as_array([sample(space, rng) for _ in range(5_000)])
    costs = table.total(architectures)
    lines.append(f"# space: {space.size:,} architectures of {len(space.choices)} choices")
    of = "all of them" if everything else "5,000 sampled ones"
    for column, quantity in enumerate(table.quantities):
        lines.append(f"# {quantity}: {costs[:, column].min():,} to {costs[:, column].max():,} ({of})")
    benchmark = read_benchmark(config, space)
    if benchmark is not None:
        lines.append(f"# benchmark: {benchmark.column} of {len(benchmark):,} architectures in {benchmark.path}")
    given = config.search.limits.model_dump(exclude_none=True)
    if given:
        limits = Limits(table, **given)
        admitted = limits.admits(architectures)
        if not admitted.any():
            raise ValueError(limits.explain(architectures))
        lines.append(f"# search.limits admit {100 * admitted.mean():.2f} % of {of}")
    return "\n".join(lines)
