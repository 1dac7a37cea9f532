"""Names, units and digits for fitnesses, counts, times and operations on pages and in figures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from raynas.records.search_record import QuantityRecord


@dataclass(frozen=True)
class Quantity:
    """A quantity with its name, its unit (empty for none) and its number of significant decimals.

    If files store it in another unit, `scale` converts a stored number to this unit.
    """

    name: str
    unit: str = ""
    decimals: int = 4
    scale: float = 1.0

    @property
    def title(self) -> str:
        """The name with its unit, for the head of a column or the title of an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def write(self, value: float) -> str:
        """Returns a number without its unit."""
        return f"{self.scale * value:,.{self.decimals}f}".replace("-", "−") if math.isfinite(value) else "–"

    def write_with_unit(self, value: float) -> str:
        """Returns a number with its unit."""
        return f"{self.write(value)}\N{NO-BREAK SPACE}{self.unit}" if self.unit else self.write(value)


CORRELATION = Quantity("rank correlation", "", 3)
ACCURACY = Quantity("accuracy", "percent", 2)
LOSS = Quantity("loss", "nats", 4)

COSTS = {
    "num_parameters": Quantity("parameters", "", 0),
    "multiply_adds": Quantity("multiply-adds", "", 0),
    "latency": Quantity("latency", "ms", 3, scale=1e3),
}
"""Costs of an architecture by their name in run files, which give a latency in seconds."""

_FITNESS = {
    "angle": Quantity("angle", "rad", 4),
    "displacement": Quantity("displacement", "", 4),
    "initial_angle": Quantity("angle between initialisations", "rad", 4),
    "one_shot_accuracy": Quantity("one-shot accuracy", "percent", 2),
    "one_shot_loss": Quantity("negative one-shot loss", "nats", 4),
    "log_probability": Quantity("log-probability", "nats", 4),
    "benchmark_table": Quantity("accuracy by the table", "percent", 2),
    **COSTS,
    "random": Quantity("random number", "", 4),
}


def recorded_quantity(recorded: QuantityRecord) -> Quantity:
    """Returns a quantity as a result records it."""
    return Quantity(recorded.title, recorded.unit, recorded.digits)


def fitness_quantity(fitness: str | None, name: str | None = None, recorded: Sequence[QuantityRecord] = ()) -> Quantity:
    """Returns the quantity that a fitness measures.

    Args:
        fitness: The fitness by its name in a run file; ``+`` joins those of a consensus. An unknown name becomes the
            title, without a unit.
        name: The name with its definition, such as ``angle (official)``; the paper's angle is called angle.
        recorded: The quantities that the result records, the fitness first; empty in results of earlier versions.
    """
    if fitness is None:
        return Quantity("fitness")
    if recorded and "+" in fitness:
        return recorded_quantity(recorded[0])
    if "+" in fitness:
        parts = [fitness_quantity(part).name for part in fitness.split("+")]
        return Quantity(f"consensus of {' and '.join(parts)}", "", 3)
    known = _FITNESS.get(fitness, Quantity(fitness.replace("_", " ")))
    if recorded:
        known = recorded_quantity(recorded[0])
    definition = re.search(r"\((?:paper\)|(?:paper )?(.+)\))", name or "")
    further = f", {definition[1]}" if definition and definition[1] else ""
    return Quantity(f"{known.name}{further}", known.unit, known.decimals)


def count(value: float) -> str:
    """Returns a short form of a large number, such as ``153 M`` or ``1.07 M``: three digits and a prefix."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * factor:
            scaled = value / factor
            decimals = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{decimals}f}\N{NO-BREAK SPACE}{prefix}"
    return f"{value:g}"


def duration(seconds: float) -> str:
    """Returns a time in the two largest of its units, such as ``3 h 20 min``."""
    space, whole = "\N{NO-BREAK SPACE}", round(seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}{space}s" if seconds >= 0.095 else f"{1000 * seconds:.0f}{space}ms"
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size}{space}{unit} {whole % size // part_size}{space}{part}"
    return f"{whole}{space}s"


def operation_label(operation: str) -> str:
    """Returns an operation's label in a drawing: ``nor_conv_3x3`` is ``conv 3×3``, ``skip_connect`` is ``skip``."""
    words = operation.removeprefix("nor_").replace("_", " ").replace("skip connect", "skip")
    return re.sub(r"(?<=\d)x(?=\d)", "×", words).strip()
