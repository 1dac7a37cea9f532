"""A predictor of accuracy as a fitness: it learns from the benchmark accuracies of a few random architectures.

The baseline of every method that trains architectures: what accuracies of so many of them say about the others. The
features of an architecture are the candidates on live paths, one-hot, and the number of live paths through each choice.
What is predicted is the rank among the known accuracies: these are far from normal, with a few networks near chance.

Reference: White et al. 2021, "How Powerful are Performance Predictors in Neural Architecture Search?", where gradient
boosting and Gaussian processes on such encodings are compared with others.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from raynas.capabilities import path_counts_of
from raynas.errors import InputError
from raynas.fitness.row import FitnessContext, FitnessRow
from raynas.members import Need
from raynas.optional import needed
from raynas.options import Images, Options
from raynas.search_space import Architecture, SearchSpace, as_array

LEAST = 5
"""Fewest accuracies that a predictor learns from."""


class PredictorOptions(Options):
    """Options of the predictor of accuracy.

    Attributes:
        predictor: Model that predicts the rank of an accuracy: a Gaussian process, or gradient boosted trees.
        predictor_samples: Number of random architectures whose benchmark accuracies the predictor learns from. This is
            the number of trainings that it would cost without a benchmark.
    """

    predictor: Literal["gaussian_process", "gradient_boosting"] = "gaussian_process"
    predictor_samples: Images = 100


class AccuracyPredictor:
    """The share of the known architectures that an architecture is predicted to be better than, about 0 to 1.

    Attributes:
        known: The architectures that it learnt from.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(
        self, space: SearchSpace, known: Sequence[Architecture], accuracies: np.ndarray, *, kind: str, seed: int
    ) -> None:
        """Learns from architectures and their accuracies, ``(n,)``.

        Args:
            space: The space.
            known: Architectures to learn from.
            accuracies: Theirs.
            kind: Which model, as `PredictorOptions.predictor` names it.
            seed: Seed of the model.

        Raises:
            InputError: If scikit-learn is not installed.
        """
        from scipy.stats import rankdata  # here, since it takes a second

        self.known = list(known)
        self._space = space
        self._model = _model(kind, seed)
        shares = (rankdata(accuracies) - 0.5) / len(self.known)  # equal accuracies share their mean rank
        with warnings.catch_warnings():  # a kernel parameter at its bound is no fault: all accuracies may be alike
            warnings.simplefilter("ignore")
            self._model.fit(self._features(self.known), shares)

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the predicted share of each architecture, ``(n, 1)`` float64."""
        if not len(architectures):
            return np.empty((0, 1))
        distinct, places = np.unique(self._features(architectures), axis=0, return_inverse=True)
        # One by one: in a matrix product the last bits of a row depend on the number of rows.
        predicted = np.array([self._model.predict(row[None])[0] for row in distinct])
        values: np.ndarray = predicted[places.reshape(-1)][:, None]
        return values

    def _features(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the candidates on live paths, one-hot, and the path counts, ``(n, features)`` float64."""
        entries = as_array(architectures)
        paths = path_counts_of(self._space, entries)
        columns = []
        for position, choice in enumerate(self._space.choices):
            one_hot = entries[:, position, None] == np.arange(len(choice.candidates))
            columns.append(one_hot & (paths[:, position, None] > 0))
        return np.concatenate([*columns, paths], axis=1).astype(np.float64)


def _model(kind: str, seed: int) -> Any:
    """Returns an untrained regressor of scikit-learn."""
    key = "search.fitness: predictor"
    if kind == "gradient_boosting":
        ensemble = needed("sklearn.ensemble", "predictor", key)
        return ensemble.GradientBoostingRegressor(
            n_estimators=300, learning_rate=0.05, max_depth=4, subsample=0.7, loss="huber", random_state=seed
        )
    process = needed("sklearn.gaussian_process", "predictor", key)
    kernels = process.kernels
    kernel = kernels.ConstantKernel(1.0) * kernels.RBF(3.0) + kernels.WhiteKernel(0.1)
    return process.GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)


def _learnt(context: FitnessContext, options: PredictorOptions) -> AccuracyPredictor:
    """Returns a predictor that learnt from random architectures of the benchmark; the run's seed samples them.

    Raises:
        InputError: If the benchmark has fewer accuracies, or fewer than `LEAST` are asked for.
    """
    table, number = context.benchmark, options.predictor_samples
    architectures = table.architectures
    if not LEAST <= number <= len(architectures):
        raise InputError(
            f"search.predictor_samples: expected {LEAST} to {len(architectures):,}, the architectures of "
            f"{table.path.name}, got {number:,}"
        )
    sampled = np.random.default_rng(context.seed).permutation(len(architectures))[:number]
    known = [tuple(row) for row in architectures[sampled].tolist()]
    return AccuracyPredictor(
        context.space, known, table.accuracies(known), kind=options.predictor, seed=context.seed % 2**32
    )


PREDICTOR = FitnessRow(
    name="predictor",
    title="predicted rank of the accuracy",
    digits=3,
    needs=frozenset({Need.BENCHMARK}),
    options=PredictorOptions,
    definition=lambda options: f"{options.predictor}, {options.predictor_samples} known accuracies",
    learns_from=lambda options: options.predictor_samples,
    make=_learnt,
)
