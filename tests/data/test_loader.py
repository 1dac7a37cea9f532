from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raynas.data import ImageSet, Loader, Stream, draw_labels, hash_bits, load_dataset, uniform_integers
from tests.data.loaders import loader_options
from tests.data.miniatures import read_marks, to_pixels, write_folder

BATCH = 8


def make_loader(dataset, labels=None, *, positions=None, **options):
    images = dataset.train
    positions = np.arange(len(images)) if positions is None else positions
    options = loader_options(dict(batch_size=BATCH, seed=3, augment=True, shuffle=True, drop_last=False) | options)
    return Loader(dataset, images, positions, labels or (lambda epoch: images.labels), **options)


def identify(dataset, batch):
    """Returns the positions in the training part of the images of an unaugmented batch."""
    pixels = to_pixels(dataset, batch)
    if dataset.name == "folder":
        numbers = [int(Path(path).stem) for path in dataset.train.images]
        return [numbers.index(mark) for mark in read_marks(pixels)]
    known = {image.tobytes(): position for position, image in enumerate(dataset.train.images)}
    assert len(known) == len(dataset.train), "images must differ to be told apart"
    return [known[image.tobytes()] for image in pixels]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for (images, labels), (other_images, other_labels) in zip(batches, others, strict=True):
        assert torch.equal(images, other_images) and torch.equal(labels, other_labels)


@pytest.mark.parametrize("method", ["true", "random", "shuffled", "random_each_iteration", "shuffled_each_iteration"])
def test_each_image_comes_once_an_epoch_with_the_label_that_was_drawn_for_it(dataset, method):
    train = dataset.train

    def labels(epoch):
        return draw_labels(method, train.labels, train.index, num_categories=dataset.num_classes, seed=1, epoch=epoch)

    loader = make_loader(dataset, labels, augment=False)
    for epoch in (0, 5):
        drawn = np.full(len(train), -1)
        for images, batch_labels in loader.epoch(epoch):
            assert batch_labels.dtype == torch.int64
            positions = identify(dataset, images)
            assert (drawn[positions] == -1).all()
            drawn[positions] = batch_labels
        np.testing.assert_array_equal(drawn, labels(epoch))
        agreement = (drawn == train.labels).mean()
        assert agreement == 1 if method == "true" else agreement < 0.6


def test_all_ranks_together_see_the_batches_of_one(dataset):
    loader = make_loader(dataset)
    alone = list(loader.epoch(2))
    for world in (2, 4):
        shares = [list(loader.epoch(2, rank=rank, world=world)) for rank in range(world)]
        for step, (images, labels) in enumerate(alone):
            for rank, share in enumerate(shares):
                assert torch.equal(share[step][0], images[rank::world])
                assert torch.equal(share[step][1], labels[rank::world])


def test_an_epoch_that_is_resumed_goes_on_as_if_it_had_not_stopped(dataset):
    whole = list(make_loader(dataset).epoch(1))
    for first_step in (0, 3, len(whole)):
        assert_same(list(make_loader(dataset).epoch(1, first_step=first_step)), whole[first_step:])


def test_the_global_generators_are_neither_read_nor_written(dataset):
    loader = make_loader(dataset)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = list(loader.epoch(0))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert_same(list(loader.epoch(0)), first)


def test_epochs_and_seeds_differ_in_order_and_augmentation(dataset):
    batches = [next(iter(make_loader(dataset, seed=seed).epoch(epoch))) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(batches[one][0], batches[other][0])


def test_a_subset_keeps_the_order_and_the_augmentation_of_its_images(marked):
    positions = np.array([30, 2, 17, 5, 11])
    whole = {tuple(read_marks(to_pixels(marked, image[None]))): image for image, _ in singles(make_loader(marked))}
    part = singles(make_loader(marked, positions=positions))
    order = [mark for mark in whole if mark[0] in positions]
    assert [tuple(read_marks(to_pixels(marked, image[None]))) for image, _ in part] == order
    for image, label in part:
        mark = tuple(read_marks(to_pixels(marked, image[None])))
        assert torch.equal(image, whole[mark])
        assert label == marked.train.labels[mark[0]]


def singles(loader, epoch=0):
    return [pair for images, labels in loader.epoch(epoch) for pair in zip(images, labels, strict=True)]


@pytest.mark.parametrize("options", [dict(augment=False), dict(shuffle=False)], ids=["order", "augmentation"])
def test_what_is_random_hashes_on_the_index_not_on_the_position(marked, options):
    later = replace(marked, train=ImageSet(marked.train.images, marked.train.labels, marked.train.index + 1000))
    here, there = (
        torch.cat([images for images, _ in make_loader(kind, **options).epoch(0)]) for kind in (marked, later)
    )
    assert not torch.equal(here, there)


@pytest.mark.parametrize("padding", [0, 1, 4])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [7, 16])
def test_crops_and_flips_equal_a_plain_per_image_reference(marked, padding, flip, size):
    images = np.random.default_rng(0).integers(0, 256, (50, size, size, 3), dtype=np.uint8)
    train = ImageSet(images, np.arange(50), np.arange(50) * 3)
    dataset = replace(marked, train=train, resolution=size, crop_padding=9, flip=not flip)
    loader = make_loader(dataset, shuffle=False, crop_padding=padding, flip=flip)
    for epoch in (0, 4):
        top, left = (
            uniform_integers(hash_bits(3, stream, epoch, train.index), 2 * padding + 1)
            for stream in (Stream.CROP_TOP, Stream.CROP_LEFT)
        )
        mirrored = uniform_integers(hash_bits(3, Stream.FLIP, epoch, train.index), 2)
        for i, (image, label) in enumerate(singles(loader, epoch)):
            framed = np.pad(images[i], ((padding, padding), (padding, padding), (0, 0)))
            expected = framed[top[i] : top[i] + size, left[i] : left[i] + size]
            if flip and mirrored[i]:
                expected = expected[:, ::-1]
            np.testing.assert_array_equal(to_pixels(dataset, image[None])[0], expected)
            assert label == i


def test_the_data_set_says_how_to_augment_unless_told_otherwise(marked):
    assert_same(list(make_loader(marked).epoch(0)), list(make_loader(marked, crop_padding=2, flip=True).epoch(0)))


def test_every_offset_and_both_directions_occur_equally_often(marked):
    images = np.zeros((20_000, 4, 4, 3), np.uint8)
    images[:, 1, 1] = 255
    everything = ImageSet(images, np.zeros(20_000, int), np.arange(20_000))
    loader = make_loader(replace(marked, train=everything, resolution=4), crop_padding=1, flip=True, batch_size=20_000)
    ((batch, _),) = loader.epoch(0)
    seen = to_pixels(marked, batch)[..., 0].mean(0) / 255
    expected = np.zeros((4, 4))
    for row in range(3):
        for column in range(3):
            expected[row, column] += 1 / 18
            expected[row, 3 - column] += 1 / 18
    np.testing.assert_allclose(seen, expected, atol=0.01)


def test_without_augmentation_the_images_come_as_they_are(marked):
    loader = make_loader(marked, augment=False, shuffle=False)
    pixels = np.concatenate([to_pixels(marked, images) for images, _ in loader.epoch(0)])
    np.testing.assert_array_equal(pixels, marked.train.images)
    assert_same(list(loader.epoch(0)), list(loader.epoch(1)))


def test_normalising_subtracts_the_mean_and_divides_by_the_deviation(marked):
    dataset = replace(marked, mean=(0.2, 0.5, 0.3), std=(0.25, 0.5, 1.0))
    ((images, _),) = make_loader(dataset, augment=False, shuffle=False, batch_size=40).epoch(0)
    expected = (dataset.train.images / 255 - dataset.mean) / dataset.std
    np.testing.assert_allclose(images.permute(0, 2, 3, 1), expected, atol=1e-5)


def test_a_last_batch_that_is_not_full_is_kept_or_dropped(marked):
    for drop_last, sizes in ((False, [12, 12, 12, 4]), (True, [12, 12, 12])):
        loader = make_loader(marked, batch_size=12, drop_last=drop_last)
        assert [len(labels) for _, labels in loader.epoch(0)] == sizes
        assert loader.steps_per_epoch == len(sizes)


def test_a_last_batch_smaller_than_the_world_leaves_some_ranks_an_empty_one(dataset):
    positions = np.arange(BATCH + 1)
    loader = make_loader(dataset, positions=positions)
    *_, (images, labels) = loader.epoch(0, rank=3, world=4)
    assert images.shape == (0, 3, dataset.resolution, dataset.resolution) and labels.shape == (0,)


def test_images_passed_in_are_left_as_they_were(marked):
    before = marked.train.images.copy()
    for images, labels in make_loader(marked, augment=False).epoch(0):
        images.zero_()
        labels.zero_()
    np.testing.assert_array_equal(marked.train.images, before)
    assert marked.train.labels.any()


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on a machine of one core
@pytest.mark.parametrize("num_workers", [1, 2])
def test_loader_processes_change_no_pixel(tmp_path, num_workers):
    dataset = load_dataset("folder", path=write_folder(tmp_path), resolution=16)
    for options in (dict(augment=True), dict(augment=False)):
        here = list(make_loader(dataset, **options).epoch(1))
        assert_same(list(make_loader(dataset, num_workers=num_workers, **options).epoch(1)), here)


def test_image_files_are_cropped_at_random_and_mirrored(tmp_path):
    from PIL import Image

    write_folder(tmp_path)
    ramp = np.zeros((40, 40, 3), np.uint8)
    ramp[..., 0] = np.arange(40) * 6
    ramp[..., 1] = np.arange(40)[:, None] * 6
    for path in tmp_path.glob("train/*/*.png"):
        Image.fromarray(ramp).save(path)
    dataset = load_dataset("folder", path=str(tmp_path), resolution=16)
    crops = [to_pixels(dataset, image[None])[0].astype(int) for image, _ in singles(make_loader(dataset))]
    mirrored = [crop[8, 15, 0] < crop[8, 0, 0] for crop in crops]
    assert 10 <= sum(mirrored) <= 30
    assert all(crop[15, 8, 1] > crop[0, 8, 1] for crop in crops)
    assert len({crop.tobytes() for crop in crops}) == len(crops)
    straight = [to_pixels(dataset, image[None])[0] for image, _ in singles(make_loader(dataset, flip=False))]
    assert all(int(crop[8, 15, 0]) > int(crop[8, 0, 0]) for crop in straight)
    centred = [to_pixels(dataset, image[None])[0] for image, _ in singles(make_loader(dataset, augment=False))]
    assert len({crop.tobytes() for crop in centred}) == 1


@pytest.mark.parametrize(
    ("ratio", "least", "greatest"), [(None, 3 / 4, 4 / 3), ([1.0, 1.0], 1, 1), ([1.5, 1.6], 1.5, 1.6)]
)
def test_image_files_are_cropped_in_the_ratio_of_width_to_height_and_the_area_asked_for(
    tmp_path, ratio, least, greatest
):
    """Red counts columns and green rows of a photo, so that a crop tells how wide and high it was."""
    from PIL import Image

    width, height, resolution = 240, 120, 32
    write_folder(tmp_path)
    photo = np.zeros((height, width, 3), np.uint8)
    photo[..., 0] = np.arange(width)
    photo[..., 1] = np.arange(height)[:, None] * 2
    for path in tmp_path.glob("train/*/*.png"):
        Image.fromarray(photo).save(path)
    dataset = load_dataset("folder", path=str(tmp_path), resolution=resolution)
    seen = []
    for epoch in range(5):
        for image, _ in singles(make_loader(dataset, crop_ratio=ratio, flip=False), epoch):
            crop = to_pixels(dataset, image[None])[0].astype(float)
            inner = slice(4, -4)  # the outermost pixels see past the edge of the crop
            steps = resolution - 8 - 1
            wide = (crop[16, inner][-1, 0] - crop[16, inner][0, 0]) / steps * resolution
            high = (crop[inner, 16][-1, 1] - crop[inner, 16][0, 1]) / steps * resolution / 2
            seen.append((wide / high, wide * high / (width * height)))
    ratios, areas = np.array(seen).T
    slack = 0.12  # crops are whole pixels, colours whole grey levels
    assert least * (1 - slack) < ratios.min() and ratios.max() < greatest * (1 + slack)
    assert 0.08 * (1 - 2 * slack) < areas.min() < 0.15
    if greatest > least * 1.2:
        assert ratios.min() < 0.85 and ratios.max() > 1.15
    highest = min(width / height / ratios.mean(), ratios.mean() / (width / height))  # a crop may not leave the photo
    assert areas.max() == pytest.approx(highest, rel=0.25)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("damage", ["truncated", "text", "missing"])
def test_an_unreadable_image_file_is_named_in_one_line(tmp_path, num_workers, damage):
    dataset = load_dataset("folder", path=write_folder(tmp_path), resolution=16)
    path = Path(dataset.train.images[13])
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"no image")
    with pytest.raises(
        ValueError, match=rf"^data\.path: expected {path} to be an image, .*; replace or remove the file$"
    ):
        list(make_loader(dataset, num_workers=num_workers).epoch(0))


def test_a_batch_larger_than_the_data_is_refused(marked):
    with pytest.raises(ValueError, match=r"train\.batch_size: expected at most 40 .*got 41; lower it"):
        make_loader(marked, batch_size=41, drop_last=True)


def test_more_workers_than_images_in_a_batch_are_refused(marked):
    with pytest.raises(ValueError, match=r"train\.batch_size: .*each of 9 workers, got 8; raise it"):
        next(make_loader(marked).epoch(0, rank=0, world=9))


def test_nothing_to_load_is_refused(marked):
    with pytest.raises(ValueError, match=r"data\.train_portion: .*got 0; lower it"):
        make_loader(marked, positions=np.arange(0))


def test_labels_for_other_images_are_refused(marked):
    with pytest.raises(ValueError, match=r"one label for each of 40 images, got shape \(39,\)"):
        next(make_loader(marked, lambda epoch: np.zeros(39, int)).epoch(0))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_batches_on_a_gpu_equal_those_on_the_cpu(dataset):
    here, there = (list(make_loader(dataset, device=torch.device(kind)).epoch(0)) for kind in ("cpu", "cuda"))
    assert all(images.is_cuda and labels.is_cuda for images, labels in there)
    assert_same([(images.cpu(), labels.cpu()) for images, labels in there], here)
