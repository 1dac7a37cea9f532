"""What an architecture is worth: a batch of architectures in, a row of numbers for each out.

A fitness says what it measures (`quantities`); the first, always called ``fitness``, is what architectures are ranked
by, larger is better, and the others are recorded beside it. It never returns a stand-in for a failure: an evaluation
that fails is an error with its cause.

To add one, write a module with a `FitnessRow`. In this package it is found by itself; from your own package a run file
names the row by its dotted path.
"""

from __future__ import annotations

from raynas.fitness.mean import Mean, mean_of
from raynas.fitness.row import EvaluationOptions, Fitness, FitnessContext, FitnessRow, Measure, Quantity
from raynas.members import Family

FITNESSES = Family("search.fitness", FitnessRow, "raynas.fitness")
"""The fitnesses."""

__all__ = [
    "FITNESSES",
    "EvaluationOptions",
    "Fitness",
    "FitnessContext",
    "FitnessRow",
    "Mean",
    "Measure",
    "Quantity",
    "mean_of",
]
