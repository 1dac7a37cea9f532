"""The results of a sweep: its trials, and each setting over its seeds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from raynas.config.sweeps import Sweep


def summary(sweep: Sweep, states: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the results of a sweep: its trials, and each setting over its seeds.

    A setting's figures are means, and deviations of a sample (n - 1), over its trials that are done.

    Args:
        sweep: The sweep.
        states: What its trials say of themselves.
    """
    by_name = {state["name"]: state for state in states}
    waiting: dict[str, Any] = {"status": "waiting", "error": None, "epochs": 0, "seconds": 0.0, "metrics": {}}
    known = [{"name": trial.name, "point": trial.point, "seed": trial.seed} for trial in sweep.trials()]
    begun = [{"name": state["name"], "point": state["point"], "seed": state["seed"]} for state in states]
    about = known or begun
    trials = []
    for trial in about:
        state = by_name.get(trial["name"], waiting)
        how = {key: state[key] for key in ("status", "error", "epochs", "seconds", "metrics")}
        trials.append({**trial, "folder": f"trials/{trial['name']}", **how})
    settings = sweep.settings
    by_point: dict[str, list[dict[str, Any]]] = {}
    for trial in trials:
        by_point.setdefault(json.dumps(trial["point"]), []).append(trial)
    return {
        "name": sweep.base.name,
        "metric": settings.metric,
        "mode": settings.better,
        "also": settings.also,
        "quantities": {
            name: {"title": row.title, "unit": row.unit, "decimals": row.decimals}
            for name, row in settings.metrics.items()
        },
        "source": settings.source,
        "quick": sweep.quick,
        "axes": [{"name": key, "kind": axis.kind, "values": axis.values} for key, axis in settings.keys.items()],
        "trials": trials,
        "rows": [_row(sweep, several) for several in by_point.values()],
    }


def _row(sweep: Sweep, trials: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what one setting came to."""
    done = [trial for trial in trials if trial["status"] == "done"]
    names: dict[str, None] = {}
    for trial in done:
        names.update(dict.fromkeys(trial["metrics"]))
    metrics = {}
    for name in names:
        values = [trial["metrics"][name] for trial in done if name in trial["metrics"]]
        deviation = statistics.stdev(values) if len(values) > 1 else None
        metrics[name] = {"mean": statistics.fmean(values), "deviation": deviation, "values": values}
    point = trials[0]["point"]
    return {
        "point": point,
        "seeds": len(done),
        "of": len(trials),
        "metrics": metrics,
        "published": sweep.published(point),
    }
