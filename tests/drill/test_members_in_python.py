"""Members of a user's own in a run file: named in Python by themselves, by an algorithm, and with their options."""

from __future__ import annotations

import sys
from pathlib import Path
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


ALGORITHM = """
from raynas.algorithms import Algorithm
from users_own_fitness import NEAR_SIZE
from users_own_searcher import CLIMB
HILL = Algorithm(name="hill", sampling="uniform", labels="true", search=CLIMB, fitness=NEAR_SIZE)
"""


@pytest.fixture
def hill(beside: Added, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Returns the dotted path of an algorithm that names a searcher and a fitness with options of their own."""
    for module in ("own_fitness", "own_searcher"):
        beside(module)
    (tmp_path / "users_hill.py").write_text(ALGORITHM)
    monkeypatch.delitem(sys.modules, "users_hill", raising=False)
    return "users_hill.HILL"


def test_options_of_members_that_only_the_algorithm_names_are_keys_too(hill: str) -> None:
    config = parse_config({**VALUES, "algorithm": hill, "search": {"size": 700}})
    assert (config.search.name, config.search.fitness) == ("users_hill.CLIMB", "users_hill.NEAR_SIZE")
    stored = config.model_dump()
    assert (stored["search"]["size"], stored["search"]["starts"]) == (700, 3)
    assert parse_config(stored).model_dump() == stored
    of_searcher = config.search.options_of(config.search.searcher.options)
    assert of_searcher.model_dump() == {"population": 100, "generations": 20, "starts": 3}


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"size": 0}, "search.size: expected greater than or equal to 1, got 0"),
        ({"sise": 3}, "search.sise: unknown key; did you mean size?"),
        ({"fitness": "angle", "size": 3}, "search.size: unknown key; there are "),
        ({"fitness": "near", "size": 3}, "search.fitness: expected one of "),
    ],
)
def test_their_keys_are_checked_as_if_the_file_named_them(hill: str, search: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse_config({**VALUES, "algorithm": hill, "search": search})
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


STEEP = """
from typing import Literal
from users_own_searcher import CLIMB, ClimbOptions
from dataclasses import replace
class SteepOptions(ClimbOptions):
    population: Literal[2, 4] = 4
STEEP = replace(CLIMB, name="steep", options=SteepOptions)
"""


def test_a_member_may_have_a_bound_and_a_default_of_its_own_for_a_key_of_the_section(
    beside: Added, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside("own_searcher")
    (tmp_path / "users_steep.py").write_text(STEEP)
    monkeypatch.delitem(sys.modules, "users_steep", raising=False)
    search = {"name": "users_steep.STEEP"}
    assert parse_config({**VALUES, "search": search}).search.population == 4
    with pytest.raises(ValueError, match=r"^search\.population: expected 2 or 4, got 3$"):
        parse_config({**VALUES, "search": {**search, "population": 3}})
