"""SNAS as a user would write it: an algorithm with a new kind of gate, in one file.

Every candidate runs, weighted by a relaxed sample: softmax((log p + o) / tau), p = softmax(alpha), o Gumbel(0, 1).

Reference: Xie, Zheng, Liu, Lin 2019, "SNAS: Stochastic Neural Architecture Search", ICLR, Eq. 5.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from raynas.algorithms import Algorithm
from raynas.supernet.gates import Gate, Route, RoutedStep, RouteRule


def relaxed_samples(step: RoutedStep, alphas: Sequence[Tensor]) -> list[Route]:
    """Returns the route of a step."""
    generator = step.generator()
    gates = []
    for alpha in alphas:
        noise = -torch.empty(len(alpha)).exponential_(generator=generator).log()
        logits = torch.log_softmax(alpha, dim=0) + noise.to(alpha.device)
        weights = torch.softmax(logits / step.temperature, dim=0)
        gates.append(Gate(tuple(range(len(alpha))), weights))
    return [tuple(gates)]


CONCRETE = RouteRule("concrete", "all candidates, weighted by a relaxed sample", relaxed_samples, has_temperature=True)

SNAS = Algorithm(
    name="snas",
    sampling=CONCRETE,
    gates=CONCRETE,
    labels="true",
    search="derive",
    fitness="one_shot_accuracy",
    derivation="with_none",
)
