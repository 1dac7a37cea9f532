"""The space that the campaign searches: NAS-Bench-201's, in small; importing it counts what is judged.

Every process that judges imports it, so that it can note each architecture it has judged in the file that the
environment names: what is noted twice was judged again.
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

JUDGED = "RAYNAS_FAULTS_JUDGED"
"""The environment variable that names the file of what was judged: a line of time and architecture each."""

Judging = Callable[[WithInheritedWeights, Sequence[Architecture]], np.ndarray]


def _noted(judge: Judging) -> Judging:
    @functools.wraps(judge)
    def judge_and_note(self: WithInheritedWeights, architectures: Sequence[Architecture]) -> np.ndarray:
        rows = judge(self, architectures)
        if JUDGED in os.environ:
            with open(os.environ[JUDGED], "a") as stream:
                stream.write("".join(f"{time.time()} {architecture}\n" for architecture in architectures))
        return rows

    return judge_and_note


WithInheritedWeights.__call__ = _noted(WithInheritedWeights.__call__)  # type: ignore[method-assign]


@dataclass(frozen=True)
class CountedSpace(NasBench201):
    name: ClassVar[str] = "counted"
