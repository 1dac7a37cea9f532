import os
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from raynas.data import DATASETS, load_dataset, split_indices
from tests.data.miniatures import (
    NUM_TEST,
    NUM_TRAIN,
    marked_images,
    marked_labels,
    read_marks,
    write_folder,
    write_npz,
)

FACTS = {  # training images, test images, classes, resolution, padding, flip
    "digits": (1438, 359, 10, 8, 1, False),
    "cifar10": (NUM_TRAIN, NUM_TEST, 10, 32, 4, True),
    "cifar100": (NUM_TRAIN, NUM_TEST, 100, 32, 4, True),
    "imagenet16-120": (NUM_TRAIN, NUM_TEST, 120, 16, 2, True),
    "npz": (NUM_TRAIN, NUM_TEST, 5, 12, 2, True),
    "folder": (NUM_TRAIN, NUM_TEST, 4, 16, 0, True),
}
MEASURING_DATA = Path(os.environ.get("RAYNAS_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


def test_every_data_set_says_what_it_is(dataset):
    facts = (len(dataset.train), len(dataset.test), dataset.num_classes, dataset.resolution)
    assert (*facts, dataset.crop_padding, dataset.flip) == FACTS[dataset.name]
    for part in (dataset.train, dataset.test):
        assert len(part.images) == len(part.labels) == len(part.index) == len(part)
        assert part.labels.dtype == part.index.dtype == np.int64
        assert 0 <= part.labels.min() and part.labels.max() < dataset.num_classes
        np.testing.assert_array_equal(part.index, np.arange(len(part)))
        if dataset.name != "folder":
            assert part.images.dtype == np.uint8 and part.images.flags.c_contiguous
            assert part.images.shape[1:] == (dataset.resolution, dataset.resolution, 3)


def test_images_keep_their_order_and_their_labels(dataset):
    if dataset.name == "digits":
        pytest.skip("its images carry no marks")
    for part, num_images in ((dataset.train, NUM_TRAIN), (dataset.test, NUM_TEST)):
        if dataset.name == "folder":
            numbers = np.array([int(Path(path).stem) for path in part.images])
            np.testing.assert_array_equal(part.labels, numbers % 4)
        else:
            numbers = read_marks(part.images)
            np.testing.assert_array_equal(numbers, np.arange(num_images))
            np.testing.assert_array_equal(part.labels, marked_labels(num_images, dataset.num_classes))
        np.testing.assert_array_equal(np.sort(numbers), np.arange(num_images))


def test_pixels_are_normalised_to_mean_0_and_deviation_1(dataset):
    if dataset.name == "folder":
        assert (dataset.mean, dataset.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        return
    pixels = dataset.train.images.reshape(-1, 3) / 255
    np.testing.assert_allclose(dataset.mean, pixels.mean(0), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, np.maximum(pixels.std(0), 1 / 255), rtol=1e-6)


def test_digits_reach_from_black_to_white():
    images = load_dataset("digits").train.images
    assert images.min() == 0 and images.max() == 255
    np.testing.assert_array_equal(images[..., 0], images[..., 2])


def test_digits_are_those_of_scikit_learn_and_read_without_its_import():
    from sklearn.datasets import load_digits

    scans, labels = load_digits(return_X_y=True)
    dataset = load_dataset("digits")
    grey = np.sort(np.concatenate([dataset.train.images[..., 0], dataset.test.images[..., 0]]).reshape(-1))
    assert (grey == np.sort(np.rint(scans.reshape(-1) * (255 / 16)))).all()
    counts = np.bincount(dataset.train.labels, minlength=10) + np.bincount(dataset.test.labels, minlength=10)
    assert counts.tolist() == np.bincount(labels).tolist()
    code = (
        "import sys; from raynas.data import load_dataset; load_dataset('digits'); assert 'sklearn' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_digits_split_the_same_whatever_the_seed():
    np.testing.assert_array_equal(load_dataset("digits", seed=1).test.images, load_dataset("digits").test.images)


def test_a_resolution_resizes_both_parts_and_the_padding(tmp_path):
    dataset = load_dataset("npz", path=write_npz(tmp_path / "marked.npz"), resolution=32)
    assert (dataset.resolution, dataset.crop_padding) == (32, 4)
    np.testing.assert_array_equal(dataset.train.images, marked_images(NUM_TRAIN, 32))
    np.testing.assert_array_equal(dataset.test.images, marked_images(NUM_TEST, 32))


def test_shrinking_averages_instead_of_picking_pixels(tmp_path):
    checkers = np.zeros((NUM_TRAIN, 12, 12, 3), np.uint8)
    checkers[:, ::2, ::2] = checkers[:, 1::2, 1::2] = 200
    dataset = load_dataset("npz", path=write_npz(tmp_path / "checkers.npz", train_images=checkers), resolution=3)
    assert np.abs(dataset.train.images.astype(int) - 100).max() <= 4


def test_one_channel_is_repeated(tmp_path):
    file = write_npz(
        tmp_path / "grey.npz",
        train_images=marked_images(NUM_TRAIN, 12)[..., :1],
        test_images=marked_images(NUM_TEST, 12)[..., :1],
    )
    for resolution in (None, 6):
        images = load_dataset("npz", path=file, resolution=resolution).test.images
        np.testing.assert_array_equal(images[..., 0], images[..., 2])
        np.testing.assert_array_equal(images[:, 0, 0, 1], marked_images(NUM_TEST, 12)[:, 0, 0, 0])


def test_classes_that_only_the_test_part_has_count(tmp_path):
    file = write_npz(tmp_path / "more.npz", test_labels=np.full(NUM_TEST, 8, np.uint8))
    assert load_dataset("npz", path=file).num_classes == 9


def test_images_without_contrast_do_not_divide_by_zero(tmp_path):
    file = write_npz(tmp_path / "flat.npz", train_images=np.full((NUM_TRAIN, 12, 12, 3), 9, np.uint8))
    assert load_dataset("npz", path=file).std == pytest.approx((1 / 255,) * 3)


def test_a_test_folder_may_be_called_test(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "val").rename(tmp_path / "test")
    assert len(load_dataset("folder", path=str(tmp_path)).test) == NUM_TEST


def test_a_folder_is_read_at_224_pixels_by_default(tmp_path):
    assert load_dataset("folder", path=write_folder(tmp_path)).resolution == 224


@pytest.mark.parametrize("name", ["npz", "folder"])
def test_a_subset_is_drawn_by_seed_and_keeps_its_index(name, tmp_path):
    path = write_npz(tmp_path / "marked.npz") if name == "npz" else write_folder(tmp_path)
    whole = load_dataset(name, path=path).train
    subsets = [load_dataset(name, path=path, max_images=15, seed=seed).train for seed in (0, 0, 1)]
    np.testing.assert_array_equal(subsets[0].index, subsets[1].index)
    assert subsets[0].index.tolist() != subsets[2].index.tolist()
    for subset in subsets:
        assert len(subset) == 15 and (np.diff(subset.index) > 0).all()
        np.testing.assert_array_equal(subset.labels, whole.labels[subset.index])
        for image, position in zip(subset.images, subset.index, strict=True):
            np.testing.assert_array_equal(image, whole.images[position])


def test_a_smaller_subset_lies_within_a_larger_one(tmp_path):
    file = write_npz(tmp_path / "marked.npz")
    small, large = (set(load_dataset("npz", path=file, max_images=number).train.index.tolist()) for number in (10, 20))
    assert small < large


@pytest.mark.slow
def test_cifar10_has_the_mean_and_deviation_of_the_literature(tmp_path):
    unpack = MEASURING_DATA / "unpack.py"
    if not unpack.is_file():
        pytest.skip(f"no measuring data in {MEASURING_DATA}; set RAYNAS_DATA to where unpack.py lies")
    subprocess.run([sys.executable, unpack, tmp_path], check=True, capture_output=True)
    dataset = load_dataset("npz", path=str(tmp_path / "cifar10.npz"))
    assert (len(dataset.train), len(dataset.test), dataset.num_classes) == (50_000, 10_000, 10)
    np.testing.assert_allclose(dataset.mean, (0.4914, 0.4822, 0.4465), atol=6e-5)
    np.testing.assert_allclose(dataset.std, (0.2470, 0.2435, 0.2616), atol=6e-5)


@pytest.mark.parametrize("portion", [0.5, 0.8, 1 / 3, 1.0])
@pytest.mark.parametrize("num_images", [2, 101, 50_000])
def test_a_split_is_disjoint_complete_sorted_and_of_the_size_asked(num_images, portion):
    train, search = split_indices(num_images, portion, seed=3)
    assert len(train) == round(num_images * portion)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, search])), np.arange(num_images))
    for part in (train, search):
        assert part.dtype == np.int64 and (np.diff(part) > 0).all()


def test_a_split_is_drawn_by_seed():
    first, again, other = (split_indices(1000, 0.5, seed)[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert 180 < len(np.intersect1d(first, other)) < 320


def test_the_whole_set_to_train_on_leaves_nothing_to_search_on():
    train, search = split_indices(10, 1.0, seed=0)
    assert len(train) == 10 and search.shape == (0,) and search.dtype == np.int64


@pytest.mark.parametrize("portion", [0.0, -0.5, 1.01, 0.001, float("nan")])
def test_a_portion_that_leaves_nothing_to_train_on_is_refused(portion):
    with pytest.raises(ValueError, match=r"data\.train_portion: .*\(0, 1\].* got .*; set it to"):
        split_indices(10, portion, seed=0)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        ValueError, match=rf"data\.name: expected one of {', '.join(DATASETS.names())}, got 'mnist'; or give"
    ):
        load_dataset("mnist")


@pytest.mark.parametrize("resolution", [0, -8])
def test_a_resolution_below_one_pixel_is_refused(resolution):
    with pytest.raises(ValueError, match=rf"data\.resolution: .*got {resolution}; raise it"):
        load_dataset("digits", resolution=resolution)


@pytest.mark.parametrize("number", [0, -1, 1439])
def test_more_images_than_there_are_are_refused(number):
    with pytest.raises(ValueError, match=rf"data\.max_images: expected 1 to 1438 .*got {number}; lower it"):
        load_dataset("digits", max_images=number)


@pytest.mark.parametrize("name", ["imagenet16-120", "npz", "folder"])
def test_a_data_set_without_a_default_place_asks_for_its_path(name):
    with pytest.raises(ValueError, match=rf"data\.path: data set '{name}' .*got no path; say where it lies"):
        load_dataset(name)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_failed_download_says_what_was_looked_for_and_where(name, tmp_path, monkeypatch):
    def no_network(*arguments, **options):
        raise URLError("no route\nto host")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", no_network)
    with pytest.raises(
        ValueError, match=rf"^data\.path: .*{name.upper()} .*{tmp_path}.*no route to host.*; put it there.*$"
    ):
        load_dataset(name, path=str(tmp_path))


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"test_labels": None}, "test_labels is not a file in the archive; add"),
        ({"train_images": np.zeros((NUM_TRAIN, 12, 12, 3))}, "train_images .*uint8, got float64; scale"),
        ({"train_images": np.zeros((NUM_TRAIN, 12, 12), np.uint8)}, r"got \(40, 12, 12\); make them square"),
        ({"test_images": np.zeros((NUM_TEST, 3, 12, 12), np.uint8)}, r"got \(12, 3, 12, 12\); make .*channels last"),
        ({"train_images": np.zeros((NUM_TRAIN, 12, 10, 3), np.uint8)}, "make them square"),
        ({"test_images": np.zeros((0, 12, 12, 3), np.uint8)}, "at least one image"),
        ({"test_images": np.zeros((NUM_TEST, 8, 8, 3), np.uint8)}, "in one size, got 12 and 8 pixels; resize"),
        ({"train_labels": np.zeros(NUM_TRAIN - 1, int)}, r"40 integers.* got int64 \(39,\); give each"),
        ({"train_labels": np.zeros(NUM_TRAIN)}, "40 integers.* got float64"),
        ({"test_labels": np.zeros((NUM_TEST, 5), int)}, r"12 integers.* got int64 \(12, 5\)"),
        ({"test_labels": np.full(NUM_TEST, -1)}, "test_labels .*0 or more, got -1; number the classes from 0"),
        ({"train_labels": np.array([None] * NUM_TRAIN)}, "not read: Object arrays .*; write it with numpy.savez"),
    ],
)
def test_an_npz_file_that_is_not_as_described_is_refused_in_one_line(replaced, reason, tmp_path):
    file = write_npz(tmp_path / "bad.npz", **replaced)
    with pytest.raises(ValueError, match=rf"^data\.path: (?=.*bad\.npz).*{reason}.*$"):
        load_dataset("npz", path=file)


@pytest.mark.parametrize("content", [b"", b"not an archive", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_npz_is_refused(content, tmp_path):
    file = tmp_path / "bad.npz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^data\.path: .*bad\.npz.*not read: .*; write it with numpy\.savez$"):
        load_dataset("npz", path=str(file))


def test_a_damaged_npz_file_is_refused(tmp_path):
    file = Path(write_npz(tmp_path / "bad.npz"))
    content = file.read_bytes()
    for damaged in (content[:-1000], content[:9000] + bytes(100) + content[9100:]):  # cut short; a checksum not met
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"^data\.path: .*bad\.npz.*not read"):
            load_dataset("npz", path=str(file))


def test_a_single_array_or_a_missing_file_is_no_npz_file(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    for file, reason in (("one.npy", "single array"), ("absent.npz", "No such file")):
        with pytest.raises(ValueError, match=rf"^data\.path: .*{file}.*not read: .*{reason}.*; write it"):
            load_dataset("npz", path=str(tmp_path / file))


def test_a_folder_that_is_not_laid_out_by_class_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data\.path: .*train, but .*; lay the images out as train/<class>/\*"):
        load_dataset("folder", path=str(tmp_path))
    (tmp_path / "train" / "empty").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"data\.path: .*train, but .*empty.*; lay the images out"):
        load_dataset("folder", path=str(tmp_path))


def test_a_class_that_only_one_part_has_is_refused(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "val" / "class_2").rename(tmp_path / "val" / "class_9")
    with pytest.raises(ValueError, match=r"data\.path: .*only one of the two has class_2, class_9; add"):
        load_dataset("folder", path=str(tmp_path))
