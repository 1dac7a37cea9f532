"""Regret of searchers over evaluations, on the table of a benchmark.

    python tests/performance/searchers.py nasbench201_cifar10.csv --figure regret.png

Fifty seeds of a searcher take seconds, but for Bayesian optimisation, which takes five seconds a seed. `--only` names
the searchers to run.

Every searcher is run with many seeds. It is told the validation accuracy of what it proposes, and the best by that is
compared with the best test accuracy of the whole table: the difference in percentage points is its regret. The columns
of both accuracies are options.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from raynas.fitness.benchmark_table import read_table
from raynas.search import SEARCHERS
from raynas.search_space import Architecture, SearchSpace
from raynas.spaces.nasbench201 import NasBench201

EVALUATIONS = 500
SHOWN = (50, 100, 200, 500)
"""Numbers of evaluations in the table."""

SMALL = {"population": 50, "generations": 10, "select": 15, "mutations": 25, "crossovers": 25}
BUDGET = {"evaluations": EVALUATIONS}
SETTINGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "random": ("random", {"population": 50, "generations": 10}),
    "evolution, population 50": ("evolution", SMALL),
    "aging_evolution, population 100, tournament 25": ("aging_evolution", BUDGET),
    "aging_evolution, population 10, tournament 3": (
        "aging_evolution",
        {**BUDGET, "population": 10, "tournament": 3},
    ),
    "aging_evolution, population 10, tournament 3, proposals 1": (
        "aging_evolution",
        {**BUDGET, "population": 10, "tournament": 3, "proposals": 1},
    ),
    "local_search": ("local_search", BUDGET),
    "local_search, start_samples 1": ("local_search", {**BUDGET, "start_samples": 1}),
    "bayesian": ("bayesian", BUDGET),
}
"""Searchers by the name that the table shows: the name of the row, and the options that are not its defaults."""


def regrets(
    space: SearchSpace,
    name: str,
    options: Mapping[str, Any],
    seed: int,
    validation: Mapping[Architecture, float],
    test: Mapping[Architecture, float],
) -> np.ndarray:
    """Returns the regret after each evaluation, ``(EVALUATIONS,)``, in points; after the search's end it stays."""
    row = SEARCHERS.row(name)
    searcher = row.make(space, seed, None, None, row.options(**options))  # type: ignore[arg-type]
    most = max(test.values())
    best, found = -np.inf, []
    while len(found) < EVALUATIONS and (architectures := searcher.ask()):
        fitness = np.array([validation[architecture] for architecture in architectures])
        searcher.tell(architectures, fitness)
        for architecture, value in zip(architectures, fitness.tolist(), strict=True):
            if value > best:
                best, regret = value, most - test[architecture]
            found.append(regret)
    found = found[:EVALUATIONS]
    return np.array(found + found[-1:] * (EVALUATIONS - len(found)))


def quartiles(values: np.ndarray) -> str:
    """Returns median and quartiles as text."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def draw(curves: Mapping[str, np.ndarray], file: Path) -> None:
    """Draws median and quartiles of every searcher over evaluations, on logarithmic axes."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    evaluations = np.arange(1, EVALUATIONS + 1)
    for name, regret in curves.items():
        low, middle, high = np.quantile(regret, [0.25, 0.5, 0.75], axis=0)
        (line,) = axes.plot(evaluations, middle, label=name, lw=1.4)
        axes.fill_between(evaluations, low, high, color=line.get_color(), alpha=0.12, lw=0)
    axes.set(xscale="log", yscale="log", xlabel="evaluations", ylabel="regret in test accuracy (points)")
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(file, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, help="CSV file of NAS-Bench-201")
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--only", nargs="+", default=[], help="names of searchers, as the table shows them")
    parser.add_argument("--fitness", default="valid_accuracy_200", help="column that searchers are told")
    parser.add_argument("--test", default="test_accuracy_200", help="column that the regret is measured in")
    parser.add_argument("--figure", type=Path, help="file to draw the curves into")
    given = parser.parse_args(arguments)
    space = NasBench201()
    accuracies = []
    for column in (given.fitness, given.test):
        table = read_table(given.table, space, column=column)
        every = [tuple(architecture) for architecture in table.architectures.tolist()]
        accuracies.append(dict(zip(every, table.accuracies(every).tolist(), strict=True)))
    print(f"| searcher | {' | '.join(map(str, SHOWN))} | seconds a seed |\n|---|{'---|' * (len(SHOWN) + 1)}")
    curves = {}
    for shown, (name, options) in SETTINGS.items():
        if given.only and shown not in given.only:
            continue
        began = time.perf_counter()
        curves[shown] = np.stack([regrets(space, name, options, seed, *accuracies) for seed in range(given.seeds)])
        seconds = (time.perf_counter() - began) / given.seeds
        cells = [quartiles(curves[shown][:, count - 1]) for count in SHOWN]
        print(f"| {shown} | {' | '.join(cells)} | {seconds:.2f} |", flush=True)
    if given.figure:
        draw(curves, given.figure)


if __name__ == "__main__":
    main()
