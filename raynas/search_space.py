"""What can be searched: choices, architectures, and the space they form. No torch here.

An architecture is a tuple of ints, the candidate taken at each choice. A space describes its choices and builds the
weight-sharing network and derived networks. Sampling, mutation and crossover are written once for every space: a space
states its constraints in `SearchSpace.repair`. What only some spaces state, such as a weight vector, is in
`raynas.capabilities`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import numpy as np

from raynas.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Architecture: TypeAlias = tuple[int, ...]
"""The candidate taken at each choice. Hashable, picklable, and JSON as it is."""

Terms: TypeAlias = "Iterable[tuple[int | np.ndarray, np.ndarray]]"
"""The terms that architectures add up: for each entry, the index of a choice and the candidates there, ``(n,)``."""


@dataclass(frozen=True)
class Choice:
    """One decision of a space: a name and the names of its candidates, in the order of their indices."""

    name: str
    candidates: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class AdditiveTable:
    """Quantities of an architecture that are a constant plus one term for each of its entries.

    Parameters and multiply-adds are of this kind. So are the three sums under the angle, in which each term counts
    `multiplicity` times.

    Attributes:
        quantities: Names of the quantities, ``d`` of them.
        fixed: The constant, ``(d,)``.
        terms: The term of every candidate, ``(num_choices, most candidates of a choice, d)``; rows past a choice's
            last candidate are zero and never read.
        terms_of: Returns the term that each entry of the architectures, ``(n, num_choices)``, adds. None: the term of
            its own choice and candidate. See `raynas.capabilities.HasCostTerms`.
    """

    quantities: tuple[str, ...]
    fixed: np.ndarray
    terms: np.ndarray
    terms_of: Callable[[np.ndarray], Terms] | None = field(default=None, kw_only=True)

    def total(self, architectures: np.ndarray, multiplicity: np.ndarray | None = None) -> np.ndarray:
        """Returns the quantities of each architecture, ``(n, d)``, in the dtype of `terms`.

        The sum runs over the choices in their order, element by element. The bits of an architecture's sum depend on
        that architecture alone, not on its batch or on the blocking of a matrix product.

        Args:
            architectures: Candidate indices, ``(n, num_choices)``.
            multiplicity: How often each choice's term counts, ``(n, num_choices)``; once by default.
        """
        total = np.repeat(self.fixed[None, :], len(architectures), axis=0)
        added: Terms = zip(range(len(self.terms)), architectures.T, strict=True)
        if self.terms_of is not None:
            added = self.terms_of(architectures)
        for entry, (choice, candidate) in enumerate(added):
            term = self.terms[choice, candidate]
            total += term if multiplicity is None else term * multiplicity[:, entry, None]
        return total

    def beside(self, other: AdditiveTable) -> AdditiveTable:
        """Returns one table with the quantities of both tables."""
        return AdditiveTable(
            (*self.quantities, *other.quantities),
            np.concatenate([self.fixed, other.fixed]),
            np.concatenate([self.terms, other.terms], axis=2),
            terms_of=self.terms_of,
        )


@dataclass(frozen=True)
class WeightTerm:
    """One part of a weight vector: parameters of the supernet by name, and fixed tensors by their squared norm.

    A fixed tensor is the same before and after training, so that only its squared norm enters the angle. Examples are
    the kernel that stands for a pooling and the identity that stands for a skip connection.
    """

    parameters: tuple[str, ...] = ()
    fixed_squared_norm: float = 0.0


@dataclass(frozen=True)
class WeightVector:
    """The weights that a space concatenates into a vector, whose rotation is the angle.

    Reference: Zhang et al. 2021 (RLNAS), Eq. 9.

    Attributes:
        always: The part that the vector of every architecture holds once.
        candidates: ``candidates[choice][candidate]``, the part that one path through that candidate adds, over all
            cells.
    """

    always: WeightTerm
    candidates: tuple[tuple[WeightTerm, ...], ...]


@dataclass(frozen=True)
class AngleParts:
    """Which tensors a weight vector holds beside the kernels on the paths.

    Attributes:
        extras: Whether the weights outside the paths, such as stem and head, are in every vector once: ``none`` or
            ``counted``.
        pool: The fixed kernel that stands for a pooling of k x k, with entries 1 / k^2: of shape (O, C, k, k), which is
            ``full``, or (C, k, k), which is ``per_channel``.
        skip: What stands for a skip connection without weights: an ``identity`` matrix, or nothing (``empty``).
        norms: Whether weights and biases of normalisations on the paths count: ``none``, ``counted``, or ``published``,
            by which the normalisation of a dilated convolution is taken by its weight twice and not by its bias.
    """

    extras: str
    pool: str
    skip: str
    norms: str


ANGLES = {
    "paper": AngleParts(extras="none", pool="full", skip="identity", norms="none"),
    "official": AngleParts(extras="counted", pool="per_channel", skip="identity", norms="counted"),
    "published": AngleParts(extras="counted", pool="per_channel", skip="identity", norms="published"),
}
"""Definitions of the angle: of RLNAS' paper, of its code as it was meant, and of its code to the letter.

The last found the published cells. A space may have another value of a part in all of them, see `angle_parts`.
"""

ANGLE_PARTS = {
    "extras": ("none", "counted"),
    "pool": ("full", "per_channel"),
    "skip": ("identity", "empty"),
    "norms": ("none", "counted", "published"),
}
"""The values of each part."""

PATH_ENDS = ("all", "last")
"""Where paths of a cell may end if a key says so: at all nodes behind the inputs, or at the last one."""


def angle_parts(definition: str, **of_space: str) -> AngleParts:
    """Returns the parts of a definition of the angle.

    Args:
        definition: A key of `ANGLES`, and after it parts that differ, such as ``official, skip empty, norms none``.
        **of_space: Values of parts that the space has in the place of those in `ANGLES`.

    Raises:
        InputError: If it is no such text.
    """
    name, *changes = definition.split(", ")
    if name not in ANGLES:
        raise InputError(f"search.angle: expected {', '.join(ANGLES)}, got {name!r}")
    parts = replace(ANGLES[name], **of_space)
    for change in changes:
        part, _, value = change.partition(" ")
        if value not in ANGLE_PARTS.get(part, ()):
            raise InputError(f"search.angle: expected parts {', '.join(ANGLE_PARTS)} with their values, got {change!r}")
        parts = replace(parts, **{part: value})
    return parts


class SearchSpace(ABC):
    """A set of architectures. A subclass is a frozen description; everything that is routed lives in its networks.

    A space of your own needs `choices`, `build_supernet` and `build_network`. The rest has defaults for a chain of
    independent choices. Further abilities, such as ranking by angle, are methods that a space may add: they are listed
    in `raynas.capabilities`.

    Attributes:
        name: The name in run files.
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

    def check(self, architecture: Sequence[int]) -> Architecture:
        """Returns `architecture` as a tuple of ints if it belongs to the space.

        Raises:
            InputError: If the number of choices or a candidate's index is wrong.
        """
        choices = self.choices
        if len(architecture) != len(choices):
            raise InputError(
                f"architecture has {len(architecture)} choices but {type(self).__name__} has {len(choices)} "
                f"({choices[0].name} ... {choices[-1].name})"
            )
        for choice, candidate in zip(choices, architecture, strict=True):
            if candidate not in range(len(choice.candidates)):
                raise InputError(
                    f"architecture takes candidate {candidate} at {choice.name} but there are "
                    f"{len(choice.candidates)}, 0 to {len(choice.candidates) - 1} ({', '.join(choice.candidates)})"
                )
        return tuple(int(candidate) for candidate in architecture)

    def repair(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns a legal architecture near `architecture`; a legal one is returned unchanged."""
        return architecture

    def derive(self, probabilities: Sequence[np.ndarray], rule: str) -> Architecture:
        """Returns the architecture that alphas select: the most probable candidate of every choice, repaired.

        Args:
            probabilities: softmax(alpha) of every choice, each ``(number of candidates,)``.
            rule: ``with_none``: candidates called ``none``, which pass nothing, compete with the others.
                ``without_none``: they do not.

        Raises:
            InputError: If the space has no such rule.
        """
        if rule not in ("with_none", "without_none"):
            raise InputError(
                f"search.derivation: {type(self).__name__} has with_none and without_none, got {rule}; take one of them"
            )

        taken = []
        for choice, row in zip(self.choices, probabilities, strict=True):
            competes = np.array([rule == "with_none" or name != "none" for name in choice.candidates])
            taken.append(int(np.where(competes, row, -1.0).argmax()))
        return self.repair(tuple(taken), np.random.default_rng(0))

    def describe(self, architecture: Architecture) -> str:
        """Returns the architecture as text, ``choice=candidate`` joined by commas; `parse` reads it."""
        parts = []
        for choice, k in zip(self.choices, architecture, strict=True):
            parts.append(f"{choice.name}={choice.candidates[k]}")
        return ",".join(parts)

    def parse(self, text: str) -> Architecture:
        """Returns the architecture that `describe` wrote.

        Raises:
            InputError: If the text is not of that form or names an unknown candidate.
        """
        parts = [part.partition("=") for part in text.split(",")]
        if [key for key, _, _ in parts] != [choice.name for choice in self.choices]:
            example = self.describe((0,) * len(self.choices))
            raise InputError(f"expected an architecture such as {example!r}, got {text!r}")

        architecture = []
        for choice, (_, _, name) in zip(self.choices, parts, strict=True):
            if name not in choice.candidates:
                raise InputError(f"{choice.name} is one of {', '.join(choice.candidates)}, got {name!r} in {text!r}")
            architecture.append(choice.candidates.index(name))
        return tuple(architecture)

    @property
    def size(self) -> int:
        """The number of combinations of candidates, before any repair."""
        return math.prod(len(choice.candidates) for choice in self.choices)

    @property
    def num_architectures(self) -> int:
        """The number of legal architectures: by default, all combinations of candidates."""
        return self.size


def as_array(architectures: Sequence[Architecture]) -> np.ndarray:
    """Returns architectures as one int64 array, ``(n, num_choices)``; of shape ``(0, 0)`` if there are none."""
    return np.asarray(architectures, dtype=np.int64).reshape(len(architectures), -1 if len(architectures) else 0)


def all_architectures(space: SearchSpace) -> np.ndarray:
    """Returns every combination of candidates, ``(space.size, num_choices)`` int64; the last choice varies fastest."""
    shape = [len(choice.candidates) for choice in space.choices]
    return np.stack(np.unravel_index(np.arange(space.size), shape), axis=1)


def sample(space: SearchSpace, rng: np.random.Generator) -> Architecture:
    """Returns an architecture with every candidate sampled uniformly, repaired."""
    highs = [len(choice.candidates) for choice in space.choices]
    return space.repair(tuple(rng.integers(0, highs).tolist()), rng)


def mutate(
    space: SearchSpace,
    parent: Architecture,
    probability: float,
    rng: np.random.Generator,
    excluded: Collection[str] = (),
) -> Architecture:
    """Returns a child of `parent`: each choice is sampled again with `probability`, then the whole is repaired.

    Args:
        space: The space.
        parent: The architecture to change.
        probability: Probability that a choice is sampled again, in [0, 1]; the old candidate may come back.
        rng: Source of all randomness.
        excluded: Names of candidates that a mutation never samples (the code of RLNAS leaves out ``none``). They are
            sampled where a choice has no others.
    """
    child = list(parent)
    for position in (rng.random(len(parent)) < probability).nonzero()[0].tolist():
        names = space.choices[position].candidates
        allowed = [k for k, name in enumerate(names) if name not in excluded]
        if not allowed:
            allowed = list(range(len(names)))
        child[position] = allowed[int(rng.integers(len(allowed)))]
    return space.repair(tuple(child), rng)


def crossover(space: SearchSpace, first: Architecture, second: Architecture, rng: np.random.Generator) -> Architecture:
    """Returns a child that takes each choice from one of two parents by a fair coin, repaired."""
    coins = (rng.random(len(first)) < 0.5).tolist()
    child = []
    for coin, of_first, of_second in zip(coins, first, second, strict=True):
        child.append(of_first if coin else of_second)
    return space.repair(tuple(child), rng)
