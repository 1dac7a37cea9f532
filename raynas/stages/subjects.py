"""The networks that a retraining trains: the best of the search, or given ones, and their controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from raynas.capabilities import canonical_of, drawing_of, takes_of
from raynas.config.explain import check_arguments
from raynas.config.retrain_section import CONTROLS
from raynas.errors import InputError
from raynas.networks.published import published
from raynas.networks.scaling import fitted
from raynas.records.retrain_record import SubjectRecord
from raynas.records.search_record import SearchRecord
from raynas.search import Limits
from raynas.search_space import Architecture, SearchSpace, all_architectures, as_array, sample
from raynas.spaces import SPACES
from raynas.spaces.lstm import Lstm
from raynas.stages.task import Task, as_searched
from raynas.supernet.costs import COUNTED, architecture_costs

ENUMERATED, SAMPLED = 20_000, 5_000
"""Controls are chosen among all architectures of a space up to the first size; of a larger one, so many are sampled."""

LSTM = "lstm"
"""The control that is no architecture of the space."""

EQUAL = 0.02
"""Multiply-adds are equal if they differ by no more than this share."""


@dataclass(frozen=True)
class Subject:
    """A network to train from scratch.

    Attributes:
        name: Its name in the folder.
        reason: Why it is trained: found, given, random or parameters.
        space: Its space, at the size that is trained.
        architecture: The architecture.
    """

    name: str
    reason: str
    space: SearchSpace
    architecture: Architecture

    def record(self, task: Task) -> SubjectRecord:
        """Returns the record of the network, with its costs."""
        parameters, multiply_adds = costs_of(self.space, self.architecture, task)
        return SubjectRecord(
            name=self.name,
            reason=self.reason,
            space=space_values(self.space, task.config.space.name, task.config.space.arguments),
            architecture=list(self.architecture),
            description=self.space.describe(self.architecture),
            num_parameters=parameters,
            multiply_adds=multiply_adds,
            drawing=drawing_of(self.space, self.architecture),
        )


def costs_of(space: SearchSpace, architecture: Architecture, task: Task) -> tuple[int, int]:
    """Returns parameters and multiply-adds of a network on the images of a task."""
    return architecture_costs(space, architecture, task.dataset.resolution, task.dataset.num_classes)


def subjects_of(task: Task, found: SearchRecord | None) -> list[Subject]:
    """Returns the networks that a retraining trains: the found or given ones, then their controls.

    Args:
        task: Space and images.
        found: The result of the search; None where the run file gives architectures.

    Raises:
        InputError: If an architecture is not of the space, or the networks cannot be made as the section says.
    """
    section = task.config.retrain
    assert section is not None
    if section.architectures is not None:
        space = task.space
        given = given_architectures(space, section.architectures)
        named = [(name, "given", architecture) for name, architecture in given.items()]
    else:
        assert found is not None, "the search is done"
        space = as_searched(task).space
        best = [tuple(line.architecture) for line in found.best[: section.top]]
        named = [(f"best-{number}", "found", one) for number, one in enumerate(best, start=1)]
    for control in section.controls:
        if control != LSTM:
            chosen_for = CONTROL_ARCHITECTURES[control](task, space, named[0][2])
            named.append((control, control, chosen_for))
    subjects = [_subject(task, space, *entry) for entry in named]
    return [*subjects, *([_lstm(task, subjects[0])] if LSTM in section.controls else [])]


def _lstm(task: Task, best: Subject) -> Subject:
    """Returns a language model of one LSTM with no more parameters than a network, and its regularisation.

    Raises:
        InputError: If the networks do not take tokens.
    """
    if takes_of(best.space) != "tokens":
        raise InputError(f"retrain.controls: {LSTM} reads texts, got networks of {takes_of(best.space)}; leave it out")
    parameters, _ = costs_of(best.space, best.architecture, task)
    stated: dict[str, Any] = {}
    for field in fields(Lstm):
        stated[field.name] = getattr(best.space, field.name, field.default)
    space = Lstm(**stated).of_size(parameters, task.dataset.num_classes)
    return Subject(LSTM, LSTM, space, (0,))


def _subject(task: Task, space: SearchSpace, name: str, reason: str, architecture: Architecture) -> Subject:
    """Returns a network at the size that is trained."""
    section = task.config.retrain
    assert section is not None
    sized = resized(space, section.space)
    if section.max_multiply_adds is not None:
        size = (task.dataset.num_classes, task.dataset.resolution)
        sized = fitted(sized, architecture, *size, int(section.max_multiply_adds))
    return Subject(name, reason, sized, architecture)


def given_architectures(space: SearchSpace, texts: Sequence[str] | Mapping[str, str]) -> dict[str, Architecture]:
    """Returns the architectures of texts or of names of published ones, by the names of their networks.

    Raises:
        InputError: If a text is no architecture of the space, or a name is that of a control.
    """
    found = {}
    for name, text in _names_of(texts).items():
        if name in CONTROLS:
            raise InputError(f"retrain.architectures: {name} is the name of a control; give it another")
        cell = published(text)
        try:
            found[name] = space.check(space.parse(text if cell is None else cell.text))
        except ValueError as error:
            raise InputError(f"retrain.architectures: {error}") from error
    return found


def _names_of(texts: Sequence[str] | Mapping[str, str]) -> Mapping[str, str]:
    """Returns texts by the names of their networks: those given, that of a published one, or a number."""
    if isinstance(texts, Mapping):
        return texts
    named = {}
    for number, text in enumerate(texts, start=1):
        cell = published(text)
        named[f"given-{number}" if cell is None else cell.name] = text
    return named


def resized(space: SearchSpace, keys: dict[str, Any], section: str = "retrain.space") -> SearchSpace:
    """Returns a space with other values of some of its keys, for the same architectures.

    Args:
        space: The space.
        keys: The keys that differ.
        section: The section of the run file that states them.

    Raises:
        InputError: If the space does not take a key or value, or architectures would be others.
    """
    if not keys:
        return space
    checked = check_arguments(type(space), keys, section)
    if not is_dataclass(space):
        raise InputError(f"{section}: {type(space).__name__} is no dataclass, so that its keys cannot be replaced")
    try:
        changed = replace(space, **checked)
    except InputError as error:  # of the space, which knows its keys as those of the section `space`
        text = str(error)
        raise InputError(f"{section}.{text.removeprefix('space.')}" if text.startswith("space.") else text) from error
    if changed.choices != space.choices:
        raise InputError(
            f"{section}: {', '.join(keys)} change the choices of {type(space).__name__}, so that architectures of "
            "the search are not of it; leave out what does"
        )
    return changed


def space_values(space: SearchSpace, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the name of a space and its keys, as a run file would state them.

    Args:
        space: The space.
        name: The name of the space of the run.
        arguments: The keys of the space of the run, for a space that is no dataclass.
    """
    if not is_dataclass(space):
        return {"name": name, **arguments}
    name = name if SPACES.row(name) is type(space) else SPACES.path_of(type(space))
    return {"name": name, **{field.name: plain(getattr(space, field.name)) for field in fields(space)}}


def plain(value: Any) -> Any:
    """Returns a value as JSON has it: lists in the place of tuples."""
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


# Controls


def _random_of_equal_cost(task: Task, space: SearchSpace, best: Architecture) -> Architecture:
    """Returns a random architecture that has as many multiply-adds as the best one, or nearly so, and is another."""
    others = _others(task, space, best)
    column = COUNTED.index("multiply_adds")
    wanted = task.costs.total(as_array([best]))[0, column]
    distances = np.abs(task.costs.total(others)[:, column] / wanted - 1)
    order = np.random.default_rng([task.config.seed, 0]).permutation(len(others))
    equal = [position for position in order if distances[position] <= EQUAL]
    return tuple(others[equal[0] if equal else int(distances.argmin())].tolist())


def _most_parameters(task: Task, space: SearchSpace, best: Architecture) -> Architecture:
    """Returns the architecture with the most parameters that the limits of the search admit."""
    others = _others(task, space, best)
    parameters = task.costs.total(others)[:, COUNTED.index("num_parameters")]
    return tuple(others[int(parameters.argmax())].tolist())


def _others(task: Task, space: SearchSpace, best: Architecture) -> np.ndarray:
    """Returns architectures other than the best one, ``(n, choices)``, that the limits of the search admit.

    Raises:
        InputError: If there are none.
    """
    legal: np.ndarray
    if space.size <= ENUMERATED:
        legal = all_architectures(space)
        legal = legal[[space.repair(tuple(row), np.random.default_rng(0)) == tuple(row) for row in legal.tolist()]]
    else:
        rng = np.random.default_rng([task.config.seed, 1])
        legal = as_array([sample(space, rng) for _ in range(SAMPLED)])
    bounds = {key: bound for key, bound in task.config.search.bounds().items() if "latency" not in key}
    if bounds:
        legal = legal[Limits(task.costs, **bounds).admits(legal)]
    first = canonical_of(space, best)
    others = [row for row in map(tuple, legal.tolist()) if canonical_of(space, row) != first]
    if not others:
        raise InputError("retrain.controls: the limits of the search admit no other architecture; set it to []")
    return as_array(others)


CONTROL_ARCHITECTURES: dict[str, Callable[[Task, SearchSpace, Architecture], Architecture]] = {
    "random": _random_of_equal_cost,
    "parameters": _most_parameters,
}
"""How the architecture of each control is chosen, by its name in `CONTROLS`."""
