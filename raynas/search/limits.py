"""What an architecture may cost to be proposed at all."""

from __future__ import annotations

import math

import numpy as np

from raynas.errors import InputError
from raynas.search_space import AdditiveTable


def limit_keys(cost: str) -> tuple[str, str]:
    """Returns the keys of the upper and the lower limit on a cost: ``max_parameters`` of ``num_parameters``."""
    what = cost.removeprefix("num_")
    return f"max_{what}", f"min_{what}"


class Limits:
    """Bounds on the costs of an architecture; both ends are allowed. Written in YAML under ``search.limits``.

    Attributes:
        table: Where the costs of an architecture are read, as `supernet/costs.py` traces them.
    """

    def __init__(self, table: AdditiveTable, **bounds: float | None) -> None:
        """Takes the costs, and bounds by their keys.

        Args:
            table: Where the costs of an architecture are read.
            bounds: By the keys that `limit_keys` makes of the costs in the table, such as ``max_multiply_adds`` (600e6
                is the mobile setting); None for no bound.

        Raises:
            InputError: If a bound is no number, a minimum exceeds its maximum, or the table lacks the cost.
        """
        self.table = table
        given = {key: bound for key, bound in bounds.items() if bound is not None}
        for key, bound in given.items():
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not 0 <= bound < math.inf:
                raise InputError(f"search.limits.{key} is a number of at least 0, got {bound!r}")
        self._stated: dict[str, tuple[str, float]] = {}
        for cost in table.quantities:
            highest, lowest = limit_keys(cost)
            for key in (highest, lowest):
                if key in given:
                    self._stated[key] = cost, given[key]
            if highest in given and lowest in given and given[lowest] > given[highest]:
                raise InputError(
                    f"search.limits.{lowest}: {_short(given[lowest])} exceeds search.limits.{highest}: "
                    f"{_short(given[highest])}"
                )
        for key in given:
            if key not in self._stated:
                raise InputError(
                    f"search.limits.{key} bounds {key[len('max_') :]}, but the space states only "
                    f"{', '.join(table.quantities) or 'nothing'}"
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
        """Returns the limits that are set: key, which begins with ``max`` or ``min``, to cost and bound."""
        return dict(self._stated)

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
