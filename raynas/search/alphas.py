"""Architectures that architecture parameters stand for: derived from them, or sampled by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from raynas.capabilities import derived_space_of, drawing_of
from raynas.errors import InputError
from raynas.members import Need
from raynas.options import Options, Positive
from raynas.search.generations import Generations
from raynas.search.limits import Limits
from raynas.search.row import PopulationOptions, Probabilities, SearchContext, SearcherRow
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import Architecture, SearchSpace

NO_LIMITS = "what alphas stand for cannot be kept inside limits; leave them out, or take search.name: alpha_sampling"


class DerivationOptions(Options):
    """Which architecture alphas stand for.

    Attributes:
        derivation: Whether ``none``, the candidate that passes nothing, competes (with_none, without_none); or, in the
            DARTS space, the two strongest pairs of edge and operation of each node (pairs), or every edge with its
            strongest operation (all_edges). The algorithm's own rule by default.
        most_skips: Number of skip connections in the first (normal) cell that is too many. The alphas of the last epoch
            before the derived cell had so many are used. By default those of the last epoch are used.
    """

    derivation: Literal["with_none", "without_none", "pairs", "all_edges"] | None = None
    most_skips: Positive | None = None


class AlphaSamplingOptions(PopulationOptions, DerivationOptions):
    """Options of sampling by alphas: of a generation of `population` samples, those that are new are evaluated."""


def evenly(space: SearchSpace) -> Probabilities:
    """Returns what alphas are before anything is learnt: every candidate of a choice as probable as the others."""
    return [np.full(len(choice.candidates), 1 / len(choice.candidates)) for choice in space.choices]


def before_skips(
    space: SearchSpace, epochs: Iterable[Probabilities], derivation: str, most_skips: int
) -> Probabilities:
    """Returns the alphas of the last epoch before the cell that they stand for took too many skips.

    Of several cells it is the first, the normal one (DARTS+, Liang et al. 2019, criterion 1). If it never does they are
    those of the last epoch, if it always does those of the first.

    Args:
        space: The space.
        epochs: softmax(alpha) after every epoch, that before the first included.
        derivation: The rule, as `SearchSpace.derive` names it.
        most_skips: How many are too many.
    """
    reached: Probabilities | None = None
    for probabilities in epochs:
        drawing = drawing_of(derived_space_of(space, derivation), space.derive(probabilities, derivation))
        operations = [operation for _, _, operation in next(iter(drawing.values()))]
        if reached is not None and operations.count("skip_connect") >= most_skips:
            break
        reached = probabilities
    assert reached is not None, "there are alphas before the first epoch"
    return reached


class Derive:
    """The architecture that the alphas of each training stand for, whatever it is worth.

    Of several trainings the fitness picks the best (GDAS, Dong and Yang 2019, section 4.2: four, by validation).
    """

    def __init__(
        self,
        space: SearchSpace,
        options: DerivationOptions,
        *,
        seed: int = 0,
        trained: Sequence[Probabilities],
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up.

        Args:
            space: Where to search; its `derive` says what alphas stand for.
            options: The rule, as `SearchSpace.derive` names it.
            seed: Taken so that all searchers are built alike; nothing is sampled.
            trained: What each training left.
            limits: Must be None: alphas stand for one architecture, inside the limits or not.

        Raises:
            InputError: If there are limits.
        """
        if limits is not None:
            raise InputError(f"search.limits: {NO_LIMITS}")
        assert options.derivation is not None, "the algorithm fills it in"
        self.space = space
        self.seed = check_whole("seed", seed, 0)
        self._derived = sorted({space.derive(probabilities, options.derivation) for probabilities in trained})
        self._turns = Turns()

    def ask(self) -> list[Architecture]:
        """Returns the derived architectures, then nothing."""
        return [] if self._turns.start() else self._turns.asked(self._derived)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked; it changes nothing."""
        self._turns.told(architectures, fitness)


class AlphaSampling(Generations[PopulationOptions]):
    """Architectures sampled by the alphas, each choice from softmax(alpha), then repaired (SETN, Dong and Yang 2019).

    Of T samples those that come again are evaluated once, so that a generation may hold fewer.
    """

    def __init__(
        self,
        space: SearchSpace,
        options: PopulationOptions,
        *,
        seed: int,
        trained: Sequence[Probabilities],
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up; nothing is sampled yet.

        Args:
            space: Where to search.
            options: Samples of a generation, and generations.
            seed: Seed of all randomness, not negative.
            trained: What each training left; the samples go to them in turn.
            limits: Bounds on the costs of an architecture; a sample outside them is left out.

        Raises:
            InputError: If the seed is negative.
        """
        super().__init__(space, options, seed=seed, limits=limits)
        self._sums = [list(map(np.cumsum, probabilities)) for probabilities in trained]

    def ask(self) -> list[Architecture]:
        """Returns the next generation: those of its samples that are new."""
        for generation in range(self._turns.start(), self.options.generations):
            rng = np.random.default_rng([self.seed, generation])
            drawn = list(dict.fromkeys(self._draw(rng, turn) for turn in range(self.options.population)))
            if self.limits is not None:
                admitted = self.limits.admits(np.array(drawn))
                if generation == 0 and not admitted.any():
                    raise InputError(self.limits.explain(np.array(drawn)))
                drawn = [one for one, inside in zip(drawn, admitted, strict=True) if inside]
            new = [one for one in drawn if one not in self._proposed]
            if new:
                self._proposed.update(new)
                return self._turns.asked(new)
        return []

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked; it changes nothing."""
        self._turns.told(architectures, fitness)

    def _draw(self, rng: np.random.Generator, turn: int) -> Architecture:
        sums = self._sums[turn % len(self._sums)]
        taken = [int(np.searchsorted(row, rng.random() * row[-1], side="right")) for row in sums]
        return self.space.repair(tuple(taken), rng)


def _trained(context: SearchContext) -> list[Probabilities]:
    """Returns the alphas of every base seed."""
    return [context.alphas(base_seed) for base_seed in context.base_seeds]


def _check_derivation(space: SearchSpace, options: DerivationOptions) -> None:
    """Says if the space has no such derivation."""
    assert options.derivation is not None
    space.derive(evenly(space), options.derivation)


DERIVE = SearcherRow(
    name="derive",
    title="what the alphas stand for, of each base seed",
    make=lambda space, seed, limits, context, options: Derive(
        space, options, seed=seed, trained=_trained(context), limits=limits
    ),
    options=DerivationOptions,
    needs=frozenset({Need.SUPERNETS, Need.ALPHAS}),
    check=_check_derivation,
    planned=lambda space, options, supernets: supernets,
    searched_space=lambda space, options: derived_space_of(space, options.derivation),
    no_limits=NO_LIMITS,
)
ALPHA_SAMPLING = SearcherRow(
    name="alpha_sampling",
    title="samples of the softmax of the alphas",
    make=lambda space, seed, limits, context, options: AlphaSampling(
        space, options, seed=seed, trained=_trained(context), limits=limits
    ),
    options=AlphaSamplingOptions,
    needs=frozenset({Need.SUPERNETS, Need.ALPHAS}),
)
