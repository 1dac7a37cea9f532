"""Cutout, against a plain loop over images and against the area it should cover."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from raynas.config.run_config import parse_config
from raynas.data import ImageSet, Loader, Stream, hash_bits, uniform_integers
from raynas.stages.task import make_task
from tests.data.loaders import loader_options

SEED, EPOCH = 3, 2


def make_loader(dataset, **options):
    images = dataset.train
    options = loader_options(dict(batch_size=8, seed=SEED, augment=True, shuffle=True, drop_last=False) | options)
    return Loader(dataset, images, np.arange(len(images)), lambda epoch: images.labels, **options)


def whole(loader, epoch=EPOCH):
    return torch.cat([images for images, _ in loader.epoch(epoch)])


def plain_mask(side, resolution, seed, epoch, index):
    """Returns which pixels of one image are blanked, written out pixel by pixel."""
    row, column = (
        int(uniform_integers(hash_bits(seed, stream, epoch, np.array([index])), resolution)[0])
        for stream in (Stream.HOLE_ROW, Stream.HOLE_COLUMN)
    )
    near = [[-(side // 2) <= k - centre < side - side // 2 for k in range(resolution)] for centre in (row, column)]
    return np.array([[down and across for across in near[1]] for down in near[0]])


def white(dataset, number, resolution):
    """Returns a data set whose augmented images are 1 wherever nothing was cut out."""
    pixels = np.full((number, resolution, resolution, 3), 255, np.uint8)
    images = ImageSet(pixels, np.zeros(number, int), np.arange(number))
    unit = {"mean": (0.0,) * 3, "std": (1.0,) * 3}
    return replace(dataset, train=images, resolution=resolution, crop_padding=0, **unit)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8])
def test_an_image_is_0_in_a_square_around_its_centre_and_as_it_was_everywhere_else(dataset, side):
    """All kinds of data; the square is blanked after cropping, mirroring and normalising."""
    images = dataset.train
    dataset = replace(dataset, train=ImageSet(images.images, images.labels, images.index + 1000))
    options = dict(shuffle=False, lighting=0.1)
    plain, cut = (whole(make_loader(dataset, cutout=cutout, **options)).numpy() for cutout in (0, side))
    for image, before, index in zip(cut, plain, dataset.train.index, strict=True):
        mask = plain_mask(side, dataset.resolution, SEED, EPOCH, index)
        assert mask.any() and before.any(axis=0)[mask].any()
        np.testing.assert_array_equal(image, np.where(mask, np.float32(0), before))


@pytest.mark.parametrize(("side", "resolution"), [(1, 4), (4, 4), (5, 5), (3, 5), (4, 5), (5, 6), (16, 32)])
def test_the_area_that_is_cut_out_is_that_of_a_clipped_square_with_a_uniform_centre(marked, side, resolution):
    number = 2000
    ones = whole(make_loader(white(marked, number, resolution), cutout=side, batch_size=512, shuffle=False))
    along = [
        sum(0 <= centre - side // 2 + k < resolution for k in range(side)) for centre in range(resolution)
    ]  # pixels of the square that lie in the image, by its centre
    expected = Fraction(sum(along), resolution**2) ** 2
    covered = (ones == 0).all(dim=1).double().mean(dim=(1, 2))
    assert ((ones == 0) | (ones == 1)).all()
    deviation = float(covered.std()) / number**0.5
    assert float(covered.mean()) == pytest.approx(float(expected), abs=max(5 * deviation, 1e-12))
    heights = (ones == 0)[:, 0].any(dim=2).sum(dim=1)
    assert sorted(set(heights.tolist())) == sorted(set(along))


def test_a_square_of_16_covers_about_a_fifth_of_an_image_of_32():
    """The figure behind the convention on CIFAR: a quarter, less what sticks out."""
    along = [min(centre + 8, 32) - max(centre - 8, 0) for centre in range(32)]
    assert float(Fraction(sum(along), 32**2) ** 2) == pytest.approx(0.1914, abs=1e-4)


def test_every_pixel_is_a_centre_equally_often(marked):
    ones = whole(make_loader(white(marked, 20_000, 4), cutout=1, batch_size=20_000))
    np.testing.assert_allclose((ones[:, 0] == 0).double().mean(dim=0), 1 / 16, atol=0.01)


def test_all_ranks_together_see_the_holes_of_one_and_so_does_a_resume(dataset):
    loader = make_loader(dataset, cutout=3)
    alone = list(loader.epoch(EPOCH))
    for world in (2, 3):
        for rank in range(world):
            for (images, _), (share, _) in zip(alone, loader.epoch(EPOCH, rank=rank, world=world), strict=True):
                assert torch.equal(share, images[rank::world])
    for (images, _), (again, _) in zip(alone[2:], make_loader(dataset, cutout=3).epoch(EPOCH, 2), strict=True):
        assert torch.equal(again, images)


def test_the_hole_of_an_image_depends_on_its_index_and_not_on_its_place_or_the_batch(marked):
    together = whole(make_loader(marked, cutout=4, shuffle=False))
    for batch_size in (1, 40):
        assert torch.equal(whole(make_loader(marked, cutout=4, shuffle=False, batch_size=batch_size)), together)
    images = marked.train
    picked = np.array([30, 2, 17])
    loader = Loader(
        *(marked, images, picked, lambda epoch: images.labels),
        **loader_options(dict(batch_size=8, seed=SEED, augment=True, shuffle=False, drop_last=False, cutout=4)),
    )
    assert torch.equal(whole(loader), together[picked])


def test_holes_change_from_epoch_to_epoch_and_from_seed_to_seed(marked):
    dataset = white(marked, 40, 12)
    one, later, other = (
        whole(make_loader(dataset, cutout=4, shuffle=False, seed=seed), epoch)
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    )
    for images in (later, other):
        assert (images != one).any(dim=(1, 2, 3)).double().mean() > 0.8


def test_cutout_is_off_by_default_and_leaves_what_is_not_augmented(dataset):
    assert torch.equal(whole(make_loader(dataset)), whole(make_loader(dataset, cutout=0)))
    without = [whole(make_loader(dataset, augment=False, cutout=cutout)) for cutout in (0, 4)]
    assert torch.equal(*without)


def test_the_order_the_crops_the_flips_and_the_lights_are_those_without_cutout(marked):
    plain, cut = (whole(make_loader(marked, lighting=0.1, cutout=cutout)) for cutout in (0, 3))
    same = (plain == cut).all(dim=1)
    assert 1 - 9 / 144 <= same.double().mean() < 1 - 4 / 144
    assert not cut.permute(0, 2, 3, 1)[~same].any()


def test_a_rank_without_images_in_the_last_batch_gets_an_empty_one(dataset):
    loader = make_loader(dataset, batch_size=len(dataset.train) - 1, cutout=4)
    *_, (images, labels) = loader.epoch(0, rank=3, world=4)
    assert images.shape == (0, 3, dataset.resolution, dataset.resolution) and labels.shape == (0,)


def first_batch(**data):
    values = {"name": "x", "space": {"name": "nasbench201"}, "data": data, "train": {"batch_size": 8}}
    images, _ = next(iter(make_task(parse_config(values)).train_batches(0, torch.device("cpu")).epoch(0)))
    return images


def test_the_key_of_a_run_file_cuts_out_of_the_batches_that_are_trained_on():
    plain, none, cut = (first_batch(name="digits", **change) for change in ({}, {"cutout": 0}, {"cutout": 4}))
    assert torch.equal(plain, none)
    assert torch.equal(cut[cut != plain], torch.zeros((cut != plain).sum()))
    assert 4 * 8 <= (cut != plain).any(dim=1).sum() <= 16 * 8


@pytest.mark.parametrize("value", [-1, 2.5, True, "16"])
def test_a_side_that_is_no_number_of_pixels_is_refused_by_its_key(value):
    with pytest.raises(ValueError, match=rf"^data\.cutout: expected .*, got {value!r}$"):
        parse_config({"name": "x", "space": {"name": "nasbench201"}, "data": {"name": "digits", "cutout": value}})


def test_a_square_larger_than_an_image_is_refused_by_its_key(marked):
    make_loader(marked, cutout=12)
    with pytest.raises(ValueError, match=r"^data\.cutout: expected at most 12 .*, got 13; lower it$"):
        make_loader(marked, cutout=13)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_holes_on_a_gpu_are_those_on_the_cpu(dataset):
    here, there = (whole(make_loader(dataset, cutout=4, device=torch.device(kind))) for kind in ("cpu", "cuda"))
    assert torch.equal(here, there.cpu())
