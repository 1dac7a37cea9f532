"""What a user meets: help, wrong inputs in one line with exit status 2, and a second run over the first."""

import errno
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.summary.writer.record_writer import RecordWriter

import raynas
from raynas.arguments import VERBS
from raynas.cli import ANNOUNCED, main
from tests.stages.runs import ROOT, losses, outcome, small_run


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_is_everywhere(verb: str) -> None:
    done = subprocess.run([sys.executable, "-m", "raynas", *verb.split(), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: raynas {verb}")


def test_a_run_says_the_best_cells_their_costs_and_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = answer(capsys, "run", small_run(tmp_path))
    assert (status, err) == (0, "")
    assert not (tmp_path / "runs/small/report").exists()
    lines = out.splitlines()
    summaries = [number for number, line in enumerate(lines) if re.match(r"\d\d:\d\d:\d\d  (supernet|search): ", line)]
    assert len(summaries) == 2
    trained, searched = (lines[number][10:] for number in summaries)
    first, space, data = lines[:3]
    lines = lines[summaries[-1] + 1 :]
    assert first.startswith(f"raynas {raynas.__version__}  run small (")
    assert space == "space: nasbench201, 15,625 architectures of 6 choices"
    assert data == "data: 719 train, 719 search, 359 test images of 10 classes, 8 x 8 pixels"
    run = tmp_path / "runs/small"
    last = json.loads((run / "supernet/seed_0/metrics.jsonl").read_text().splitlines()[-1])
    assert trained.startswith("supernet: trained in ")
    assert trained.endswith(f", loss {last['loss']:.3f}, accuracy {last['accuracy']:.1f} %")
    history = [json.loads(line) for line in (run / "search/history.jsonl").read_text().splitlines()]
    best = max(one["fitness"] for one in history)
    assert searched.startswith(f"search: 60 architectures in 3 generations, best angle (paper) {best:.5g}, ")
    assert lines[-1] == f"run folder: {tmp_path / 'runs/small'}"
    assert lines[0].startswith("60 architectures, ")
    assert lines[1].split() == ["angle", "parameters", "mult-adds", "architecture"]
    assert len(lines) == 2 + 10 + 1
    assert "\x1b" not in out, "no bar and no colours where there is no terminal"


def test_a_second_run_over_the_first_does_nothing_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_run(tmp_path)
    first = answer(capsys, "run", file)
    run = tmp_path / "runs/small"
    files = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    second = answer(capsys, "run", file)
    assert second[1].splitlines()[3:5] == ["continues: supernet trained; search done", "supernet: trained before"]
    results = [out[out.index("60 architectures, ") :] for _, out, _ in (first, second)]
    assert results[0] == results[1]
    assert files == {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}


def test_stages_one_by_one_leave_what_a_whole_run_leaves(tmp_path: Path) -> None:
    results = []
    for name, verbs in (("whole", ["run"]), ("stages", ["train", "search"])):
        folder = tmp_path / name
        folder.mkdir()
        file = small_run(folder)
        for verb in verbs:
            assert main([verb, str(file)]) == 0
        results.append(outcome(folder / "runs/small", epochs=4))
    assert results[0] == results[1]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path: Path) -> None:
    results = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        assert main(["run", str(small_run(tmp_path / name, seed=seed, train={"base_seeds": [0]}))]) == 0
        results.append(outcome(tmp_path / name / "runs/small", epochs=4))
    assert results[0] == results[1]
    assert results[0]["best"] != results[2]["best"]
    assert results[0]["initial/weights.safetensors"] == results[2]["initial/weights.safetensors"]


@pytest.mark.parametrize(
    "train",
    [
        {"sampling": "fair", "path_per_cell": False},
        {"sampling": "uniform", "path_per_cell": True},
        {"sampling": "fair", "path_per_cell": True, "precision": "bfloat16"},
        {"schedule": "linear", "schedule_every": "step", "decay_on": "weights", "clip_value": 0.01},
        {"decay_on": "convolutions", "label_smoothing": 0.1, "clip_norm": 1.0},
    ],
    ids=str,
)
def test_every_way_of_training_runs_and_continues(tmp_path: Path, train: dict[str, Any]) -> None:
    results = []
    for name in ("whole", "continued"):
        folder = tmp_path / name
        folder.mkdir()
        file = small_run(folder, train={**train, "epochs": 3}, data={"lighting": 0.1})
        assert main(["run", str(file)]) == 0
        if name == "continued":
            place = folder / "runs/small/supernet/seed_0"
            for done in (place / "result.json", folder / "runs/small/search/result.json"):
                done.unlink()
            for path in (place / "epoch_00003").iterdir():
                path.unlink()
            (place / "epoch_00003").rmdir()
            assert main(["run", str(file)]) == 0
        results.append(outcome(folder / "runs/small", epochs=3))
    assert results[0] == results[1]


def test_a_damaged_checkpoint_is_said_and_the_one_before_gives_the_same_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path)
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    expected = outcome(run, epochs=4)
    damaged = run / "supernet/seed_0/epoch_00004/weights.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:100])
    (run / "search/result.json").unlink()
    capsys.readouterr()
    status, _, err = answer(capsys, "run", file)
    assert status == 1
    assert "epoch_00004 is damaged" in err
    assert err.endswith("supernet/seed_0/result.json to train again from the checkpoint before it\n")
    (run / "supernet/seed_0/result.json").unlink()
    status, out, _ = answer(capsys, "run", file)
    assert status == 0
    assert sum(line.endswith("the checkpoint before it is used") for line in out.splitlines()) == 1
    assert outcome(run, epochs=4) == expected


def test_what_a_killed_process_left_half_written_goes_with_the_next_command(tmp_path: Path) -> None:
    file = small_run(tmp_path)
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    (run / "search/result.json").unlink()
    (run / "supernet/seed_0/result.json").unlink()
    expected = {path.relative_to(run) for path in run.rglob("*") if "events" not in path.name}
    for half in (".progress.json", "search/.history.jsonl", "supernet/seed_0/.alphas.npy"):
        (run / f"{half}.x_12abcd").write_text("{")
    (run / "supernet/seed_0/.epoch_00004.x_12abcd").mkdir()
    (run / "ray/attempt-1").mkdir(parents=True)
    assert main(["run", str(file)]) == 0
    results = {Path("search/result.json"), Path("supernet/seed_0/result.json")}
    assert {path.relative_to(run) for path in run.rglob("*") if "events" not in path.name} == expected | results


def test_a_run_goes_on_where_its_data_moved_but_not_on_other_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path, data={"name": "npz", "path": npz(tmp_path / "a.npz")}, train={"batch_size": 16})
    assert main(["train", str(file)]) == 0
    (tmp_path / "a.npz").rename(tmp_path / "b.npz")
    assert main(["search", str(file), "--set", f"data.path={tmp_path / 'b.npz'}"]) == 0
    other = npz(tmp_path / "c.npz", train_images=np.ones((100, 8, 8, 3), np.uint8))
    (tmp_path / "runs/small/search/result.json").unlink()
    capsys.readouterr()
    status, _, err = answer(capsys, "search", file, "--set", f"data.path={other}")
    assert status == 2
    assert "holds weights of data " in err


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_gpu_trains_to_the_losses_of_a_cpu(tmp_path: Path, precision: str) -> None:
    curves = []
    for use_gpu in (False, True):
        folder = tmp_path / str(use_gpu)
        folder.mkdir()
        assert main(["run", str(small_run(folder, train={"use_gpu": use_gpu, "precision": precision}))]) == 0
        curves.append(losses(folder / "runs/small"))
    assert curves[0] == pytest.approx(curves[1], rel=0.05 if precision == "bfloat16" else 1e-3)


def test_check_says_what_a_run_on_imagenet_means_before_the_images_are_at_hand_and_a_run_does_not_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """1,281,167 images, 1,000 classes, 224 pixels; channels (C, 2C, 4C) = (2, 4, 8) on 224, 112 and 56 pixels."""
    data = {"name": "folder", "train_portion": 1.0}
    file = small_run(tmp_path, data=data, train={"batch_size": 512, "epochs": 50})
    status, out, err = answer(capsys, "check", file)
    assert (status, err) == (0, "")
    comments = [line for line in out.splitlines() if line.startswith("#")]
    assert comments[:2] == [
        "# data: not looked at; what follows is for ImageNet: 1,281,167 training images of 1,000 classes, until "
        "data.path says where a folder lies",
        "# training: 2,502 steps of 512 images an epoch, 125,100 in all, for each of 1 base seeds",
    ]
    stem_and_reductions = 224**2 * 3 * 2 * 9 + sum(
        size**2 * (width // 2 * width * 9 + width * width * 9 + width // 2 * width)
        for size, width in ((112, 4), (56, 8))
    )
    least = stem_and_reductions + 8 * 1000 + 1000
    assert f"# multiply_adds: {least:,} to " in out
    status, _, err = answer(capsys, "run", file)
    assert status == 2
    assert err == "raynas: data.path: data set 'folder' is read from your disk, got no path; say where it lies\n"
    status, _, err = answer(capsys, "check", file, "--set", f"data.path={tmp_path / 'nowhere'}")
    assert status == 2
    assert err.startswith(f"raynas: data.path: expected one folder of images a class in {tmp_path / 'nowhere'}")


@pytest.mark.parametrize(
    ("name", "train_portion", "max_images", "steps"),
    [("cifar10", 0.5, None, 390), ("cifar100", 1.0, None, 781), ("cifar10", 0.5, 1000, 7)],
)
def test_check_counts_the_steps_on_a_data_set_that_a_run_would_download(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, train_portion: float, max_images: int, steps: int
) -> None:
    data = {"name": name, "path": str(tmp_path / "data"), "train_portion": train_portion, "max_images": max_images}
    status, out, _ = answer(capsys, "check", small_run(tmp_path, data=data))
    assert status == 0
    assert f"# training: {steps} steps of 64 images an epoch, {4 * steps:,} in all" in out
    assert not (tmp_path / "data").exists()


QUICK = "space: {{name: nasbench201, channels: 16}}\ndata: {{name: cifar100, path: {path}}}\nquick: {quick}\n"


def test_quick_runs_the_block_in_a_folder_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_run(
        tmp_path,
        data={"name": "cifar100", "path": str(tmp_path / "nowhere")},
        space={"name": "nasbench201", "channels": 64, "cells": 5},
        quick={"space": {"channels": 2, "cells": 1}, "data": {"name": "digits", "path": None}},
    )
    for verb in ("check", "train", "search", "run", "rank"):
        status, out, err = answer(capsys, verb, file, "--quick", "--set", "train.epochs=1")
        assert (status, err) == (0, ""), verb
        assert ("name: small-quick" if verb == "check" else str(tmp_path / "runs/small-quick")) in out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["small-quick"]
    assert len(losses(tmp_path / "runs/small-quick")) == 1
    assert main(["check", str(file)]) == 0
    assert "channels: 64" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [(), ("--quick",)], ids=str)
def test_a_typo_in_the_quick_block_is_found_by_either_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    file = small_run(tmp_path, quick={"train": {"epoch": 1}})
    status, out, err = answer(capsys, "check", file, *arguments)
    assert (status, out) == (2, "")
    assert err == "raynas: quick.train.epoch: unknown key; did you mean epochs?\n"


def test_check_prints_every_key_the_size_and_the_range_of_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from raynas.config.reading import load_config

    file = small_run(tmp_path, space={"name": "nasbench201"})
    status, out, _ = answer(capsys, "check", file, "--set", "data.resolution=32")
    assert status == 0
    assert yaml.safe_load(out) == load_config(file, ["data.resolution=32"]).model_dump()
    comments = [line for line in out.splitlines() if line.startswith("#")]
    assert "# space: 15,625 architectures of 6 choices" in comments
    # The table's extremes: 7.78305 M without convolutions, + 6 x 35.38944 M with six 3 x 3 (digits have ten classes).
    assert "# multiply_adds: 7,783,050 to 220,119,690 (all of them)" in comments
    assert not (tmp_path / "runs").exists(), "a check leaves nothing behind"


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch /tmp/raynas-was-here",)


def imagenet16(folder: Path) -> str:
    folder.mkdir()
    for number in range(1, 11):
        (folder / f"train_data_batch_{number}").write_bytes(pickle.dumps(Bomb()))
    (folder / "val_data").write_bytes(pickle.dumps(Bomb()))
    return str(folder)


def npz(file: Path, **changes: np.ndarray) -> str:
    arrays = {
        "train_images": np.zeros((100, 8, 8, 3), np.uint8),
        "train_labels": np.arange(100) % 10,
        "test_images": np.zeros((20, 8, 8, 3), np.uint8),
        "test_labels": np.arange(20) % 10,
    }
    np.savez(file, **{**arrays, **changes})
    return str(file)


MISTAKES: dict[str, tuple[Any, str]] = {
    "unknown key": (lambda t: {"train": {"epoch": 3}}, "train.epoch: unknown key; did you mean epochs?"),
    "wrong type": (lambda t: {"train": {"epochs": "ten"}}, "train.epochs: expected a valid integer"),
    "impossible value": (lambda t: {"train": {"batch_size": 100_000}}, "train.batch_size: expected at most"),
    "impossible space": (
        lambda t: {"space": {"name": "nasbench201", "cells": 0}},
        "space.cells: expected 1 to 1,000, got 0",
    ),
    "unknown space": (
        lambda t: {"space": {"name": "nasbench"}},
        "space.name: expected one of darts, mobilenet, nasbench201, ",
    ),
    "foreign space": (lambda t: {"space": {"name": "os.path.join"}}, "space.name: 'os.path.join' is not a subclass"),
    "missing space": (lambda t: {"space": {"name": "no.such.Space"}}, "space.name: cannot import 'no.such.Space'"),
    "missing data": (lambda t: {"data": {"name": "npz", "path": str(t / "no.npz")}}, "data.path: expected"),
    "no data path": (lambda t: {"data": {"name": "folder"}}, "data.path: data set 'folder'"),
    "wrong image shape": (
        lambda t: {"data": {"name": "npz", "path": npz(t / "x.npz", train_images=np.zeros((100, 3, 8, 8), np.uint8))}},
        "data.path: expected train_images of",
    ),
    "labels out of range": (
        lambda t: {"data": {"name": "npz", "path": npz(t / "x.npz", train_labels=np.full(100, -1))}},
        "data.path: expected train_labels of",
    ),
    "too few categories": (
        lambda t: {"data": {"labels": "true", "num_label_categories": 5}},
        "data.num_label_categories: labels 'true' are the data set's own and reach 9",
    ),
    "too many images": (lambda t: {"data": {"max_images": 10_000}}, "data.max_images: expected 1 to"),
    "foreign pickle": (
        lambda t: {"data": {"name": "imagenet16-120", "path": imagenet16(t / "pickles")}},
        "data.path: ",
    ),
    "limit that admits nothing": (
        lambda t: {"search": {"limits": {"max_parameters": 10}}},
        "search.limits.max_parameters: 1.0e1 admits none of 5,000 sampled architectures",
    ),
    "limits that cross": (
        lambda t: {"search": {"limits": {"max_parameters": 10, "min_parameters": 20}}},
        "search.limits.min_parameters: ",
    ),
    "random areas of arrays": (
        lambda t: {"data": {"crop_ratio": [1, 1]}},
        "data.crop_ratio: only image files are cropped to a random area, not digits; leave it out",
    ),
    "padded files": (
        lambda t: {"data": {"name": "folder", "path": str(t), "crop_padding": 4}},
        "data.crop_padding: files are cropped to a random area; leave it out",
    ),
    "children that do not fit": (lambda t: {"search": {"mutations": 18}}, "search.mutations"),
    "no such device": (lambda t: {"train": {"use_gpu": True}}, "train.use_gpu: this machine has no CUDA device"),
    "no cluster": (
        lambda t: {"address": "127.0.0.1:1", "train": {"workers": 1}},
        "address: there is no Ray cluster at '127.0.0.1:1'; start one (ray start --head)",
    ),
}


def test_limits_that_sampling_alone_cannot_keep_are_no_mistake_as_long_as_something_keeps_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space, limits = {"name": "mobilenet", "width": 0.25}, {"max_parameters": 150_000}  # 113,162 at the least
    search = {"name": "random", "population": 10, "generations": 1}
    file = small_run(tmp_path, space=space, search={**search, "limits": limits, "fitness": "num_parameters"})
    assert main(["check", str(file)]) == 0
    line = "# search.limits admit 0.00 % of 5,000 sampled ones; a search changes them until they are inside"
    assert line in capsys.readouterr().out
    assert main(["run", str(file)]) == 0
    lines = (tmp_path / "runs/small/search/history.jsonl").read_text().splitlines()
    assert len(lines) == 10 and all(json.loads(line)["num_parameters"] <= 150_000 for line in lines)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_answered_in_one_line_with_exit_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    if mistake == "no such device":
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    changes, message = MISTAKES[mistake]
    status, out, err = answer(capsys, "run", small_run(tmp_path, **changes(tmp_path)))
    assert status == 2
    assert err.startswith(f"raynas: {message}"), err
    assert len(err.splitlines()) == 1, err
    assert not list((tmp_path / "runs").rglob("*.safetensors")), "nothing half-done is left"
    assert not Path("/tmp/raynas-was-here").exists()


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = small_run(tmp_path)
    assert main(["run", str(file)]) == 0
    capsys.readouterr()
    status, _, err = answer(capsys, "run", file, "--set", "seed=5")
    assert status == 2
    assert "holds a run of another configuration (seed 0 there, 5 here" in err


def test_weights_of_another_space_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Someone copied the supernet of another run into the folder."""
    file = small_run(tmp_path)
    assert main(["train", str(file)]) == 0
    run = tmp_path / "runs/small"
    (run / "config.json").unlink()
    moved = tmp_path / "supernet"
    (run / "supernet").rename(moved)
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    other = small_run(tmp_path, space={"name": "nasbench201", "channels": 3, "cells": 1})
    assert main(["search", str(other)]) == 2
    moved.rename(run / "supernet")
    capsys.readouterr()
    status, _, err = answer(capsys, "search", other)
    assert status == 2
    assert "supernet/seed_0/epoch_00004 holds weights of space" in err
    assert '"channels": 2}, this run has {"name": "nasbench201", "cells": 1, "channels": 3}' in err
    assert "give this run its own name" in err


def test_a_folder_in_use_is_a_failure_and_leaves_it_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from raynas.storage.ownership import owning
    from raynas.storage.registers import FolderRegister

    file, run = small_run(tmp_path), tmp_path / "runs/small"
    with owning(FolderRegister(run)):
        for verb in ("run", "rank", "profile"):
            status, _, err = answer(capsys, verb, file)
            assert status == 1
            assert err.startswith(f"raynas: {run} is in use by raynas on ") and len(err.splitlines()) == 1
            assert f"(process {os.getpid()}); wait for it to end, or give this run its own name" in err
            assert os.listdir(run) == [".owner.1"]
    assert not run.exists()
    run.mkdir(parents=True)
    (run / "lock").write_text("")  # of an earlier version; a folder with nothing but a lock in it is new
    assert main(["train", str(file)]) == 0
    assert not (run / "lock").exists()
    assert not [path for path in run.rglob(".*")]


def test_a_full_disk_is_named_and_the_run_continues(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small_run(tmp_path)
    write = Path.write_bytes
    written: list[str] = []

    def fill_up(path: Path, content: bytes) -> int:
        written.append(path.name)
        if len(written) == 6:  # in the middle of the third checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    status, _, err = answer(capsys, "run", file)
    assert status == 1
    assert err.startswith("raynas: storage_path: No space left on device: ")
    assert err.endswith("epoch_00003; free some space and give the same command again to continue\n")
    place = tmp_path / "runs/small/supernet/seed_0"
    assert sorted(path.name for path in place.glob("*epoch*")) == ["epoch_00001", "epoch_00002"]
    monkeypatch.undo()
    assert main(["run", str(file)]) == 0
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    assert main(["run", str(small_run(undisturbed))]) == 0
    assert outcome(tmp_path / "runs/small", 4) == outcome(undisturbed / "runs/small", 4)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m raynas check jobs/quickstart.yaml | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "name: quickstart\n"
    assert done.stderr == ""


def test_sigterm_ends_a_command_as_ctrl_c_does_and_a_second_one_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left = []

    def interrupted_once(number: int) -> None:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            if number == signal.SIGTERM:
                os.kill(os.getpid(), number)  # while what was begun is ended
            left.append(number)
            raise KeyboardInterrupt from None  # as Ray does: another one

    before = signal.getsignal(signal.SIGTERM)
    for number, word, expected in ((signal.SIGTERM, "terminated", 143), (signal.SIGINT, "interrupted", 130)):
        monkeypatch.setattr("raynas.cli._carry_out", lambda options, number=number: interrupted_once(number))
        status, _, err = answer(capsys, "check", small_run(tmp_path))
        assert (status, err) == (expected, f"raynas: {word}; give the same command again to continue\n")
    assert left == [signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("verb", ["check", "run", "sweep", "report", "submit"])
@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")])
def test_a_signal_during_imports_ends_a_command_in_one_line(
    tmp_path: Path, verb: str, number: signal.Signals, word: str
) -> None:
    """A module that the verb imports stands in for torch: it hides KeyboardInterrupt, as C extensions do."""
    slow = tmp_path / "slow.py"
    slow.write_text(
        "import builtins, os\n"
        "known = builtins.__import__\n"
        "def importing(name, *rest, **named):\n"
        "    if name in ('rich.console', 'raynas.config.reading', 'raynas.on_ray.sweep'):\n"
        "        try:\n"
        f"            os.kill(os.getpid(), {int(number)})\n"
        "        except KeyboardInterrupt:\n"
        "            raise ImportError('numpy: something went wrong') from None\n"
        "    return known(name, *rest, **named)\n"
        "builtins.__import__ = importing\n"
        "import sys\n"
        "from raynas.cli import main\n"
        "sys.exit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, str(slow), verb, str(small_run(tmp_path))],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 128 + number
    announced = f"raynas {raynas.__version__}  {verb} small (" if verb in ANNOUNCED else ""
    assert done.stdout.startswith(announced) and done.stdout.count("\n") == (verb in ANNOUNCED)
    assert done.stderr == f"raynas: {word}; give the same command again to continue\n"


@pytest.mark.parametrize("verb", ["run", "train", "search", "rank", "profile", "sweep"])
def test_a_job_whose_results_would_be_lost_with_the_cluster_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    sections = {"sweep": {"keys": {"search.population": {"grid": [20, 30]}}}} if verb == "sweep" else {}
    file = small_run(tmp_path, storage_path="runs", **sections)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    status, _, err = answer(capsys, verb, file)
    assert status == 2
    assert err.startswith(f"raynas: storage_path: 'runs' lies in {tmp_path}, the job's own folder, which is lost with")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_check_refuses_a_folder_that_holds_something_else_unless_a_sweep_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path, search={"fitness": "num_parameters"})
    assert answer(capsys, "run", file)[0] == 0
    assert answer(capsys, "check", file)[0] == 0
    status, _, err = answer(capsys, "check", file, "--set", "search.population=21")
    assert status == 2
    assert (
        f"name: {tmp_path}/runs/small holds a run of another configuration (search.population 20 there, 21 here" in err
    )
    (tmp_path / "runs/mine").mkdir()
    (tmp_path / "runs/mine/photo.png").touch()
    status, _, err = answer(capsys, "check", file, "--set", "name=mine")
    assert status == 2
    assert f"name: {tmp_path}/runs/mine exists and is not a run of raynas; choose another name" in err
    file.write_text(file.read_text() + "sweep: {keys: {seed: {grid: [0, 1]}}}\n")
    assert answer(capsys, "check", file, "--set", "name=mine")[0] == 0


def test_events_that_cannot_be_written_end_a_training_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard writes in a thread, whose traceback Python would print."""
    written, write = [], RecordWriter.write
    file = f"{tmp_path}/runs/small/tensorboard/events"

    def refuse(self: RecordWriter, data: bytes) -> None:
        written.append(data)
        if len(written) > 4:
            raise OSError(errno.EROFS, "Read-only file system", file)
        write(self, data)

    monkeypatch.setattr(RecordWriter, "write", refuse)
    before = threading.excepthook
    status, _, err = answer(capsys, "train", small_run(tmp_path, train={"epochs": 200}))
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith(f"raynas: storage_path: Read-only file system: {file}; choose a place that can be written")
    assert threading.excepthook is before
