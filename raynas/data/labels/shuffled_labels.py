"""Shuffled labels: the true labels permuted among the images, so that their histogram is kept.

Departs from the paper: for (4) the whole set is permuted once an epoch. The paper does not say whether it permutes
within a batch or within the set.

Reference: Zhang et al. 2021 (RLNAS), section 4.3 and Table 6: (2) and (4).
"""

from __future__ import annotations

import numpy as np

from raynas.data.hashing import Stream, hash_bits
from raynas.data.labels import LabelMethod, LabelRequest


def shuffled_labels(request: LabelRequest) -> np.ndarray:
    """Returns the true labels in a random order, (n,) int64.

    A label comes from one of the images, so it depends on the set of images, but not on their order.
    """
    order = np.argsort(hash_bits(request.seed, Stream.SHUFFLED_LABEL, request.epoch, request.index))
    shuffled = np.empty_like(request.true_labels)
    shuffled[order] = request.true_labels[np.argsort(request.index)]
    return shuffled


SHUFFLED = LabelMethod("shuffled", "true labels, permuted once", shuffled_labels)

SHUFFLED_EACH_ITERATION = LabelMethod(
    "shuffled_each_iteration", "true labels, permuted anew every epoch", shuffled_labels, each_epoch=True
)
