"""In Python a member itself can stand in the place of its name."""

from __future__ import annotations

from typing import Any

import pytest

from raynas.algorithms import ALGORITHMS
from raynas.config.nested import flatten
from raynas.config.run_config import parse_config
from raynas.fitness import FITNESSES
from raynas.members import load
from raynas.search import SEARCHERS
from raynas.spaces import SPACES
from tests.drill.conftest import Added

VALUES: dict[str, Any] = {"name": "x", "space": {"name": "nasbench201"}, "data": {"name": "digits"}}


def with_member(key: str, member: Any) -> Any:
    """Returns what a key of the resolved configuration says after a member was given for it."""
    section, _, last = key.rpartition(".")
    change = {section: {**VALUES.get(section, {}), last: member}} if section else {last: member}
    config = parse_config({**VALUES, **change})
    return flatten(config.model_dump())[key]


@pytest.mark.parametrize(
    ("key", "module", "name"),
    [
        ("search.fitness", "own_fitness", "NEAR_SIZE"),
        ("search.name", "own_searcher", "CLIMB"),
        ("space.name", "own_space", "TwoBranches"),
        ("algorithm", "own_gates", "SNAS"),
    ],
)
def test_in_python_a_member_of_your_own_stands_for_its_dotted_path(
    beside: Added, key: str, module: str, name: str
) -> None:
    path = f"{beside(module)}{name}"
    member = load(path, key)
    assert with_member(key, member) == path
    assert with_member(key, path) == path


@pytest.mark.parametrize(
    ("key", "member", "name"),
    [
        ("search.fitness", FITNESSES.row("num_parameters"), "num_parameters"),
        ("search.name", SEARCHERS.row("random"), "random"),
        ("space.name", SPACES.row("nasbench201"), "nasbench201"),
        ("algorithm", ALGORITHMS.row("gdas"), "gdas"),
    ],
)
def test_in_python_a_member_of_raynas_stands_for_its_name(key: str, member: Any, name: str) -> None:
    assert with_member(key, member) == name


def test_several_fitnesses_are_given_as_they_are(beside: Added) -> None:
    path = f"{beside('own_fitness')}NEAR_SIZE"
    own = load(path, "search.fitness")
    assert with_member("search.fitness", [own, FITNESSES.row("num_parameters")]) == [path, "num_parameters"]
    assert with_member("search.fitness", (own, "num_parameters")) == [path, "num_parameters"]


def test_a_member_that_no_module_states_is_refused() -> None:
    class Alone(SPACES.row("nasbench201")):  # type: ignore[misc]
        name = "alone"

    with pytest.raises(ValueError, match=r"^space\.name: expected a row that a module states under a name, got"):
        with_member("space.name", Alone)
