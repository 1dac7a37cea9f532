"""The index of image files: each is opened once, and again when it has changed; a damaged index is not believed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from raynas.data import image_index
from raynas.data.image_index import index_file, index_images


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(150):
        Image.fromarray(rng.integers(0, 256, (6, 5, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return [str(folder / f"{number}.png") for number in range(150)]


def root_of(files: list[str]) -> Path:
    return Path(files[0]).parent


def test_a_file_is_opened_once_and_again_when_size_or_time_have_changed(files: list[str]) -> None:
    told: list[tuple[int, int]] = []
    first = index_images(root_of(files), files, lambda done, total: told.append((done, total)))
    assert (first.num_read, first.damaged, first.not_stored) == (150, {}, "")
    assert told == [(64, 150), (128, 150), (150, 150)]
    assert index_images(root_of(files), files).num_read == 0
    Path(files[7]).write_bytes(Path(files[7]).read_bytes()[:60])
    later = os.stat(files[9]).st_mtime_ns + 1
    os.utime(files[9], ns=(later, later))
    changed = index_images(root_of(files), files)
    assert changed.num_read == 2
    assert list(changed.damaged) == ["7.png"]
    again = index_images(root_of(files), files)
    assert (again.num_read, again.damaged) == (0, changed.damaged)


def test_a_file_that_is_gone_is_damaged_and_is_looked_for_again(files: list[str]) -> None:
    content = Path(files[3]).read_bytes()
    Path(files[3]).unlink()
    assert index_images(root_of(files), files).damaged == {"3.png": "No such file or directory"}
    Path(files[3]).write_bytes(content)
    assert index_images(root_of(files), files).damaged == {}


def test_the_rows_hold_what_was_seen(files: list[str]) -> None:
    index_images(root_of(files), files)
    rows = pq.read_table(index_file(root_of(files))).to_pylist()
    assert len(rows) == 150
    row = rows[5]
    assert row.pop("modified") == os.stat(files[5]).st_mtime_ns
    assert row == {
        "name": "5.png",
        "size": os.stat(files[5]).st_size,
        "width": 5,
        "height": 6,
        "mode": "RGB",
        "conversions": "",
        "error": "",
    }


def test_a_part_of_the_files_keeps_the_rows_of_the_others(files: list[str]) -> None:
    index_images(root_of(files), files[:100])
    assert index_images(root_of(files), files[50:]).num_read == 50
    assert index_images(root_of(files), files).num_read == 0


def rewrite(place: Path, change: str) -> None:
    table = pq.read_table(place)
    if change == "cut short":
        place.write_bytes(place.read_bytes()[:-100])
    elif change == "text":
        place.write_text("not an index")
    elif change == "empty":
        place.write_bytes(b"")
    elif change == "folder":
        place.unlink()
        place.mkdir()
    elif change == "a column less":
        pq.write_table(table.drop_columns(["error"]), place)
    elif change == "another version":
        pq.write_table(table.replace_schema_metadata({"raynas": "images 0"}), place)
    elif change == "another type":
        column = table.column("size").cast(pa.string())
        pq.write_table(table.set_column(1, "size", column), place)
    else:
        column = pa.array([None] * len(table), pa.string())
        pq.write_table(table.set_column(7, "error", column), place)


@pytest.mark.parametrize(
    "change",
    ["cut short", "text", "empty", "folder", "a column less", "another version", "another type", "nulls"],
)
def test_an_index_that_is_not_as_it_was_stored_is_made_again(files: list[str], change: str) -> None:
    index_images(root_of(files), files)
    rewrite(index_file(root_of(files)), change)
    again = index_images(root_of(files), files)
    assert (again.num_read, again.damaged) == (150, {})
    if change == "folder":
        assert "Is a directory" in again.not_stored
    else:
        assert index_images(root_of(files), files).num_read == 0


def test_a_cache_that_cannot_be_written_is_said_and_costs_nothing_else(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    index = index_images(root_of(files), files)
    assert index.num_read == 150
    assert str(tmp_path / "cache") in index.not_stored


def test_an_interruption_keeps_what_was_read(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        if done > 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index_images(root_of(files), files, stop)
    assert not list(index_file(root_of(files)).parent.glob(".*"))
    assert index_images(root_of(files), files).num_read == 150 - 128


def test_a_long_reading_is_stored_as_it_goes(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_index, "_STORE_SECONDS", 0.0)
    stored = []

    def look(done: int, total: int) -> None:
        stored.append(index_file(root_of(files)).exists())

    index_images(root_of(files), files, look)
    assert stored == [False, True, True]


def test_names_that_are_no_unicode_are_read_and_only_not_stored(tmp_path: Path) -> None:
    name = os.fsencode(str(tmp_path)) + b"/\xff.png"
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "x.png")
    os.rename(tmp_path / "x.png", name)
    index = index_images(tmp_path, [os.fsdecode(name)])
    assert (index.num_read, index.damaged) == (1, {})
    assert index.not_stored
