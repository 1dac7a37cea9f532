"""One picture of a run: what training did, what the search found, and the best cell.

python -m raynas.report.picture runs/quickstart quickstart.svg
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, FAINT, ACCENT = "#1f2933", "#9aa5b1", "#c2410c"


def draw_run(folder: Path, file: Path) -> None:
    """Draws a finished run into a file, whose ending says which format.

    Args:
        folder: The run's folder.
        file: The picture: .svg, .png or .pdf.

    Raises:
        ValueError: If the folder holds no finished run.
    """
    if not (folder / "search" / "result.json").exists():
        raise ValueError(f"{folder} holds no finished run; give the folder that `raynas run` named at its end")
    result = json.loads((folder / "search" / "result.json").read_text(encoding="utf-8"))
    matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "svg.hashsalt": "raynas"})
    figure = Figure(figsize=(10, 3), layout="constrained")
    loss, search, cell = figure.subplots(1, 3, width_ratios=(3, 3, 4))
    _draw_training(loss, folder, result["base_seeds"])
    _draw_search(search, _lines(folder / "search" / "history.jsonl"))
    _draw_cell(cell, result["best"][0])
    for axes in (loss, search):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _draw_training(axes: Axes, folder: Path, base_seeds: Sequence[int]) -> None:
    """Draws the loss of every epoch, one line per base seed."""
    for base_seed in base_seeds:
        metrics = _lines(folder / "supernet" / f"seed_{base_seed}" / "metrics.jsonl")
        axes.plot([line["epoch"] + 1 for line in metrics], [line["loss"] for line in metrics], color=INK, lw=1)
    axes.set(title="supernet training", xlabel="epoch", ylabel="cross-entropy (nats)")


def _draw_search(axes: Axes, history: Sequence[dict[str, Any]]) -> None:
    """Draws every judged architecture by generation, and the best so far."""
    generation = np.array([line["generation"] for line in history])
    fitness = np.array([line["fitness"] for line in history])
    last = int(generation.max())
    best = np.maximum.accumulate([fitness[generation == g].max() for g in range(last + 1)])
    axes.scatter(generation, fitness, s=3, color=FAINT, alpha=0.5, lw=0, rasterized=True)
    axes.plot(range(last + 1), best, color=ACCENT, lw=1.5)
    axes.annotate("best so far", (last, best[-1]), (0, 4), textcoords="offset points", ha="right", color=ACCENT)
    axes.set(title="search", xlabel="generation", ylabel="angle (rad)")


def _draw_cell(axes: Axes, best: dict[str, Any]) -> None:
    """Draws a NAS-Bench-201 cell: its nodes, and the operations that are not ``none``."""
    positions = {0: (0.0, 0.0), 1: (1.0, 0.8), 2: (2.0, -0.8), 3: (3.0, 0.0)}
    bends = {(0, 3): 0.0, (1, 3): -0.15, (0, 2): 0.15}
    target = 0
    for part in best["description"].split("+"):
        target += 1
        for operation, source in re.findall(r"(\w+)~(\d)", part):
            if operation == "none":
                continue
            ends = positions[int(source)], positions[target]
            bend = bends.get((int(source), target), 0.0)
            style = {"arrowstyle": "-|>", "color": INK, "shrinkA": 9, "shrinkB": 9}
            axes.annotate("", ends[1], ends[0], arrowprops={**style, "connectionstyle": f"arc3,rad={bend}"})
            middle = np.mean(ends, axis=0)
            label = operation.replace("nor_", "").replace("_", " ").replace("skip connect", "skip")
            axes.text(
                middle[0],
                middle[1],
                label,
                ha="center",
                va="center",
                size=8,
                bbox={"fc": "white", "ec": "none", "pad": 1},
            )
    for node, (x, y) in positions.items():
        text = {0: "in", 3: "out"}.get(node, str(node))
        axes.text(x, y, text, ha="center", va="center", color="white", bbox={"boxstyle": "circle", "fc": INK})
    axes.set(xlim=(-0.4, 3.4), ylim=(-1.3, 1.3), title=f"best cell: angle {best['fitness']:.4f} rad")
    axes.axis("off")


def main(arguments: Sequence[str]) -> None:
    """Draws the run of the first argument into the file of the second."""
    if len(arguments) != 2:
        raise SystemExit(__doc__)
    try:
        draw_run(Path(arguments[0]), Path(arguments[1]))
    except ValueError as error:
        raise SystemExit(f"raynas: {error}") from error


if __name__ == "__main__":
    main(sys.argv[1:])
