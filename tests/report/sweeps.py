"""Results of sweeps made by hand, as results.json has them, for the tests of their report."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Point = Mapping[str, Any]


def results(
    axes: Mapping[str, tuple[str, Sequence[Any]]],
    measure: Callable[[Point, int], dict[str, float]],
    *,
    seeds: int = 3,
    also: Sequence[str] = (),
    missing: Mapping[str, tuple[str, str | None]] | None = None,
    published: Sequence[tuple[Point, str, float, float | None]] = (),
    points: Sequence[Point] | None = None,
    **others: Any,
) -> dict[str, Any]:
    """Returns the content of results.json.

    Args:
        axes: Kind and values by name.
        measure: The metrics of a trial, by its point and seed.
        seeds: How many there are.
        also: Further metrics that are shown.
        missing: Status and error of trials that are not done, by name.
        published: Figures: the part of a point they are of, metric, value, deviation.
        points: The points, if they are not the product of the axes.
        others: Further keys, such as name, metric, mode, source, quick.
    """
    if points is None:
        points = [
            dict(zip(axes, taken, strict=True)) for taken in itertools.product(*(values for _, values in axes.values()))
        ]
    trials, rows = [], []
    for number, point in enumerate(points):
        done = []
        for seed in range(seeds):
            name = f"point-{number}_seed-{seed}"
            status, error = (missing or {}).get(name, ("done", None))
            metrics = measure(point, seed) if status == "done" else {}
            done += [metrics] if status == "done" else []
            trials.append(
                {
                    **{"name": name, "point": point, "seed": seed, "status": status, "error": error},
                    **{"folder": f"trials/{name}", "epochs": 40 if status == "done" else 5, "seconds": 12.3},
                    "metrics": metrics,
                }
            )
        if done:
            values = {metric: [one[metric] for one in done if metric in one] for metric in done[0]}
            means = {
                metric: {
                    "mean": statistics.mean(of),
                    "deviation": statistics.stdev(of) if len(of) > 1 else None,
                    "values": of,
                }
                for metric, of in values.items()
            }
            figures = {
                metric: {"value": value, "deviation": deviation}
                for when, metric, value, deviation in published
                if when.items() <= point.items()
            }
            rows.append({"point": point, "seeds": len(done), "metrics": means, "published": figures})
    named = [{"name": name, "kind": kind, "values": list(values)} for name, (kind, values) in axes.items()]
    return {
        **{"name": "sweep", "metric": "true_accuracy", "mode": "max", "also": list(also), "source": None},
        "quick": False,
        "axes": [*named, {"name": "seed", "kind": "seeds", "values": list(range(seeds))}],
        "trials": trials,
        "rows": rows,
        **others,
    }


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    """Writes results.json into a folder, which is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def write_losses(trial: Path, losses: Sequence[float], *, reuse: Path | None = None) -> None:
    """Writes the metrics of a trial's supernet; with `reuse`, of the run that it takes its supernet from."""
    trial.mkdir(parents=True, exist_ok=True)
    config = {"name": trial.name, "train": {"reuse": None if reuse is None else str(reuse)}}
    (trial / "config.json").write_text(json.dumps({"config": config}), encoding="utf-8")
    place = (reuse or trial) / "supernet/seed_0"
    place.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"epoch": epoch, "loss": loss}) for epoch, loss in enumerate(losses)]
    (place / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
