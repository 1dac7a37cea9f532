"""Architectures that differ from another one in one choice: a random one, or all of them."""

from __future__ import annotations

import numpy as np

from raynas.search_space import Architecture, SearchSpace


def random_neighbour(space: SearchSpace, architecture: Architecture, rng: np.random.Generator) -> Architecture:
    """Returns the architecture with another candidate at one choice, repaired.

    Choice and candidate are uniform. Choices with one candidate are never taken; without others it stays as it is.
    """
    open_choices = [position for position, choice in enumerate(space.choices) if len(choice.candidates) > 1]
    if not open_choices:
        return architecture
    position = open_choices[int(rng.integers(len(open_choices)))]
    candidate = int(rng.integers(len(space.choices[position].candidates) - 1))
    if candidate >= architecture[position]:  # the candidate that is there is left out
        candidate += 1
    return space.repair((*architecture[:position], candidate, *architecture[position + 1 :]), rng)


def all_neighbours(space: SearchSpace, architecture: Architecture, rng: np.random.Generator) -> list[Architecture]:
    """Returns every architecture that another candidate at one choice gives, repaired; each once, without itself."""
    found: dict[Architecture, None] = {}
    for position, choice in enumerate(space.choices):
        for candidate in range(len(choice.candidates)):
            if candidate != architecture[position]:
                changed = (*architecture[:position], candidate, *architecture[position + 1 :])
                found[space.repair(changed, rng)] = None
    found.pop(architecture, None)
    return list(found)
