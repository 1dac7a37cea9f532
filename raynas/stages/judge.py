"""Who judges architectures: the fitness that a run file names, in this process or on Ray actors.

A stage that needs judgement opens a `Judge` and streams architectures through it; whether rows come from a table, from
this process or from actors all over a cluster shows in nothing but the time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from raynas.config.run_config import parse_config
from raynas.config.search_section import SearchSection
from raynas.data import FixedImages, ImagesOnDisk, fix_images, images_to_send, split_images
from raynas.fitness import Fitness, mean_of
from raynas.fitness.angle import Angle, Displacement, angle_table
from raynas.fitness.baselines import Chance, Cost
from raynas.fitness.log_probability import log_probabilities
from raynas.fitness.one_shot_accuracy import OneShotAccuracy
from raynas.search.alphas import before_skips
from raynas.search_space import AdditiveTable, Architecture, SearchSpace, sample
from raynas.stages.backend import Backend
from raynas.stages.progress import Progress
from raynas.stages.task import Task, dataset_arguments
from raynas.stages.train_supernet import (
    ALPHAS,
    ANGLE_TABLES,
    build_supernet,
    is_trained,
    read_angle_tables,
    read_probabilities,
)
from raynas.storage.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    epoch_folder,
    load_checkpoint,
    probabilities_of,
)
from raynas.storage.run_folder import seed_folder
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.shared_weights import as_arrays, supernet_on
from raynas.training.determinism import deterministic_algorithms, use_deterministic_algorithms

TRAINED = ("angle", "displacement", "one_shot_accuracy", "one_shot_loss", "log_probability")
"""Fitnesses that judge by a trained supernet."""

FROM_ALPHAS = ("derive", "alpha_sampling")
"""Searchers that propose by trained alphas."""

FORWARD = ("one_shot_accuracy", "one_shot_loss")
"""Fitnesses that run networks, so that judging takes time and several processes pay."""


@dataclass(frozen=True)
class Judge:
    """What judging needs to know.

    Attributes:
        quantities: What a row holds; the first is the fitness.
        stream: Yields rows ``(k, len(quantities))`` in the order of the architectures it is given, as they are known.
    """

    quantities: tuple[str, ...]
    stream: Callable[[Sequence[Architecture]], Iterator[np.ndarray]]


def needs_training(search: SearchSection) -> bool:
    """Returns whether a search needs trained supernets: to judge by, or alphas to propose by."""
    return search.name in FROM_ALPHAS or any(name in TRAINED for name in search.fitnesses)


def runs_networks(search: SearchSection) -> bool:
    """Returns whether any of the fitnesses runs networks."""
    return any(name in FORWARD for name in search.fitnesses)


def fitness_name(search: SearchSection) -> str:
    """Returns the name of the fitness together with what defines it, for people."""
    epoch = f" after {search.angle_epoch} epochs" if search.angle_epoch else ""
    more = {
        "angle": f" ({search.angle}{epoch})",
        "initial_angle": f" ({search.angle})",
        "displacement": f" ({epoch.strip()})" if epoch else "",
    }
    return " + ".join(f"{name}{more.get(name, '')}" for name in search.fitnesses)


def label(search: SearchSection) -> str:
    """Returns the name of the fitness, fit for a file name."""
    return "_".join(re.findall(r"\w+", fitness_name(search)))


def check_judge(task: Task) -> None:
    """Says before anything is trained what would keep the run's fitness from judging, or alphas from being trained.

    Raises:
        ValueError: If there are too few images or epochs, no table to read, or no cost to rank by.
    """
    search = task.config.search
    if task.config.alphas.gates is not None and needs_training(search):
        task.search_batches(task.config.base_seeds[0], torch.device("cpu"))  # says if there are too few for a batch
    for name in search.fitnesses:
        if name in FORWARD:
            _positions(task)
            if search.evaluators == 0 and search.gpus_per_evaluator and not torch.cuda.is_available():
                raise ValueError("search.gpus_per_evaluator: this machine has no CUDA device; set it to 0")
        elif name == "benchmark_table":
            if task.table is None:
                raise ValueError(
                    "benchmark.path: search.fitness: benchmark_table reads a table; say where its file lies"
                )
        elif name not in ("angle", "displacement", "initial_angle", "log_probability"):
            baseline(task, name)
    if search.angle_epoch is not None and search.angle_epoch > task.config.train.epochs:
        raise ValueError(
            f"search.angle_epoch: expected at most train.epochs ({task.config.train.epochs}), got {search.angle_epoch}"
        )


@contextmanager
def judging(task: Task, backend: Backend, progress: Progress) -> Iterator[Judge]:
    """Yields who judges as `search.fitness` says; Ray actors end with the block.

    Raises:
        ValueError: If the supernets are not trained, or what the fitness needs is missing or not as it should be.
        RuntimeError: If an evaluation fails.
    """
    names = task.config.search.fitnesses
    with ExitStack() as stack:
        judges: dict[str, Judge] = {
            name: stack.enter_context(_one_shot_judge(task, name, backend, progress))
            if name in FORWARD
            else _judge_at_once(_fitness_without_networks(task, name))
            for name in names
        }
        yield judges[names[0]] if len(names) == 1 else consensus(task.space, judges)


REFERENCE = 100
"""Architectures over which the fitnesses of a consensus are standardised."""


def consensus(space: SearchSpace, judges: Mapping[str, Judge]) -> Judge:
    """Returns the judge by the mean of standard scores: (value - mean) / deviation of each fitness.

    Mean and deviation are over a sample of the space that is the same for every run. A row is the mean, then the
    fitnesses by their names, then what else the judges measure, but for spreads, which are none of the mean's.

    Raises:
        ValueError: If a fitness is the same for all of the sample.
    """
    rng = np.random.default_rng(0)
    sampled = [sample(space, rng) for _ in range(REFERENCE)]
    scales = []
    for name, judge in judges.items():
        values = np.concatenate(list(judge.stream(sampled)))[:, 0]
        if values.std() == 0:
            raise ValueError(f"search.fitness: {name} is {values[0]:g} for all of {REFERENCE} sampled architectures")
        scales.append((values.mean(), values.std()))
    slow, *others = sorted(judges, key=lambda name: name not in FORWARD)  # whose rows the others keep step with

    def stream(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        left = list(architectures)
        for rows in judges[slow].stream(architectures):
            judged, left = left[: len(rows)], left[len(rows) :]
            by_name = {slow: rows} | {name: np.concatenate(list(judges[name].stream(judged))) for name in others}
            values = [by_name[name][:, 0] for name in judges]
            scores = [(value - mean) / deviation for value, (mean, deviation) in zip(values, scales, strict=True)]
            yield np.column_stack([np.mean(scores, axis=0), *values, *(by_name[name][:, at] for name, at in further)])

    further = [
        (name, at)
        for name, judge in judges.items()
        for at, quantity in enumerate(judge.quantities)
        if at > 0 and quantity != "spread"
    ]
    return Judge(("fitness", *judges, *(judges[name].quantities[at] for name, at in further)), stream)


@contextmanager
def _one_shot_judge(task: Task, name: str, backend: Backend, progress: Progress) -> Iterator[Judge]:
    """Yields the judge that runs networks: in this process, or on Ray actors that end with the block."""
    search, base_seeds = task.config.search, task.config.base_seeds
    calibration, evaluation = _positions(task)
    labels = [task.labels(base_seed, epoch=0) for base_seed in base_seeds]
    images: Callable[..., FixedImages | ImagesOnDisk] = functools.partial(fix_images, task.dataset, task.dataset.train)
    if search.evaluators != 0:  # evaluators may be on other machines: they read image files themselves
        images = functools.partial(
            images_to_send, task.dataset, task.dataset.train, arguments=dataset_arguments(task.config)
        )
    arguments: tuple[Any, ...] = (
        task.space,
        task.config.model_dump(),
        task.num_categories,
        name.removeprefix("one_shot_"),
        *(images(positions, labels[0]) for positions in (calibration, evaluation)),
        [
            (as_arrays(_trained(task, base_seed).weights), of_seed[evaluation])
            for base_seed, of_seed in zip(base_seeds, labels, strict=True)
        ],
    )
    together = TOGETHER if _is_chain(task) else 1
    if search.evaluators == 0:
        torch.set_num_threads(search.cpus_per_evaluator)
        with deterministic_algorithms(task.config.train.deterministic):
            yield _judge_in_turn(one_shot(*arguments), together)
        return
    quantities = (*OneShotAccuracy.quantities, *(("spread",) if len(base_seeds) > 1 else ()))
    with backend.evaluators(one_shot_on_actor, arguments, quantities, together, progress) as stream:
        yield Judge(quantities, stream)


def baseline(task: Task, name: str) -> Fitness:
    """Returns one of the fitnesses that know nothing of weights: num_parameters, multiply_adds or random."""
    return Chance(task.config.seed) if name == "random" else Cost(task.costs, name)


def one_shot(
    space: SearchSpace,
    values: dict[str, Any],
    num_categories: int,
    measure: Literal["accuracy", "loss"],
    calibration: FixedImages,
    evaluation: FixedImages,
    supernets: Sequence[tuple[dict[str, np.ndarray], np.ndarray]],
) -> Fitness:
    """Returns the one-shot accuracy or loss, the mean over the supernets.

    Args:
        space: Where architectures are judged.
        values: The resolved configuration as plain values.
        num_categories: Labels that the supernets tell apart.
        measure: Which of the two.
        calibration: Images to measure batch normalisation on.
        evaluation: Images to judge by.
        supernets: Weights of each supernet, and the labels of the evaluation images that it was to learn.
    """
    config = parse_config(values)
    device = torch.device("cuda" if config.search.gpus_per_evaluator else "cpu")
    return mean_of(
        [
            OneShotAccuracy(
                supernet_on(space, num_categories, weights, device),
                calibration,
                replace(evaluation, labels=labels),
                measure=measure,
                batch_size=config.search.evaluation_batch_size,
            )
            for weights, labels in supernets
        ]
    )


def one_shot_on_actor(
    space: SearchSpace,
    values: dict[str, Any],
    num_categories: int,
    measure: Literal["accuracy", "loss"],
    calibration: FixedImages | ImagesOnDisk,
    evaluation: FixedImages | ImagesOnDisk,
    supernets: Sequence[tuple[dict[str, np.ndarray], np.ndarray]],
) -> Fitness:
    """Returns `one_shot` in a process of its own, which reads the images and keeps torch's settings."""
    if parse_config(values).train.deterministic:
        use_deterministic_algorithms()
    calibration, evaluation = (
        images.read() if isinstance(images, ImagesOnDisk) else images for images in (calibration, evaluation)
    )
    return one_shot(space, values, num_categories, measure, calibration, evaluation, supernets)


TOGETHER = 32
"""Neighbours that are judged at once where they share work: the more, the less is left to do, and to lose."""


def _is_chain(task: Task) -> bool:
    with torch.device("meta"):
        return isinstance(task.space.build_supernet(task.num_categories), ChainNetwork)


def _judge_in_turn(fitness: Fitness, together: int) -> Judge:
    """Returns a judge that says rows as soon as they are known, so that little is lost with the process."""

    def stream(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        for start in range(0, len(architectures), together):
            yield fitness(architectures[start : start + together])

    return Judge(fitness.quantities, stream)


def _judge_at_once(fitness: Fitness) -> Judge:
    return Judge(fitness.quantities, lambda architectures: iter([fitness(architectures)]))


def _fitness_without_networks(task: Task, name: str) -> Fitness:
    if name == "benchmark_table":
        assert task.table is not None
        return task.table
    if name == "log_probability":
        return mean_of([Cost(log_probabilities(probabilities), name) for probabilities in trained_alphas(task)])
    if name not in ("angle", "displacement", "initial_angle"):
        return baseline(task, name)
    make = Displacement if name == "displacement" else Angle
    tables = (_initial_sums if name == "initial_angle" else angle_sums)(task)
    return mean_of([make(task.space, table) for table in tables])


def trained_alphas(task: Task) -> list[list[np.ndarray]]:
    """Returns softmax(alpha) of every choice, as the training of each base seed left it, or as the search wants it.

    Raises:
        ValueError: If a supernet is not trained.
    """
    search = task.config.search
    trained = [probabilities_of(_trained(task, base_seed)) for base_seed in task.config.base_seeds]
    if search.most_skips is None:
        return trained
    assert search.derivation is not None
    files = [seed_folder(task.config.supernets, base_seed) / ALPHAS for base_seed in task.config.base_seeds]
    epochs = [read_probabilities(file) for file in files]
    return [list(before_skips(task.space, of_seed, search.derivation, search.most_skips)) for of_seed in epochs]


def angle_sums(task: Task) -> list[AdditiveTable]:
    """Returns the sums under the angle of the supernet of each base seed, at the epoch that is wanted.

    Raises:
        ValueError: If a supernet is not trained, or the sums of that epoch were not recorded.
    """
    search = task.config.search
    tables = []
    for base_seed in task.config.base_seeds:
        trained = _trained(task, base_seed)
        place = seed_folder(task.config.supernets, base_seed)
        if search.angle_epoch is None:
            initial = load_checkpoint(place / "initial", task.about(base_seed))
            tables.append(angle_table(task.space, initial.weights, trained.weights, search.angle))
            continue
        recorded = read_angle_tables(place / ANGLE_TABLES, search.angle)
        if search.angle_epoch not in recorded:
            raise ValueError(
                f"search.angle_epoch: {place / ANGLE_TABLES} holds no {search.angle} angle after "
                f"{search.angle_epoch} epochs; leave it out, or train this run anew"
            )
        tables.append(recorded[search.angle_epoch])
    return tables


def _initial_sums(task: Task) -> list[AdditiveTable]:
    """Returns the sums under the angle between two initialisations, the second of a seed drawn from the first."""
    tables = []
    for base_seed in task.config.base_seeds:
        other = int(np.random.SeedSequence([base_seed, 1]).generate_state(1)[0])
        before, after = (build_supernet(task, seed).state_dict() for seed in (base_seed, other))
        tables.append(angle_table(task.space, before, after, task.config.search.angle))
    return tables


def _trained(task: Task, base_seed: int) -> Checkpoint:
    """Returns the trained supernet of a base seed.

    Raises:
        ValueError: If it is not trained.
        DamagedCheckpoint: If its file is not what was written.
    """
    folder = task.config.supernets
    place = seed_folder(folder, base_seed)
    if not is_trained(folder, base_seed):
        raise ValueError(
            f"{folder} holds no trained supernet of base seed {base_seed}; run `raynas train` with this file first"
        )
    try:
        return load_checkpoint(epoch_folder(place, task.config.train.epochs), task.about(base_seed))
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(
            f"{error}; remove {place / 'result.json'} to train again from the checkpoint before it"
        ) from error


def evaluation_count(task: Task) -> int:
    """Returns on how many images of the search split one-shot accuracies are measured."""
    config = task.config
    _, search = split_images(task.dataset.train, config.data.train_portion, config.seed)
    return config.search.evaluation_images or len(search)


def _positions(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Returns which images to calibrate on, of the train split, and which to judge by, of the search split.

    Raises:
        ValueError: If there are fewer than are asked for, or than a batch.
    """
    config = task.config
    train, search = split_images(task.dataset.train, config.data.train_portion, config.seed)
    if not len(search):
        raise ValueError(
            f"data.train_portion: {fitness_name(config.search)} judges by the search split, which is empty at "
            f"{config.data.train_portion:g}; lower it"
        )
    wanted = config.search.evaluation_images or len(search)
    if wanted > len(search):
        raise ValueError(f"search.evaluation_images: expected at most {len(search)} (the search split), got {wanted}")
    counts = {"calibrate on": min(config.search.calibration_images, len(train)), "judge by": wanted}
    batch = config.search.evaluation_batch_size
    for purpose, count in counts.items():
        if count < batch:
            raise ValueError(
                f"search.evaluation_batch_size: a batch of {batch} images is more than the {count} there are to "
                f"{purpose}; lower it to {count} or less, or give more images"
            )
    calibration, evaluation = (
        positions[np.random.default_rng([config.seed, number]).permutation(len(positions))[:count]]
        for number, (positions, count) in enumerate(zip((train, search), counts.values(), strict=True))
    )
    return calibration, evaluation
