import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from raynas.storage.run_folder import (
    append_text,
    is_new,
    open_run,
    rounding_change,
    write_json,
    written_at_once,
)
from tests.stages.runs import small_run


def config_of(folder: Path, *overrides: str) -> RunConfig:
    return load_config(small_run(folder), overrides)


def test_a_run_keeps_its_resolved_configuration_and_versions(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    stored = json.loads((open_run(config) / "config.json").read_text())
    assert stored["config"] == config.model_dump()
    assert set(stored["versions"]) == {"python", "raynas", "torch", "torchvision", "ray", "numpy"}


def test_a_run_keeps_what_its_search_is_by(tmp_path: Path) -> None:
    trade_offs = ("search.name=pareto", "search.objectives=[num_parameters]", "search.angle=official")
    plan = json.loads((open_run(config_of(tmp_path, *trade_offs)) / "config.json").read_text())["plan"]
    assert (plan["fitness"], plan["name"], plan["objectives"]) == ("angle", "angle (official)", ["num_parameters"])
    assert [(one["name"], one["unit"]) for one in plan["quantities"]] == [("fitness", "rad")]
    several = ("search.fitness=[angle, num_parameters]", "name=several")
    plan = json.loads((open_run(config_of(tmp_path, *several)) / "config.json").read_text())["plan"]
    assert (plan["fitness"], plan["name"]) == ("angle+num_parameters", "angle (paper) + num_parameters")
    assert (plan["objectives"], len(plan["quantities"])) == ([], 3)


@pytest.mark.parametrize("override", ["train.workers=2", "train.max_failures=0", "address=auto", "local_cpus=7"])
def test_where_a_run_is_carried_out_may_change(tmp_path: Path, override: str) -> None:
    folder = open_run(config_of(tmp_path))
    assert open_run(config_of(tmp_path, override)) == folder


@pytest.mark.parametrize("override", ["seed=1", "train.epochs=5", "space.channels=3", "search.angle=official"])
def test_a_folder_of_another_configuration_is_refused_with_what_differs(tmp_path: Path, override: str) -> None:
    open_run(config_of(tmp_path))
    key, value = override.split("=")
    with pytest.raises(ValueError) as mistake:
        open_run(config_of(tmp_path, override))
    assert f"({key} " in str(mistake.value)
    assert value in str(mistake.value)
    assert "--set name=small-2" in str(mistake.value)


def test_a_run_from_before_a_key_was_there_had_its_default(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    file = open_run(config) / "config.json"
    stored = json.loads(file.read_text())
    for section, key in (("train", "schedule"), ("search", "objectives")):
        del stored["config"][section][key]
    del stored["config"]["latency"]
    write_json(file, stored)
    assert open_run(config) == file.parent
    with pytest.raises(ValueError, match=r"\(train.schedule 'cosine' there, 'linear' here\)"):
        open_run(config_of(tmp_path, "train.schedule=linear"))
    write_json(file, stored | {"config": stored["config"] | {"shape": 1}})
    with pytest.raises(ValueError, match=r"config.json is not of this version of raynas: shape: unknown key"):
        open_run(config)


def test_a_folder_that_is_no_run_is_left_alone(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    config.folder.mkdir(parents=True)
    (config.folder / "thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match="exists and is not a run of raynas"):
        open_run(config)
    assert os.listdir(config.folder) == ["thesis.tex"]


def test_a_json_file_is_replaced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "x.json"
    write_json(file, {"a": 1})

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_json(file, {"a": 2})
    assert error.value.filename == str(file)
    assert json.loads(file.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_folder_is_replaced_at_once(tmp_path: Path) -> None:
    with written_at_once(tmp_path / "c") as temporary:
        (temporary / "old").write_text("1")
    with pytest.raises(KeyboardInterrupt), written_at_once(tmp_path / "c") as temporary:
        (temporary / "new").write_text("2")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["c"]
    assert os.listdir(tmp_path / "c") == ["old"]
    with written_at_once(tmp_path / "c") as temporary:
        (temporary / "new").write_text("2")
    assert os.listdir(tmp_path / "c") == ["new"]


def test_a_failed_append_names_its_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing") as error:
        append_text(tmp_path / "missing" / "file", "x")
    assert error.value.filename == str(tmp_path / "missing" / "file")


def test_a_run_that_goes_on_with_other_threads_or_workers_says_that_the_bits_differ(tmp_path: Path) -> None:
    open_run(load_config(small_run(tmp_path, train={"workers": 1})))
    for train, line in (
        ({"workers": 0}, None),
        ({"workers": 1}, None),
        ({"workers": 2}, "train.workers was 1 and is 2: "),
        ({"workers": 1, "cpus_per_worker": 2}, "train.cpus_per_worker was 1 and is 2: "),
    ):
        change = rounding_change(load_config(small_run(tmp_path, train=train)))
        assert change is None if line is None else str(change).startswith(line)
    change = rounding_change(load_config(small_run(tmp_path, search={"cpus_per_evaluator": 3}, train={"workers": 1})))
    assert change == (
        "search.cpus_per_evaluator was 1 and is 3: what is computed from here on agrees to rounding, not to the bit"
    )


@pytest.mark.parametrize(("mask", "file_mode", "folder_mode"), [(0o077, 0o600, 0o700), (0o002, 0o664, 0o775)])
def test_what_a_run_writes_follows_the_umask(tmp_path: Path, mask: int, file_mode: int, folder_mode: int) -> None:
    from raynas.storage.ownership import owning
    from raynas.storage.registers import FolderRegister

    before = os.umask(mask)
    try:
        with owning(FolderRegister(tmp_path / "run")):
            write_json(tmp_path / "run/search/x.json", {})
            append_text(tmp_path / "run/notes.txt", "x\n")
            with written_at_once(tmp_path / "run/epoch_00001") as temporary:
                (temporary / "weights").write_text("1")
            paths = list((tmp_path / "run").rglob("*"))
            assert len(paths) == 6
            for path in (tmp_path / "run", *paths):
                assert stat.S_IMODE(path.stat().st_mode) == (folder_mode if path.is_dir() else file_mode), path
    finally:
        os.umask(before)


def test_a_folder_that_others_claim_or_begin_to_write_is_new(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".owner.1", ".owner.2.0a1b2c3d", ".config.json.k3_9zq0a", "lock"):
        (folder / name).touch()
    assert is_new(folder)
    (folder / "photo.png").touch()
    assert not is_new(folder)
