"""Sampling of architectures that are new and within the limits, with a bound on the number of tries.

Samples outside the limits are rejected. Rejection does not change the distribution within the limits, if enough samples
lie inside. Otherwise the rejected samples are used: resampling some of their choices brings them within the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from raynas.errors import InputError
from raynas.search.limits import Limits
from raynas.search_space import Architecture, SearchSpace, as_array, sample

PATIENCE = 5_000
"""Consecutive samples without a new architecture after which random sampling gives up."""

DRAWS = 100
"""Samples for each wanted architecture before samples outside the limits are brought in."""

SWEEPS = 10
"""Number of times that every choice may be resampled to bring an architecture in."""

SMALLEST_BLOCK = 32
"""Samples checked against the limits together: one numpy call costs as much for one sample as for a few."""


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
    """Returns up to `wanted` architectures within the limits that are not in `taken`, and adds them to `taken`.

    Samples within the limits come first. If all tries give too few of them, `bring_in` changes the other samples, in
    their order. The changed samples do not follow the distribution of `draw`.

    Args:
        space: The space.
        rng: Source of all randomness besides that of `draw`.
        draw: Samples one architecture.
        wanted: Number of architectures to return.
        tries: Number of samples after which fewer architectures are returned.
        taken: Architectures not to return.
        limits: Bounds on the costs of an architecture, if any.
        excluded: Names of candidates that `bring_in` never samples.
    """
    found: list[Architecture] = []
    outside: dict[Architecture, None] = {}
    while len(found) < wanted and tries > 0:
        block = min(tries, max(wanted - len(found), SMALLEST_BLOCK))
        tries -= block
        sampled = dict.fromkeys(draw() for _ in range(block))
        new = [architecture for architecture in sampled if architecture not in taken]
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
    """Returns architectures within the limits that are near the given ones, as many or fewer.

    The choices of each architecture are resampled one by one, in random order, and the result is repaired. A change is
    kept if it reduces the excess over the limits (`Limits.excess`). An architecture that is still outside the limits
    after `SWEEPS` passes over all choices is left out.

    Args:
        space: The space.
        architectures: Architectures outside the limits.
        limits: Bounds on the costs of an architecture.
        rng: Source of all randomness.
        excluded: Names of candidates that are not sampled, where a choice has others.
    """
    allowed = []
    for choice in space.choices:
        kept = [number for number, name in enumerate(choice.candidates) if name not in excluded]
        allowed.append(kept or list(range(len(choice.candidates))))
    current = list(architectures)
    excess = limits.excess(as_array(current))
    for turn in range(SWEEPS * len(allowed)):
        outside = np.flatnonzero(excess > 0).tolist()
        if not outside:
            break
        if turn % len(allowed) == 0:
            positions = rng.permuted(np.tile(np.arange(len(allowed)), (len(current), 1)), axis=1)
        changed = []
        for index in outside:
            position = int(positions[index, turn % len(allowed)])
            candidate = allowed[position][int(rng.integers(len(allowed[position])))]
            changed.append(space.repair((*current[index][:position], candidate, *current[index][position + 1 :]), rng))
        for index, repaired, reduced in zip(outside, changed, limits.excess(as_array(changed)).tolist(), strict=True):
            if reduced < excess[index]:
                current[index], excess[index] = repaired, reduced
    return [architecture for architecture, outside in zip(current, excess > 0, strict=True) if not outside]


def sample_distinct(
    space: SearchSpace, rng: np.random.Generator, wanted: int, taken: set[Architecture], limits: Limits | None
) -> list[Architecture]:
    """Returns up to `wanted` random architectures within the limits, not in `taken`, and adds them to `taken`.

    They are uniform among the new architectures within the limits (where `sample` is uniform), if `DRAWS` samples for
    each are enough. This holds if the limits admit well over one architecture in `DRAWS`. Otherwise the missing ones
    are random samples that were brought in, which favours architectures near the limits.

    Fewer are returned if the space within the limits is nearly exhausted: at least `PATIENCE` samples were not new.

    Raises:
        InputError: If the limits admit no sample at all; the message names the limit to change.
    """
    sampled: list[Architecture] = []

    def draw() -> Architecture:
        architecture = sample(space, rng)
        sampled.append(architecture)
        return architecture

    found: list[Architecture] = []
    while len(found) < wanted:
        sampled.clear()
        left = wanted - len(found)
        tries = PATIENCE if limits is None else max(PATIENCE, DRAWS * left)
        new = draw_distinct(space, rng, draw, left, tries, taken, limits)
        if not new:
            break
        found += new
    if limits is not None and not taken:
        raise InputError(limits.explain(as_array(sampled)))
    return found
