"""The row of a searcher: its name, its options, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from raynas.errors import InputError
from raynas.members import Need
from raynas.options import Images, Options
from raynas.search.limits import Limits
from raynas.search.searcher import Searcher
from raynas.search_space import AdditiveTable, SearchSpace

Probabilities: TypeAlias = Sequence[np.ndarray]
"""softmax(alpha) of every choice, each ``(number of candidates,)``."""

Line: TypeAlias = Mapping[str, Any]
"""What the history records of an evaluated architecture."""


class SearchContext(Protocol):
    """What a searcher can ask of the run that it belongs to."""

    @property
    def base_seeds(self) -> Sequence[int]:
        """The seeds of the supernets."""

    @property
    def costs(self) -> AdditiveTable:
        """What architectures cost."""

    def alphas(self, base_seed: int) -> Probabilities:
        """Returns softmax(alpha) as the training of a base seed left it."""

    def angle_sums(self, base_seed: int) -> AdditiveTable:
        """Returns the three sums under the angle of the supernet of a base seed."""


class GenerationOptions(Options):
    """Options of a searcher that proposes architectures in generations.

    Attributes:
        population: Number of architectures in a generation.
    """

    population: Images = 100


class PopulationOptions(GenerationOptions):
    """Options of a searcher that proposes a number of generations.

    Attributes:
        generations: Number of generations, including the first one, which is random.
    """

    generations: Images = 20


class BudgetOptions(Options):
    """Options of a searcher that proposes a number of architectures in all.

    Attributes:
        evaluations: Number of architectures that are evaluated in all, by searchers whose generations differ in size.
    """

    evaluations: Images = 2_000


class ProposalOptions(BudgetOptions):
    """Options of a searcher that proposes a few architectures at a time.

    Attributes:
        proposals: Number of architectures that searchers with a number of evaluations propose together, after the first
            ones. They are evaluated in parallel. With fewer of them, each is chosen with more knowledge.
    """

    proposals: Images = 10


class StartOptions(BudgetOptions):
    """Options of a searcher that starts from a few random architectures.

    Attributes:
        start_samples: Number of random architectures that searchers with a number of evaluations start from.
    """

    start_samples: Images = 10


def check_start(space: SearchSpace, options: StartOptions) -> None:
    """Checks that the random start is within the budget.

    Raises:
        InputError: If it is not.
    """
    check_budget("start_samples", options.start_samples, options)


def check_budget(key: str, first: int, options: BudgetOptions) -> None:
    """Checks that the first architectures are within the budget; `key` says their number.

    Raises:
        InputError: If they are not.
    """
    if first > options.evaluations:
        raise InputError(
            f"search.evaluations: expected at least search.{key}, {first:,}, got {options.evaluations:,}; raise it or "
            f"lower search.{key}"
        )


def evaluations(space: SearchSpace, options: BudgetOptions, supernets: int) -> int:
    """Returns the architectures that a budget allows, at most those of the space."""
    return min(options.evaluations, space.size)


Make: TypeAlias = Callable[[SearchSpace, int, Limits | None, SearchContext, Any], Searcher]


def _evaluations(space: SearchSpace, options: PopulationOptions, supernets: int) -> int:
    """Returns the architectures of all generations together."""
    return options.population * options.generations


@dataclass(frozen=True)
class SearcherRow:
    """A searcher as a run file names it.

    Attributes:
        name: The name.
        make: Builds it from space, seed, limits, context and options.
        options: The class of its options, which are keys of the section `search`.
        needs: What it needs besides the space.
        check: Says whether space and options suit it, before anything is trained; raises ValueError if they do not.
        planned: Returns how many evaluations are to come at most, from space, options and number of supernets.
        searched_space: Returns the space that its architectures belong to, if that is another one than is trained.
        objectives: Returns the names of the costs that it minimises besides maximising the fitness; most have none.
        findings: Returns what it adds to the result of a search, from the searcher and the recorded lines, best not
            first. Under the key ``front`` it may return some of these lines.
        only_fitness: The name of the only fitness that it can search by.
        only_one_supernet: Whether it needs exactly one supernet.
        no_limits: Why it cannot keep limits, with the remedy; None if it can.
        title: What it proposes, in a few words.
    """

    name: str
    make: Make
    options: type[Options] = PopulationOptions
    needs: frozenset[Need] = frozenset()
    check: Callable[[SearchSpace, Any], None] = lambda space, options: None
    planned: Callable[[SearchSpace, Any, int], int] = _evaluations
    searched_space: Callable[[SearchSpace, Any], SearchSpace] = lambda space, options: space
    objectives: Callable[[Any], Collection[str]] = lambda options: ()
    findings: Callable[[Any, Sequence[Line]], dict[str, Any]] = lambda searcher, lines: {}
    only_fitness: str | None = None
    only_one_supernet: bool = False
    no_limits: str | None = None
    title: str = ""

    def __post_init__(self) -> None:
        """Checks that the number of evaluations can be known."""
        if self.planned is _evaluations and not issubclass(self.options, PopulationOptions):
            raise InputError(
                f"the row of searcher {self.name}: expected options with population and generations, got "
                f"{self.options.__name__}; derive them from PopulationOptions, or state `planned`"
            )
