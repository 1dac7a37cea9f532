"""Searchers made of keywords, as tests state them."""

from __future__ import annotations

from typing import Any

from raynas.options import Options
from raynas.search import (
    AgingEvolution,
    AgingOptions,
    AlphaSampling,
    AlphaSamplingOptions,
    Bayesian,
    BayesianOptions,
    DerivationOptions,
    Derive,
    Evolution,
    EvolutionOptions,
    ExactAngle,
    ExactAngleOptions,
    Exhaustive,
    GenerationOptions,
    LocalSearch,
    Pareto,
    ParetoOptions,
    PopulationOptions,
    RandomSearch,
    StartOptions,
)


def _made(kind: Any, options: type[Options], space: Any, keywords: dict[str, Any]) -> Any:
    """Returns a searcher, of which some keywords are options."""
    given = {key: keywords.pop(key) for key in options.model_fields if key in keywords}
    listed = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    return kind(space, options(**listed), **keywords)


def make_random(space: Any, **keywords: Any) -> RandomSearch:
    return _made(RandomSearch, PopulationOptions, space, keywords)


def make_evolution(space: Any, **keywords: Any) -> Evolution:
    return _made(Evolution, EvolutionOptions, space, keywords)


def make_aging_evolution(space: Any, **keywords: Any) -> AgingEvolution:
    return _made(AgingEvolution, AgingOptions, space, keywords)


def make_local_search(space: Any, **keywords: Any) -> LocalSearch:
    return _made(LocalSearch, StartOptions, space, keywords)


def make_bayesian(space: Any, **keywords: Any) -> Bayesian:
    return _made(Bayesian, BayesianOptions, space, keywords)


def make_exhaustive(space: Any, **keywords: Any) -> Exhaustive:
    return _made(Exhaustive, GenerationOptions, space, keywords)


def make_exact_angle(space: Any, **keywords: Any) -> ExactAngle:
    return _made(ExactAngle, ExactAngleOptions, space, keywords)


def make_pareto(space: Any, **keywords: Any) -> Pareto:
    return _made(Pareto, ParetoOptions, space, keywords)


def make_derive(space: Any, **keywords: Any) -> Derive:
    return _made(Derive, DerivationOptions, space, {"derivation": "without_none", **keywords})


def make_alpha_sampling(space: Any, **keywords: Any) -> AlphaSampling:
    return _made(AlphaSampling, AlphaSamplingOptions, space, keywords)
