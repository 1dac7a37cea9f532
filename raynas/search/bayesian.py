"""Bayesian optimisation: Optuna's tree-structured Parzen estimator behind the interface of searchers.

Reference: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4; Akiba et al. 2019, "Optuna".
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from raynas.optional import check_installed, needed
from raynas.search.budgeted import Proposing
from raynas.search.distinct import bring_in
from raynas.search.limits import Limits
from raynas.search.row import ProposalOptions, SearcherRow, StartOptions, check_start, evaluations
from raynas.search_space import Architecture, SearchSpace

TRIES = 5
"""Points that the sampler proposes for each wanted architecture, before random ones fill a generation up."""


class BayesianOptions(ProposalOptions, StartOptions):
    """Options of Bayesian optimisation.

    The default of `start_samples`, 10, is the number of random points that Optuna's sampler begins with.
    """


def check_bayesian(space: SearchSpace, options: BayesianOptions) -> None:
    """Checks that Optuna is installed, and that the random start is within the budget.

    Raises:
        InputError: If it is not.
    """
    check_installed("optuna", "optuna", "search.name: bayesian", "take evolution or aging_evolution")
    check_start(space, options)


class Bayesian(Proposing[BayesianOptions]):
    """Proposes where architectures like the best are frequent and architectures like the others are rare.

    Every choice is a categorical parameter. The sampler models all choices jointly, as Optuna 5 does by default. The
    proposals of a generation are made one after the other, and each counts as a bad one until its fitness is known
    (Optuna's constant liar), so that they differ. Proposals that are known or outside the limits are counted as bad in
    the same way, and another is asked for. After `TRIES` for each wanted architecture, those outside are brought in
    (`raynas.search.distinct`), and random architectures fill the generation up.

    The sampler of a generation is built anew from the seed, the number of the generation, and all fitness reported.
    """

    def __init__(
        self, space: SearchSpace, options: BayesianOptions, *, seed: int, limits: Limits | None = None
    ) -> None:
        """Sets the search up as `Budgeted` does.

        Raises:
            InputError: If Optuna is not installed, the budget is smaller than the start, or the seed is negative.
        """
        check_bayesian(space, options)
        super().__init__(space, options, seed=seed, limits=limits)

    @property
    def _start(self) -> int:
        return self.options.start_samples

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked, of which the sampler learns."""
        self._taken(architectures, fitness)

    def _proposals(self, wanted: int, rng: np.random.Generator) -> list[Architecture]:
        """Returns up to `wanted` proposals that are new and within the limits."""
        found: list[Architecture] = []
        outside: list[Architecture] = []
        if not wanted:
            return found
        points = self._points(int(rng.integers(2**31)))
        for _ in range(TRIES * wanted):
            if len(found) == wanted:
                break
            architecture = self.space.repair(next(points), rng)
            if architecture in self._proposed:
                continue
            if not self._admitted([architecture]):
                outside.append(architecture)
                continue
            self._proposed.add(architecture)
            found.append(architecture)
        if self.limits is not None and outside and len(found) < wanted:
            brought = dict.fromkeys(bring_in(self.space, outside, self.limits, rng))
            new = [architecture for architecture in brought if architecture not in self._proposed]
            new = new[: wanted - len(found)]
            self._proposed.update(new)
            found += new
        return found

    def _points(self, seed: int) -> Iterator[Architecture]:
        """Yields what the sampler proposes, without end; each point that was yielded counts as bad for the next."""
        optuna = needed("optuna", "optuna", "search.name: bayesian")
        distributions: dict[str, Any] = {}
        for number, choice in enumerate(self.space.choices):
            candidates = tuple(range(len(choice.candidates)))
            distributions[f"{number}"] = optuna.distributions.CategoricalDistribution(candidates)
        with warnings.catch_warnings():  # Optuna 4 marks both options as experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=1, multivariate=True, constant_liar=True)
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        optuna.logging.set_verbosity(verbosity)
        for architecture, fitness in self._fitness.items():
            params = {str(number): candidate for number, candidate in enumerate(architecture)}
            known = optuna.trial.create_trial(params=params, distributions=distributions, value=fitness)
            study.add_trial(known)
        while True:
            point = study.ask(distributions).params
            yield tuple(int(point[name]) for name in distributions)


BAYESIAN = SearcherRow(
    name="bayesian",
    title="Bayesian optimisation by Optuna's tree-structured Parzen estimator",
    make=lambda space, seed, limits, context, options: Bayesian(space, options, seed=seed, limits=limits),
    options=BayesianOptions,
    check=check_bayesian,
    planned=evaluations,
)
