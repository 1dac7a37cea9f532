"""The evaluation of fitnesses that run networks, on fixed images, in this process or on Ray actors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import torch

from raynas.config.run_config import parse_config
from raynas.data import (
    LABELS,
    FixedImages,
    FixedText,
    ImagesOnDisk,
    TextDataset,
    fix_images,
    fix_text,
    images_to_send,
    split_images,
)
from raynas.errors import InputError
from raynas.fitness import FITNESSES, Fitness, FitnessRow, mean_of
from raynas.fitness.inherited_weights import WithInheritedWeights
from raynas.fitness.probe import WithInitialWeights
from raynas.fitness.row import FITNESS, SPREAD
from raynas.fitness.side_by_side import SideBySide, numbered
from raynas.messages import echo
from raynas.search_space import Architecture, SearchSpace
from raynas.stages.backend import Backend, Stream
from raynas.stages.context import RunContext, trained_supernet
from raynas.stages.progress import Progress
from raynas.stages.task import Task, dataset_arguments
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.shared_weights import as_arrays, supernet_on
from raynas.training.determinism import deterministic_algorithms, use_deterministic_algorithms

TOGETHER = 32
"""Neighbours that are evaluated at once where they share work: the more, the less is left to do, and to lose."""


@contextmanager
def network_fitnesses(
    task: Task, rows: Mapping[str, FitnessRow], backend: Backend, progress: Progress
) -> Iterator[tuple[list[tuple[str, ...]], Stream]]:
    """Holds fitnesses that run networks: in this process, or on Ray actors that end with the block.

    The same actors take all of them: a second set would wait for the CPUs of the first.

    Args:
        task: Space and images.
        rows: The fitnesses, one or more, as the run file names them, with the rows that it names.
        backend: Makes the actors.
        progress: Told what is waited for.

    Yields:
        The quantities of each fitness, and what evaluates architectures: rows hold the quantities side by side.
    """
    search = task.config.search
    together = TOGETHER if _is_chain(task) else 1
    listed = _listed_arguments(task, rows)
    quantities = [_quantities(task, row) for row in rows.values()]
    if search.evaluators == 0:
        torch.set_num_threads(search.cpus_per_evaluator)
        with deterministic_algorithms(task.config.train.deterministic):
            parts = [build_fitness(*arguments) for arguments in listed]
            yield quantities, _in_turn(parts[0] if len(parts) == 1 else SideBySide(parts), together)
        return
    if len(listed) == 1:
        held = backend.evaluators(build_fitness_on_actor, listed[0], quantities[0], together, progress)
    else:
        names = numbered(sum(map(len, quantities)))
        held = backend.evaluators(build_side_by_side_on_actor, (listed,), names, together, progress)
    with held as stream:
        yield quantities, stream


def _quantities(task: Task, row: FitnessRow) -> tuple[str, ...]:
    """Returns what a fitness that runs networks measures."""
    measured = () if row.measure is None else tuple(quantity.name for quantity in row.measure.quantities)
    return (FITNESS, *measured, *((SPREAD,) if len(task.config.base_seeds) > 1 else ()))


def _listed_arguments(task: Task, rows: Mapping[str, FitnessRow]) -> list[tuple[Any, ...]]:
    """Returns the arguments of `build_fitness` for each fitness; scores of initial weights share weights and images."""
    of_scores: dict[str, tuple[Any, ...]] = {}
    listed = []
    for path, row in rows.items():
        if row.score is None:
            listed.append(_arguments(task, path))
            continue
        if row.batch not in of_scores:
            of_scores[row.batch] = _arguments_of_score(task, path, row)
        values, _, *others = of_scores[row.batch]
        listed.append((values, path, *others))
    return listed


def _arguments(task: Task, path: str) -> tuple[Any, ...]:
    """Returns what `build_fitness` takes, or, if it is built elsewhere, `build_fitness_on_actor`."""
    calibration, evaluation = image_positions(task)
    labels = [evaluation_labels(task, base_seed) for base_seed in task.config.base_seeds]
    images = _reader(task)
    supernets = []
    for base_seed, of_seed in zip(task.config.base_seeds, labels, strict=True):
        supernets.append((as_arrays(trained_supernet(task, base_seed).weights), of_seed[evaluation]))
    return (
        task.config.model_dump(),
        path,
        task.space,
        task.num_categories,
        images(calibration, labels[0]),
        images(evaluation, labels[0]),
        supernets,
    )


def _arguments_of_score(task: Task, path: str, row: FitnessRow) -> tuple[Any, ...]:
    """Returns the same for a score of initial weights, which calibrates nothing."""
    positions = score_positions(task, row)
    labels = [evaluation_labels(task, base_seed) for base_seed in task.config.base_seeds]
    images = _reader(task)(positions, labels[0])
    context = RunContext(task)
    supernets = []
    for base_seed, of_seed in zip(task.config.base_seeds, labels, strict=True):
        supernets.append((as_arrays(context.untrained_weights(base_seed)), of_seed[positions]))
    return (task.config.model_dump(), path, task.space, task.num_categories, None, images, supernets)


Fixed: TypeAlias = FixedImages | FixedText
"""What networks are evaluated on."""


def _reader(task: Task) -> Callable[..., Fixed | ImagesOnDisk]:
    """Returns what reads training images, given their positions and labels."""
    if isinstance(task.dataset, TextDataset):
        return functools.partial(fix_text, task.dataset, task.dataset.train)
    if task.config.search.evaluators == 0:
        return functools.partial(fix_images, task.dataset, task.dataset.train)
    # Evaluators may be on other machines: they read image files themselves.
    return functools.partial(images_to_send, task.dataset, task.dataset.train, arguments=dataset_arguments(task.config))


def build_fitness(
    values: dict[str, Any],
    path: str,
    space: SearchSpace,
    num_categories: int,
    calibration: Fixed | None,
    evaluation: Fixed,
    supernets: Sequence[tuple[dict[str, np.ndarray], np.ndarray]],
) -> Fitness:
    """Returns a fitness that runs networks, the mean over the supernets.

    Args:
        values: The resolved configuration as plain values.
        path: The fitness as the run file names it.
        space: Where architectures are evaluated.
        num_categories: Labels that the supernets tell apart.
        calibration: Images to measure batch normalisation on; None for a score of initial weights.
        evaluation: Images to evaluate on.
        supernets: Weights of each supernet, and the labels that the evaluation images have for it.
    """
    config = parse_config(values)
    search = config.search
    assert config.data.labels is not None
    change = LABELS.row(config.data.labels).change
    row = FITNESSES.row(path)
    device = torch.device("cuda" if search.gpus_per_evaluator else "cpu")
    parts: list[Fitness] = []
    for weights, labels in supernets:
        supernet = supernet_on(space, num_categories, weights, device)
        options = search.options_of(row.options)
        if row.score is not None:
            assert isinstance(evaluation, FixedImages), "checked before anything is evaluated"
            parts.append(WithInitialWeights(supernet, replace(evaluation, labels=labels, change=change), row, options))
            continue
        assert calibration is not None
        part = WithInheritedWeights(
            supernet,
            replace(calibration, change=change),
            replace(evaluation, labels=labels, change=change),
            row,
            options=options,
            batch_size=search.evaluation_batch_size,
        )
        parts.append(part)
    return mean_of(parts)


def build_fitness_on_actor(
    values: dict[str, Any],
    path: str,
    space: SearchSpace,
    num_categories: int,
    calibration: Fixed | ImagesOnDisk | None,
    evaluation: Fixed | ImagesOnDisk,
    supernets: Sequence[tuple[dict[str, np.ndarray], np.ndarray]],
) -> Fitness:
    """Returns `build_fitness` in a process of its own, which reads the images and keeps torch's settings."""
    if parse_config(values).train.deterministic:
        use_deterministic_algorithms()
    calibration = calibration.read() if isinstance(calibration, ImagesOnDisk) else calibration
    evaluation = evaluation.read() if isinstance(evaluation, ImagesOnDisk) else evaluation
    return build_fitness(values, path, space, num_categories, calibration, evaluation, supernets)


def build_side_by_side_on_actor(listed: Sequence[tuple[Any, ...]]) -> Fitness:
    """Returns several fitnesses side by side, each of the arguments of `build_fitness_on_actor`."""
    return SideBySide([build_fitness_on_actor(*arguments) for arguments in listed])


def evaluation_labels(task: Task, base_seed: int) -> np.ndarray:
    """Returns the label of every training image by which networks are evaluated, ``(n,)`` int64."""
    if task.config.search.evaluation_labels == "classes":
        return task.dataset.train.labels
    return task.labels(base_seed, epoch=0)


def _is_chain(task: Task) -> bool:
    """Returns whether the supernet is a chain, in which neighbours share work."""
    with torch.device("meta"):
        return isinstance(task.space.build_supernet(task.num_categories), ChainNetwork)


def _in_turn(fitness: Fitness, together: int) -> Stream:
    """Returns a stream that yields rows as soon as they are known, so that little is lost with the process."""

    def stream(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        for start in range(0, len(architectures), together):
            yield fitness(architectures[start : start + together])

    return stream


def evaluation_count(task: Task) -> int:
    """Returns on how many images of the search split networks are evaluated."""
    config = task.config
    _, search = split_images(task.dataset.train, config.data.train_portion, config.seed)
    return config.search.evaluation_images or len(search)


def check_images(task: Task) -> None:
    """Checks that there are images and labels to run networks on, and a GPU where one is asked for without Ray.

    Raises:
        InputError: If there are not.
    """
    image_positions(task)
    _check_evaluation_labels(task)
    _check_device(task)


def _check_device(task: Task) -> None:
    """Checks that there is a GPU where one is asked for without Ray.

    Raises:
        InputError: If there is none.
    """
    search = task.config.search
    if search.evaluators == 0 and search.gpus_per_evaluator and not torch.cuda.is_available():
        raise InputError("search.gpus_per_evaluator: this machine has no CUDA device; set it to 0")


def _check_evaluation_labels(task: Task) -> None:
    """Checks that the supernet's classifier knows the labels that networks are evaluated by.

    Raises:
        InputError: If it does not.
    """
    data = task.config.data
    if task.config.search.evaluation_labels != "classes":
        return
    assert data.labels is not None
    if LABELS.row(data.labels).change is not None:
        raise InputError(
            f"search.evaluation_labels: expected training with data.labels {echo(data.labels)}, whose labels say what "
            "was done to an image, got classes; set it to training"
        )
    if task.num_categories < task.dataset.num_classes:
        raise InputError(
            f"search.evaluation_labels: expected at least {task.dataset.num_classes} label categories to tell the "
            f"classes apart, got {task.num_categories}; raise data.num_label_categories, or set it to training"
        )


def check_score_images(task: Task, row: FitnessRow) -> None:
    """Checks that there are images and labels to take a score of initial weights on, and a GPU where one is asked for.

    Raises:
        InputError: If there are not.
    """
    train, _ = split_images(task.dataset.train, task.config.data.train_portion, task.config.seed)
    wanted = _score_images(task, row)
    if not 2 <= wanted <= len(train):
        raise InputError(
            f"search.{row.batch}: expected 2 to {len(train)} (the images that train), since scores compare images, "
            f"got {wanted}"
        )
    _check_evaluation_labels(task)
    _check_device(task)


def score_positions(task: Task, row: FitnessRow) -> np.ndarray:
    """Returns the images of the train split on which a score of initial weights is taken, sampled by the seed."""
    train, _ = split_images(task.dataset.train, task.config.data.train_portion, task.config.seed)
    return calibration_positions(task, train, _score_images(task, row))


def _score_images(task: Task, row: FitnessRow) -> int:
    count: int = getattr(task.config.search.options_of(row.options), row.batch)
    return count


def calibration_positions(task: Task, train: np.ndarray, count: int) -> np.ndarray:
    """Returns so many images of the train split to calibrate on, sampled by the seed of the run."""
    if isinstance(task.dataset, TextDataset):
        return train[:count]  # a text is read in its order
    rng = np.random.default_rng([task.config.seed, 0])
    return train[rng.permutation(len(train))[:count]]


def image_positions(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns which images to calibrate on, of the train split, and which to evaluate on, of the search split.

    Raises:
        InputError: If there are fewer than are asked for, or than a batch.
    """
    config = task.config
    train, search = split_images(task.dataset.train, config.data.train_portion, config.seed)
    if not len(search):
        names = " + ".join(row.name for row in config.search.fitness_rows)
        raise InputError(
            f"data.train_portion: {names} is evaluated on the search split, which is empty at "
            f"{config.data.train_portion:g}; lower it"
        )
    wanted = config.search.evaluation_images or len(search)
    if wanted > len(search):
        raise InputError(f"search.evaluation_images: expected at most {len(search)} (the search split), got {wanted}")
    counts = {"calibrate on": min(config.search.calibration_images, len(train)), "evaluate on": wanted}
    batch = config.search.evaluation_batch_size
    for purpose, count in counts.items():
        if count < batch:
            raise InputError(
                f"search.evaluation_batch_size: a batch of {batch} images is more than the {count} there are to "
                f"{purpose}; lower it to {count} or less, or give more images"
            )
    if isinstance(task.dataset, TextDataset):
        whole = wanted - wanted % batch  # streams of equal length
        return calibration_positions(task, train, counts["calibrate on"]), search[:whole]
    rng = np.random.default_rng([config.seed, 1])
    evaluation = search[rng.permutation(len(search))[:wanted]]
    return calibration_positions(task, train, counts["calibrate on"]), evaluation
