"""What can be searched: choices, architectures, and the space they form. No torch here.

An architecture is a tuple of ints, the candidate taken at each choice. A space describes its choices, builds the
weight-sharing network and derived networks, and knows what an architecture costs. Sampling, mutation and crossover are
written once for every space: a space states its constraints in `SearchSpace.repair`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Architecture: TypeAlias = tuple[int, ...]
"""The candidate taken at each choice. Hashable, picklable, and JSON as it is."""

Terms: TypeAlias = "Iterable[tuple[int | np.ndarray, np.ndarray]]"
"""For each entry of architectures the term that it adds: of which choice, of which candidate, each ``(n,)``."""


@dataclass(frozen=True)
class Choice:
    """One decision of a space: a name and the names of its candidates, in the order of their indices."""

    name: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AdditiveTable:
    """Quantities of an architecture that are a constant plus one term per entry: per choice.

    Parameters and multiply-adds are of this kind, and so are the three sums under the angle, there with each term
    repeated `multiplicity` times.

    Attributes:
        quantities: Names of the quantities, ``d`` of them.
        fixed: The constant, ``(d,)``.
        terms: The term of every candidate, ``(num_choices, most candidates of a choice, d)``; rows past a choice's
            last candidate are zero and never read.
        terms_of: Which term each entry of the given architectures, ``(n, num_choices)``, adds; None where it is that of
            its own choice and candidate. See `SearchSpace.cost_terms`.
    """

    quantities: tuple[str, ...]
    fixed: np.ndarray
    terms: np.ndarray
    terms_of: Callable[[np.ndarray], Terms] | None = field(default=None, kw_only=True)

    def total(self, architectures: np.ndarray, multiplicity: np.ndarray | None = None) -> np.ndarray:
        """Returns the quantities of each architecture, ``(n, d)``, in the dtype of `terms`.

        The sum runs over the choices in their order, element by element, so that an architecture's bits depend on
        nothing but itself: not on the batch it came in, not on a matrix product's blocking.

        Args:
            architectures: Candidate indices, ``(n, num_choices)``.
            multiplicity: How often each choice's term counts, ``(n, num_choices)``; once by default.
        """
        total = np.repeat(self.fixed[None, :], len(architectures), axis=0)
        own = zip(range(len(self.terms)), architectures.T, strict=True)
        for entry, (choice, candidate) in enumerate(self.terms_of(architectures) if self.terms_of else own):
            term = self.terms[choice, candidate]
            total += term if multiplicity is None else term * multiplicity[:, entry, None]
        return total

    def beside(self, other: AdditiveTable) -> AdditiveTable:
        """Returns one table of the quantities of both."""
        return AdditiveTable(
            (*self.quantities, *other.quantities),
            np.concatenate([self.fixed, other.fixed]),
            np.concatenate([self.terms, other.terms], axis=2),
            terms_of=self.terms_of,
        )


@dataclass(frozen=True)
class WeightTerm:
    """One part of a weight vector: parameters of the supernet by name, and fixed tensors by their squared norm.

    A fixed tensor (the kernel that stands for a pooling, the identity that stands for a skip connection) is the same
    before and after training, so that only its squared norm enters the angle.
    """

    parameters: tuple[str, ...] = ()
    fixed_squared_norm: float = 0.0


@dataclass(frozen=True)
class WeightVector:
    """How a space concatenates weights into the vector whose turning is the angle (RLNAS, Zhang et al. 2021, Eq. 9).

    Attributes:
        always: What every architecture's vector holds once.
        candidates: ``candidates[choice][candidate]``, what one path through that candidate adds, all cells together.
    """

    always: WeightTerm
    candidates: tuple[tuple[WeightTerm, ...], ...]


class SearchSpace(ABC):
    """A set of architectures. A subclass is a frozen description; everything that is routed lives in its networks.

    A space of your own needs `choices`, `build_supernet` and `build_network`; the rest has defaults that hold for a
    chain of independent choices, or says what is missing when it is asked for.
    """

    name: ClassVar[str]

    @property
    @abstractmethod
    def choices(self) -> tuple[Choice, ...]:
        """The decisions of the space, in the order of an architecture's entries."""

    @abstractmethod
    def build_supernet(self, num_classes: int) -> nn.Module:
        """Returns the weight-sharing network: ``supernet(images, gates) -> logits``, with an int `num_cells`."""

    @abstractmethod
    def build_network(self, architecture: Architecture, num_classes: int) -> nn.Module:
        """Returns the network of one architecture: ``network(images) -> logits``.

        Its parameters and buffers are named as in the supernet, of which it holds a part.
        """

    # What an architecture is

    def check(self, architecture: Sequence[int]) -> Architecture:
        """Returns `architecture` as a tuple of ints if it belongs to the space.

        Raises:
            ValueError: If the number of choices or a candidate's index is wrong.
        """
        choices = self.choices
        if len(architecture) != len(choices):
            raise ValueError(
                f"architecture has {len(architecture)} choices but {type(self).__name__} has {len(choices)} "
                f"({choices[0].name} ... {choices[-1].name})"
            )
        for choice, candidate in zip(choices, architecture, strict=True):
            if candidate not in range(len(choice.candidates)):
                raise ValueError(
                    f"architecture takes candidate {candidate} at {choice.name} but there are "
                    f"{len(choice.candidates)}, 0 to {len(choice.candidates) - 1} ({', '.join(choice.candidates)})"
                )
        return tuple(int(candidate) for candidate in architecture)

    def repair(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns a legal architecture near `architecture`: itself where it is legal already."""
        return architecture

    def repair_path(self, path: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the path to train in place of a sampled one: itself unless training on it would be pointless."""
        return path

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the representative of all architectures that compute the same function: itself by default."""
        return architecture

    def derive(self, probabilities: Sequence[np.ndarray], rule: str) -> Architecture:
        """Returns the architecture that alphas stand for: the most probable candidate of every choice, repaired.

        Args:
            probabilities: softmax(alpha) of every choice, each ``(number of candidates,)``.
            rule: ``with_none``: candidates that pass nothing, called ``none``, compete with the others.
                ``without_none``: they do not.

        Raises:
            ValueError: If the space has no such rule.
        """
        if rule not in ("with_none", "without_none"):
            raise ValueError(
                f"search.derivation: {type(self).__name__} has with_none and without_none, got {rule}; take one of them"
            )
        taken = [
            int(
                np.argmax([p if rule == "with_none" or name != "none" else -1.0 for p, name in zip(*pair, strict=True)])
            )
            for pair in zip(probabilities, (choice.candidates for choice in self.choices), strict=True)
        ]
        return self.repair(tuple(taken), np.random.default_rng(0))

    def derived_space(self, rule: str) -> SearchSpace:
        """Returns the space of the architectures that `derive` returns under a rule: this one, by default.

        Another one must share the weights of this space's supernets by their names.
        """
        return self

    def describe(self, architecture: Architecture) -> str:
        """Returns the architecture as text, ``choice=candidate`` joined by commas; `parse` reads it."""
        return ",".join(f"{c.name}={c.candidates[k]}" for c, k in zip(self.choices, architecture, strict=True))

    def parse(self, text: str) -> Architecture:
        """Returns the architecture that `describe` wrote.

        Raises:
            ValueError: If the text is not of that form or names an unknown candidate.
        """
        keys, _, names = zip(*(part.partition("=") for part in text.split(",")), strict=True)
        if list(keys) != [choice.name for choice in self.choices]:
            example = self.describe((0,) * len(self.choices))
            raise ValueError(f"expected an architecture such as {example!r}, got {text!r}")
        for choice, name in zip(self.choices, names, strict=True):
            if name not in choice.candidates:
                raise ValueError(f"{choice.name} is one of {', '.join(choice.candidates)}, got {name!r} in {text!r}")
        return tuple(c.candidates.index(name) for c, name in zip(self.choices, names, strict=True))

    def drawing(self, architecture: Architecture) -> dict[str, list[tuple[str, str, str]]]:
        """Returns the graphs to draw of an architecture by name, each as edges (source, target, candidate).

        Nodes are text, the first ``in`` and the last ``out``. By default it is one chain of the choices.
        """
        nodes = ["in", *map(str, range(1, len(self.choices))), "out"]
        taken = [choice.candidates[k] for choice, k in zip(self.choices, architecture, strict=True)]
        return {"chain": list(zip(nodes, nodes[1:], taken, strict=False))}

    @property
    def size(self) -> int:
        """The number of combinations of candidates, before any repair."""
        return math.prod(len(choice.candidates) for choice in self.choices)

    @property
    def num_architectures(self) -> int:
        """The number of architectures: all combinations of candidates, unless repair would change some."""
        return self.size

    # What an architecture costs, and what its weights are

    def build_union(self, num_classes: int) -> nn.Module:
        """Returns the union of all derived networks, routed as a supernet is; what architectures cost is read off it.

        By default it is the supernet. Override it where a supernet's candidates are not those of derived networks: with
        normalisations that have no weights, say.
        """
        return self.build_supernet(num_classes)

    @property
    def cost_choices(self) -> tuple[Choice, ...]:
        """The choices that `build_union` is routed by, whose candidates' costs add up: those of the space by default.

        Override it, and `cost_terms`, where what an architecture costs is no sum over its choices.
        """
        return self.choices

    def cost_terms(self, architectures: np.ndarray) -> Terms:
        """Returns for each entry of the architectures, ``(n, num_choices)``, what it adds to their costs.

        That is a candidate of one of `cost_choices`, by default the entry itself.
        """
        return zip(range(len(self.choices)), architectures.T, strict=True)

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns how the weights of an architecture are concatenated under the named definition of the angle."""
        raise ValueError(f"{type(self).__name__} states no weight vector: override `weight_vector` to rank by angle")

    def path_counts(self, architectures: np.ndarray) -> np.ndarray:
        """Returns on how many live paths each choice lies, ``(n, num_choices)`` int64: one each in a chain."""
        return np.ones(architectures.shape, dtype=np.int64)


def as_array(architectures: Sequence[Architecture]) -> np.ndarray:
    """Returns architectures as one int64 array, ``(n, num_choices)``; ``(0, 0)`` of none."""
    return np.asarray(architectures, dtype=np.int64).reshape(len(architectures), -1 if len(architectures) else 0)


def all_architectures(space: SearchSpace) -> np.ndarray:
    """Returns every combination of candidates, ``(space.size, num_choices)`` int64, the last choice moving fastest."""
    shape = [len(choice.candidates) for choice in space.choices]
    return np.stack(np.unravel_index(np.arange(space.size), shape), axis=1)


def sample(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Returns an architecture with every candidate drawn uniformly, repaired."""
    highs = [len(choice.candidates) for choice in space.choices]
    return space.repair(tuple(rng.integers(0, highs).tolist()), rng)


def mutate(
    space: SearchSpace,
    parent: Architecture,
    probability: float,
    rng: np.random.Generator,
    excluded: Collection[str] = (),
) -> Architecture:
    """Returns a child of `parent`: each choice is drawn anew with `probability`, then the whole is repaired.

    Args:
        space: The space.
        parent: The architecture to change.
        probability: Chance of each choice to be drawn anew, in [0, 1]; the draw may repeat the old candidate.
        rng: Source of all randomness.
        excluded: Names of candidates that a mutation never draws (RLNAS' code leaves out ``none``).
    """
    child = list(parent)
    for position in (rng.random(len(parent)) < probability).nonzero()[0].tolist():
        names = space.choices[position].candidates
        allowed = [k for k, name in enumerate(names) if name not in excluded] or list(range(len(names)))
        child[position] = allowed[int(rng.integers(len(allowed)))]
    return space.repair(tuple(child), rng)


def crossover(space: SearchSpace, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
    """Returns a child that takes each choice from one of two parents by a fair coin, repaired."""
    coins = (rng.random(len(first)) < 0.5).tolist()
    return space.repair(tuple(a if coin else b for coin, a, b in zip(coins, first, second, strict=True)), rng)
