"""No early stopping."""

from __future__ import annotations

from raynas.config.sweep_rows import SweepScheduler

NONE = SweepScheduler("none", "every trial runs to its end")
