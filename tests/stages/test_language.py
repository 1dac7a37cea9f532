"""Searches of recurrent cells on a small text: interrupted and continued, on several workers, and what is refused."""

from __future__ import annotations

import io
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.records.retrain_record import RetrainedNetwork, RetrainRecord, SeedResult
from raynas.stages import checkpoint_clock
from raynas.stages.dry_run import check_batches
from raynas.stages.network_trainings import make_trainings
from raynas.stages.prepare import prepare
from raynas.stages.requests import Requests
from raynas.stages.retrain_results import compare, estimate
from raynas.stages.subjects import costs_of, subjects_of
from raynas.stages.task import Task, make_task
from raynas.stages.train_supernet import start_supernet, supernet_trainings
from raynas.stages.training import SavedAndStopped, train_all
from raynas.storage.mirror import Mirror
from raynas.training.averaging import StalledAverage
from raynas.training.learner import Position
from raynas.training.workers import ALONE
from tests.data.texts import write_text
from tests.stages.runs import small_run
from tests.stages.test_mid_epoch import CPU, EPOCHS, left_behind, train_in_pieces

CELL = {"name": "recurrent", "nodes": 2, "embedding": 6, "hidden": 6, "normalise": False}
SGD = {"momentum": 0.0, "nesterov": False, "learning_rate": 2.0, "min_learning_rate": 2.0, "clip_norm": 0.25}
DROPS = {"dropout": 0.3, "dropouth": 0.2, "dropoute": 0.1, "activation": 0.1, "temporal": 0.1}


def language_run(folder: Path, **sections: Any) -> Path:
    """Returns the run file of a search on a small text, of two epochs of a few steps."""
    folder.mkdir(exist_ok=True)
    text = write_text(folder / "text", lines=60)
    sections["data"] = {"name": "text", "path": str(text), "window": 9, **sections.get("data", {})}
    sections["data"]["train_portion"] = 0.5  # the default, which a stored configuration has too
    sections["space"] = {**CELL, **sections.get("space", {})}
    sections["train"] = {
        **{"epochs": EPOCHS, "batch_size": 6, "checkpoint_every": 2, **SGD},
        **sections.get("train", {}),
    }
    sections["search"] = {"fitness": "one_shot_perplexity", "evaluators": 0, "evaluation_batch_size": 5} | sections.get(
        "search", {}
    )
    return small_run(folder, **sections)


def task_of(folder: Path, **sections: Any) -> tuple[Task, Path]:
    config = load_config(language_run(folder, **sections))
    config.folder.mkdir(parents=True, exist_ok=True)
    return make_task(config), config.folder


@pytest.fixture
def after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_clock, "INTERVAL", 0.0)


GDAS = {"algorithm": "gdas", "alphas": {"learning_rate": 0.1}}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["gdas", "darts_second_order"])
def test_an_interruption_after_every_step_leaves_no_trace(
    tmp_path: Path, after_every_step: None, algorithm: str
) -> None:
    sections = {
        "algorithm": algorithm,
        "alphas": {"learning_rate": 0.1},
        "space": {**DROPS, "normalise": True},
        "train": {"average_when_stalled": 1, "epochs": 4, "learning_rate": 60.0, "clip_norm": 1.0},
    }
    whole, whole_folder = task_of(tmp_path / "whole", **sections)
    train_all(supernet_trainings(whole), Mirror(whole_folder), ALONE, CPU, whole.config.train)
    pieces, folder = task_of(tmp_path / "pieces", **sections)
    positions = train_in_pieces(pieces, folder)
    steps = pieces.train_batches(0, CPU).steps_per_epoch
    assert steps > 2 and len(positions) == 4 * steps - 1
    expected, found = left_behind(whole_folder), left_behind(folder)
    assert found == expected
    newest = folder / "supernet/seed_0/epoch_00004"
    memory = load_file(newest / "memory.safetensors")
    assert set(memory) == {"train.streams", "train.epoch", "search.streams", "search.epoch"}
    assert all(memory[f"{part}.streams"].abs().sum() > 0 for part in ("train", "search"))
    averaged = [line["averaged_steps"] for line in expected["metrics"]]
    assert averaged[0] == 0
    if algorithm != "gdas":
        return
    assert averaged[-1] > 0, "averaging began"
    means, weights = (load_file(newest / f"{part}.safetensors") for part in ("stalled", "weights"))
    assert all(torch.equal(weights[name], means[f"mean.{name}"]) for name in weights)


@pytest.mark.slow
def test_workers_in_changing_numbers_share_the_streams_and_end_as_one(tmp_path: Path, after_every_step: None) -> None:
    whole, whole_folder = task_of(tmp_path / "whole", **GDAS)
    train_all(supernet_trainings(whole), Mirror(whole_folder), ALONE, CPU, whole.config.train)
    pieces, folder = task_of(tmp_path / "pieces", **GDAS)
    train_in_pieces(pieces, folder, itertools.chain([1, 2, 3], itertools.repeat(2)))
    expected, found = left_behind(whole_folder), left_behind(folder)
    for ours, theirs in zip(found["metrics"], expected["metrics"], strict=True):
        known = {key: value for key, value in theirs.items() if value is not None}
        assert {key: ours[key] for key in known} == pytest.approx(known, rel=1e-4, abs=1e-5)
    for part in ("weights", "memory"):
        ours, theirs = (
            load_file(place / f"supernet/seed_0/epoch_00002/{part}.safetensors") for place in (folder, whole_folder)
        )
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-5)


def test_the_loss_of_an_epoch_is_that_of_one_network_on_the_whole_streams(tmp_path: Path) -> None:
    """With a rate of nearly 0 windows change nothing, so that the state must have been carried through all of them."""
    task, _ = task_of(tmp_path, algorithm="darts", train={"learning_rate": 1e-12, "min_learning_rate": 0.0})
    learner = start_supernet(task, 0, CPU, ALONE)
    total, tokens, labels, route = 0.0, [], [], learner._routes(0, learner.alphas.alphas)[0]
    for step, batch in enumerate(learner.batches.epoch(0)):
        tokens.append(batch[0])
        labels.append(batch[1].view(len(batch[0]), -1))
        total += float(learner.step(batch, Position(0, step), lambda: learner.module.zero_grad()).values[0])
    with torch.no_grad():
        logits = learner.module(torch.cat(tokens, 1), route)
    expected = torch.nn.functional.cross_entropy(logits, torch.cat(labels, 1).reshape(-1), reduction="sum")
    assert total == pytest.approx(float(expected), rel=1e-3)


def test_averaging_begins_when_the_loss_is_above_all_but_the_last_ones() -> None:
    network = torch.nn.Linear(2, 1)
    average = StalledAverage(network, 2)
    values: list[torch.Tensor] = []
    for loss in (5.0, 4.0, 4.5, 4.2, 4.9, 5.5):
        for _ in range(2):
            with torch.no_grad():
                network.weight.add_(1.0)
            average.update()
            if average.steps:
                values.append(network.weight.detach().clone())
        average.note(loss)
    # 5.5 is above 4.0, the least of the losses before the last two; 4.9 is above it as well: averaging began there.
    assert len(values) == average.steps == 2
    own = network.weight.detach().clone()
    with average.applied():
        torch.testing.assert_close(network.weight.detach(), torch.stack(values).mean(0))
    assert torch.equal(network.weight, own)


# From scratch

RETRAIN = {
    **{"epochs": 4, "batch_size": 4, "learning_rate": 10.0, "min_learning_rate": 10.0, "clip_norm": 0.5},
    **{"momentum": 0.0, "nesterov": False, "weight_decay": 1e-6, "average_when_stalled": 1, "seeds": [0]},
    **{"controls": ["random", "lstm"], "architectures": ["Genotype(recurrent=[('tanh', 0), ('relu', 1)])"]},
    "space": {"embedding": 8, "hidden": 8, "weight_drop": 0.2, "dropoute": 0.1},
}


@pytest.mark.slow
def test_retraining_interrupted_after_every_step_leaves_no_trace_and_its_perplexity_is_that_of_its_weights(
    tmp_path: Path, after_every_step: None
) -> None:
    whole, whole_folder = task_of(tmp_path / "whole", retrain=RETRAIN)
    subjects = subjects_of(whole, None)
    assert [subject.name for subject in subjects] == ["given-1", "random", "lstm"]
    best, lstm = (costs_of(subject.space, subject.architecture, whole)[0] for subject in (subjects[0], subjects[2]))
    assert 0.8 * best < lstm <= best
    train_all(make_trainings(subjects, whole), Mirror(whole_folder), ALONE, CPU, whole.config.train)
    pieces, folder = task_of(tmp_path / "pieces", retrain=RETRAIN)
    asked = Requests(warning=lambda: "a machine")
    interruptions, is_done = 0, False
    while not is_done:
        try:
            train_all(make_trainings(subjects, pieces), Mirror(folder), ALONE, CPU, pieces.config.train, requests=asked)
            is_done = True
        except SavedAndStopped:
            interruptions += 1
    assert interruptions > 3 * 4 * 3
    averaged = 0
    for subject in subjects:
        place = f"retrain/own/{subject.name}/seed_0"
        expected, found = (json.loads(_last_line(each / place)) for each in (whole_folder, folder))
        for line in (expected, found):
            del line["seconds"], line["tokens_per_second"]
        assert found == expected
        weights, theirs = (
            load_file(each / place / "epoch_00004/weights.safetensors") for each in (whole_folder, folder)
        )
        assert all(torch.equal(theirs[name], tensor) for name, tensor in weights.items())
        averaged += int(load_file(folder / place / "epoch_00004/stalled.safetensors")["updates"])
        network = subject.space.build_network(subject.architecture, whole.dataset.num_classes)
        network.load_state_dict(weights)
        test = whole.dataset.test
        length = len(test) // 10
        tokens, labels = (torch.from_numpy(part[: 10 * length]) for part in (test.images, test.labels))
        logits = network.eval()(tokens.view(10, length))
        expected_loss = torch.nn.functional.cross_entropy(logits, labels).item()
        assert found["test_loss"] == pytest.approx(expected_loss, rel=1e-5)
        assert found["test_perplexity"] == pytest.approx(np.exp(expected_loss), rel=1e-5)
    assert averaged > 0


def _last_line(place: Path) -> str:
    return (place / "metrics.jsonl").read_text().splitlines()[-1]


@pytest.mark.slow
def test_a_run_ends_with_perplexities_from_scratch_and_says_which_network_is_better(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    section = {**{key: value for key, value in RETRAIN.items() if key != "architectures"}, "seeds": [0, 1]}
    file = language_run(tmp_path, **GDAS, retrain=section, report=True)
    assert main(["run", str(file)]) == 0
    record = RetrainRecord.read(tmp_path / "runs/small/retrain/own/result.json")
    assert [network.name for network in record.networks] == ["best-1", "random", "lstm"]
    for network in record.networks:
        perplexities = [float(seed.test_perplexity) for seed in network.seeds]
        assert network.tested == network.perplexity and network.perplexity.mean == pytest.approx(np.mean(perplexities))
    assert all("test perplexity" in comparison.verdict for comparison in record.comparisons)
    page = (tmp_path / "runs/small/report/index.html").read_text()
    assert "test perplexity" in page and "chance is" in page
    capsys.readouterr()
    run = str(tmp_path / "runs/small")
    assert main(["predict", run, "anna sees", "otto"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("anna sees: ") and lines[1].startswith("otto (unknown: otto): ")
    assert main(["export", run, "--format", "onnx", "--out", str(tmp_path / "network")]) == 2
    assert "its networks read texts" in capsys.readouterr().err
    assert main(["predict", run, "anna", "--weights", "inherited"]) == 2
    assert "--weights: expected retrained" in capsys.readouterr().err


def test_a_smaller_perplexity_is_better() -> None:
    def network(name: str, values: list[float]) -> RetrainedNetwork:
        common = {"reason": "found", "space": {}, "architecture": [], "description": "", "num_parameters": 1}
        seeds = [SeedResult(seed=0, test_accuracy=1, test_loss=1, test_perplexity=one, seconds=1) for one in values]
        return RetrainedNetwork(
            name=name, multiply_adds=1, seeds=seeds, accuracy=estimate([1.0]), perplexity=estimate(values), **common
        )

    found = compare(network("a", [90.0, 91.0, 90.5]), network("b", [100.0, 101.0, 102.0]))
    assert found.verdict.startswith("a is better: -10.50 test perplexity relative to b")


# Refused before training


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"train": {"batch_size": 100}}, r"train.batch_size: expected streams of at least 9 tokens \(data.window\)"),
        ({"train": {"batch_size": 2, "workers": 3}}, "3 workers cannot share"),
        ({"train": {"batch_size": 1}, "space": {"normalise": True}}, "train.batch_size: a batch of 1"),
        ({"data": {"resolution": 8}}, "data.resolution: text is a text, which has no images"),
        ({"data": {"window": 0}}, "data.window"),
        ({"data": {"labels": "rotation"}}, "data.labels: rotation says what was done to an image"),
        ({"search": {"fitness": "naswot"}}, "search.fitness: naswot is a score of networks of images"),
        ({"search": {"evaluation_batch_size": 4000}}, "search.evaluation_batch_size"),
        ({"algorithm": "spos", "train": {"average_when_stalled": 5}}, "train.average_when_stalled: needs the loss"),
    ],
)
def test_what_does_not_fit_a_text_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], sections: dict[str, Any], message: str
) -> None:
    file = language_run(tmp_path, **sections)
    assert main(["run", str(file)]) == 2
    said = capsys.readouterr().err.strip()
    assert re.search(message, said)
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "runs/small").exists()


@pytest.mark.parametrize("tokens", [10, 11])
def test_no_batch_of_a_text_is_smaller_than_its_streams(tmp_path: Path, tokens: int) -> None:
    """One token more than two batches would be one image in a last batch; in a text it is left out."""
    search = {"calibration_images": tokens, "evaluation_batch_size": 5}
    task, _ = task_of(tmp_path, space={"normalise": True}, search=search)
    assert check_batches(task) == []


def test_a_space_of_texts_does_not_take_images_and_the_other_way_round(tmp_path: Path) -> None:
    for space, data, named in (
        (CELL, {"name": "digits", "train_portion": 0.5}, "take data|take text"),
        ({"name": "nasbench201", "channels": 2, "cells": 1}, {"name": "text", "path": str(tmp_path)}, "take cifar10"),
    ):
        write_text(tmp_path)
        file = small_run(tmp_path, space=space)
        config = load_config(file, [f"data={json.dumps(data)}"])
        with pytest.raises(ValueError, match=f"^data.name: networks of .*{named}"):
            prepare(config, Console(file=io.StringIO()))


def test_a_run_on_a_text_with_other_words_is_refused_before_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = language_run(tmp_path, algorithm="darts")
    assert main(["train", str(file)]) == 0
    train = tmp_path / "text/train.txt"
    train.write_text(train.read_text().replace("anna", "otto"))
    capsys.readouterr()
    assert main(["run", str(file)]) == 2
    said = capsys.readouterr().err.strip()
    assert "data.path: the vocabulary is not that of the run" in said and len(said.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["rlnas", "spos"])
def test_a_search_on_one_core_ranks_cells(tmp_path: Path, algorithm: str) -> None:
    search = {"fitness": "angle" if algorithm == "rlnas" else "one_shot_perplexity", "population": 6, "select": 2}
    search |= {"mutations": 2, "crossovers": 2}
    file = language_run(tmp_path, algorithm=algorithm, space={"weights": "candidate"}, search=search)
    assert main(["run", str(file)]) == 0
    result = json.loads((tmp_path / "runs/small/search/result.json").read_text())
    best = result["best"]
    assert len(best) > 2 and len({line["fitness"] for line in best}) > 1
    if algorithm == "spos":
        assert [line["fitness"] for line in best] == [-line["perplexity"] for line in best]
        assert best[0]["perplexity"] == pytest.approx(np.exp(best[0]["loss"]))
    lines = (tmp_path / "runs/small/supernet/seed_0/metrics.jsonl").read_text().splitlines()
    line = json.loads(lines[-1])
    assert line["perplexity"] == pytest.approx(np.exp(line["loss"])) and line["tokens_per_second"] > 0
