"""Each tracker against its own reader: TensorBoard's accumulator, MLflow's client, the files of W&B."""

from __future__ import annotations

import importlib.util
import json
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from raynas.cli import main
from tests.stages.runs import small_run


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def by_generation(run: Path) -> list[tuple[float, float]]:
    """Returns the best fitness so far and the mean of each generation, from the history alone."""
    history = lines(run / "search/history.jsonl")
    found = []
    for generation in range(1 + max(line["generation"] for line in history)):
        here = [line["fitness"] for line in history if line["generation"] == generation]
        before = [line["fitness"] for line in history if line["generation"] <= generation]
        found.append((max(before), sum(here) / len(here)))
    return found


def needs(package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed: pip install 'raynas[{package}]'")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder of a small run with the default tracker."""
    folder = tmp_path_factory.mktemp("done")
    file = small_run(folder, train={"epochs": 3}, data={"max_images": 200}, search={"generations": 4})
    assert main(["run", str(file)]) == 0
    return folder / "runs/small"


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    accumulator = EventAccumulator(str(folder)).Reload()
    return {tag: [(one.step, one.value) for one in accumulator.Scalars(tag)] for tag in accumulator.Tags()["scalars"]}


def test_tensorboard_has_the_trainings_under_the_tags_and_steps_of_their_records(done: Path) -> None:
    found = scalars(done / "tensorboard/seed_0")
    recorded = lines(done / "supernet/seed_0/metrics.jsonl")
    for key in ("loss", "accuracy", "learning_rate"):
        steps, values = zip(*found[f"train/{key}"], strict=True)
        assert list(steps) == [line["step"] for line in recorded]
        assert list(values) == pytest.approx([line[key] for line in recorded], rel=1e-6)


def test_tensorboard_has_the_best_and_the_mean_fitness_of_each_generation(done: Path) -> None:
    found, expected = scalars(done / "tensorboard/run"), by_generation(done)
    assert len(expected) == 4
    assert [step for step, _ in found["search/best"]] == [0, 1, 2, 3]
    assert [value for _, value in found["search/best"]] == pytest.approx([best for best, _ in expected], rel=1e-6)
    assert [value for _, value in found["search/mean"]] == pytest.approx([mean for _, mean in expected], rel=1e-6)
    last = lines(done / "supernet/seed_0/metrics.jsonl")[-1]
    assert found["summary_train/loss"][0][1] == pytest.approx(last["loss"], rel=1e-6)


def test_tensorboard_has_the_keys_that_differ_from_the_defaults_as_hyper_parameters(done: Path) -> None:
    accumulator = EventAccumulator(str(done / "tensorboard/run")).Reload()
    data = accumulator.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    hparams = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info.hparams
    assert hparams["train.epochs"].number_value == 3
    assert hparams["space.channels"].number_value == 2
    assert hparams["algorithm"].string_value == "rlnas"
    assert "train.momentum" not in hparams and "storage_path" not in hparams
    end = accumulator.SummaryMetadata("_hparams_/session_end_info").plugin_data.content
    assert plugin_data_pb2.HParamsPluginData.FromString(end).session_end_info.status == 1  # success


def test_without_trackers_a_run_leaves_no_events_and_the_same_results(done: Path, tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"epochs": 3}, data={"max_images": 200}, search={"generations": 4}, trackers=[])
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    assert not (run / "tensorboard").exists() and not (run / "trackers").exists()
    best = [json.loads((one / "search/result.json").read_text())["best"] for one in (done, run)]
    assert best[0] == best[1]


def mlflow_run(uri: str) -> tuple[Any, Any]:
    """Returns the client of a store, and its only run."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("cells")
    (run,) = client.search_runs([experiment.experiment_id])
    return client, run


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_with_parameters_metrics_and_results_and_a_continued_run_tells_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow keeps the files of a run beside an SQL store
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    trackers = {"names": ["mlflow"], "tracking_uri": uri, "experiment": "cells"}
    small = {"data": {"max_images": 200}, "trackers": trackers, "search": {"generations": 4}}
    file = small_run(tmp_path, train={"epochs": 3}, **small)
    for verb in ("train", "run", "run"):
        assert main([verb, str(file)]) == 0
    run = tmp_path / "runs/small"
    client, found = mlflow_run(uri)
    assert found.info.status == "FINISHED" and found.info.run_name == "small"
    assert found.data.params["train.epochs"] == "3"
    history = client.get_metric_history(found.info.run_id, "supernet_seed_0/loss")
    expected = [(line["step"], line["loss"]) for line in lines(run / "supernet/seed_0/metrics.jsonl")]
    assert sorted((one.step, one.value) for one in history) == expected
    best = client.get_metric_history(found.info.run_id, "search/best")
    assert sorted((one.step, one.value) for one in best) == [
        (number, fitness) for number, (fitness, _) in enumerate(by_generation(run))
    ]


def wandb_records(file: Path) -> Iterator[bytes]:
    """Yields the records of an offline run: after a head of 7 bytes, blocks of 32 KiB as LevelDB's log has them."""
    data, place, record = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 32_768 - place % 32_768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_configuration_and_figures_offline_in_the_folder_of_the_run_which_continues(tmp_path: Path) -> None:
    from wandb.proto import wandb_internal_pb2

    small = {"data": {"max_images": 200}, "trackers": ["wandb"], "search": {"generations": 4}}
    file = small_run(tmp_path, train={"epochs": 3}, **small)
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    (kept,) = run.glob("trackers/wandb/wandb/offline-run-*/run-*.wandb")
    logged, configured = [], {}
    for data in wandb_records(kept):
        record = wandb_internal_pb2.Record.FromString(data)
        values = {"/".join(one.nested_key) or one.key: json.loads(one.value_json) for one in record.history.item}
        logged += [values] if values else []
        updates = [*record.config.update, *record.run.config.update]
        configured |= {"/".join(one.nested_key) or one.key: json.loads(one.value_json) for one in updates}
    losses = [one["supernet_seed_0/loss"] for one in logged if "supernet_seed_0/loss" in one]
    assert losses == [line["loss"] for line in lines(run / "supernet/seed_0/metrics.jsonl")]
    assert [one["search/best"] for one in logged if "search/best" in one] == [best for best, _ in by_generation(run)]
    assert configured["train.epochs"] == 3
    before = sorted(run.glob("trackers/wandb/wandb/offline-run-*"))
    assert main(["run", str(file)]) == 0
    assert sorted(run.glob("trackers/wandb/wandb/offline-run-*")) == before


@pytest.mark.parametrize("package", ["mlflow", "wandb"])
def test_a_tracker_whose_package_is_missing_is_refused_before_training(
    tmp_path: Path, package: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from raynas.config import trackers_section

    monkeypatch.setattr(trackers_section, "is_installed", lambda module: module != package)
    assert main(["run", str(small_run(tmp_path, trackers=[package]))]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    remedy = re.escape(f"`pip install 'raynas[{package}]'`")
    assert re.fullmatch(rf"raynas: trackers.names: .+ needs the package {package}, .+ {remedy}", line)
    assert not (tmp_path / "runs").exists()


RUN_AND_PRINT_IMPORTS_OF_THREADS = """
import sys, threading
found = []

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if threading.current_thread() is not threading.main_thread():
            found.append(name)

sys.meta_path.insert(0, Finder)
from raynas.cli import main
assert main(["run", sys.argv[1]]) == 0
print("imported:", [name for name in found if name.partition(".")[0] == "tensorboard"])
"""


@pytest.mark.slow
def test_the_thread_of_a_tracker_imports_nothing_since_two_threads_that_import_one_package_can_lock_each_other(
    tmp_path: Path,
) -> None:
    file = small_run(tmp_path, train={"epochs": 1})
    command = [sys.executable, "-c", RUN_AND_PRINT_IMPORTS_OF_THREADS, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "imported: []"
    assert list((tmp_path / "runs/small").glob("tensorboard/run/events.*"))
