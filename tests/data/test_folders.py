"""Which files of a folder are images, which are left out and why, and what damaged ones change."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from raynas.data import Dataset, draw_labels, load_dataset, split_images
from raynas.data.image_index import index_file
from tests.data.miniatures import NUM_TRAIN, write_folder, write_npz


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return Path(write_folder(tmp_path / "images"))


def load(root: Path, **arguments: object) -> Dataset:
    return load_dataset("folder", path=str(root), resolution=16, **arguments)  # type: ignore[arg-type]


def train_file(root: Path, number: int) -> Path:
    return root / "train" / f"class_{number % 4}" / f"{number:04}.png"


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:50])


def test_hidden_files_and_folders_are_no_images_and_no_classes(root: Path) -> None:
    before = load(root)
    for folder in (".ipynb_checkpoints", "__MACOSX", "class_0/.ipynb_checkpoints", "class_0/__MACOSX"):
        (root / "train" / folder).mkdir()
        (root / "train" / folder / "x.png").write_bytes(train_file(root, 0).read_bytes())
    for name in (".DS_Store", "Thumbs.db", "._0000.png", "desktop.ini"):
        (root / "train" / "class_1" / name).write_bytes(b"x")
    after = load(root)
    assert after.train.images == before.train.images
    assert after.classes == ("class_0", "class_1", "class_2", "class_3")
    count, first = after.ignored["hidden or of the operating system"]
    assert count == 8
    assert os.path.join("train", "class_1", "Thumbs.db") in first


def test_files_of_other_kinds_are_left_out_by_their_extension_in_any_case(root: Path) -> None:
    train_file(root, 0).rename(train_file(root, 0).with_suffix(".PNG"))
    for name in ("notes.txt", "moving.gif", "MOVING.GIF", "README"):
        (root / "train" / "class_1" / name).write_bytes(b"GIF89a")
    (root / "val" / "list.csv").touch()
    dataset = load(root)
    assert len(dataset.train) == NUM_TRAIN
    assert {reason: count for reason, (count, _) in dataset.ignored.items()} == {
        ".txt, not read as an image": 1,
        ".gif, not read as an image": 2,
        "no extension, not read as an image": 1,
        "not in a class folder": 1,
    }


def test_links_to_folders_are_followed_and_loops_are_refused(root: Path) -> None:
    (root / "train" / "class_3").rename(root / "elsewhere")
    (root / "train" / "class_3").symlink_to(root / "elsewhere")
    assert len(load(root).train) == NUM_TRAIN
    (root / "elsewhere" / "deeper").symlink_to(root / "elsewhere")
    with pytest.raises(ValueError, match=r"data\.path: expected each folder once .*elsewhere as .*deeper; remove one"):
        load(root)


@pytest.mark.parametrize("part", ["train", "val"])
def test_a_class_folder_without_images_is_refused_by_its_name(root: Path, part: str) -> None:
    for other in ("train", "val"):
        (root / other / "zebra").mkdir()
    other = "val" if part == "train" else "train"
    (root / other / "zebra" / "x.png").write_bytes(train_file(root, 0).read_bytes())
    with pytest.raises(
        ValueError, match=rf"data\.path: expected images in every class folder .*{part}.* in zebra; add"
    ):
        load(root)


def test_damaged_files_are_listed_together_before_anything_is_trained(root: Path) -> None:
    for number in range(12):
        truncate(train_file(root, number))
    (root / "val" / "class_1" / "0001.png").write_text("<html>")
    with pytest.raises(ValueError) as refused:
        load(root)
    message = str(refused.value)
    assert "\n" not in message
    assert "but 13 of 52 cannot be read: " in message
    assert message.count(".png (") == 10
    assert message.endswith("and 3 more; replace or remove them, or set data.on_damaged to skip")


def test_skipping_damaged_files_changes_neither_labels_nor_splits_of_the_others(root: Path) -> None:
    whole = load(root)
    bad = [0, 5, 17, 31, 39]
    for number in bad:
        truncate(train_file(root, number))
    left = load(root, on_damaged="skip")
    assert isinstance(whole.train.images, tuple) and isinstance(left.train.images, tuple)
    names = {str(train_file(root, number)) for number in bad}
    assert set(whole.train.images) - set(left.train.images) == names
    assert {str(root / name) for name in left.damaged} == names
    stays = np.array([name not in names for name in whole.train.images])
    np.testing.assert_array_equal(left.train.index, whole.train.index[stays])

    def by_name(dataset: Dataset, values: np.ndarray) -> dict[str, object]:
        kept = [name for name in dataset.train.images if name not in names]
        at = [list(dataset.train.images).index(name) for name in kept]
        return {str(name): values[position] for name, position in zip(kept, at, strict=True)}

    for seed in range(3):
        drawn = [
            draw_labels("random", d.train.labels, d.train.index, num_categories=7, seed=seed, epoch=0)
            for d in (whole, left)
        ]
        assert by_name(whole, drawn[0]) == by_name(left, drawn[1])
        parts = []
        for dataset in (whole, left):
            train, search = split_images(dataset.train, 0.6, seed)
            np.testing.assert_array_equal(np.sort(np.concatenate([train, search])), np.arange(len(dataset.train)))
            in_train = np.zeros(len(dataset.train), bool)
            in_train[train] = True
            parts.append(by_name(dataset, in_train))
        assert parts[0] == parts[1]


def test_a_subset_is_drawn_before_damaged_files_are_skipped(root: Path) -> None:
    whole = load(root, max_images=20, seed=3).train
    truncate(Path(str(whole.images[4])))
    left = load(root, max_images=20, seed=3, on_damaged="skip").train
    assert left.images == (*whole.images[:4], *whole.images[5:])
    assert left.skipped.tolist() == [4]


def test_files_that_a_run_skips_need_not_be_opened_to_be_skipped_again(root: Path) -> None:
    truncate(train_file(root, 3))
    found = load(root, on_damaged="skip")
    index_file(root).unlink()
    again = load(root, skip=list(found.damaged))
    assert again.train.images == found.train.images
    np.testing.assert_array_equal(again.train.skipped, found.train.skipped)
    assert not index_file(root).exists()


def test_a_part_of_which_nothing_can_be_read_is_refused(root: Path) -> None:
    for file in (root / "val").rglob("*.png"):
        truncate(file)
    with pytest.raises(ValueError, match=r"data\.path: none of the images of a part .* can be read"):
        load(root, on_damaged="skip")


def test_class_names_come_from_the_data(root: Path, tmp_path: Path) -> None:
    assert load(root).classes == ("class_0", "class_1", "class_2", "class_3")
    assert load_dataset("digits").classes == tuple("0123456789")
    assert load_dataset("npz", path=write_npz(tmp_path / "plain.npz")).classes is None
    named = load_dataset("npz", path=write_npz(tmp_path / "named.npz", class_names=np.array([*"abcdefg"])))
    assert (named.classes, named.num_classes) == (tuple("abcdefg"), 7)


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"class_names": np.array([*"abcd"])}, "labels of .* below 4, the number of its class_names, got 4; number"),
        ({"class_names": np.arange(5)}, "class_names of .* as a list of different texts, got int64"),
        ({"class_names": np.array([*"abcda"])}, "class_names of .* as a list of different texts"),
        (
            {"test_labels": np.full(12, 2_000_000)},
            r"labels of .*bad.npz numbered from 0 without large gaps, but only 6 of the 2,000,001 numbers up to "
            r"2000000 occur \(0, 1, 2, 3, 4 and 1 more\); number the classes",
        ),
    ],
)
def test_labels_and_names_that_do_not_fit_are_refused(
    tmp_path: Path, replaced: dict[str, np.ndarray], reason: str
) -> None:
    with pytest.raises(ValueError, match=rf"^data\.path: expected {reason}"):
        load_dataset("npz", path=write_npz(tmp_path / "bad.npz", **replaced))


def test_named_classes_may_have_gaps_in_what_occurs(tmp_path: Path) -> None:
    names = np.array([f"class {number}" for number in range(100)])
    assert load_dataset("npz", path=write_npz(tmp_path / "named.npz", class_names=names)).num_classes == 100
