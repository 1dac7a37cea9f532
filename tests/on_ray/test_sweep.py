"""A sweep is its runs: the same files as theirs, each training once, and nothing lost when it is killed."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import statistics
import threading
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from rich.console import Console

from raynas.config.reading import load_config
from raynas.config.sweeps import Sweep, load_sweep
from raynas.on_ray import sweep as sweeping
from raynas.on_ray.sweep_plan import Plan, shared_trainings
from raynas.on_ray.sweep_progress import SweepProgress
from raynas.on_ray.sweep_results import summary
from raynas.on_ray.sweep_searchers.optuna_points import encoded_point
from raynas.on_ray.sweep_states import states_of
from raynas.on_ray.trial import (
    ROOM,
    TRAINED,
    EpochFeed,
    RoomFeed,
    as_trial,
    is_alone,
    metrics_of,
    outcome_of,
    trial_needs,
)
from raynas.stages.progress import Progress
from raynas.storage.mirror import Mirror
from raynas.storage.ownership import Busy, owning
from raynas.storage.registers import FolderRegister, Lost
from raynas.storage.run_folder import training_digest, write_json
from raynas.sweep_metrics import SWEEP_METRICS
from tests.stages.runs import command, losses, outcome, small_run, start, succeed, wait_until


def sweep_file(folder: Path, sweep: dict[str, Any], **sections: Any) -> Path:
    """Returns a sweep file over the small run."""
    file = small_run(folder, **sections)
    file.write_text(file.read_text() + yaml.safe_dump({"sweep": sweep}, sort_keys=False))
    return file


def read(folder: Path, sweep: dict[str, Any], **sections: Any) -> Sweep:
    return load_sweep(sweep_file(folder, sweep, **sections))


METHODS = {"keys": {"data.labels": {"grid": ["true", "random"]}, "search.fitness": {"grid": ["angle", "displacement"]}}}


@pytest.mark.parametrize("error", [Busy("a run is in use"), Lost("a run was taken over")])
def test_a_trial_that_another_process_keeps_from_its_work_is_left_to_tune_to_start_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    sweep = read(tmp_path, METHODS)
    trial = sweep.trials()[0]

    def carry_out(*_: object) -> None:
        raise error

    monkeypatch.setattr(sweeping, "carry_out", carry_out)
    plan = SimpleNamespace(sweep=sweep, shared=frozenset(), trial=lambda chosen: trial)
    with pytest.raises(type(error)):
        sweeping.run_trial({}, plan)  # type: ignore[arg-type]
    assert json.loads((sweep.folder / f"states/{trial.name}.json").read_text())["status"] == "running"


def test_a_sweep_says_whom_a_trial_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of this process owns the trial's run until the sweep has said so."""
    sweep = read(tmp_path, {**METHODS, "metric": "fitness"}, search={"fitness": "num_parameters"})
    trial, out = sweep.trials()[0], io.StringIO()
    monkeypatch.setattr("ray.tune.report", lambda metrics: None)
    plan = SimpleNamespace(sweep=sweep, shared=frozenset(), trial=lambda chosen: trial)
    began = threading.Event()

    def own_until_it_is_said() -> None:
        with owning(FolderRegister(trial.config.folder)):
            began.set()
            with Progress(Console(file=out, width=200), "sweep") as progress:
                shown = SweepProgress(sweep, Mirror(sweep.folder), progress, lambda: None)
                deadline = time.monotonic() + 60
                while "waiting" not in out.getvalue() and time.monotonic() < deadline:
                    shown.refresh()
                    time.sleep(0.05)
                shown.refresh()

    owner = threading.Thread(target=own_until_it_is_said)
    owner.start()
    assert began.wait(60)
    sweeping.run_trial({}, plan)  # type: ignore[arg-type]
    owner.join()
    said = [line for line in out.getvalue().splitlines() if "waiting for its end" in line]
    assert len(said) == 1
    assert said[0][10:].startswith(f"{trial.name}: {trial.config.folder} was last worked on by ")
    assert json.loads((sweep.folder / f"states/{trial.name}.json").read_text())["status"] == "done"


def shared(folder: Path, sweep: dict[str, Any], **sections: Any) -> set[str]:
    """Returns the names of the trainings that trials share."""
    found = read(folder, sweep, **sections)
    return shared_trainings(found, found.trials())


def test_trials_that_differ_in_the_search_share_a_training(tmp_path: Path) -> None:
    trials = read(tmp_path, METHODS).trials()
    assert len({training_digest(trial.config) for trial in trials}) == 2
    assert shared(tmp_path, METHODS) == {training_digest(trial.config) for trial in trials}


def test_what_changes_the_supernet_is_not_shared_nor_is_what_needs_none(tmp_path: Path) -> None:
    for key, values in (
        ("train.epochs", [1, 2]),
        ("data.max_images", [500, 600]),
        ("train.learning_rate", [0.01, 0.1]),
        ("train.workers", [1, 2]),
        ("train.cpus_per_worker", [1, 2]),
    ):
        assert not shared(tmp_path, {"keys": {key: {"grid": values}}})
    assert not shared(tmp_path, {"keys": {"search.fitness": {"grid": ["angle", "random"]}}})
    assert shared(tmp_path, {"keys": {"search.population": {"grid": [10, 20]}}})
    both = {"keys": {"train.workers": {"grid": [1, [1, 2]]}, "search.population": {"grid": [10, 20]}}}
    names = shared(tmp_path, both)
    assert len(names) == 2 and all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in names)


@pytest.mark.parametrize(
    ("train", "search", "alone", "workers", "evaluators", "cpus"),
    [
        ({"workers": 1}, {}, True, 0, 0, 1),
        ({"workers": 0, "cpus_per_worker": 4}, {"evaluators": 1}, True, 0, 0, 4),
        ({"workers": 1}, {"cpus_per_evaluator": 3}, True, 0, 0, 3),
        ({"workers": 3, "cpus_per_worker": 2}, {}, False, 3, 3, 6),
        ({"workers": [2, 8]}, {"evaluators": 5}, False, 2, 5, 5),
        ({"workers": 1}, {"evaluators": 4, "cpus_per_evaluator": 2}, False, 1, 4, 8),
        ({"workers": 2}, {"evaluators": 0}, False, 2, 0, 2),
    ],
)
def test_a_trial_is_one_process_where_that_is_enough(
    tmp_path: Path, train: dict[str, Any], search: dict[str, Any], alone: bool, workers: int, evaluators: int, cpus: int
) -> None:
    config = load_config(small_run(tmp_path, train=train, search=search))
    assert is_alone(config) == alone
    carried_out = as_trial(config)
    assert (carried_out.train.workers, carried_out.search.evaluators) == (workers, evaluators)
    assert trial_needs(config).resources == {"CPU": cpus}


def test_a_trial_takes_the_gpus_of_its_workers_or_of_its_evaluators_whichever_are_more(tmp_path: Path) -> None:
    for workers, on_gpu, per_evaluator, gpus in (
        (1, True, 0.0, 1),
        (1, False, 0.5, 0.5),
        (4, True, 0.5, 4),
        (2, False, 2, 4),
    ):
        train = {"workers": workers, "use_gpu": on_gpu}
        search = {"gpus_per_evaluator": float(per_evaluator)}
        assert trial_needs(load_config(small_run(tmp_path, train=train, search=search))).resources["GPU"] == gpus


def test_epochs_are_reported_once_also_those_before_and_over_a_resume_that_repeats_some(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path, train={"base_seeds": [3, 5]}))
    told: list[int] = []
    feed = EpochFeed(lambda metrics: told.append(metrics["epoch"]))
    first, second = (config.folder / f"supernet/seed_{seed}/metrics.jsonl" for seed in (3, 5))
    first.parent.mkdir(parents=True)
    second.parent.mkdir()

    def write(file: Path, epochs: int, more: str = "") -> None:
        lines = [json.dumps({"epoch": e, "loss": e, "accuracy": e}) for e in range(epochs)]
        file.write_text("".join(f"{line}\n" for line in lines) + more)

    write(first, 2)
    feed.follow(config)
    assert told == [1, 2]
    write(first, 3, more='{"loss": 1')  # a line that is still being written
    feed()
    assert told == [1, 2, 3]
    write(first, 2)  # gone back to a checkpoint
    feed()
    write(first, 4)
    feed()
    write(second, 1)
    feed()
    assert told == [1, 2, 3, 4, 5] and feed.epochs == 5


def state(name: str, point: dict[str, Any], seed: int | None, status: str = "done", **metrics: float) -> dict[str, Any]:
    about = {"name": name, "point": point, "seed": seed, "begun": 1.0, "error": "x" if status == "failed" else None}
    return {**about, "status": status, "epochs": 4, "seconds": 1.0, "metrics": metrics}


def test_a_setting_is_the_mean_over_its_seeds_that_are_done_and_says_of_how_many(tmp_path: Path) -> None:
    keys = {"train.epochs": {"grid": [1, 2]}, "seed": {"seeds": 3}}
    sweep = read(
        tmp_path, {"keys": keys, "metric": "fitness", "published": [{"when": {"train.epochs": 1}, "fitness": 7}]}
    )
    names = [trial.name for trial in sweep.trials()]
    one, two = {"train.epochs": 1}, {"train.epochs": 2}
    results = summary(
        sweep,
        [
            state(names[0], one, 0, fitness=1.0, skips=2.0),
            state(names[1], one, 1, fitness=4.0, skips=4.0),
            state(names[2], one, 2, "failed"),
            state(names[3], two, 0, "stopped", train_loss=9.0),
            state(names[4], two, 1, fitness=3.0),
        ],
    )
    first, second = results["rows"]
    assert first["metrics"]["fitness"] == {"mean": 2.5, "deviation": statistics.stdev([1, 4]), "values": [1.0, 4.0]}
    assert first["metrics"]["skips"]["mean"] == 3.0
    assert (first["seeds"], first["of"]) == (2, 3)
    assert first["published"] == {"fitness": {"value": 7.0, "deviation": None}}
    assert second["metrics"] == {"fitness": {"mean": 3.0, "deviation": None, "values": [3.0]}}
    assert (second["seeds"], second["of"], second["published"]) == (1, 3, {})
    assert [trial["status"] for trial in results["trials"]] == ["done", "done", "failed", "stopped", "done", "waiting"]
    assert [trial["folder"] for trial in results["trials"]] == [f"trials/{name}" for name in names]
    assert results["axes"][0] == {"name": "train.epochs", "kind": "grid", "values": [1, 2]}
    assert json.loads(json.dumps(results)) == results


def test_a_trial_without_drawing_or_truth_or_training_has_only_what_it_has(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path, search={"fitness": "random"}))
    best = {"fitness": 0.5, "num_parameters": 10, "multiply_adds": 20, "drawing": {}, "true": None}
    assert metrics_of(outcome_of(config, {"best": [best], "seconds": 2.0}, None), SWEEP_METRICS.rows()) == {
        "fitness": 0.5,
        "num_parameters": 10.0,
        "multiply_adds": 20.0,
        "search_seconds": 2.0,
    }
    drawn = {
        "cell": [["0", "1", "skip_connect"], ["1", "2", "avg_pool_3x3"], ["2", "3", None], ["0", "2", "skip_connect"]]
    }
    result = {"best": [{**best, "drawing": drawn, "true": 91.5}], "seconds": 2.0}
    found = metrics_of(outcome_of(config, result, None), SWEEP_METRICS.rows())
    assert (found["skips"], found["poolings"], found["true_accuracy"]) == (2.0, 1.0, 91.5)


def test_a_trial_with_alphas_has_the_figures_of_its_last_architecture(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path))
    place = config.folder / "supernet/seed_0"
    place.mkdir(parents=True)
    line = {"architecture": [0] * 6, "operations": {}, "skip_share": None}
    shares = [{"epochs": epochs, **line, "dominance": share} for epochs, share in enumerate((0.2, 0.7))]
    (place / "derived.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in shares) + '{"epochs": 2, "arch')
    (place / "metrics.jsonl").write_text('{"epoch": 0, "loss": 2.5, "accuracy": 12.5, "seconds": 3.0}\n')
    best = {"fitness": 0.5, "drawing": {}}
    result = {"best": [best], "seconds": 2.0, "alphas": [{"decidedness": 0.2}, {"decidedness": 0.6}]}
    found = metrics_of(outcome_of(config, result, None), SWEEP_METRICS.rows())
    assert (found["dominance"], found["train_loss"], found["train_seconds"]) == (0.7, 2.5, 3.0)
    assert found["decidedness"] == pytest.approx(0.4)
    assert "skip_share" not in found


def test_a_sweep_can_be_extended_but_not_over_another_base(tmp_path: Path) -> None:
    one = read(tmp_path, {"keys": {"train.epochs": {"grid": [1]}}})
    folder = sweeping._open(one)
    assert json.loads((folder / "sweep.json").read_text())["sweep"]["keys"] == {"train.epochs": {"grid": [1]}}
    written = (folder / "sweep.json").stat().st_mtime_ns
    sweeping._open(one)
    assert (folder / "sweep.json").stat().st_mtime_ns == written, "the same sweep stays the same file"
    sweeping._open(read(tmp_path, {"keys": {"train.epochs": {"grid": [1, 2]}}, "metric": "fitness"}))
    assert json.loads((folder / "sweep.json").read_text())["sweep"]["metric"] == "fitness"
    with pytest.raises(
        ValueError, match=r"^name: .* holds a sweep of another configuration \(train\.batch_size 64 there, 8 "
    ):
        sweeping._open(read(tmp_path, {"keys": {"train.epochs": {"grid": [1]}}}, train={"batch_size": 8}))


@pytest.mark.slow
def test_a_trial_that_this_machine_cannot_hold_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file = sweep_file(tmp_path, METHODS, train={"workers": 3}, local_cpus=2)
    status, _, err = command("sweep", file)
    assert status == 2
    assert err == (
        "raynas: sweep: a trial needs 3 CPU but this machine offers 2; lower train.workers, search.evaluators or the "
        "CPUs of each, or give the address of a larger cluster\n"
    )


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
def test_a_killed_sweep_keeps_what_has_ended_and_ends_as_its_runs_would_alone(tmp_path: Path) -> None:
    """Two trainings and three fitnesses, of which one fails; killed in the middle of the second training."""
    sweep = {
        "keys": {
            "data.labels": {"grid": ["true", "random"]},
            "search.fitness": {"grid": ["angle", "displacement", "tests.on_ray.failing_fitness.FAILS"]},
        },
        "metric": "fitness",
        "concurrent": 1,
    }
    file = sweep_file(tmp_path, sweep, train={"epochs": 60, "workers": 1, "checkpoint_every": 5})
    folder = tmp_path / "runs/small"
    process = start("sweep", file)

    def second_is_training() -> bool:
        return (
            len(list(folder.glob("supernets/*/supernet/seed_0/epoch_00010"))) > 0 and results_of(folder)["angle"] == 1
        )

    wait_until(second_is_training, process, seconds=300)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    history = folder / "trials/labels-true_fitness-angle/search/history.jsonl"
    before = history.stat().st_mtime_ns
    status, out, err = command("sweep", file)
    assert status == 1 and len(err.splitlines()) == 1, err
    assert re.search(r"2 of 6 trials failed; the first, labels-true_fitness-\S*: search.fitness: this one fails", err)
    assert "labels-true_fitness-angle:" not in out, "it had ended"
    assert history.stat().st_mtime_ns == before
    results = json.loads((folder / "results.json").read_text())
    assert Counter(trial["status"] for trial in results["trials"]) == {"done": 4, "failed": 2}
    supernets = sorted(folder.glob("supernets/*"))
    assert len(supernets) == 2 and all(len(losses(supernet)) == 60 for supernet in supernets)
    for labels in ("true", "random"):
        plain = tmp_path / labels
        plain.mkdir()
        alone = small_run(plain, data={"labels": labels}, train={"epochs": 60, "checkpoint_every": 5})
        succeed("run", alone)
        trial = folder / f"trials/labels-{labels}_fitness-angle"
        shared = Path(json.loads((trial / "config.json").read_text())["config"]["train"]["reuse"])
        (trial / "supernet").symlink_to(shared / "supernet")
        assert outcome(trial, 60) == outcome(plain / "runs/small", 60)
        fitness = next(
            row for row in results["rows"] if row["point"] == {"data.labels": labels, "search.fitness": "angle"}
        )
        assert fitness["metrics"]["fitness"]["mean"] == outcome(trial, 60)["best"][0]["fitness"]


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 2])
def test_the_trials_of_a_sweep_that_is_interrupted_save_first(tmp_path: Path, workers: int) -> None:
    train = {"epochs": 2000, "workers": workers, "checkpoint_every": 1000, "checkpoint_minutes": None}
    keys = {"data.labels": {"grid": ["true", "random"]}}
    file = small_run(tmp_path, sweep={"keys": keys, "metric": "fitness"}, train=train, local_cpus=4)
    trials = [tmp_path / f"runs/small/trials/labels-{labels}" for labels in ("true", "random")]
    process = start("sweep", file)
    wait_until(lambda: all((trial / "progress.json").exists() for trial in trials), process)
    time.sleep(5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "saved 2 of 2 trials in training" in err
    for trial in trials:
        shown = json.loads((trial / "progress.json").read_text())["step"]
        saved = [json.loads(one.read_text())["steps"] for one in trial.glob("supernet/seed_0/epoch_*/checkpoint.json")]
        assert max(saved) >= shown > 0
        states = json.loads((tmp_path / f"runs/small/states/{trial.name}.json").read_text())
        assert states["status"] == "running", "the same command continues it"


def results_of(folder: Path) -> Counter[str]:
    """Returns how many trials of each fitness are done, as the results say while the sweep goes on."""
    file = folder / "results.json"
    trials = json.loads(file.read_text())["trials"] if file.exists() else []
    return Counter(trial["point"]["search.fitness"] for trial in trials if trial["status"] == "done")


def test_optuna_is_told_of_the_points_that_the_axes_still_hold_and_of_choices_by_their_positions(
    tmp_path: Path,
) -> None:
    keys = {"alphas.temperature": {"choice": [[10.0, 0.1], [5.0, 0.1]]}, "train.learning_rate": {"uniform": [0.1, 1.0]}}
    sweep = read(tmp_path, {"keys": keys, "searcher": "optuna", "metric": "fitness"})
    points: list[dict[str, Any]] = [
        {"alphas.temperature": [5.0, 0.1], "train.learning_rate": 0.5},
        {"alphas.temperature": [4.0, 0.1], "train.learning_rate": 0.5},
        {"alphas.temperature": [5.0, 0.1], "train.learning_rate": 2.0},
        {"alphas.temperature": [5.0, 0.1]},
    ]
    encoded = {"alphas.temperature": 1, "train.learning_rate": 0.5}
    assert [encoded_point(sweep, point) for point in points] == [encoded, None, None, None]
    plan = Plan(sweep, {}, 1, [], frozenset(), trial_needs(sweep.base))
    assert plan.trial(encoded).point == points[0]


def test_a_trial_that_left_no_word_is_stopped_or_given_up_with_the_reason(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_json(tmp_path / f"states/{name}.json", state(name, {"x": name}, None, "running", train_loss=2.0))
    lost = [{**state(name, {"x": name}, None, "running"), "error": "given up after OSError"} for name in ("b", "c")]
    sweeping._end_states(tmp_path, lost)
    found = {one["name"]: (one["status"], one["error"], one["metrics"]) for one in states_of(tmp_path)}
    assert found == {
        "a": ("stopped", None, {"train_loss": 2.0}),
        "b": ("failed", "given up after OSError", {"train_loss": 2.0}),
        "c": ("failed", "given up after OSError", {}),
    }


def test_room_is_reported_when_it_is_asked_for_when_work_shows_it_and_when_training_is_done(tmp_path: Path) -> None:
    config = load_config(small_run(tmp_path, train={"workers": 2}))
    told: list[dict[str, Any]] = []
    room = RoomFeed(told.append, config, config)
    room()
    room()
    assert told == [{ROOM: False}]
    config.folder.mkdir(parents=True)
    (config.folder / "progress.json").write_text("{}")
    room()
    room()
    assert told[1:] == [{ROOM: True}]
    place = config.folder / "supernet/seed_0"
    place.mkdir(parents=True)
    (place / "result.json").write_text("{}")
    room()
    assert told[2:] == [{TRAINED: True}, {ROOM: False}], "evaluators are next"
    (config.folder / "search").mkdir()
    (config.folder / "search/history.jsonl").write_text("{}\n")
    room()
    assert told[4:] == [{ROOM: True}]
    alone = load_config(small_run(tmp_path, train={"workers": 1}))
    told.clear()
    RoomFeed(told.append, alone, alone)()
    assert told == [{TRAINED: True}], "a trial alone asks for no room"
