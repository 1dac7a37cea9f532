"""The architectures of largest angle, exactly, out of more than could ever be evaluated one by one.

They are found by branch and bound (`angle_bounds`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from raynas.capabilities import is_chain
from raynas.errors import InputError
from raynas.members import Need
from raynas.options import Images, Options
from raynas.search.angle_bounds import Best, Relaxation, Sums, explore, explore_obtuse
from raynas.search.limits import Limits
from raynas.search.row import SearcherRow
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import AdditiveTable, Architecture, SearchSpace


class ExactAngleOptions(Options):
    """Options of the exact search.

    Attributes:
        top: Number of architectures in the result, the best ones. The exact search by angle finds exactly so many.
    """

    top: Images = 10


def check_independent(space: SearchSpace) -> None:
    """Checks that a space is a chain of independent choices.

    Raises:
        InputError: If it is not.
    """
    if not is_chain(space):
        raise InputError(
            f"search.name: exact_angle is for chains of independent choices, which {type(space).__name__} is not; "
            f"take {'exhaustive' if space.size <= 1_000_000 else 'evolution'}"
        )


class ExactAngle:
    """The architectures of largest angle within the limits, as one generation, and nothing after it.

    They are those that come first in the order of all architectures of the space, by the angle of one table. Should
    `max_size` be too little to prove it, the best found are proposed all the same, and `missed` bounds what they lack.

    Attributes:
        missed: The most by which the angle of an architecture that was not proposed may exceed that of the last one
            that was, in radians: 0 where the result is proven. Known once `ask` has returned.
    """

    def __init__(
        self,
        space: SearchSpace,
        options: ExactAngleOptions,
        *,
        seed: int = 0,
        table: AdditiveTable,
        limits: Limits | None = None,
        max_size: int = 200_000_000,
    ) -> None:
        """Sets the search up; nothing is searched yet.

        Args:
            space: Where to search: a chain of independent choices.
            options: How many architectures to propose.
            seed: Taken so that all searchers are built alike; the search is the same under every seed.
            table: The three sums under the angle, as `angle_table` makes it.
            limits: Bounds on the costs of an architecture.
            max_size: The most partial architectures to go through.

        Raises:
            InputError: If a value is out of range or the choices of the space are not independent.
        """
        check_independent(space)
        self.space = space
        self.seed = check_whole("seed", seed, 0)
        self.table = table
        self.limits = limits
        self.top = options.top
        self.max_size = check_whole("search.max_size", max_size, 1)
        self.missed = math.inf
        self._turns = Turns()

    def ask(self) -> list[Architecture]:
        """Returns the architectures of largest angle, best first.

        Raises:
            RunError: If they have not been told.
            InputError: If the limits admit nothing, or `max_size` is too little to find anything.
        """
        if self._turns.start():
            return []
        best = Best(self.table, self.limits, self.top)
        sums = Sums(self.space, self.table, self.limits)
        left, unseen = explore(Relaxation(sums), best, self.max_size)
        if best.cosine < 0:
            unseen = explore_obtuse(sums, best, left)
        if not best.architectures:
            raise InputError(self._explain(proven=unseen == 1))
        self.missed = 0.0 if unseen == 1 else max(0.0, math.acos(unseen) - float(best.angles[-1]))
        return self._turns.asked(best.architectures)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures asked; it changes nothing."""
        self._turns.told(architectures, fitness)

    def _explain(self, proven: bool) -> str:
        """Returns one line on why nothing was found."""
        every = f"the {self.space.size:,} architectures"
        if not proven:
            return (
                f"search.max_size: {self.max_size:,} partial architectures are too few to find one of {every} that is "
                "within search.limits; raise it, or widen the limits"
            )
        assert self.limits is not None
        stated, table = self.limits.stated(), self.limits.table
        nearest = []
        for key, (quantity, _) in stated.items():
            costs = table.terms[..., table.quantities.index(quantity)]
            shown = [row[: len(c.candidates)] for row, c in zip(costs, self.space.choices, strict=True)]
            nearest.append([int(row.argmin() if key.startswith("max") else row.argmax()) for row in shown])
        if self.limits.kept(np.array(nearest)).any(axis=1).all():
            keys = ", ".join(stated)
            return f"search.limits: {keys} admit none of {every} together, but each does alone; widen one"
        return self.limits.explain(np.array(nearest), every)


EXACT_ANGLE = SearcherRow(
    name="exact_angle",
    title="the largest angle with a proof, by branch and bound",
    make=lambda space, seed, limits, context, options: ExactAngle(
        space, options, seed=seed, table=context.angle_sums(context.base_seeds[0]), limits=limits
    ),
    options=ExactAngleOptions,
    needs=frozenset({Need.SUPERNETS, Need.WEIGHT_VECTOR, Need.CHAIN}),
    check=lambda space, options: check_independent(space),
    planned=lambda space, options, supernets: options.top,
    findings=lambda searcher, lines: {"missed": searcher.missed},
    only_fitness="angle",
    only_one_supernet=True,
)
