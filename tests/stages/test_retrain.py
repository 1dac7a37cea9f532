"""Retraining: the best architectures and their controls are trained from scratch, and tested once."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy import stats

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.data import load_dataset
from raynas.records.retrain_record import RetrainedNetwork, RetrainRecord, SeedResult
from raynas.search_space import all_architectures
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.retrain_results import compare, estimate
from raynas.stages.subjects import subjects_of
from raynas.stages.task import make_task
from raynas.supernet.costs import cost_table
from tests.stages.runs import small_run, start, succeed, wait_until

RETRAIN = {"epochs": 2, "batch_size": 64, "seeds": [0, 1], "space": {"channels": 4}}
FREE = {"search": {"name": "evolution", "fitness": "num_parameters"}}
"""A search that trains no supernet."""


def retrain_file(folder: Path, retrain: dict[str, Any] | None = None, **sections: Any) -> Path:
    return small_run(folder, **{**FREE, **sections}, retrain={**RETRAIN, **(retrain or {})})


def result_of(folder: Path, name: str = "own") -> RetrainRecord:
    return RetrainRecord.read(folder / "runs/small/retrain" / name / "result.json")


def weights(folder: Path, name: str = "own") -> dict[str, str]:
    """Returns a digest of the final weights of every training."""
    place = folder / "runs/small/retrain" / name
    files = sorted(place.glob("*/seed_*/epoch_00002/weights.safetensors"))
    return {str(file.relative_to(place)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("retrained")
    return folder, succeed("run", retrain_file(folder))


def test_a_run_ends_with_test_accuracies_of_the_best_and_its_controls(done: tuple[Path, str]) -> None:
    folder, out = done
    result = result_of(folder)
    assert [network.name for network in result.networks] == ["best-1", "random", "parameters"]
    assert [len(network.seeds) for network in result.networks] == [2, 2, 2]
    assert [(c.of, c.against) for c in result.comparisons] == [("best-1", "random"), ("best-1", "parameters")]
    assert "trained from scratch by the keys under retrain, 2 epochs on 1,438 images, seeds: 2" in out
    assert "chance 10.00 %" in out and "note: " in out


def test_the_test_accuracy_is_that_of_the_saved_network_on_the_test_images(done: tuple[Path, str]) -> None:
    folder, _ = done
    digits = load_dataset(name="digits", path=None)
    pixels = torch.from_numpy(np.asarray(digits.test.images)).permute(0, 3, 1, 2).float() / 255
    mean, std = torch.tensor(digits.mean)[:, None, None], torch.tensor(digits.std)[:, None, None]
    for network in result_of(folder).networks:
        module = NasBench201(channels=4, cells=1).build_network(tuple(network.architecture), 10)
        place = folder / f"runs/small/retrain/own/{network.name}/seed_1/epoch_00002"
        module.load_state_dict(load_file(place / "weights.safetensors"), strict=True)
        with torch.inference_mode():
            predicted = module.eval()((pixels - mean) / std).argmax(dim=1).numpy()
        expected = 100 * float((predicted == digits.test.labels).mean())
        assert network.seeds[1].test_accuracy == pytest.approx(expected, abs=1e-9)


def test_controls_have_equal_cost_and_the_most_parameters(done: tuple[Path, str]) -> None:
    folder, _ = done
    best, random, largest = result_of(folder).networks
    space = NasBench201(channels=2, cells=1)
    every = all_architectures(space)
    costs = cost_table(space, 8, 10).total(every)
    by_architecture = {tuple(row): tuple(cost) for row, cost in zip(every.tolist(), costs.tolist(), strict=True)}
    of_best = by_architecture[tuple(best.architecture)]
    assert by_architecture[tuple(random.architecture)][1] == pytest.approx(of_best[1], rel=0.02)
    others = [cost[0] for cost in by_architecture.values()]
    assert by_architecture[tuple(largest.architecture)][0] in sorted(set(others))[-2:]
    assert len({tuple(network.architecture) for network in (best, random, largest)}) == 3


def test_what_is_done_is_not_trained_again_and_more_seeds_are_added(done: tuple[Path, str]) -> None:
    folder, _ = done
    before, first = weights(folder), result_of(folder)
    out = succeed("retrain", folder / "small.yaml", "--seeds", "3")
    after = weights(folder)
    assert before.items() <= after.items()
    assert len(after) == len(before) + 3
    ended = [line[10:] for line in out.splitlines() if "test accuracy" in line and "epochs in" in line]
    assert [line.partition(":")[0] for line in ended] == [
        f"{name} seed 2" for name in ("best-1", "random", "parameters")
    ]
    assert ended[0].startswith("best-1 seed 2: 2 epochs in ")
    again = result_of(folder)
    assert [network.seeds[:2] for network in again.networks] == [network.seeds for network in first.networks]


def test_a_killed_retraining_goes_on_to_the_same_bits(done: tuple[Path, str], tmp_path: Path) -> None:
    folder, _ = done
    file = retrain_file(tmp_path)
    process = start("run", file)
    place = tmp_path / "runs/small/retrain/own"
    wait_until(lambda: (place / "random/seed_0/epoch_00001").exists(), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    succeed("run", file)
    same = {name: digest for name, digest in weights(folder).items() if "seed_2" not in name}
    assert weights(tmp_path) == same
    found = result_of(tmp_path)
    assert [[one.test_accuracy for one in network.seeds] for network in found.networks] == [
        [one.test_accuracy for one in network.seeds[:2]] for network in result_of(folder).networks
    ]


def test_held_out_training_images_give_a_validation_accuracy(tmp_path: Path) -> None:
    succeed("run", retrain_file(tmp_path, {"train_portion": 0.5, "controls": [], "seeds": [0]}))
    (network,) = result_of(tmp_path).networks
    assert result_of(tmp_path).train_images == 719 and network.validation is not None
    last = (tmp_path / "runs/small/retrain/own/best-1/seed_0/metrics.jsonl").read_text().splitlines()[-1]
    assert json.loads(last)["validation_accuracy"] == network.validation.mean


def test_published_recipes_are_taken_by_name_and_keys_of_the_file_win(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path, retrain={"recipe": "nasbench201", "epochs": 7}))
    assert config.retrain is not None
    assert (config.retrain.epochs, config.retrain.batch_size, config.retrain.learning_rate) == (7, 256, 0.1)
    assert config.retrain.space == {"channels": 16, "cells": 5}
    assert config.retrain.folder == "retrain/nasbench201"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "recipe": ({"recipe": "darts_cifar"}, "did you mean"),
    "top": ({"top": 50}, "retrain.top: expected at most search.top"),
    "batch": ({"batch_size": 5000}, "retrain.batch_size: expected at most 1,438"),
    "operation": ({"architectures": ["|nor_conv_9x9~0|+|none~0|none~1|+|none~0|none~1|none~2|"]}, "nor_conv_9x9"),
    "control": ({"architectures": {"random": "0,0,0,0,0,0"}}, "random is the name of a control"),
    "space": ({"space": {"chanels": 4}}, "retrain.space.chanels: unknown key"),
    "tower": ({"auxiliary": "tower"}, "retrain.auxiliary"),
    "seeds": ({"seeds": [1, 1]}, "retrain.seeds: expected different ones"),
    "cutout": ({"augmentation": {"cutout": 9}}, "retrain.augmentation.cutout: expected at most 8"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("verb", ["check", "run"])
def test_what_cannot_be_retrained_is_said_before_any_training(
    tmp_path: Path, case: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, expected = WRONG[case]
    status = main([verb, str(retrain_file(tmp_path, changes))])
    err = capsys.readouterr().err
    assert status == 2 and expected in err and len(err.splitlines()) == 1
    assert not (tmp_path / "runs/small/retrain").exists()


def test_another_recipe_in_the_same_folder_is_refused(
    done: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = done
    status = main(["retrain", str(folder / "small.yaml"), "--set", "retrain.learning_rate=0.2"])
    err = capsys.readouterr().err
    assert status == 2 and "learning_rate 0.1 there, 0.2 here" in err and "retrain.name" in err


def test_a_folder_without_a_search_has_nothing_to_retrain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["retrain", str(retrain_file(tmp_path))])
    err = capsys.readouterr().err
    assert status == 2 and "its search is not done" in err and len(err.splitlines()) == 1


def test_a_limit_on_multiply_adds_sets_the_width(tmp_path: Path) -> None:
    text = "|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    keys = {"space": {}, "max_multiply_adds": 2e6, "controls": [], "architectures": [text]}
    task = make_task(load_config(retrain_file(tmp_path, keys)))
    (subject,) = subjects_of(task, None)
    assert isinstance(subject.space, NasBench201)
    cost = cost_table(subject.space, 8, 10).total(np.array([subject.architecture]))[0, 1]
    wider = NasBench201(channels=subject.space.channels + 1, cells=1)
    assert cost <= 2e6 < cost_table(wider, 8, 10).total(np.array([subject.architecture]))[0, 1]


def test_given_architectures_have_names_of_their_own_or_numbers(tmp_path: Path) -> None:
    cells = ["3,0,3,1,0,0", "2,2,2,2,2,2"]
    for given, names in ((cells, ["given-1", "given-2"]), ({"a": cells[0], "b": cells[1]}, ["a", "b"])):
        task = make_task(load_config(retrain_file(tmp_path, {"architectures": given, "controls": ["random"]})))
        subjects = subjects_of(task, None)
        assert [subject.name for subject in subjects] == [*names, "random"]
        assert subjects[0].architecture == (3, 0, 3, 1, 0, 0)
    published = {"architectures": ["gdas-v1"], "controls": [], "space": {}}
    task = make_task(load_config(retrain_file(tmp_path, published, space={"name": "darts"}, search={})))
    assert [subject.name for subject in subjects_of(task, None)] == ["GDAS_V1"]


@pytest.mark.parametrize("values", [[93.1, 93.4], [93.1, 93.4, 93.2], [float(n % 7) for n in range(40)]])
def test_an_interval_has_the_digits_of_students_quantile(values: list[float]) -> None:
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5
    found = estimate(values)
    assert found.low == pytest.approx(np.mean(values) - half, rel=1e-12)
    assert found.high == pytest.approx(np.mean(values) + half, rel=1e-12)


def test_intervals_are_those_of_students_and_welchs_tests() -> None:
    ours, theirs = [93.1, 93.4, 93.2], [91.9, 91.2, 91.6]
    mean = estimate(ours)
    expected = stats.ttest_1samp(ours, 0).confidence_interval(0.95)
    assert (mean.low, mean.high) == pytest.approx((expected.low, expected.high))
    first, other = (
        RetrainedNetwork(
            name=name,
            reason="found",
            space={},
            architecture=[0],
            description="",
            num_parameters=1,
            multiply_adds=1,
            seeds=[SeedResult(seed=n, test_accuracy=a, test_loss=0.0, seconds=0.0) for n, a in enumerate(values)],
            accuracy=estimate(values),
        )
        for name, values in {"best-1": ours, "random": theirs}.items()
    )
    found = compare(first, other)
    welch = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))
    assert found.verdict.startswith("best-1 is better: +1.67 points")
    assert compare(other, first).verdict.startswith("random is worse")
