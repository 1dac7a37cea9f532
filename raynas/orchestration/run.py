"""A run from its first stage to its last; each stage reads the files of the one before and is skipped when done."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from raynas.config import RunConfig
from raynas.orchestration.progress import Progress
from raynas.orchestration.run_folder import locked, open_run
from raynas.orchestration.search import make_searcher, search
from raynas.orchestration.task import Task, make_task
from raynas.orchestration.train_supernet import is_trained, train_supernets
from raynas.supernet.one_shot import Workers


@contextmanager
def opened(config: RunConfig) -> Iterator[tuple[Task, Path]]:
    """Yields the task and the folder of a run, held against every other process that would write into it.

    Raises:
        ValueError: If the configuration, the data or the folder is not as it should be.
    """
    task = make_task(config)  # before the folder is made: a mistake leaves nothing behind
    task.train_batches(config.base_seeds[0], torch.device("cpu"))  # says if there are too few images for a batch
    make_searcher(task).ask()  # says if limits admit nothing
    folder = open_run(config)
    with locked(folder / "lock", wait=0, holder="another raynas process"):
        yield task, folder


def train(task: Task, folder: Path, console: Console) -> None:
    """Trains the supernets of a run that are not done, on Ray or, with ``train.workers: 0``, in this process."""
    config = task.config
    if all(is_trained(folder, base_seed) for base_seed in config.base_seeds):
        console.print("supernet: trained before", highlight=False)
        return
    began = time.perf_counter()
    with Progress(folder, console) as progress:
        if config.train.workers == 0:
            if config.train.use_gpu and not torch.cuda.is_available():
                raise ValueError("train.use_gpu: this machine has no CUDA device; set it to false")
            train_supernets(task, folder, Workers(), torch.device("cuda" if config.train.use_gpu else "cpu"))
        else:
            from raynas.orchestration.cluster import connected
            from raynas.orchestration.ray_train import fit

            with connected(config):
                fit(config, folder, progress)
    console.print(f"supernet: trained in {time.perf_counter() - began:.0f} s", highlight=False)


def run(config: RunConfig, console: Console, stages: tuple[str, ...] = ("train", "search")) -> dict[str, Any] | None:
    """Carries out stages of a run and returns the search's result, or None without a search.

    Raises:
        ValueError: If something of the user's is not as it should be.
        RuntimeError: If training keeps failing.
    """
    with opened(config) as (task, folder):
        if "train" in stages:
            train(task, folder, console)
        if "search" in stages:
            return search(task, folder)
    return None
