"""Architectures that architecture parameters stand for: derived from them, or sampled by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from raynas.search.limits import Limits
from raynas.search.searcher import Turns, check_whole
from raynas.search_space import Architecture, SearchSpace

Probabilities = Sequence[np.ndarray]
"""softmax(alpha) of every choice, each ``(number of candidates,)``."""


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
        drawing = space.derived_space(derivation).drawing(space.derive(probabilities, derivation))
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
        *,
        seed: int = 0,
        trained: Sequence[Probabilities],
        derivation: str = "without_none",
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up.

        Args:
            space: Where to search; its `derive` says what alphas stand for.
            seed: Taken so that all searchers are built alike; nothing is drawn.
            trained: What each training left.
            derivation: The rule, as `SearchSpace.derive` names it.
            limits: Must be None: alphas stand for one architecture, inside the limits or not.

        Raises:
            ValueError: If there are limits.
        """
        if limits is not None:
            raise ValueError(
                "search.limits: what alphas stand for cannot be kept inside limits; leave them out, or take "
                "search.name: alpha_sampling"
            )
        self.space = space
        self.seed = check_whole("seed", seed, 0)
        self._derived = sorted({space.derive(probabilities, derivation) for probabilities in trained})
        self._turns = Turns()

    def ask(self) -> list[Architecture]:
        """Returns the derived architectures, then nothing."""
        return [] if self._turns.start() else self._turns.asked(self._derived)

    def tell(self, architectures: Sequence[Architecture], fitness: np.ndarray) -> None:
        """Takes the fitness of the architectures last asked; it changes nothing."""
        self._turns.told(architectures, fitness)


class AlphaSampling:
    """Architectures sampled by the alphas, each choice from softmax(alpha), then repaired (SETN, Dong and Yang 2019).

    Of T draws those that come again are judged once, so that a generation may hold fewer.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        trained: Sequence[Probabilities],
        population: int,
        generations: int,
        limits: Limits | None = None,
    ) -> None:
        """Sets the search up; nothing is drawn yet.

        Args:
            space: Where to search.
            seed: Seed of all randomness, not negative.
            trained: What each training left; the draws go to them in turn.
            population: Draws of a generation.
            generations: Generations.
            limits: Bounds on the costs of an architecture; a draw outside them is left out.

        Raises:
            ValueError: If a value is out of range.
        """
        self.space = space
        self.seed = check_whole("seed", seed, 0)
        self.population = check_whole("search.population", population, 1)
        self.generations = check_whole("search.generations", generations, 1)
        self.limits = limits
        self._sums = [[np.cumsum(row) for row in probabilities] for probabilities in trained]
        self._turns = Turns()
        self._proposed: set[Architecture] = set()

    def ask(self) -> list[Architecture]:
        """Returns the next generation: what of its draws is new."""
        for generation in range(self._turns.start(), self.generations):
            rng = np.random.default_rng([self.seed, generation])
            drawn = list(dict.fromkeys(self._draw(rng, turn) for turn in range(self.population)))
            if self.limits is not None:
                admitted = self.limits.admits(np.array(drawn))
                if generation == 0 and not admitted.any():
                    raise ValueError(self.limits.explain(np.array(drawn)))
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
