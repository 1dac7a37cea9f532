"""How architectures are proposed. A searcher asks for a generation to be evaluated and is told what it was worth.

Two verbs, in turn, until `ask` returns nothing::

    while architectures := searcher.ask():
        searcher.tell(architectures, fitness(architectures))

A searcher knows the space and numbers, not what a fitness costs or where it is computed. To add one, write a module
with a class that has these two methods and keeps the promises of `Searcher` (hold a `Turns` for the order of calls,
sample with `draw_distinct` or `sample_distinct`), and below it a `SearcherRow`. In this package it is found by itself;
from your own package a run file names the row by its dotted path. The contract tests run on every row of this package.
"""

from __future__ import annotations

from raynas.members import Family
from raynas.search.aging_evolution import AgingEvolution, AgingOptions
from raynas.search.alphas import AlphaSampling, AlphaSamplingOptions, DerivationOptions, Derive
from raynas.search.bayesian import Bayesian, BayesianOptions
from raynas.search.evolution import BreedingOptions, Evolution, EvolutionOptions
from raynas.search.exact_angle import ExactAngle, ExactAngleOptions
from raynas.search.exhaustive import Exhaustive
from raynas.search.limits import Limits
from raynas.search.local_search import LocalSearch
from raynas.search.pareto import Pareto, ParetoOptions
from raynas.search.random import RandomSearch
from raynas.search.row import (
    BudgetOptions,
    GenerationOptions,
    PopulationOptions,
    SearchContext,
    SearcherRow,
    StartOptions,
)
from raynas.search.searcher import Searcher, order

SEARCHERS = Family("search.name", SearcherRow, "raynas.search")
"""The searchers."""

__all__ = [
    "SEARCHERS",
    "AgingEvolution",
    "AgingOptions",
    "AlphaSampling",
    "AlphaSamplingOptions",
    "Bayesian",
    "BayesianOptions",
    "BreedingOptions",
    "BudgetOptions",
    "DerivationOptions",
    "Derive",
    "Evolution",
    "EvolutionOptions",
    "ExactAngle",
    "ExactAngleOptions",
    "Exhaustive",
    "GenerationOptions",
    "Limits",
    "LocalSearch",
    "Pareto",
    "ParetoOptions",
    "PopulationOptions",
    "RandomSearch",
    "SearchContext",
    "Searcher",
    "SearcherRow",
    "StartOptions",
    "order",
]
