"""What a space may state beyond its choices and networks: one small protocol each, and a function that asks for it.

A space has a capability when its class defines the method; nothing is registered. A subclass gives one up by setting
the name to None. Each function below says what holds for a space that states nothing, or refuses with the name of the
method to add. What concerns the training of derived networks is in `raynas.network_capabilities`.

| method of the space | what it gives | without it |
|---|---|---|
| `weight_vector` | ranking by angle or displacement | refused |
| `path_counts` | paths of cells | a chain: every choice lies on one path |
| `path_counts_to` | paths of cells with other ends | refused |
| `build_union`, `cost_choices`, `cost_terms` | costs that are no sum over the choices | costs of the supernet |
| `takes`, `example_inputs` | networks of texts | networks of images |
| `drawing` | graphs in reports | a chain |
| `derived_space` | derivation rules that leave the space | the space itself |
| `canonical` | architectures of equal function recognised; rankings over distinct functions | all are different |
| `repair_path` | training paths that are not wasted | any path is trained |
| `build_inheriting_network` | networks that compute what a path of the supernet computes | `build_network` |
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeGuard, cast

import numpy as np

from raynas.errors import InputError
from raynas.search_space import Architecture, Choice, SearchSpace, Terms, WeightVector

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Drawing: TypeAlias = "dict[str, list[tuple[str, str, str]]]"
"""Graphs by name, each as edges (source, target, candidate). The first node is called ``in``, the last ``out``."""


def states(space: SearchSpace, method: str) -> bool:
    """Returns whether a space states a method or property, without running any code of the space."""
    return inspect.getattr_static(space, method, None) is not None


# Weights


class HasWeightVector(Protocol):
    """A space whose architectures can be ranked by angle or displacement."""

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns the weights of an architecture, as a definition of the angle concatenates them.

        `raynas.search_space.angle_parts` reads the definition, such as ``paper`` or ``official, skip empty``.
        """


class HasPaths(Protocol):
    """A space of cells, in which a choice may lie on several paths or on none."""

    def path_counts(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the number of live paths through each choice, ``(n, num_choices)`` int64."""


class HasPathEnds(Protocol):
    """A space of cells whose paths may end at other nodes too."""

    def path_counts_to(self, architectures: np.ndarray, ends: str) -> np.ndarray:
        """Returns `path_counts` of the paths that end at ``all`` nodes behind the inputs, or at the ``last`` one."""


def has_weight_vector(space: SearchSpace) -> bool:
    """Returns whether a space states a weight vector."""
    return states(space, "weight_vector")


def check_weight_vector(space: SearchSpace) -> None:
    """Checks that a space states a weight vector.

    Raises:
        InputError: If it does not.
    """
    if not has_weight_vector(space):
        raise InputError(f"{type(space).__name__} states no weight vector: override `weight_vector` to rank by angle")


def weight_vector_of(space: SearchSpace, definition: str) -> WeightVector:
    """Returns the weight vector of a space under a definition of the angle.

    Raises:
        InputError: If the space states none, or does not know the definition.
    """
    check_weight_vector(space)
    return cast(HasWeightVector, space).weight_vector(definition)


def _has_paths(space: SearchSpace) -> TypeGuard[HasPaths]:
    return states(space, "path_counts")


def path_counts_of(space: SearchSpace, architectures: np.ndarray, ends: str | None = None) -> np.ndarray:
    """Returns the number of live paths through each choice, ``(n, num_choices)`` int64: by default one, as in a chain.

    Args:
        space: The space.
        architectures: Candidate indices, ``(n, num_choices)``.
        ends: Where paths end, ``all`` or ``last``; None for where the space lets them end.

    Raises:
        InputError: If the space knows no other ends.
    """
    if ends is not None:
        if not states(space, "path_counts_to"):
            raise InputError(
                f"search.angle_ends: expected a space of cells whose paths may end at other nodes, got "
                f"{type(space).__name__}, which states no `path_counts_to`; leave it out"
            )
        return cast(HasPathEnds, space).path_counts_to(architectures, ends)
    if _has_paths(space):
        return space.path_counts(architectures)
    return np.ones(architectures.shape, dtype=np.int64)


def is_chain(space: SearchSpace) -> bool:
    """Returns whether a space is a chain of independent choices: no paths to count and nothing to repair."""
    return not _has_paths(space) and type(space).repair is SearchSpace.repair


# Inputs


class HasInputs(Protocol):
    """A space whose networks take something else than images.

    Attributes:
        takes: What a sample is, as a data set says what it holds: ``images`` or ``tokens``.
    """

    takes: str

    def example_inputs(self, number: int, size: int, device: torch.device) -> Tensor:
        """Returns inputs for trying a network: so many samples of a size, whose values do not matter."""


def takes_of(space: SearchSpace) -> str:
    """Returns what the networks of a space take: by default, ``images``."""
    taken: str = getattr(space, "takes", "images")
    return taken


def own_inputs_of(space: SearchSpace) -> Callable[[int, int, torch.device], Tensor] | None:
    """Returns what makes inputs for trying the networks of a space; None where they take images."""
    if states(space, "example_inputs"):
        return cast(HasInputs, space).example_inputs
    return None


# Costs


class HasUnion(Protocol):
    """A space whose supernet is not the union of its derived networks, for example in its normalisations."""

    def build_union(self, num_classes: int) -> nn.Module:
        """Returns the union of all derived networks, routed like a supernet by the choices that costs depend on."""


class HasCostChoices(Protocol):
    """A space whose costs add up over other choices than its own."""

    @property
    def cost_choices(self) -> tuple[Choice, ...]:
        """The choices that the union is routed by. The costs of their candidates add up."""


class HasCostTerms(Protocol):
    """A space in which an entry of an architecture costs something else than its own candidate."""

    def cost_terms(self, architectures: np.ndarray) -> Terms:
        """Returns for each entry of architectures, ``(n, num_choices)``, a cost choice and its candidate."""


def _has_union(space: SearchSpace) -> TypeGuard[HasUnion]:
    return states(space, "build_union")


def _has_cost_choices(space: SearchSpace) -> TypeGuard[HasCostChoices]:
    return states(space, "cost_choices")


def _has_cost_terms(space: SearchSpace) -> TypeGuard[HasCostTerms]:
    return states(space, "cost_terms")


def union_of(space: SearchSpace, num_classes: int) -> nn.Module:
    """Returns the union of all derived networks, from which costs are read: by default, the supernet."""
    if _has_union(space):
        return space.build_union(num_classes)
    return space.build_supernet(num_classes)


def cost_choices_of(space: SearchSpace) -> tuple[Choice, ...]:
    """Returns the choices that the union is routed by: by default, those of the space."""
    if _has_cost_choices(space):
        return space.cost_choices
    return space.choices


def cost_terms_of(space: SearchSpace) -> Callable[[np.ndarray], Terms] | None:
    """Returns the `terms_of` of a table of costs: None where each entry costs its own candidate."""
    if _has_cost_terms(space):
        return space.cost_terms
    return None


# Drawings, derivation, equal functions, training paths


class HasDrawing(Protocol):
    """A space whose architectures are not drawn as chains."""

    def drawing(self, architecture: Architecture) -> Drawing:
        """Returns the graphs of an architecture."""


class HasDerivation(Protocol):
    """A space with a derivation rule whose architectures belong to another space."""

    def derived_space(self, rule: str) -> SearchSpace:
        """Returns the space of the architectures that `SearchSpace.derive` returns under a rule.

        Another space must share the weights of this space's supernets by their names.
        """


class HasInheritingNetwork(Protocol):
    """A space whose derived networks compute something else than the paths of its supernet."""

    def build_inheriting_network(self, architecture: Architecture, num_classes: int) -> nn.Module:
        """Returns the network that computes, with weights of the supernet, what the supernet does on a path.

        Its parameters and buffers are named as in the supernet, but for weights and biases of normalisations that the
        supernet does not have.
        """


class HasCanonicalForm(Protocol):
    """A space in which different architectures compute the same function."""

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the representative of all architectures that compute the same function."""


class HasLiveForms(Protocol):
    """A space of cells whose supernet does not run what lies on no path."""

    def live_forms(self, architectures: np.ndarray) -> np.ndarray:
        """Returns architectures that compute the same, to the bit, with nothing on choices that lie on no path.

        Args:
            architectures: Candidate indices, ``(n, num_choices)``.
        """


class HasPathRepair(Protocol):
    """A space in which some sampled paths would train nothing."""

    def repair_path(self, path: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the path to train in place of a sampled one."""


def _has_drawing(space: SearchSpace) -> TypeGuard[HasDrawing]:
    return states(space, "drawing")


def _has_derivation(space: SearchSpace) -> TypeGuard[HasDerivation]:
    return states(space, "derived_space")


def _has_inheriting_network(space: SearchSpace) -> TypeGuard[HasInheritingNetwork]:
    return states(space, "build_inheriting_network")


def _has_canonical_form(space: SearchSpace) -> TypeGuard[HasCanonicalForm]:
    return states(space, "canonical")


def has_live_forms(space: SearchSpace) -> bool:
    """Returns whether a space states which architectures differ only in what lies on no path."""
    return states(space, "live_forms")


def _has_path_repair(space: SearchSpace) -> TypeGuard[HasPathRepair]:
    return states(space, "repair_path")


def drawing_of(space: SearchSpace, architecture: Architecture) -> Drawing:
    """Returns the graphs to draw of an architecture: by default, one chain of the choices."""
    if _has_drawing(space):
        return space.drawing(architecture)
    nodes = ["in", *map(str, range(1, len(space.choices))), "out"]
    chain = []
    for number, (choice, k) in enumerate(zip(space.choices, architecture, strict=True)):
        chain.append((nodes[number], nodes[number + 1], choice.candidates[k]))
    return {"chain": chain}


def derived_space_of(space: SearchSpace, rule: str) -> SearchSpace:
    """Returns the space of the architectures that `derive` returns under a rule: by default, the space itself.

    Raises:
        InputError: If the space does not have the rule.
    """
    if _has_derivation(space):
        return space.derived_space(rule)
    return space


def inheriting_network(space: SearchSpace, architecture: Architecture, num_classes: int) -> nn.Module:
    """Returns the network that computes what the supernet does on a path: by default, the derived network."""
    if _has_inheriting_network(space):
        return space.build_inheriting_network(architecture, num_classes)
    return space.build_network(architecture, num_classes)


def canonical_of(space: SearchSpace, architecture: Architecture) -> Architecture:
    """Returns the representative of all architectures of equal function: by default, the architecture itself."""
    if _has_canonical_form(space):
        return space.canonical(architecture)
    return architecture


def distinct_functions(space: SearchSpace, architectures: Sequence[Architecture]) -> np.ndarray:
    """Returns the positions of the first architecture of every function, ``(n,)`` int64, ascending."""
    first: dict[Architecture, int] = {}
    for position, architecture in enumerate(architectures):
        first.setdefault(canonical_of(space, architecture), position)
    return np.fromiter(first.values(), dtype=np.int64, count=len(first))


def live_forms_of(space: SearchSpace, architectures: np.ndarray) -> np.ndarray:
    """Returns architectures, ``(n, num_choices)``, without what lies on no path: by default, as they are."""
    if has_live_forms(space):
        return cast(HasLiveForms, space).live_forms(architectures)
    return architectures


def path_to_train(space: SearchSpace, path: Architecture, rng: np.random.Generator) -> Architecture:
    """Returns the path to train in place of a sampled one: by default, the sampled path."""
    if _has_path_repair(space):
        return space.repair_path(path, rng)
    return path
