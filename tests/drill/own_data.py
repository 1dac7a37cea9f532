"""A data set and a label method as a user would write them, in one file."""

import numpy as np

from raynas.data import Arrays, ImageSource, LabelMethod, LabelRequest, hash_bits, uniform_integers
from raynas.options import Options, Positive


class StripeOptions(Options):
    """Further keys of the `data` section.

    Attributes:
        width: Width of a stripe in pixels.
        num_images: Number of training images.
    """

    width: Positive = 2
    num_images: Positive = 200


def read_stripes(path: str | None, options: StripeOptions) -> Arrays:
    """Returns grey images of horizontal and of vertical stripes, a class each, with noise."""
    rng = np.random.default_rng(0)
    number = options.num_images + 40
    labels = rng.integers(2, size=number)
    stripes = (np.arange(8) // options.width % 2 * 150).astype(np.uint8)
    images = rng.integers(100, size=(number, 8, 8, 1), dtype=np.uint8)
    images[labels == 0] += stripes[:, None, None]
    images[labels == 1] += stripes[None, :, None]
    train, test = slice(options.num_images), slice(options.num_images, None)
    return Arrays(images[train], labels[train], images[test], labels[test], 2, ("horizontal", "vertical"))


STRIPES = ImageSource("stripes", "stripes", read_stripes, options=StripeOptions, flip=False)


def mostly_true(request: LabelRequest) -> np.ndarray:
    """Returns the true labels, but for a quarter of the images random ones."""
    random = uniform_integers(hash_bits(request.seed, 100, request.epoch, request.index), request.num_categories)
    replaced = uniform_integers(hash_bits(request.seed, 101, request.epoch, request.index), 4) == 0
    return np.where(replaced, random, request.true_labels)


NOISY = LabelMethod("noisy", "true labels, a quarter of them replaced every epoch", mostly_true, each_epoch=True)
