"""Evaluation images that processes of a machine share: one reads, all see the same, nothing is left behind."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from raynas.data import fix_images, fixed_images, images_to_send, load_dataset
from raynas.data.fixed_images import ImagesOnDisk
from raynas.data.shared_pixels import shared_pixels
from tests.data.miniatures import write_folder, write_npz

SHAPE = (5, 4, 4, 3)
HOLDER = """
import sys, time
import numpy as np
from raynas.data.shared_pixels import shared_pixels
def fill(pixels):
    print("reads", flush=True)
    time.sleep(float(sys.argv[2]))
    pixels[...] = np.arange(pixels.size, dtype=np.uint8).reshape(pixels.shape)
pixels = shared_pixels(sys.argv[1], (5, 4, 4, 3), fill)
print(pixels.astype(int).sum(), flush=True)
sys.stdin.read()
"""
TOTAL = str(np.arange(240, dtype=np.uint8).astype(int).sum())


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def start(token: str, seconds: float = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, token, str(seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def lines(process: subprocess.Popen[str], number: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(number)]


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.kill()
        process.communicate()


def held(folder: Path) -> list[str]:
    """Returns the files that lie there beside notes, and nothing for a file without a name."""
    return [path.name for path in folder.rglob("*") if path.is_file() and len(path.read_bytes()) > 200]


@pytest.mark.slow
def test_one_process_reads_for_all_and_the_pixels_go_with_the_last_of_them(temporary: Path) -> None:
    first = start("same", seconds=0.5)
    assert lines(first, 1) == ["reads"]
    second = start("same")
    try:
        assert lines(first, 1) == [TOTAL]
        assert lines(second, 1) == [TOTAL], "waits, and reads nothing"
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert held(temporary) == []
        third = start("same")
        assert lines(third, 2) == ["reads", TOTAL], "who held them is dead"
        end(third)
    finally:
        end(first, second)
    shared_pixels("other", SHAPE, lambda pixels: pixels.fill(1))
    assert [path.name for path in temporary.rglob("*") if path.is_file()] == ["other"], "notes of the dead are removed"


def test_a_process_that_dies_while_it_reads_leaves_the_reading_to_the_next(temporary: Path) -> None:
    first = start("same", seconds=60)
    assert lines(first, 1) == ["reads"]
    first.kill()
    first.communicate()
    pixels = shared_pixels("same", SHAPE, lambda pixels: pixels.fill(3))
    assert (pixels == 3).all()


@pytest.mark.parametrize("note", ["", "null", "{", '{"process": 1}', '{"process": "../..", "descriptor": 0}'])
def test_a_note_that_says_nothing_is_not_believed(temporary: Path, note: str) -> None:
    shared_pixels("x", SHAPE, lambda pixels: pixels.fill(3))
    place = temporary / f"raynas-images-{os.getuid()}" / "x"
    place.write_text(note)
    assert (shared_pixels("x", SHAPE, lambda pixels: pixels.fill(4)) == 4).all()


def test_a_note_of_another_file_is_not_believed(temporary: Path) -> None:
    pixels = shared_pixels("x", SHAPE, lambda pixels: pixels.fill(3))
    place = temporary / f"raynas-images-{os.getuid()}" / "x"
    note = json.loads(place.read_text())
    note["inode"] += 1
    place.write_text(json.dumps(note))
    assert (shared_pixels("x", SHAPE, lambda other: other.fill(4)) == 4).all()
    assert (pixels == 3).all()


def test_pixels_that_are_not_used_any_more_are_freed(temporary: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    pixels = shared_pixels("x", SHAPE, lambda pixels: pixels.fill(3))
    again = shared_pixels("x", SHAPE, lambda pixels: pixels.fill(4))
    assert (again == 3).all()
    del pixels, again
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_folder_of_somebody_else_is_not_used(temporary: Path) -> None:
    folder = temporary / f"raynas-images-{os.getuid()}"
    (temporary / "theirs").mkdir()
    folder.symlink_to(temporary / "theirs")
    with pytest.raises(OSError, match="expected a folder of this user that nobody else can write to"):
        shared_pixels("x", SHAPE, lambda pixels: None)
    assert list((temporary / "theirs").iterdir()) == []
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(OSError, match="nobody else can write to"):
        shared_pixels("x", SHAPE, lambda pixels: None)


def test_a_full_disk_is_said_before_anything_is_read(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, start: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"no room for 4\.2 GB .*; point TMPDIR to .*evaluation_images"):
        shared_pixels("x", (28_000, 224, 224, 3), lambda pixels: pytest.fail("was read"))


@pytest.mark.parametrize("kind", ["folder", "npz"])
def test_images_that_are_read_elsewhere_are_to_the_bit_those_that_are_read_here(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fixed_images, "BY_VALUE", 100)
    path = write_folder(tmp_path / "images") if kind == "folder" else write_npz(tmp_path / "images.npz")
    arguments = {"name": kind, "path": path, "resolution": 16}
    dataset = load_dataset(**arguments)  # type: ignore[arg-type]
    positions, labels = np.array([30, 2, 17, 5]), np.arange(40)
    here = fix_images(dataset, dataset.train, positions, labels)
    sent = images_to_send(dataset, dataset.train, positions, labels, arguments)
    assert isinstance(sent, ImagesOnDisk) and len(sent) == 4
    there = sent.read()
    np.testing.assert_array_equal(there.pixels, here.pixels)
    np.testing.assert_array_equal(there.labels, here.labels)
    assert (there.mean, there.std) == (here.mean, here.std)


def test_what_is_sent_of_image_files_is_small_and_none_of_them_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pickle

    path = write_folder(tmp_path / "images")
    dataset = load_dataset("folder", path=path)
    monkeypatch.setattr(fixed_images, "read_rgb", lambda file: pytest.fail("was read"))
    sent = images_to_send(dataset, dataset.train, np.arange(40), dataset.train.labels, {})
    assert isinstance(sent, ImagesOnDisk)
    assert len(pickle.dumps(sent)) < 40 * 200


def test_small_arrays_are_sent_as_they_are(tmp_path: Path) -> None:
    dataset = load_dataset("digits")
    sent = images_to_send(dataset, dataset.train, np.arange(40), dataset.train.labels, {})
    assert isinstance(sent, fixed_images.FixedImages)
