"""Random weights of NAS-Bench-201 supernets, and the angle as the paper and its code concatenate it."""

from __future__ import annotations

import math

import torch

from raynas.spaces.nasbench201 import NasBench201
from tests.spaces.textbook import EDGES, PATHS


def random_weights(space: NasBench201, seed: int, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """Returns weights of two independent kinds: the layers' own initialisation, and noise on all that starts equal."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = space.build_supernet(10).state_dict()
        return {
            name: value.to(dtype) + (torch.randn(value.shape, dtype=dtype) / 3 if "bn." in name else 0)
            for name, value in state.items()
            if value.is_floating_point()
        }


def fixed_parts(weights: dict[str, torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Returns the head (stem, the two residual blocks) and the tail of the code's vector."""
    head = [weights[name] for name in ("stem.conv.weight", "stem.bn.weight", "stem.bn.bias")]
    for block in ("reductions.0", "reductions.1"):
        for layer in ("conv_a", "conv_b"):
            head += [weights[f"{block}.{layer}.{part}"] for part in ("conv.weight", "bn.weight", "bn.bias")]
        head.append(weights[f"{block}.downsample.1.weight"])
    tail = [weights[name] for name in ("last_bn.weight", "last_bn.bias", "classifier.weight", "classifier.bias")]
    return head, tail


COUNTED = {
    "paper": "full",
    "official": "extras",
    "published": "extras",
    "paper, skip identity": "full identity",
    "paper, pool per_channel": "",
    "official, extras none, skip identity": "identity",
    "official, pool full, norms counted": "extras full norms",
}
"""Definitions of the angle: what is in the vector beside kernels. Full: poolings as (C, C, 3, 3)."""


def concatenated(weights, architecture, channels, cells, definition, paths=PATHS):
    """Returns V(a, W) built in full, path by path, or None where every path holds a ``none``."""
    counted = COUNTED[definition].split()
    head, tail = fixed_parts(weights) if "extras" in counted else ([], [])
    vector = list(head)
    live = False
    for path in paths:
        if any(architecture[EDGES[edge]] == 0 for edge in path):
            continue
        live = True
        for cell in range(3 * cells):
            c = channels * 2 ** (cell // cells)
            for edge in path:
                name = f"cells.{cell}.edges.{EDGES[edge]}"
                operation = architecture[EDGES[edge]]
                if operation == 1 and "identity" in counted:
                    vector.append(torch.eye(c, dtype=torch.float64))
                elif operation in (2, 3):
                    layer = f"{name}.{'nor_conv_1x1' if operation == 2 else 'nor_conv_3x3'}"
                    vector.append(weights[f"{layer}.conv.weight"])
                    if "norms" in counted and f"{layer}.bn.weight" in weights:
                        vector += [weights[f"{layer}.bn.weight"], weights[f"{layer}.bn.bias"]]
                elif operation == 4:
                    shape = (c, c, 3, 3) if "full" in counted else (c, 3, 3)
                    vector.append(torch.full(shape, 1 / 9, dtype=torch.float64))
    if not live:
        return None
    return torch.cat([torch.zeros(0, dtype=torch.float64), *(part.double().flatten() for part in [*vector, *tail])])


def plain_angle(initial, trained, architecture, channels, cells, definition, paths=PATHS):
    """Returns the angle between the two concatenated vectors, 0 without a live path and for empty vectors.

    By half-angles, tan(angle / 2) = |u - v| / |u + v| of unit vectors, which keeps its digits near zero.
    """
    before, after = (concatenated(w, architecture, channels, cells, definition, paths) for w in (initial, trained))
    if before is None or not before.numel():
        return 0.0
    u, v = (vector / vector.square().sum().sqrt() for vector in (before, after))
    return 2 * math.atan2((u - v).square().sum().sqrt().item(), (u + v).square().sum().sqrt().item())
