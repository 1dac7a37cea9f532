r"""SWAP: how many different patterns the activations of an untrained network have over the images of a batch.

    swap(a) = | { ( [x_v(1) > 0], ..., [x_v(n) > 0] ) : v } |
    swap_regularised(a) = swap(a) * exp( - (P - mu)^2 / sigma )

x_v(i) is the input at position v of a ReLU for image i. All positions of all ReLUs on feature maps are counted. P is
the number of parameters in thousands.

Reference: Peng, Song, Fayek, Ciesielski, Chang 2024, "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-Fast NAS",
ICLR, and its code, which counts parameters in thousands.

Departs from the code: P counts the weights of the convolutions and linear layers that the network runs. Normalisations
and operations on no path do not count. `search.swap_mu` and `search.swap_sigma` have no defaults. A network without a
path has one or two patterns, the fewest that there are.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from raynas.errors import InputError
from raynas.fitness.probe import RELUS, WEIGHTED, Probe
from raynas.fitness.row import FitnessRow, ScoreOptions

WORD = 64
"""Images of a pattern that one number holds."""


@torch.no_grad()
def swap(probe: Probe, options: ScoreOptions) -> float:
    """Returns the number of different patterns over the images of a batch."""
    _, calls = probe.logits_and_calls(RELUS)
    bits = [(call.x > 0).flatten(1).cpu().numpy() for call in calls if call.x.dim() == 4]
    return float(distinct_columns(np.concatenate(bits, axis=1))) if bits else 0.0


@torch.no_grad()
def swap_regularised(probe: Probe, options: ScoreOptions) -> float:
    """Returns the number of different patterns, times a Gaussian of the number of parameters."""
    assert options.swap_mu is not None
    assert options.swap_sigma is not None
    distance = num_parameters(probe) / 1_000 - options.swap_mu
    return swap(probe, options) * math.exp(-(distance**2) / options.swap_sigma)


@torch.no_grad()
def num_parameters(probe: Probe) -> int:
    """Returns the number of weights and biases of the convolutions and linear layers that a network runs."""
    _, calls = probe.logits_and_calls(WEIGHTED)
    layers = {id(call.layer): call.layer for call in calls}
    total = 0
    for layer in layers.values():
        total += sum(parameter.numel() for parameter in layer.parameters())
    return total


def distinct_columns(bits: np.ndarray) -> int:
    """Returns how many different columns an array of booleans, ``(n, m)``, has."""
    padded = np.zeros((-(-len(bits) // WORD) * WORD, bits.shape[1]), dtype=bool)
    padded[: len(bits)] = bits
    columns = np.ascontiguousarray(np.packbits(padded, axis=0).T)
    words = columns.view(np.uint64)
    return len(np.unique(words[:, 0] if words.shape[1] == 1 else words, axis=0))


def _check(options: ScoreOptions) -> None:
    """Checks that the preferred number of parameters is stated.

    Raises:
        InputError: If it is not.
    """
    for key in ("swap_mu", "swap_sigma"):
        if getattr(options, key) is None:
            raise InputError(
                f"search.{key}: expected a number for search.fitness: swap_regularised, got none; set it, or take swap"
            )


SWAP = FitnessRow(name="swap", title="SWAP", digits=0, options=ScoreOptions, score=swap)
SWAP_REGULARISED = FitnessRow(
    name="swap_regularised",
    title="regularised SWAP",
    digits=3,
    options=ScoreOptions,
    definition=lambda options: f"mu {options.swap_mu:g}, sigma {options.swap_sigma:g}" if options.swap_sigma else "",
    score=swap_regularised,
    check=_check,
)
