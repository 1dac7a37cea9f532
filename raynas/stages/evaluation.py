"""How architectures are evaluated: the fitness that a run file names, in this process or on Ray actors.

A stage opens an `Evaluation` and streams architectures through it. Whether rows come from a table, from this process or
from actors all over a cluster changes nothing but the time.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from raynas.capabilities import check_weight_vector, path_counts_of, takes_of, weight_vector_of
from raynas.config.search_section import SearchSection
from raynas.errors import InputError
from raynas.fitness import Fitness, FitnessRow
from raynas.fitness.remarks import accuracy_remarks
from raynas.fitness.row import FITNESS, SPREAD
from raynas.members import Need
from raynas.search_space import Architecture, SearchSpace, sample
from raynas.stages.backend import Backend, Stream
from raynas.stages.context import RunContext
from raynas.stages.live_forms import once_each, once_per_live_form
from raynas.stages.network_evaluation import check_images, check_score_images, evaluation_count, network_fitnesses
from raynas.stages.progress import Progress
from raynas.stages.supernet_records import DEFINITIONS
from raynas.stages.task import Task
from raynas.supernet.costs import COSTS


@dataclass(frozen=True)
class Evaluation:
    """What is measured of architectures, and how.

    Attributes:
        quantities: What a row holds; the first is the fitness.
        stream: Yields rows ``(k, len(quantities))`` in the order of the architectures it is given, as they are known.
        takes_time: Whether rows come in parts, as networks are run.
    """

    quantities: tuple[str, ...]
    stream: Stream
    takes_time: bool = False


def needs_training(search: SearchSection) -> bool:
    """Returns whether a search needs trained supernets."""
    return Need.SUPERNETS in search.needs


def runs_networks(search: SearchSection) -> bool:
    """Returns whether any of the fitnesses runs networks, with trained or with initial weights."""
    return any(row.runs_networks for row in search.fitness_rows)


def runs_trained_networks(search: SearchSection) -> bool:
    """Returns whether any of the fitnesses runs networks with trained weights."""
    return any(row.measure is not None for row in search.fitness_rows)


def label(search: SearchSection) -> str:
    """Returns the name of the fitness, fit for a file name."""
    return "_".join(re.findall(r"\w+", search.fitness_name))


def remarks_on(task: Task, lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns why the accuracies of evaluated architectures, the best first, say little, a sentence each."""
    remarks: list[str] = []
    search = task.config.search
    for row in search.fitness_rows:
        if number := row.learns_from(search.options_of(row.options)):
            remarks.append(
                f"{row.name}: learnt from the benchmark accuracies of {number:,} random architectures, which count "
                "in its rank correlation too and are evaluations besides those of the search"
            )
        for quantity in row.quantities[1:]:
            if quantity.is_accuracy:
                values = [line[quantity.name] for line in lines if quantity.name in line]
                remarks += accuracy_remarks(values, task.num_categories, evaluation_count(task), quantity.title)
    return remarks


def check_evaluation(task: Task) -> None:
    """Says before anything is trained what would keep the run's fitness from being evaluated, or alphas from training.

    Raises:
        InputError: If there are too few images or epochs, no table to read, or no cost to rank by.
    """
    search = task.config.search
    if task.config.alphas.gates is not None and needs_training(search):
        task.search_batches(task.config.base_seeds[0], torch.device("cpu"))  # says if there are too few for a batch
    for row in search.fitness_rows:
        if row.measure is not None:
            check_images(task)
            _check_names(row)
        if row.score is not None:
            _check_scored(task, row)
            check_score_images(task, row)
            row.check(search.options_of(row.options))
        if Need.WEIGHT_VECTOR in row.needs:
            check_weight_vector(task.space)
            if search.angle_definition not in DEFINITIONS:
                weight_vector_of(task.space, search.angle_definition)  # says if the space does not know it
            if search.angle_ends is not None:
                path_counts_of(task.space, np.zeros((1, len(task.space.choices)), np.int64), search.angle_ends)
        if Need.BENCHMARK in row.needs and task.table is None:
            raise InputError(f"benchmark.path: search.fitness: {row.name} reads a table; say where its file lies")
        if row.make is not None and row.needs <= {Need.BENCHMARK}:
            row.make(RunContext(task), search.options_of(row.options))
    if search.angle_epoch is not None and search.angle_epoch > task.config.train.epochs:
        raise InputError(
            f"search.angle_epoch: expected at most train.epochs ({task.config.train.epochs}), got {search.angle_epoch}"
        )


def _check_scored(task: Task, row: FitnessRow) -> None:
    """Checks that the networks take images, which scores of initial weights differentiate or compare.

    Raises:
        InputError: If they do not.
    """
    if takes_of(task.space) != "images":
        raise InputError(
            f"search.fitness: {row.name} is a score of networks of images, got networks of {takes_of(task.space)}; "
            "take one_shot_perplexity"
        )


def _check_names(row: FitnessRow) -> None:
    """Checks that what is measured is not called as a cost, which is recorded beside it.

    Raises:
        InputError: If a quantity has the name of a cost.
    """
    taken = [quantity.name for quantity in row.quantities[1:] if quantity.name in COSTS.names()]
    if taken:
        raise InputError(
            f"search.fitness: expected {row.name} to measure quantities other than costs, got {taken[0]}; give it "
            "another name"
        )


@contextmanager
def evaluating(task: Task, backend: Backend, progress: Progress) -> Iterator[Evaluation]:
    """Holds the evaluation that `search.fitness` names; Ray actors end with the block.

    Raises:
        InputError: If the supernets are not trained, or what the fitness needs is missing or not as it should be.
        RunError: If an evaluation fails.
    """
    search = task.config.search
    rows = search.fitness_rows
    of_networks = {path: row for path, row in zip(search.fitnesses, rows, strict=True) if row.runs_networks}
    evaluations: dict[str, Evaluation] = {}
    with ExitStack() as stack:
        if of_networks:
            held = stack.enter_context(network_fitnesses(task, of_networks, backend, progress))
            evaluations.update(_of_networks(task, list(of_networks.values()), *held))
        for row in rows:
            if not row.runs_networks:
                evaluations[row.name] = _at_once(fitness_without_networks(task, row))
        evaluations = {row.name: evaluations[row.name] for row in rows}
        yield evaluations[rows[0].name] if len(rows) == 1 else consensus(task.space, evaluations, search.combine)


def _of_networks(
    task: Task, rows: Sequence[FitnessRow], quantities: Sequence[tuple[str, ...]], stream: Stream
) -> dict[str, Evaluation]:
    """Returns the evaluation of each fitness that runs networks, of a stream of their quantities side by side.

    Each architecture is evaluated when the first of them asks for it.
    """
    if all(row.score is not None for row in rows):
        stream = once_per_live_form(task.space, stream)
    elif len(rows) > 1:
        stream = once_each(stream)
    evaluations = {}
    start = 0
    for row, names in zip(rows, quantities, strict=True):
        columns = slice(start, start + len(names))
        evaluations[row.name] = Evaluation(names, functools.partial(_columns, stream, columns), takes_time=True)
        start = columns.stop
    return evaluations


def _columns(stream: Stream, columns: slice, architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
    """Yields some columns of the rows of a stream."""
    for rows in stream(architectures):
        yield rows[:, columns]


def fitness_without_networks(task: Task, row: FitnessRow) -> Fitness:
    """Returns a fitness that runs no networks."""
    assert row.make is not None
    return row.make(RunContext(task), task.config.search.options_of(row.options))


def _at_once(fitness: Fitness) -> Evaluation:
    """Returns the evaluation of a fitness that takes no time worth mentioning."""
    return Evaluation(fitness.quantities, lambda architectures: iter([fitness(architectures)]))


REFERENCE = 100
"""Architectures that each fitness of a consensus is compared with."""


def consensus(space: SearchSpace, evaluations: Mapping[str, Evaluation], combine: str) -> Evaluation:
    """Returns the evaluation by several fitnesses, each compared with the same sample of the space.

    A row depends on its architecture alone. It is the combined fitness, then the fitnesses by their names, then what
    else the evaluations measure, but for spreads, which are not the combination's.

    Args:
        space: The space.
        evaluations: The evaluation of each fitness, by name.
        combine: ``standard_scores``: the mean of (value - mean) / deviation. ``log_ranks``: the sum of log(rank), see
            `log_rank`.

    Raises:
        InputError: If a fitness is the same for all of the sample.
    """
    samples = _samples(space, evaluations)
    is_mean = combine == "standard_scores"
    score = standard_score if is_mean else log_rank
    names = sorted(evaluations, key=lambda name: not evaluations[name].takes_time)
    slow = names[0]  # the others keep step with its rows
    further = []
    for name, evaluation in evaluations.items():
        for column, quantity in enumerate(evaluation.quantities):
            if column > 0 and quantity != SPREAD:
                further.append((name, column, quantity))

    def stream(architectures: Sequence[Architecture]) -> Iterator[np.ndarray]:
        left = list(architectures)
        for rows in evaluations[slow].stream(architectures):
            evaluated, left = left[: len(rows)], left[len(rows) :]
            by_name = {slow: rows}
            for name in names[1:]:
                by_name[name] = np.concatenate(list(evaluations[name].stream(evaluated)))
            values = [by_name[name][:, 0] for name in evaluations]
            scores = [score(value, of_sample) for value, of_sample in zip(values, samples, strict=True)]
            others = [by_name[name][:, column] for name, column, _ in further]
            combined = np.mean(scores, axis=0) if is_mean else np.sum(scores, axis=0)
            yield np.column_stack([combined, *values, *others])

    return Evaluation((FITNESS, *evaluations, *(quantity for _, _, quantity in further)), stream)


def standard_score(values: np.ndarray, of_sample: np.ndarray) -> np.ndarray:
    """Returns (value - mean) / deviation, with mean and deviation of a sample."""
    scores: np.ndarray = (values - of_sample.mean()) / of_sample.std()
    return scores


def log_rank(values: np.ndarray, of_sample: np.ndarray) -> np.ndarray:
    """Returns the logarithm of the rank of each value within a sample, from 1 for its smallest value.

    Equal values of the sample share their mean rank, and between two values ranks are interpolated. Beyond the largest
    value a rank grows by 1 for each deviation of the sample; below the smallest it falls towards 0.

    Args:
        values: Values of a fitness, ``(n,)``.
        of_sample: Its values for the sample, ``(m,)``, not all equal.
    """
    distinct, counts = np.unique(of_sample, return_counts=True)
    last = np.cumsum(counts)
    ranks = last - (counts - 1) / 2
    deviation = of_sample.std()
    above = np.clip(values - distinct[-1], 0, None) / deviation
    below = np.clip(distinct[0] - values, 0, None) / deviation
    scores: np.ndarray = np.log((np.interp(values, distinct, ranks) + above) / (1 + below))
    return scores


def _samples(space: SearchSpace, evaluations: Mapping[str, Evaluation]) -> list[np.ndarray]:
    """Returns the values of each fitness for a sample of the space, which is the same for every run.

    Raises:
        InputError: If a fitness is the same for all of the sample.
    """
    rng = np.random.default_rng(0)
    sampled = [sample(space, rng) for _ in range(REFERENCE)]
    samples = []
    for name, evaluation in evaluations.items():
        values = np.concatenate(list(evaluation.stream(sampled)))[:, 0]
        if values.std() == 0:
            raise InputError(f"search.fitness: {name} is {values[0]:g} for all of {REFERENCE} sampled architectures")
        samples.append(values)
    return samples
