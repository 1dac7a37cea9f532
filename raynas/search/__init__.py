"""How architectures are proposed. A searcher asks for a generation to be evaluated and is told what it was worth.

Two verbs, in turn, until `ask` returns nothing::

    while architectures := searcher.ask():
        searcher.tell(architectures, fitness(architectures))

A searcher knows the space and numbers, not what a fitness costs or where it is computed. To add one, write a class with
these two methods that keeps the promises of `Searcher` (hold a `Turns` for the order of calls, draw with
`draw_distinct` or `sample_distinct`), name it in `SEARCHERS`, and the contract tests run on it.
"""

from __future__ import annotations

from collections.abc import Callable

from raynas.search.alphas import AlphaSampling, Derive
from raynas.search.evolution import Evolution
from raynas.search.exact_angle import ExactAngle
from raynas.search.exhaustive import Exhaustive
from raynas.search.limits import Limits
from raynas.search.pareto import Pareto
from raynas.search.random import RandomSearch
from raynas.search.searcher import Searcher, order

SEARCHERS: dict[str, Callable[..., Searcher]] = {
    "random": RandomSearch,
    "evolution": Evolution,
    "exhaustive": Exhaustive,
    "exact_angle": ExactAngle,
    "pareto": Pareto,
    "derive": Derive,
    "alpha_sampling": AlphaSampling,
}
"""The searchers by the name that ``search.name`` takes. All are built as ``(space, *, seed, limits, ...)``.

`ExactAngle` takes the table of the angle too, `Pareto` that of the costs, `Derive` and `AlphaSampling` trained alphas.
"""

__all__ = [
    "SEARCHERS",
    "AlphaSampling",
    "Derive",
    "Evolution",
    "ExactAngle",
    "Exhaustive",
    "Limits",
    "Pareto",
    "RandomSearch",
    "Searcher",
    "order",
]
