"""Widths of networks: the widest network of an architecture within a limit of multiply-adds."""

from __future__ import annotations

from raynas.errors import InputError
from raynas.network_capabilities import widened_of
from raynas.search_space import Architecture, SearchSpace
from raynas.supernet.costs import architecture_costs

NARROWEST = 1e-4
"""A factor that leaves the narrowest space that there is."""

PRECISION = 1e-4
"""Where bisection ends: two factors that differ by this share."""


class _Widths:
    """The multiply-adds of an architecture by the width of its space, each counted once."""

    def __init__(self, space: SearchSpace, architecture: Architecture, num_classes: int, resolution: int) -> None:
        self._space, self._architecture = space, architecture
        self._num_classes, self._resolution = num_classes, resolution
        self._counted: dict[SearchSpace, int] = {}

    def multiply_adds(self, factor: float) -> float:
        """Returns the multiply-adds; infinity where the space cannot be that wide."""
        try:
            space = widened_of(self._space, factor)
        except InputError:
            if factor <= 1:
                raise
            return float("inf")
        if space not in self._counted:
            _, self._counted[space] = architecture_costs(space, self._architecture, self._resolution, self._num_classes)
        return self._counted[space]


def fitted(
    space: SearchSpace, architecture: Architecture, num_classes: int, resolution: int, max_multiply_adds: int
) -> SearchSpace:
    """Returns the widest space whose network of an architecture has at most so many multiply-adds.

    The papers' ImageNet networks are made so: the channels C of a cell are as many as 600 million allow. Multiply-adds
    grow with the width, so that bisection over its factor finds it.

    Args:
        space: The space; its own width is where the search starts.
        architecture: The architecture.
        num_classes: Number of classes.
        resolution: Height and width of an image.
        max_multiply_adds: The limit, for one image.

    Raises:
        InputError: If the space cannot be widened, or even its narrowest network has more.
    """
    widths = _Widths(space, architecture, num_classes, resolution)
    least = widths.multiply_adds(NARROWEST)
    if least > max_multiply_adds:
        raise InputError(
            f"retrain.max_multiply_adds: {max_multiply_adds:,} admits no network of this architecture; the narrowest "
            f"one has {least:,}; raise it"
        )
    within, beyond = 1.0, 2.0
    while widths.multiply_adds(within) > max_multiply_adds:
        within, beyond = within / 2, within
    while widths.multiply_adds(beyond) <= max_multiply_adds:
        within, beyond = beyond, beyond * 2

    while beyond - within > PRECISION * within:
        middle = (within + beyond) / 2
        if widths.multiply_adds(middle) <= max_multiply_adds:
            within = middle
        else:
            beyond = middle
    return widened_of(space, within)
