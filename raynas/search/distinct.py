"""Drawing architectures that are new and within the limits, with a bound on how long that may take."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from raynas.search.limits import Limits
from raynas.search_space import Architecture, SearchSpace, as_array, sample

PATIENCE = 5_000
"""Draws in a row that may bring nothing new before random sampling gives up."""

SMALLEST_BLOCK = 32
"""Draws that are checked against the limits at once: a call of numpy costs as much for one as for a few."""


def draw_distinct(
    draw: Callable[[], Architecture], wanted: int, tries: int, taken: set[Architecture], limits: Limits | None
) -> list[Architecture]:
    """Returns up to `wanted` architectures that are not in `taken` and within the limits, and adds them to `taken`.

    Args:
        draw: Draws one architecture.
        wanted: How many to return.
        tries: How often to draw before settling for fewer.
        taken: Architectures not to return.
        limits: Bounds on the costs of an architecture, if any.
    """
    found: list[Architecture] = []
    while len(found) < wanted and tries > 0:
        block = min(tries, max(wanted - len(found), SMALLEST_BLOCK))
        tries -= block
        drawn = dict.fromkeys(draw() for _ in range(block))
        new = [architecture for architecture in drawn if architecture not in taken]
        if limits is not None and new:
            new = [new[index] for index in np.flatnonzero(limits.admits(as_array(new)))]
        new = new[: wanted - len(found)]
        taken.update(new)
        found += new
    return found


def sample_distinct(
    space: SearchSpace, rng: np.random.Generator, wanted: int, taken: set[Architecture], limits: Limits | None
) -> list[Architecture]:
    """Returns up to `wanted` random architectures, not in `taken` and within the limits, and adds them to `taken`.

    They are fewer where the space within the limits is nearly exhausted: after `PATIENCE` draws in a row in vain.

    Raises:
        ValueError: If the limits admit not even a first one, naming the limit to change.
    """
    drawn: list[Architecture] = []

    def draw() -> Architecture:
        architecture = sample(space, rng)
        drawn.append(architecture)
        return architecture

    found: list[Architecture] = []
    while len(found) < wanted:
        drawn.clear()
        new = draw_distinct(draw, wanted - len(found), PATIENCE, taken, limits)
        if not new:
            break
        found += new
    if limits is not None and not taken:
        raise ValueError(limits.explain(as_array(drawn)))
    return found
