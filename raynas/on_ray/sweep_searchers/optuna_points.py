"""Points that Optuna samples where earlier trials were good."""

from __future__ import annotations

import json
from typing import Any

from raynas.config.sweep_rows import SweepSearcher
from raynas.config.sweeps import Point, Sweep
from raynas.errors import InputError
from raynas.on_ray.sweep_plan import Plan


def optuna_search(plan: Plan) -> Any:
    """Returns Optuna's searcher, which knows the points that were sampled before and their results.

    Raises:
        InputError: If Optuna is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise InputError("sweep.searcher: optuna is not installed; pip install 'raynas[optuna]'") from error
    from ray.tune.search.optuna import OptunaSearch

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space: dict[str, Any] = {}
    for key, axis in plan.sweep.drawn.items():
        if axis.choice is not None:
            # By position: optuna takes neither lists nor mappings.
            space[key] = optuna.distributions.CategoricalDistribution(range(len(axis.choice)))
        else:
            least, greatest = axis.values
            space[key] = optuna.distributions.FloatDistribution(least, greatest, log=axis.loguniform is not None)
    known = []
    for point, value in plan.known:
        encoded = encoded_point(plan.sweep, point)
        if encoded is not None:
            known.append((encoded, value))
    return OptunaSearch(
        space,
        metric=plan.sweep.settings.metric,
        mode=plan.sweep.settings.better,
        seed=plan.sweep.base.seed + len(plan.known),  # else it would sample the same points again
        points_to_evaluate=[point for point, _ in known] or None,
        evaluated_rewards=[value for _, value in known] or None,
    )


def encoded_point(sweep: Sweep, point: Point) -> Point | None:
    """Returns a point as Optuna takes it, with choices by position; None if the axes no longer hold it."""
    encoded: Point = {}
    for key, axis in sweep.drawn.items():
        if key not in point:
            return None
        if axis.choice is not None:
            written = [json.dumps(value, sort_keys=True) for value in axis.choice]
            value = json.dumps(point[key], sort_keys=True)
            if value not in written:
                return None
            encoded[key] = written.index(value)
        elif isinstance(point[key], float) and axis.values[0] <= point[key] <= axis.values[1]:
            encoded[key] = point[key]
        else:
            return None
    return encoded


OPTUNA = SweepSearcher("optuna", "samples where earlier trials were good", optuna_search)
