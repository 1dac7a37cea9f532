"""What a space may state about the training of its derived networks: one small protocol each, as in `capabilities`.

| method of the space | what it gives | without it |
|---|---|---|
| `widened` | networks scaled to a limit of costs | refused |
| `sized_as` | sizes of recipes for another space, whose keys mean the same | its own |
| `build_network_with_auxiliary` | a second classifier while a network is trained | refused |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from raynas.capabilities import states
from raynas.errors import InputError
from raynas.search_space import Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import nn


class HasWidth(Protocol):
    """A space whose numbers of channels can be scaled."""

    def widened(self, factor: float) -> SearchSpace:
        """Returns the same space with all numbers of channels multiplied and rounded to what the space accepts.

        Architectures are the same. A small factor gives the narrowest space that there is.
        """


class HasAuxiliary(Protocol):
    """A space whose derived networks can be trained with a second classifier."""

    def build_network_with_auxiliary(
        self, architecture: Architecture, num_classes: int, second_norm: bool = True
    ) -> nn.Module:
        """Returns the network of one architecture with an auxiliary tower.

        In training mode it returns logits and those of the tower, in evaluation mode logits alone. The rest of the
        network is named as in `SearchSpace.build_network`, and has the same initial weights.

        Args:
            architecture: The architecture.
            num_classes: Number of classes.
            second_norm: Whether the tower has its second batch normalisation.
        """


def has_width(space: SearchSpace) -> bool:
    """Returns whether a space can be widened."""
    return states(space, "widened")


def widened_of(space: SearchSpace, factor: float) -> SearchSpace:
    """Returns a space with its numbers of channels multiplied by a factor.

    Raises:
        InputError: If the space cannot be widened.
    """
    if not has_width(space):
        raise InputError(f"{type(space).__name__} has no width: add `widened` to scale its networks")
    return cast(HasWidth, space).widened(factor)


def size_of(space_class: type[SearchSpace]) -> str:
    """Returns the name of the space whose keys state sizes as a space's own do: by default, its own name."""
    stated: str = getattr(space_class, "sized_as", None) or space_class.name
    return stated


def has_auxiliary(space: SearchSpace) -> bool:
    """Returns whether the derived networks of a space can be trained with a second classifier."""
    return states(space, "build_network_with_auxiliary")


def network_with_auxiliary_of(
    space: SearchSpace, architecture: Architecture, num_classes: int, second_norm: bool
) -> nn.Module:
    """Returns the network of one architecture with an auxiliary tower, with or without its second normalisation.

    Raises:
        InputError: If the space has no such tower.
    """
    if not has_auxiliary(space):
        raise InputError(
            f"retrain.auxiliary: networks of {type(space).__name__} have no auxiliary tower; set it to none, or add "
            "`build_network_with_auxiliary` to the space"
        )
    return cast(HasAuxiliary, space).build_network_with_auxiliary(architecture, num_classes, second_norm)
