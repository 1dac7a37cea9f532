"""Points that are a function of the seed, all known before the sweep starts."""

from __future__ import annotations

from raynas.config.sweep_rows import SweepSearcher

RANDOM = SweepSearcher("random", "samples every axis by itself, whatever the results of earlier trials are")
