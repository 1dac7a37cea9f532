"""Keys that name members are found by their marks."""

from __future__ import annotations

from typing import Annotated

from raynas.algorithms import ALGORITHMS
from raynas.config.named import named, naming_keys
from raynas.config.run_config import NAMING_KEYS
from raynas.fitness import FITNESSES
from raynas.options import Options
from raynas.search import SEARCHERS
from raynas.supernet.routes import GATES


class Garden(Options):
    gates: Annotated[str, named(GATES)] | None = None
    rivals: list[Annotated[str, named(SEARCHERS)]] = []
    height: int = 1


class House(Options):
    algorithm: Annotated[str, named(ALGORITHMS)] = "spos"
    fitness: Annotated[str | list[str] | None, named(FITNESSES)] = None
    garden: Garden = Garden()


def test_a_key_is_known_to_name_members_by_its_mark_alone() -> None:
    found = {key: family.key for key, family in naming_keys(House)}
    assert found == {
        "algorithm": "algorithm",
        "fitness": "search.fitness",
        "garden.gates": "alphas.gates",
        "garden.rivals": "search.name",
    }


def test_the_keys_of_a_run_file_that_name_members() -> None:
    assert set(NAMING_KEYS) == {
        *("algorithm", "space.name", "data.name", "data.labels", "train.sampling", "alphas.gates", "alphas.gradient"),
        *("search.name", "search.fitness", "trackers.names"),
    }
