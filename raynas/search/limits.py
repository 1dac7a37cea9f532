"""Limits on the costs of the architectures that a searcher proposes."""

from __future__ import annotations

import math

import numpy as np

from raynas.errors import InputError
from raynas.search_space import AdditiveTable


def limit_keys(cost: str) -> tuple[str, str]:
    """Returns the keys of the upper and the lower limit on a cost: ``max_parameters`` of ``num_parameters``."""
    name = cost.removeprefix("num_")
    return f"max_{name}", f"min_{name}"


class Limits:
    """Bounds on the costs of an architecture, both inclusive; the run file sets them under ``search.limits``.

    Attributes:
        table: The costs of every candidate, as `supernet/costs.py` traces them.
    """

    def __init__(self, table: AdditiveTable, **bounds: float | None) -> None:
        """Checks the bounds against the costs of the table.

        Args:
            table: The costs of every candidate.
            bounds: Bounds by the keys of `limit_keys` for the table's costs, such as ``max_multiply_adds`` (600e6 is
                the mobile setting); None for no bound.

        Raises:
            InputError: If a bound is not a number, a minimum exceeds its maximum, or the table lacks the cost.
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
        """Returns which architectures, ``(n, num_choices)``, satisfy all limits, ``(n,)`` bool."""
        admitted: np.ndarray = np.all(self.kept(architectures), axis=0)
        return admitted

    def kept(self, architectures: np.ndarray) -> np.ndarray:
        """Returns which limits each architecture satisfies, ``(limits, n)`` bool, in the order of `stated`."""
        kept = [kept for kept, _ in self._kept(architectures).values()]
        return np.array(kept, dtype=bool).reshape(len(kept), len(architectures))

    def excess(self, architectures: np.ndarray) -> np.ndarray:
        """Returns how far each architecture, ``(n, num_choices)``, exceeds the limits, ``(n,)``: 0 within all limits.

        The excess is a sum over the limits. Each term is the distance above a maximum or below a minimum, divided by
        the limit (by 1 if the limit is 0).
        """
        excess = np.zeros(len(architectures))
        for key, (_, cost) in self._kept(architectures).items():
            bound = self.stated()[key][1]
            excess += np.maximum(cost - bound if key.startswith("max") else bound - cost, 0) / (bound or 1)
        return excess

    def explain(self, architectures: np.ndarray, described: str = "") -> str:
        """Returns one line that explains why these architectures, ``(n, num_choices)``, are not admitted.

        The line names the limit that excludes most of them, the nearest value, and the remedy.

        Args:
            architectures: The architectures that were not admitted.
            described: Name of the architectures in the line; by default their number as sampled architectures.
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
        """Returns cost and bound of each limit that is set, by its key, which begins with ``max`` or ``min``."""
        return dict(self._stated)

    def _kept(self, architectures: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Returns, for each limit that is set, which architectures satisfy it and their cost, both ``(n,)``."""
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
