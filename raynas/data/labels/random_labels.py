"""Random labels: uniform over the categories, and independent of the image.

Reference: Zhang et al. 2021 (RLNAS), section 4.3 and Table 6: (1), its default, and (3).
"""

from __future__ import annotations

import numpy as np

from raynas.data.hashing import Stream, hash_bits, uniform_integers
from raynas.data.labels import LabelMethod, LabelRequest


def random_labels(request: LabelRequest) -> np.ndarray:
    """Returns a uniform label in [0, num_categories) for each image, (n,) int64.

    A label is a function of seed, epoch and index[i]: it does not depend on the order or the subset of images.
    """
    bits = hash_bits(request.seed, Stream.RANDOM_LABEL, request.epoch, request.index)
    return uniform_integers(bits, request.num_categories)


RANDOM = LabelMethod("random", "uniform labels, sampled once", random_labels, free_categories=True)

RANDOM_EACH_ITERATION = LabelMethod(
    "random_each_iteration",
    "uniform labels, sampled anew at every visit",
    random_labels,
    free_categories=True,
    each_epoch=True,
)
