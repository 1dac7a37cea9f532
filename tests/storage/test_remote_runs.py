"""The runs at a URL, as the pages of `raynas ui` read them: on an S3 of this machine's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from raynas.cli import main
from raynas.errors import InputError
from raynas.report.page import no_defaults
from raynas.storage.object_store import opened_store
from raynas.storage.remote_runs import runs_at
from raynas.storage.run_list import runs_in
from raynas.ui.pages import Pages
from tests.report import runs
from tests.storage.s3_server import ENVIRONMENT, s3_server

pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_server() as address:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        yield "s3://bucket/runs"


def put(url: str, folder: Path) -> None:
    """Uploads a folder under its name."""
    store, root = opened_store(url)
    for file in folder.rglob("*"):
        if file.is_file():
            with store.open_output_stream(f"{root}/{folder.name}/{file.relative_to(folder)}") as stream:
                stream.write(file.read_bytes())


def run(folder: Path) -> Path:
    runs.write_config(folder, name=folder.name)
    runs.write_search(folder, generations=1, population=3, drawings=False)
    (folder / "supernet").mkdir()
    (folder / "supernet/weights.safetensors").write_bytes(b"heavy")
    return folder


def test_pages_show_the_runs_at_a_url_and_those_that_come_and_go(tmp_path: Path, url: str) -> None:
    put(url, run(tmp_path / "first"))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("of no run")
    put(url, tmp_path / "notes")
    store, root = opened_store(url)
    said: list[str] = []
    with runs_at(url, said.append, every=0.05) as folder:
        assert [found.name for found in runs_in(folder)] == ["first"]
        assert not list(folder.rglob("*.safetensors"))
        place = Pages(folder, no_defaults).place(["first"])
        assert place is not None and "nor_conv" in Pages(folder, no_defaults).page(place)

        before = store.get_file_info(f"{root}/first/config.json").mtime_ns
        assert (folder / "first/config.json").stat().st_mtime_ns == before, "the age is that at the URL"
        put(url, run(tmp_path / "second"))
        wait_for(lambda: len(runs_in(folder)) == 2)
        store.delete_dir(f"{root}/first")
        wait_for(lambda: [found.name for found in runs_in(folder)] == ["second"])
        left = sorted(info.base_name for info in store.get_file_info([f"{root}/second/config.json"]))
    assert (left, said) == (["config.json"], [])
    assert not folder.exists()


def wait_for(condition: object, seconds: float = 20) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_url_without_runs_is_refused_in_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"s3://bucket/nowhere cannot be read \(.*give the storage_path"):
        with runs_at("s3://bucket/nowhere", print):
            pass
    assert main(["ui", "s3://user:secret@bucket/runs"]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1 and "secret" not in said
    assert os.environ["AWS_ENDPOINT_URL"]
