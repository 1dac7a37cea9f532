"""Random colours, against torchvision's functions image by image and against the distribution they should have."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional

from raynas.data import AugmentationOptions, ImageSet, Loader, Stream, hash_bits
from raynas.data.jitter import ORDERS, draw_colours, jitter
from tests.data.loaders import loader_options

CHANGES = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation)
FACTORS = (Stream.BRIGHTNESS, Stream.CONTRAST, Stream.SATURATION)


def written_out(strengths, seed, epoch, index):
    """Returns the factors of one image and the order of the changes."""
    factors = []
    for strength, stream in zip(strengths, FACTORS, strict=True):
        share = int(hash_bits(seed, stream, epoch, np.array([index]))[0]) / 2**64
        factors.append(max(0.0, 1 - strength) + share * (1 + strength - max(0.0, 1 - strength)))
    order = int(hash_bits(seed, Stream.JITTER_ORDER, epoch, np.array([index]))[0]) * 6 // 2**64
    return factors, [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)][order]


def by_torchvision(pixels, factors, order):
    """Returns an image, (height, width, 3) uint8, changed by torchvision."""
    image = pixels.permute(2, 0, 1)
    for number in order:
        image = CHANGES[number](image, float(factors[number]))
    return image.permute(1, 2, 0)


def batches(dataset, **options):
    options = loader_options(
        dict(batch_size=8, seed=3, augment=True, shuffle=False, drop_last=False, flip=False) | options
    )
    images = dataset.train
    loader = Loader(dataset, images, np.arange(len(images)), lambda epoch: images.labels, **options)
    return torch.cat([images for images, _ in loader.epoch(2)]).permute(0, 2, 3, 1)


def levels(dataset, batch):
    """Returns normalised images as grey levels, uint8."""
    mean, std = torch.tensor(dataset.mean), torch.tensor(dataset.std)
    return ((batch * std + mean) * 255).round().to(torch.uint8)


def test_colours_are_a_function_of_seed_epoch_and_image_written_out():
    index, strengths = np.array([5, 0, 70_000, 5]), (0.4, 1.5, 0.0)
    factors, orders = draw_colours(strengths, 3, 7, index)
    assert factors.dtype == np.float32
    for of_image, order, number in zip(factors, orders.tolist(), index.tolist(), strict=True):
        expected, expected_order = written_out(strengths, 3, 7, number)
        np.testing.assert_allclose(of_image, expected, rtol=1e-6)
        assert tuple(order) == expected_order
    others, _ = draw_colours(strengths, 3, 8, index)
    assert (others[:, :2] != factors[:, :2]).all() and (factors[:, 2] == 1).all()


def test_factors_are_uniform_and_all_six_orders_equally_frequent():
    factors, orders = draw_colours((0.4, 0.2, 3.0), 0, 0, np.arange(60_000))
    for column, (least, most) in zip(factors.T, [(0.6, 1.4), (0.8, 1.2), (0.0, 4.0)], strict=True):
        shares = (column - least) / (most - least)
        assert 0 <= shares.min() and shares.max() <= 1
        np.testing.assert_allclose(np.quantile(shares, [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.01)
    counts = [(orders == order).all(axis=1).sum() for order in ORDERS]
    np.testing.assert_allclose(counts, 10_000, rtol=0.05)


def test_the_colours_of_a_batch_are_those_of_torchvision_on_each_image():
    pixels = torch.randint(0, 256, (32, 9, 7, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    factors, orders = draw_colours((0.8, 0.8, 0.8), 1, 0, np.arange(32))
    ours = jitter(pixels, torch.from_numpy(factors), torch.from_numpy(orders))
    theirs = [by_torchvision(*image) for image in zip(pixels, factors, orders, strict=True)]
    difference = (ours.int() - torch.stack(theirs).int()).abs()
    assert difference.max() <= 3 and (difference > 0).float().mean() < 0.01  # where a rounding falls on a whole number
    assert (ours != pixels).float().mean() > 0.9


def test_images_of_every_kind_of_data_get_the_colours_of_their_index(dataset):
    images = dataset.train
    dataset = replace(dataset, train=ImageSet(images.images, images.labels, images.index + 1000))
    plain, changed = (levels(dataset, batches(dataset, color_jitter=strength)) for strength in (0.0, [0.4, 0.3, 0.2]))
    for before, after, number in zip(plain, changed, dataset.train.index.tolist(), strict=True):
        expected = by_torchvision(before, *written_out((0.4, 0.3, 0.2), 3, 2, number))
        assert ((after.int() - expected.int()).abs() <= 3).all()
    assert (plain != changed).any()


def test_without_augmentation_and_without_strength_colours_stay(dataset):
    assert torch.equal(*(batches(dataset, color_jitter=strength, augment=False) for strength in (0.0, 0.5)))
    assert torch.equal(batches(dataset, color_jitter=0.0), batches(dataset, color_jitter=[0.0, 0.0, 0.0]))


def test_all_ranks_together_see_the_colours_of_one(marked):
    options = dict(batch_size=8, seed=3, augment=True, shuffle=True, drop_last=False, color_jitter=0.4)
    loader = Loader(marked, marked.train, np.arange(40), lambda epoch: marked.train.labels, **loader_options(options))
    for number, (whole, _) in enumerate(loader.epoch(1)):
        for rank in range(3):
            parts = list(loader.epoch(1, first_step=number, rank=rank, world=3))
            assert torch.equal(parts[0][0], whole[rank::3])


@pytest.mark.parametrize("given", [-0.1, [0.4, 0.4], "much", [0.1, 0.2, -0.3]])
def test_strengths_are_one_number_or_three_that_are_not_negative(given):
    with pytest.raises(ValueError, match="color_jitter"):
        AugmentationOptions(color_jitter=given)
