"""Random light, against a plain loop over images and against the covariance it should have."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from raynas.data import ImageSet, Loader, Stream, hash_bits
from raynas.data.lighting import EIGENVALUES, EIGENVECTORS, draw_lights
from tests.data.loaders import loader_options
from tests.data.miniatures import read_marks

COMPONENTS = (Stream.LIGHT_FIRST, Stream.LIGHT_SECOND, Stream.LIGHT_THIRD)


def plain_light(deviation, seed, epoch, index):
    """Returns what is added to red, green and blue of one image, written out number by number."""
    light = [0.0, 0.0, 0.0]
    for component, stream in enumerate(COMPONENTS):
        bits = int(hash_bits(seed, stream, epoch, np.array([index]))[0])
        radius = math.sqrt(-2 * math.log((bits // 2**32 + 0.5) / 2**32))
        alpha = deviation * radius * math.cos(2 * math.pi * (bits % 2**32) / 2**32)
        for colour in range(3):
            light[colour] += EIGENVECTORS[colour][component] * alpha * EIGENVALUES[component]
    return light


def batches(dataset, **options):
    options = loader_options(
        dict(batch_size=8, seed=3, augment=True, shuffle=False, drop_last=False, lighting=0.1, flip=False) | options
    )
    images = dataset.train
    loader = Loader(dataset, images, np.arange(len(images)), lambda epoch: images.labels, **options)
    return torch.cat([images for images, _ in loader.epoch(2)]).permute(0, 2, 3, 1)


def test_the_components_are_a_rotation_of_red_green_and_blue():
    np.testing.assert_allclose(EIGENVECTORS @ EIGENVECTORS.T, np.eye(3), atol=2e-4)
    assert EIGENVECTORS[:, 0].tolist() == pytest.approx([-1 / math.sqrt(3)] * 3, abs=0.011), "the first is brightness"


def test_a_light_is_a_function_of_seed_epoch_and_image_written_out():
    index = np.array([5, 0, 70_000, 5])
    lights = draw_lights(0.1, 3, 7, index)
    assert lights.shape == (4, 3) and lights.dtype == np.float32
    expected = [plain_light(0.1, 3, 7, int(i)) for i in index]
    np.testing.assert_allclose(lights, expected, rtol=1e-6, atol=1e-9)
    for other in (draw_lights(0.1, 4, 7, index), draw_lights(0.1, 3, 8, index)):
        assert (np.abs(other - lights).max(axis=1) > 1e-4).all()


def test_lights_have_the_covariance_of_the_components():
    deviation = 0.3
    lights = draw_lights(deviation, 0, 0, np.arange(200_000)).astype(np.float64)
    covariance = deviation**2 * sum(
        value**2 * np.outer(vector, vector) for value, vector in zip(EIGENVALUES, EIGENVECTORS.T, strict=True)
    )
    assert np.abs(lights.mean(axis=0)).max() < 5 * math.sqrt(covariance.max() / 200_000)
    np.testing.assert_allclose(np.cov(lights.T), covariance, atol=0.01 * covariance.max())
    projected = lights @ EIGENVECTORS / (deviation * EIGENVALUES)
    np.testing.assert_allclose(np.cov(projected.T), np.eye(3), atol=0.02)
    beyond = (np.abs(projected) > 1.959964).mean(axis=0)
    np.testing.assert_allclose(beyond, 0.05, atol=0.003)


def test_the_lights_of_a_batch_are_those_of_its_images(dataset):
    """All kinds of data: grey levels are shifted between black and white, then normalised."""
    images = dataset.train
    dataset = replace(dataset, train=ImageSet(images.images, images.labels, images.index + 1000))
    mean, std = np.array(dataset.mean), np.array(dataset.std)
    dark, lit = (batches(dataset, lighting=lighting).double().numpy() for lighting in (0.0, 2.0))
    levels = (dark * std + mean) * 255
    light = np.array([plain_light(2.0, 3, 2, int(i)) for i in dataset.train.index])
    expected = ((levels + 255 * light[:, None, None]).clip(0, 255) / 255 - mean) / std
    np.testing.assert_allclose(lit, expected, atol=2e-4)
    assert np.abs(lit - dark).max() > 0.1
    assert (levels + 255 * light[:, None, None] < 0).any(), "some pixels must meet black"


def test_without_augmentation_there_is_no_light(dataset):
    assert torch.equal(*(batches(dataset, lighting=lighting, augment=False) for lighting in (0.0, 0.5)))


def test_all_ranks_together_see_the_lights_of_one(marked):
    loader = Loader(
        *(marked, marked.train, np.arange(40), lambda epoch: marked.train.labels),
        **loader_options(dict(batch_size=8, seed=3, augment=True, shuffle=True, drop_last=False, lighting=0.1)),
    )
    alone = list(loader.epoch(1))
    for rank in range(2):
        for (images, _), (share, _) in zip(alone, loader.epoch(1, rank=rank, world=2), strict=True):
            assert torch.equal(share, images[rank::2])


def test_a_light_leaves_the_order_the_crops_and_the_flips_as_they_are(marked):
    plain, lit = (batches(marked, lighting=lighting, shuffle=True, flip=True) for lighting in (0.0, 1e-3))
    assert not torch.equal(plain, lit)
    assert read_marks(lit.round().numpy()).tolist() == read_marks(plain.numpy()).tolist()
    assert torch.equal(plain == 0, lit.round() == 0), "the black frame, where the crop lets it in"
