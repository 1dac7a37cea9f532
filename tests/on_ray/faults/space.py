"""The space that the campaign searches: NAS-Bench-201's, in small; importing it counts what is evaluated.

Every process that evaluates imports it, so that it can note each architecture it has evaluated in the file that the
environment names: what is noted twice was evaluated again.
"""

import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from raynas.fitness.inherited_weights import WithInheritedWeights
from raynas.search_space import Architecture
from raynas.spaces.nasbench201 import NasBench201

EVALUATED = "RAYNAS_FAULTS_EVALUATED"
"""The environment variable that names the file of what was evaluated: a line of time and architecture each."""

Evaluating = Callable[[WithInheritedWeights, Sequence[Architecture]], np.ndarray]


def _noted(evaluate: Evaluating) -> Evaluating:
    @functools.wraps(evaluate)
    def evaluate_and_note(self: WithInheritedWeights, architectures: Sequence[Architecture]) -> np.ndarray:
        rows = evaluate(self, architectures)
        if EVALUATED in os.environ:
            with open(os.environ[EVALUATED], "a") as stream:
                stream.write("".join(f"{time.time()} {architecture}\n" for architecture in architectures))
        return rows

    return evaluate_and_note


WithInheritedWeights.__call__ = _noted(WithInheritedWeights.__call__)  # type: ignore[method-assign]


@dataclass(frozen=True)
class CountedSpace(NasBench201):
    name: ClassVar[str] = "counted"
