from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from raynas.config.reading import load_config
from raynas.config.sweeps import Sweep, load_sweep, trial_name


def written(folder: Path, sweep: Any, **sections: Any) -> Path:
    values = {"space": {"name": "nasbench201", "channels": 2, "cells": 1}, "data": {"name": "digits"}, **sections}
    file = folder / "ablation.yaml"
    file.write_text(yaml.safe_dump(values | ({} if sweep is None else {"sweep": sweep})))
    return file


def read(folder: Path, sweep: Any, *overrides: str, small: bool = False, **sections: Any) -> Sweep:
    return load_sweep(written(folder, sweep, **sections), overrides, small)


def test_grids_variants_and_seeds_are_crossed_and_seeds_come_fastest(tmp_path: Path) -> None:
    methods = {"A": {"data.labels": "true", "search.fitness": "one_shot_accuracy"}, "D": {"data.labels": "random"}}
    sweep = read(
        tmp_path, {"keys": {"method": {"variants": methods}, "train.epochs": {"grid": [1, 2]}, "seed": {"seeds": 3}}}
    )
    trials = sweep.trials()
    assert [(t.point["method"], t.point["train.epochs"], t.seed) for t in trials] == list(
        itertools.product("AD", (1, 2), (0, 1, 2))
    )
    assert sweep.number == 12 == len({trial.name for trial in trials})
    first, last = trials[0].config, trials[-1].config
    assert (first.data.labels, first.search.fitness, first.train.epochs, first.seed) == (
        "true",
        "one_shot_accuracy",
        1,
        0,
    )
    assert (last.data.labels, last.search.fitness, last.train.epochs, last.seed) == ("random", "angle", 2, 2)
    assert last.base_seeds == [2], "the supernet's seed follows"
    assert last.folder == sweep.folder / "trials" / trials[-1].name


def test_the_trials_of_a_sweep_at_a_url_lie_within_it(tmp_path: Path) -> None:
    sweep = read(tmp_path, {"keys": {"train.epochs": {"grid": [1]}}}, storage_path="s3://bucket/x?scheme=http")
    assert sweep.trials()[0].config.location == "s3://bucket/x/ablation/trials/epochs-1?scheme=http"


def test_draws_follow_their_distributions_and_go_with_every_point_of_the_others(tmp_path: Path) -> None:
    keys = {
        "train.learning_rate": {"loguniform": [0.001, 0.1]},
        "train.weight_decay": {"uniform": [0.0, 1.0]},
        "train.momentum": {"choice": [0.8, 0.9]},
        "search.angle": {"grid": ["paper", "official"]},
    }
    sweep = read(tmp_path, {"keys": keys, "samples": 400}, train={"min_learning_rate": 0.0})
    points = [point for point, _ in sweep.points()]
    assert len(points) == 800
    for one, other in zip(points[::2], points[1::2], strict=True):
        assert one.pop("search.angle") == "paper" and other.pop("search.angle") == "official"
        assert one == other
    rates = np.log10([point["train.learning_rate"] for point in points])
    assert (-3 <= rates).all() and (rates <= -1).all()
    assert abs(rates.mean() + 2) < 0.1, "the middle of the logarithms"
    decays = [point["train.weight_decay"] for point in points]
    assert 0 <= min(decays) < 0.02 and 0.98 < max(decays) <= 1 and abs(np.mean(decays) - 0.5) < 0.05
    assert abs(np.mean([point["train.momentum"] == 0.8 for point in points]) - 0.5) < 0.1
    again = [point for point, _ in read(tmp_path, {"keys": keys, "samples": 400}).points()]
    assert [point["train.momentum"] for point in again] == [point["train.momentum"] for point in points]
    other = [point for point, _ in read(tmp_path, {"keys": keys, "samples": 400}, seed=1).points()]
    assert [point["train.momentum"] for point in other] != [point["train.momentum"] for point in points]


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        ({}, "sweep.keys: this key is required"),
        (
            {"keys": {"seed": {"seeds": 2, "grid": [1]}}},
            "sweep.keys.seed: expected one of grid, variants, seeds, choice, uniform, loguniform, got grid and seeds",
        ),
        (
            {"keys": {"alphas.eta": {}}},
            "sweep.keys.alphas.eta: expected one of grid, variants, seeds, choice, uniform, loguniform, got none",
        ),
        ({"keys": {"alphas.eta": {"gird": [1]}}}, "sweep.keys.alphas.eta.gird: unknown key; did you mean grid?"),
        (
            {"keys": {"alphas.eta": {"uniform": [1.0, 0.5]}}},
            "sweep.keys.alphas.eta.uniform: expected [least, greatest], got [1.0, 0.5]",
        ),
        ({"keys": {"alphas.eta": {"grid": [1, 1]}}}, "sweep.keys.alphas.eta: expected different values, got [1, 1]"),
        (
            {"keys": {"train.epochs": {"seeds": 2}}},
            "sweep.keys.train.epochs: seeds are values of the key seed; call it that",
        ),
        (
            {"keys": {"storage_path": {"grid": ["a"]}}},
            "sweep.keys.storage_path: storage_path is the same for all trials; leave it out",
        ),
        (
            {"keys": {"m": {"variants": {"A": {"name": "x"}}}}},
            "sweep.keys.m: name is the same for all trials; leave it out",
        ),
        (
            {"keys": {"train.epochs": {"grid": [1]}, "m": {"variants": {"A": {"train.epochs": 2}}}}},
            "sweep.keys: train.epochs is varied by more than one of them; name it in one",
        ),
        (
            {"keys": {"m": {"variants": {"A": {"train": {"reuse": "x"}}}}}},
            "sweep.keys.m: train.reuse is the same for all trials; leave it out",
        ),
        (
            {"keys": {"train": {"grid": [{"epochs": 1}, {"reuse": "x"}]}}},
            "sweep.keys.train: train.reuse is the same for all trials; leave it out",
        ),
        (
            {"keys": {"m": {"variants": {"A": {"train": None}}}}},
            "sweep.keys.m: train is the same for all trials; leave it out",
        ),
        (
            {"keys": {"train.epochs": {"grid": [1]}, "m": {"variants": {"A": {"train": {"epochs": 2}}}}}},
            "sweep.keys: train.epochs is varied by more than one of them; name it in one",
        ),
        (
            {"keys": {"search.limits": {"grid": [None]}, "m": {"variants": {"A": {"search.limits.max_latency": 2}}}}},
            "sweep.keys: search.limits.max_latency is varied by more than one of them; name it in one",
        ),
        (
            {"keys": {"m": {"variants": {"A": {"train.epochs": 2, "train": {"epochs": 1}}}}}},
            "sweep.keys.m: A sets train.epochs twice; name it once",
        ),
        (
            {"keys": {"m": {"variants": {"A": {"train": {"epoch": 2}}}}}},
            "sweep.keys, at m-A: train.epoch: unknown key; did you mean epochs?",
        ),
        (
            {"keys": {"seed": {"seeds": 2}, "m": {"variants": {"A": {"train": {"base_seeds": [1, 2]}}}}}},
            "sweep.keys.seed: train.base_seeds fixes the seeds of the supernets; leave one of them out",
        ),
        (
            {"keys": {"seed": {"seeds": 2}}, "published": [{"fitness": float("inf")}]},
            "sweep.published.0.fitness: expected a finite number, got .inf; write the number out",
        ),
        ({"keys": {"seed": {"seeds": 2}}, "metric": "accuracy"}, "sweep.metric: expected one of amending_agreement, "),
        (
            {"keys": {"seed": {"seeds": 2}}, "also": ["tau"]},
            "sweep.also: tau is known by ranking; set sweep.rank to true",
        ),
        (
            {"keys": {"seed": {"seeds": 2}}, "samples": 2},
            "sweep.samples: no axis is sampled; leave it out, or vary a key by choice, uniform or loguniform",
        ),
        (
            {"keys": {"alphas.eta": {"grid": [1]}}, "searcher": "optuna"},
            "sweep.searcher: optuna samples every value, got "
            "grid for alphas.eta; vary it by choice, uniform or loguniform",
        ),
        (
            {"keys": {"alphas.eta": {"uniform": [0.0, 1.0]}}, "searcher": "optuna", "scheduler": "asha"},
            "sweep.scheduler: asha with optuna stops by what optuna looks for, expected train_accuracy or train_loss "
            "as sweep.metric, got true_accuracy",
        ),
        (
            {"keys": {"seed": {"seeds": 2}}, "published": [{"when": {"eta": 1}, "tau": 0.5}]},
            "sweep.published.0.when: eta is none of sweep.keys",
        ),
        (
            {"keys": {"seed": {"seeds": 2}}, "published": [{"accuracy": 0.5}]},
            "sweep.published.0.accuracy: no metric; expected one of amending_agreement, ",
        ),
        (
            {"keys": {"seed": {"seeds": 2}}, "published": [{"when": {}}]},
            "sweep.published.0: expected when, deviation and one metric with its figure, got no metric",
        ),
        (
            {"keys": {"train.epoch": {"grid": [1]}}},
            "sweep.keys, at epoch-1: train.epoch: unknown key; did you mean epochs?",
        ),
        (
            {"keys": {"train.epochs": {"grid": [1, 0]}}},
            "sweep.keys, at epochs-0: train.epochs: expected greater than or equal to 1, got 0",
        ),
        ({"keys": {"seed.x": {"grid": [1]}}}, "sweep.keys.seed.x: seed is a value, not a section"),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line(tmp_path: Path, sweep: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(tmp_path, sweep, seed=0)
    assert str(caught.value).removeprefix(f"{tmp_path}/ablation.yaml, line 13: ").startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_seeds_and_fixed_base_seeds_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^sweep\.keys\.seed: train\.base_seeds fixes the seeds of the supernets;"):
        read(tmp_path, {"keys": {"seed": {"seeds": 2}}}, train={"base_seeds": [4, 5]})


def test_a_file_without_a_sweep_is_told_from_one_with(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^sweep: .*ablation\.yaml has no such section; write one, or give `raynas run`"
    ):
        read(tmp_path, None)
    file = written(tmp_path, {"keys": {"seed": {"seeds": 2}}})
    assert load_config(file) == load_config(written(tmp_path, None)), "the run that is varied is any other run file's"


def test_overrides_and_the_quick_block_reach_into_the_sweep_and_null_takes_out(tmp_path: Path) -> None:
    sweep = {
        "keys": {"set": {"variants": {"one": {"train.epochs": 1}, "two": {"train.epochs": 2}}}, "seed": {"seeds": 3}}
    }
    quick = {"train": {"batch_size": 32}, "sweep": {"keys": {"seed": None, "set": {"variants": {"two": None}}}}}
    small = read(tmp_path, sweep, "sweep.metric=fitness", small=True, quick=quick)
    assert [(trial.point, trial.seed) for trial in small.trials()] == [({"set": "one"}, None)]
    assert (small.settings.metric, small.base.train.batch_size, small.base.name) == ("fitness", 32, "ablation-quick")
    whole = read(tmp_path, sweep, quick=quick)
    assert (whole.number, whole.base.train.batch_size) == (6, 64)


@pytest.mark.parametrize("axis", ["variants", "grid"])
def test_a_section_that_an_axis_names_keeps_its_other_keys(tmp_path: Path, axis: str) -> None:
    small, large = {"epochs": 1}, {"epochs": 2, "momentum": 0.5}
    by_name = {"1": {"train": small}, "2": {"train": large, "search.limits": {"max_latency": 2.0}}}
    key, values = {"variants": ("size", by_name), "grid": ("train", [small, large])}[axis]
    one, other = read(tmp_path, {"keys": {key: {axis: values}}}, train={"batch_size": 32, "momentum": 0.7}).trials()
    assert (one.config.train.epochs, one.config.train.momentum, one.config.train.batch_size) == (1, 0.7, 32)
    assert (other.config.train.epochs, other.config.train.momentum, other.config.train.batch_size) == (2, 0.5, 32)
    assert other.config.search.limits.max_latency == (2.0 if axis == "variants" else None)
    assert one.name != other.name


def test_axes_may_be_nested_as_an_override_nests_them(tmp_path: Path) -> None:
    sweep = {"keys": {"train.epochs": {"grid": [1, 2, 3]}, "search.limits": {"max_latency": {"grid": [1.0]}}}}
    assert list(read(tmp_path, sweep).settings.keys) == ["search.limits.max_latency", "train.epochs"]
    set_here = read(tmp_path, sweep, "sweep.keys.train.epochs.grid=[5]", "sweep.keys.search.limits.max_latency=null")
    assert {key: axis.values for key, axis in set_here.settings.keys.items()} == {"train.epochs": [5]}
    quick = {"sweep": {"keys": {"train": {"epochs": {"grid": [4]}}}}, "train": {"batch_size": 8}}
    assert [trial.config.train.epochs for trial in read(tmp_path, sweep, small=True, quick=quick).trials()] == [4]


def test_published_figures_stand_beside_the_settings_they_are_of(tmp_path: Path) -> None:
    published = [
        {"when": {"alphas.eta": 0.1}, "true_accuracy": 93.0, "deviation": 0.5},
        {"when": {"alphas.eta": 0.1, "train.epochs": 2}, "skips": 0},
        {"tau": 0.5},
    ]
    keys = {"alphas.eta": {"grid": [0, 0.1]}, "train.epochs": {"grid": [1, 2]}}
    sweep = read(tmp_path, {"keys": keys, "published": published})
    anywhere = {"tau": {"value": 0.5, "deviation": None}}
    assert sweep.published({"alphas.eta": 0, "train.epochs": 2}) == anywhere
    accuracy = {"true_accuracy": {"value": 93.0, "deviation": 0.5}}
    assert sweep.published({"alphas.eta": 0.1, "train.epochs": 1}) == accuracy | anywhere
    skips = {"skips": {"value": 0.0, "deviation": None}}
    assert sweep.published({"alphas.eta": 0.1, "train.epochs": 2}) == accuracy | skips | anywhere


@pytest.mark.parametrize(
    ("point", "seed", "name"),
    [
        ({"alphas.eta": 0.1}, 2, "eta-0.1_seed-2"),
        ({"data.labels": "shuffled"}, None, "labels-shuffled"),
        ({"search.mutations": 5, "train.learning_rate": 1e-5}, None, "mutations-5_learning_rate-1e-05"),
    ],
)
def test_a_plain_trial_is_named_by_its_point(point: dict[str, Any], seed: int | None, name: str) -> None:
    assert trial_name(point, seed) == name


def test_points_that_look_alike_have_different_names_that_are_fit_for_folders() -> None:
    points = [
        *({"alphas.temperature": [10, 0.1]}, {"alphas.temperature": [10, 0.01]}, {"method": "A (SPOS)"}),
        *({"method": "A SPOS"}, {"train.learning_rate": 0.123456789}, {"train.learning_rate": 0.123456781}),
        *({"method": "x" * 300}, {"method": "x" * 301}, {"method": "../../etc"}),
    ]
    names = [trial_name(point, None) for point in points]
    assert len(set(names)) == len(points)
    for name in names:
        assert len(name) < 100 and name[0].isalnum() and all(c.isalnum() or c in "._-" for c in name)
