"""A scheduler and a searcher of sweeps are one file, named by their dotted paths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from raynas.config.sweep_rows import SWEEP_SCHEDULERS, SWEEP_SEARCHERS
from raynas.config.sweeps import Sweep, load_sweep
from raynas.on_ray.sweep_plan import plans
from tests.drill.conftest import Added
from tests.stages.runs import small_run

RATE = {"train.learning_rate": {"uniform": [0.25, 0.75]}}


def sweep_of(folder: Path, **settings: Any) -> Sweep:
    file = small_run(folder, search={"fitness": "num_parameters"})
    values = yaml.safe_load(file.read_text())
    file.write_text(yaml.safe_dump({**values, "sweep": {"keys": RATE, "metric": "train_loss", **settings}}))
    return load_sweep(file)


def test_the_rows_of_raynas_are_found_beside_their_code() -> None:
    assert SWEEP_SCHEDULERS.names() == ("asha", "none")
    assert SWEEP_SEARCHERS.names() == ("optuna", "random")


def test_a_users_scheduler_is_the_one_that_tune_is_given(tmp_path: Path, beside: Added) -> None:
    sweep = sweep_of(tmp_path, scheduler=f"{beside('own_sweep')}MEDIAN", samples=3)
    row = sweep.settings.scheduler_row
    assert row.stops_early and row.make is not None
    assert type(row.make(sweep)).__name__ == "MedianStoppingRule"
    assert len(sweep.trials()) == sweep.number == 3


def test_a_users_searcher_samples_the_points_and_sees_the_axes(tmp_path: Path, beside: Added) -> None:
    sweep = sweep_of(tmp_path, searcher=f"{beside('own_sweep')}MIDDLE", samples=5)
    assert (list(sweep.points()), sweep.number) == ([], 5)
    (plan,) = plans(sweep, tmp_path)
    row = sweep.settings.searcher_row
    assert (plan.drawn, plan.points) == (5, {}) and row.make is not None
    assert row.make(plan)._points_to_evaluate == [{"train.learning_rate": 0.5}]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"searcher": "MIDDLE", "keys": {"seed": {"grid": [1]}}}, "sweep.searcher: users_own_sweep.MIDDLE samples eve"),
        (
            {"searcher": "MIDDLE", "scheduler": "MEDIAN", "metric": "fitness"},
            "sweep.scheduler: users_own_sweep.MEDIAN with users_own_sweep.MIDDLE stops by what users_own_sweep.MIDDLE",
        ),
        ({"scheduler": "MIDDLE"}, "sweep.scheduler: expected 'users_own_sweep.MIDDLE' to be a raynas.config.sweep_ro"),
    ],
)
def test_what_does_not_go_together_is_said_of_a_users_own_too(
    tmp_path: Path, beside: Added, settings: dict[str, Any], message: str
) -> None:
    path = beside("own_sweep")
    own = {key: f"{path}{name}" for key, name in settings.items() if key in ("searcher", "scheduler")}
    with pytest.raises(ValueError) as refused:
        sweep_of(tmp_path, **{**settings, **own})
    assert str(refused.value).startswith(message)


def test_a_name_that_is_none_of_them_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^sweep\.scheduler: expected one of asha, none, got 'ashaa'; did you mean a"):
        sweep_of(tmp_path, scheduler="ashaa")
    with pytest.raises(ValueError, match=r"^sweep\.searcher: expected one of optuna, random, got 'grid'; or give the"):
        sweep_of(tmp_path, searcher="grid")
