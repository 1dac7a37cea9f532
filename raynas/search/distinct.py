"""Drawing architectures that are new and within the limits, with a bound on how long that may take.

Draws outside the limits are rejected, which leaves their distribution within the limits as it was, as long as enough
of them are inside. Where that fails they are not wasted: each is brought in, by drawing some of its choices anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from raynas.errors import InputError
from raynas.search.limits import Limits
from raynas.search_space import Architecture, SearchSpace, as_array, sample

PATIENCE = 5_000
"""Draws in a row that may bring nothing new before random sampling gives up."""

DRAWS = 100
"""Draws for each random architecture wanted before those outside the limits are brought in."""

SWEEPS = 10
"""How often every choice may be drawn anew to bring an architecture in."""

SMALLEST_BLOCK = 32
"""Draws that are checked against the limits at once: a call of numpy costs as much for one as for a few."""


def draw_distinct(
    space: SearchSpace,
    rng: np.random.Generator,
    draw: Callable[[], Architecture],
    wanted: int,
    tries: int,
    taken: set[Architecture],
    limits: Limits | None,
    excluded: Collection[str] = (),
) -> list[Architecture]:
    """Returns up to `wanted` architectures that are not in `taken` and within the limits, and adds them to `taken`.

    Those drawn within the limits come first. Only if they are too few after all tries, the others drawn are brought in,
    in the order drawn (`bring_in`): these are not distributed as `draw` is.

    Args:
        space: The space.
        rng: Source of all randomness besides that of `draw`.
        draw: Draws one architecture.
        wanted: How many to return.
        tries: How often to draw before settling for fewer.
        taken: Architectures not to return.
        limits: Bounds on the costs of an architecture, if any.
        excluded: Names of candidates that bringing in never draws.
    """
    found: list[Architecture] = []
    outside: dict[Architecture, None] = {}
    while len(found) < wanted and tries > 0:
        block = min(tries, max(wanted - len(found), SMALLEST_BLOCK))
        tries -= block
        drawn = dict.fromkeys(draw() for _ in range(block))
        new = [architecture for architecture in drawn if architecture not in taken]
        if limits is not None and new:
            admitted = limits.admits(as_array(new))
            outside.update(dict.fromkeys(new[index] for index in np.flatnonzero(~admitted)))
            new = [new[index] for index in np.flatnonzero(admitted)]
        new = new[: wanted - len(found)]
        taken.update(new)
        found += new
    waiting = list(outside)
    while limits is not None and len(found) < wanted and waiting:
        block = max(wanted - len(found), SMALLEST_BLOCK)
        brought = dict.fromkeys(bring_in(space, waiting[:block], limits, rng, excluded))
        new = [architecture for architecture in brought if architecture not in taken][: wanted - len(found)]
        if not new:
            break
        waiting = waiting[block:]
        taken.update(new)
        found += new
    return found


def bring_in(
    space: SearchSpace,
    architectures: list[Architecture],
    limits: Limits,
    rng: np.random.Generator,
    excluded: Collection[str] = (),
) -> list[Architecture]:
    """Returns architectures within the limits near those given, the same or fewer.

    Of each, one choice after the other is drawn anew, in random order, and the whole repaired; what comes of it is kept
    if it is less outside (`Limits.excess`). It ends within the limits, or is left out after `SWEEPS` of all choices.

    Args:
        space: The space.
        architectures: What to bring in.
        limits: Bounds on the costs of an architecture.
        rng: Source of all randomness.
        excluded: Names of candidates that are not drawn, where a choice has others.
    """
    allowed = []
    for choice in space.choices:
        kept = [number for number, name in enumerate(choice.candidates) if name not in excluded]
        allowed.append(kept or list(range(len(choice.candidates))))
    now = list(architectures)
    excess = limits.excess(as_array(now))
    for turn in range(SWEEPS * len(allowed)):
        outside = np.flatnonzero(excess > 0).tolist()
        if not outside:
            break
        if turn % len(allowed) == 0:
            positions = rng.permuted(np.tile(np.arange(len(allowed)), (len(now), 1)), axis=1)
        changed = []
        for index in outside:
            position = int(positions[index, turn % len(allowed)])
            candidate = allowed[position][int(rng.integers(len(allowed[position])))]
            changed.append(space.repair((*now[index][:position], candidate, *now[index][position + 1 :]), rng))
        for index, one, less in zip(outside, changed, limits.excess(as_array(changed)).tolist(), strict=True):
            if less < excess[index]:
                now[index], excess[index] = one, less
    return [architecture for architecture, outside in zip(now, excess > 0, strict=True) if not outside]


def sample_distinct(
    space: SearchSpace, rng: np.random.Generator, wanted: int, taken: set[Architecture], limits: Limits | None
) -> list[Architecture]:
    """Returns up to `wanted` random architectures, not in `taken` and within the limits, and adds them to `taken`.

    They are uniform among those not taken within the limits (where `sample` is uniform) as long as `DRAWS` draws for
    each are enough, so where the limits admit well over one architecture in `DRAWS`. Beyond that the rest of them are
    drawn at random and brought in, which favours what is near the limits.

    They are fewer where the space within the limits is nearly exhausted: `PATIENCE` draws at least were in vain.

    Raises:
        InputError: If the limits admit not even a first one, naming the limit to change.
    """
    drawn: list[Architecture] = []

    def draw() -> Architecture:
        architecture = sample(space, rng)
        drawn.append(architecture)
        return architecture

    found: list[Architecture] = []
    while len(found) < wanted:
        drawn.clear()
        left = wanted - len(found)
        tries = PATIENCE if limits is None else max(PATIENCE, DRAWS * left)
        new = draw_distinct(space, rng, draw, left, tries, taken, limits)
        if not new:
            break
        found += new
    if limits is not None and not taken:
        raise InputError(limits.explain(as_array(drawn)))
    return found
