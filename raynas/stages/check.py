"""What `raynas check` says of a run file before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import yaml
from rich.console import Console

from raynas.config.locations import is_url
from raynas.config.run_config import RunConfig
from raynas.search import Limits, RandomSearch
from raynas.search.alphas import evenly
from raynas.search_space import SearchSpace, all_architectures, as_array, sample
from raynas.stages.judge import check_judge, needs_training
from raynas.stages.latency import needs_latency
from raynas.stages.prepare import prepare
from raynas.stages.search import check_search
from raynas.stages.task import make_space, read_benchmark
from raynas.storage.run_folder import check_reuse
from raynas.supernet.costs import cost_table


def check_derivation(config: RunConfig, space: SearchSpace) -> None:
    """Says if the space has no such derivation from alphas as the run file names.

    Raises:
        ValueError: If so.
    """
    if config.search.name == "derive":
        assert config.search.derivation is not None
        space.derive(evenly(space), config.search.derivation)


def check_device(config: RunConfig) -> None:
    """Checks that this machine has a GPU where it is to train without Ray.

    Raises:
        ValueError: If not.
    """
    trains_here = config.train.workers == 0 and config.train.reuse is None and needs_training(config.search)
    if trains_here and config.train.use_gpu and not torch.cuda.is_available():
        raise ValueError("train.use_gpu: this machine has no CUDA device; set it to false")


@dataclass(frozen=True)
class Elsewhere:
    """A data set that a run may have to download or be told the path of, which a check does without.

    Attributes:
        title: Its name, for people.
        images: Number of its training images.
        num_classes: Number of its labels.
        resolution: Height and width of its images.
    """

    title: str
    images: int
    num_classes: int
    resolution: int


ELSEWHERE = {
    "cifar10": Elsewhere("CIFAR-10", 50_000, 10, 32),
    "cifar100": Elsewhere("CIFAR-100", 50_000, 100, 32),
    "folder": Elsewhere("ImageNet", 1_281_167, 1_000, 224),
}
"""Data sets by `data.name`; a folder without a path is taken for ImageNet."""


def describe(config: RunConfig, console: Console) -> str:
    """Returns the resolved configuration as YAML, then what it means, as comments.

    Args:
        config: The resolved configuration.
        console: For progress while image files are opened.

    Raises:
        ValueError: If the space, the data or the limits are not as they should be.
    """
    lines = [yaml.safe_dump(config.model_dump(), sort_keys=False, width=120).rstrip(), ""]
    data, train = config.data, config.train
    elsewhere = None if data.name == "folder" and data.path is not None else ELSEWHERE.get(data.name)
    if elsewhere is not None:
        space, num_classes = make_space(config), elsewhere.num_classes
        resolution = data.resolution or elsewhere.resolution
        check_derivation(config, space)
        steps = round((data.max_images or elsewhere.images) * data.train_portion) // train.batch_size
        lines.append(
            f"# data: not looked at; what follows is for {elsewhere.title}: {elsewhere.images:,} training images of "
            f"{num_classes:,} classes" + (", until data.path says where a folder lies" if data.name == "folder" else "")
        )
    else:
        task, said = prepare(config, console)
        lines += [f"# {line}" for line in said]
        space, resolution, num_classes = task.space, task.dataset.resolution, task.dataset.num_classes
        _ = task.table  # says if it cannot be read
        check_derivation(config, space)
        if config.train.reuse is None or not is_url(config.train.reuse):
            check_reuse(config)
        if not needs_latency(config):
            check_search(task)
        check_judge(task)
        check_device(config)
        steps = task.train_batches(config.base_seeds[0], torch.device("cpu")).steps_per_epoch
    lines.append(
        f"# training: {steps:,} steps of {train.batch_size} images an epoch, {steps * train.epochs:,} in all, for each "
        f"of {len(config.base_seeds)} base seeds"
    )
    table = cost_table(space, resolution, num_classes)
    everything = space.size <= 1_000_000
    rng = np.random.default_rng(0)
    architectures = all_architectures(space) if everything else as_array([sample(space, rng) for _ in range(5_000)])
    costs = table.total(architectures)
    lines.append(f"# space: {space.num_architectures:,} architectures of {len(space.choices)} choices")
    of = "all of them" if everything else "5,000 sampled ones"
    for column, quantity in enumerate(table.quantities):
        lines.append(f"# {quantity}: {costs[:, column].min():,} to {costs[:, column].max():,} ({of})")
    benchmark = read_benchmark(config, space)
    if benchmark is not None:
        lines.append(f"# benchmark: {benchmark.column} of {len(benchmark):,} architectures in {benchmark.path}")
    given = config.search.limits.model_dump(exclude_none=True)
    if given:
        timed = [given.pop(key) for key in ("max_latency", "min_latency") if key in given]
        if timed:
            lines.append("# search.limits on latency: it is measured when the search begins; `raynas profile` does now")
    if given:
        limits = Limits(table, **given)
        admitted = limits.admits(architectures)
        if not admitted.any():  # a search brings architectures inside; this says if it could not
            RandomSearch(space, seed=0, population=1, generations=1, limits=limits).ask()
        rest = "" if admitted.any() else "; a search changes them until they are inside"
        lines.append(f"# search.limits admit {100 * admitted.mean():.2f} % of {of}{rest}")
    return "\n".join(lines)
