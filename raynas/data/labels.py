"""The labels a super-network is trained on: the true ones, or random ones drawn in one of four ways."""

import numpy as np

from raynas.data.hashing import Stream, hash_bits, uniform_integers

LABELS = ("true", "random", "shuffled", "random_each_iteration", "shuffled_each_iteration")


def draw_labels(
    method: str, true_labels: np.ndarray, index: np.ndarray, *, num_categories: int, seed: int, epoch: int
) -> np.ndarray:
    """Returns the labels to train on in one epoch, (n,) int64.

    ======================== ================================================================ ==================
    method                   label of sample i                                                paper, Table 6
    ======================== ================================================================ ==================
    true                     its true label                                                   -
    random                   uniform in [0, num_categories), drawn once                       (1), its default
    shuffled                 the true labels permuted once: their histogram is kept           (2)
    random_each_iteration    uniform in [0, num_categories), drawn anew at every visit        (3)
    shuffled_each_iteration  the true labels permuted anew                                    (4)
    ======================== ================================================================ ==================

    A random label is a function of (seed, index[i]), with ``_each_iteration`` of (seed, epoch, index[i]), so it does
    not depend on the order or the subset of samples passed in. A shuffled label depends on the set of samples too (it
    comes from one of them), not on their order.

    Args:
        method: one of `LABELS`.
        true_labels: (n,) integers in [0, number of classes).
        index: (n,) integers without repetition, the samples' positions in their data set.
        num_categories: how many labels the network's classifier knows. Random labels use all of them.
        seed: seed of the labels.
        epoch: the epoch, counted from 0; only the two methods ``_each_iteration`` look at it.

    Raises:
        ValueError: if the method is unknown, or if ``num_categories`` does not hold the labels.

    Departs from the paper: an iteration is one batch there. An epoch visits each image once, so drawing per epoch is
    drawing per visit and (3) is the paper's. For (4) we permute the whole set once an epoch; whether the paper
    permutes within a batch or within the set it does not say.

    Reference: Zhang et al. 2021 (RLNAS), sections 3.2.1 and 4.3.
    """
    if method not in LABELS:
        raise ValueError(f"data.labels: expected one of {', '.join(LABELS)}, got {method!r}; choose one of them")
    redrawn = epoch if method.endswith("_each_iteration") else 0
    if method.startswith("random"):
        if num_categories < 1:
            raise ValueError(
                f"data.num_label_categories: expected at least 1 category to draw labels from, got {num_categories}; "
                "raise it, or leave it out to draw from the data set's number of classes"
            )
        return uniform_integers(hash_bits(seed, Stream.RANDOM_LABEL, redrawn, index), num_categories)
    labels = np.asarray(true_labels).astype(np.int64)
    if labels.size and num_categories <= labels.max():
        raise ValueError(
            f"data.num_label_categories: labels '{method}' are the data set's own and reach {labels.max()}, so at "
            f"least {labels.max() + 1} categories are needed, got {num_categories}; raise it, or leave it out"
        )
    if method == "true":
        return labels
    shuffled = np.empty_like(labels)
    shuffled[np.argsort(hash_bits(seed, Stream.SHUFFLED_LABEL, redrawn, index))] = labels[np.argsort(index)]
    return shuffled
