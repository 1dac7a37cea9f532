"""A bucket that a stranger filled: whatever its objects are called, nothing is written outside the staging folder."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pyarrow.fs import FileInfo, FileType, PyFileSystem

from raynas.cli import main
from raynas.storage.mirror import UrlMirror, mirror_at
from tests.storage.s3_server import ENVIRONMENT, s3_server
from tests.storage.test_mirror import OLD, Store, make, tree_of


class HostileStore(Store):
    """A store that lists objects of any names beside those that it has."""

    names: tuple[str, ...] = ()

    def get_file_info_selector(self, selector: Any) -> list[FileInfo]:
        found: list[FileInfo] = super().get_file_info_selector(selector)
        return [*found, *(FileInfo(f"run/{name}", FileType.File, size=4, mtime_ns=1) for name in self.names)]

    def open_input_stream(self, path: str) -> Any:
        if path.removeprefix("run/") in self.names:
            path = "run/config.json"
        return super().open_input_stream(path)


@pytest.fixture
def store(tmp_path: Path) -> HostileStore:
    store = HostileStore(tmp_path / "store")
    make(store.folder / "run", OLD)
    return store


def machine(store: Store, folder: Path) -> UrlMirror:
    return UrlMirror("s3://bucket/run", folder, PyFileSystem(store), "run")


@pytest.mark.parametrize(
    "name", ["../evil", "../../evil", "supernet/../../evil", "/evil", "a\\evil", "C:/evil", "a//evil", "a/\x1b[31m"]
)
def test_an_object_whose_name_leads_out_of_the_run_is_refused_before_anything_is_written(
    tmp_path: Path, store: HostileStore, name: str
) -> None:
    store.names = (name,)
    mirror = machine(store, tmp_path / "cache/reader/run")
    with pytest.raises(ValueError, match="s3://bucket/run holds an object that is no file of a run") as refused:
        mirror.pull()
    assert str(refused.value).isprintable()
    assert not (tmp_path / "cache").exists() and not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    "name", [".mirror.json", "lock", "supernet/lock", ".git/hooks/x", "a/.b/c", "owner.json", "ray/x"]
)
def test_names_that_are_the_mirrors_own_are_not_taken(tmp_path: Path, store: HostileStore, name: str) -> None:
    store.names = (name,)
    mirror = machine(store, tmp_path / "here")
    mirror.pull()
    assert tree_of(tmp_path / "here") == OLD and not (tmp_path / "here" / "lock").exists()
    assert set(json.loads((tmp_path / "here/.mirror.json").read_text())["files"]) == set(OLD)


def test_a_link_in_the_staging_folder_is_not_written_through(tmp_path: Path, store: HostileStore) -> None:
    mirror = machine(store, tmp_path / "here")
    mirror.pull()
    (tmp_path / "outside").mkdir()
    (tmp_path / "here/search").symlink_to(tmp_path / "outside")
    make(store.folder / "run", OLD | {"search/history.jsonl": "1"})
    with pytest.raises(ValueError, match="a link leads it out of"):
        machine(store, tmp_path / "here").pull()
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("version", [1, 2])
def test_a_record_of_the_mirror_that_names_other_files_removes_none(
    tmp_path: Path, store: HostileStore, version: int
) -> None:
    machine(store, tmp_path / "here").pull()
    (tmp_path / "mine").write_text("mine")
    files = json.loads((tmp_path / "here/.mirror.json").read_text())["files"]
    files |= {"../mine": files["config.json"]}
    record = files if version == 1 else {"version": 2, "files": files}
    (tmp_path / "here/.mirror.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="no file of a run"):
        machine(store, tmp_path / "here").pull()
    assert (tmp_path / "mine").exists()


def test_a_url_with_credentials_is_refused_before_it_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(ValueError, match="without credentials"),
        mirror_at("s3://b/run?session_token=hunter2", "reader"),
    ):
        pass
    assert main(["report", "s3://b/run?session_token=hunter2"]) == 2
    assert "hunter2" not in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_s3_with_keys_that_lead_upwards_writes_nothing_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3

    for key, value in ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with s3_server() as address:
        client = boto3.client("s3", endpoint_url=address)
        put = {"run/config.json": b"{}", "run/../../../../../../evil": b"evil", "run/../../evil": b"evil"}
        for key, content in put.items():
            client.put_object(Bucket="bucket", Key=key, Body=content)
        url = f"s3://bucket/run?scheme=http&endpoint_override={address.removeprefix('http://')}"
        assert main(["report", url]) == 2
    assert "holds an object that is no file of a run" in capsys.readouterr().err
    assert not [file for file in tmp_path.rglob("*") if file.name == "evil"]
    assert not os.path.exists("/evil")
