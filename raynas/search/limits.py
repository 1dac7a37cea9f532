"""What an architecture may cost to be proposed at all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from raynas.search_space import AdditiveTable


@dataclass(frozen=True, eq=False)
class Limits:
    """Bounds on the costs of an architecture; both ends are allowed. Written in YAML under ``search.limits``.

    Attributes:
        table: Where the costs of an architecture are read, as `supernet/costs.py` traces them.
        max_parameters: The most parameters, an absolute count.
        min_parameters: The fewest parameters.
        max_multiply_adds: The most multiply-adds for one image, an absolute count (600e6 is the mobile setting).
        min_multiply_adds: The fewest multiply-adds.

    Raises:
        ValueError: If a bound is no number, a minimum exceeds its maximum, or the table lacks the quantity.
    """

    table: AdditiveTable
    max_parameters: float | None = None
    min_parameters: float | None = None
    max_multiply_adds: float | None = None
    min_multiply_adds: float | None = None
    max_latency: float | None = None
    min_latency: float | None = None

    def __post_init__(self) -> None:
        """Checks the bounds as the user wrote them."""
        stated = self.stated()
        for key, (quantity, bound) in stated.items():
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 <= bound < math.inf:
                raise ValueError(f"search.limits.{key} is a number of at least 0, got {bound!r}")
            if quantity not in self.table.quantities:
                raise ValueError(
                    f"search.limits.{key} bounds {quantity}, but the space states only "
                    f"{', '.join(self.table.quantities) or 'nothing'}"
                )
        for key, (_, bound) in stated.items():
            highest = "max" + key.removeprefix("min")
            if key.startswith("min") and highest in stated and bound > stated[highest][1]:
                raise ValueError(
                    f"search.limits.{key}: {_short(bound)} exceeds search.limits.{highest}: "
                    f"{_short(stated[highest][1])}"
                )

    def admits(self, architectures: np.ndarray) -> np.ndarray:
        """Returns which architectures, ``(n, num_choices)``, keep all limits, ``(n,)`` bool."""
        admitted: np.ndarray = np.all(self.kept(architectures), axis=0)
        return admitted

    def kept(self, architectures: np.ndarray) -> np.ndarray:
        """Returns which limits, in the order of `stated`, which architectures keep, ``(limits, n)`` bool."""
        kept = [kept for kept, _ in self._kept(architectures).values()]
        return np.array(kept, dtype=bool).reshape(len(kept), len(architectures))

    def excess(self, architectures: np.ndarray) -> np.ndarray:
        """Returns how far each architecture, ``(n, num_choices)``, is outside, ``(n,)``: 0 within all limits.

        It is the sum over the limits of what an architecture is above a maximum or below a minimum, as a share of the
        limit (of one unit, where the limit is 0).
        """
        excess = np.zeros(len(architectures))
        for key, (_, cost) in self._kept(architectures).items():
            bound = self.stated()[key][1]
            excess += np.maximum(cost - bound if key.startswith("max") else bound - cost, 0) / (bound or 1)
        return excess

    def explain(self, architectures: np.ndarray, described: str = "") -> str:
        """Returns one line on why these architectures, ``(n, num_choices)``, are not admitted.

        It names the limit that excludes most of them, the nearest value seen, and what to change.

        Args:
            architectures: Which.
            described: How the line calls them; so many sampled architectures by default.
        """
        kept_and_costs = self._kept(architectures)
        key = min(kept_and_costs, key=lambda name: int(kept_and_costs[name][0].sum()))
        kept, cost = kept_and_costs[key]
        upper = key.startswith("max")
        count = f"{kept.sum():,}" if kept.any() else "none"
        rest = " and the other limits none of these" if kept.any() else ""
        return (
            f"search.limits.{key}: {_short(self.stated()[key][1])} admits {count} of "
            f"{described or f'{len(architectures):,} sampled architectures'} "
            f"({'smallest' if upper else 'largest'} seen: {_short(cost.min() if upper else cost.max())})"
            f"{rest}; {'raise' if upper else 'lower'} the limit"
        )

    def stated(self) -> dict[str, tuple[str, float]]:
        """Returns the limits that are set: key, which begins with ``max`` or ``min``, to quantity and bound."""
        every = {
            "max_parameters": ("num_parameters", self.max_parameters),
            "min_parameters": ("num_parameters", self.min_parameters),
            "max_multiply_adds": ("multiply_adds", self.max_multiply_adds),
            "min_multiply_adds": ("multiply_adds", self.min_multiply_adds),
            "max_latency": ("latency", self.max_latency),
            "min_latency": ("latency", self.min_latency),
        }
        return {key: (quantity, bound) for key, (quantity, bound) in every.items() if bound is not None}

    def _kept(self, architectures: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns, for each limit that is set, which architectures keep it and what they cost, both ``(n,)``."""
        totals = self.table.total(architectures)
        kept = {}
        for key, (quantity, bound) in self.stated().items():
            cost = totals[:, self.table.quantities.index(quantity)]
            kept[key] = (cost <= bound if key.startswith("max") else cost >= bound, cost)
        return kept


def _short(number: float) -> str:
    """Returns a number to four digits, as ``7.8e6``."""
    mantissa, _, exponent = f"{number:.3e}".partition("e")
    mantissa = mantissa.rstrip("0")
    return f"{mantissa}{'0' if mantissa.endswith('.') else ''}e{int(exponent)}"
