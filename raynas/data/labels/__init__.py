"""The labels that a supernet is trained on, one file a method: true, random, shuffled, and of pretext tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from raynas.errors import InputError
from raynas.members import Family
from raynas.messages import echo

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class LabelRequest:
    """What the labels of an epoch may depend on.

    Attributes:
        true_labels: (n,) int64, the labels of the data set.
        index: (n,) integers without repetition, the images' positions in their data set.
        num_categories: Number of labels that the supernet tells apart.
        seed: Seed of the labels.
        epoch: The epoch, counted from 0; always 0 for a method with one labelling for all.
    """

    true_labels: np.ndarray
    index: np.ndarray
    num_categories: int
    seed: int
    epoch: int


@dataclass(frozen=True)
class LabelMethod:
    """A way to label the training images: a row of `data.labels`.

    Attributes:
        name: The name in run files.
        title: What the labels are, in a few words.
        assign: Returns the label of every image, (n,) integers in [0, num_categories), a function of the request alone.
        free_categories: Whether the number of categories is free, as the labels are not those of the data set.
        each_epoch: Whether every epoch has labels of its own.
        categories: How many categories there are, where the method says so itself; None elsewhere.
        change: Returns the images as their labels say, (b, height, width, 3) uint8 from the same and labels (b,), where
            the labels are what was done to the images; None where images stay as they are.
    """

    name: str
    title: str
    assign: Callable[[LabelRequest], np.ndarray]
    free_categories: bool = False
    each_epoch: bool = False
    categories: int | None = None
    change: Callable[[Tensor, Tensor], Tensor] | None = None


LABELS = Family("data.labels", LabelMethod, "raynas.data.labels")
"""The label methods that a run file can name."""


def draw_labels(
    method: str, true_labels: np.ndarray, index: np.ndarray, *, num_categories: int, seed: int, epoch: int
) -> np.ndarray:
    """Returns the labels to train on in one epoch, (n,) int64.

    An iteration of the paper is one batch. An epoch visits each image once, so a label per epoch is a label per visit.

    Args:
        method: A name of `LABELS`, or the dotted path of a method of your own.
        true_labels: (n,) integers in [0, number of classes).
        index: (n,) integers without repetition, the images' positions in their data set.
        num_categories: Number of labels that the network's classifier knows.
        seed: Seed of the labels.
        epoch: The epoch, counted from 0; only methods with `each_epoch` look at it.

    Raises:
        InputError: If there is no such method, `num_categories` does not hold the labels, or a method of your own
            returns something else.

    Reference: Zhang et al. 2021 (RLNAS), sections 3.2.1 and 4.3.
    """
    row = LABELS.row(method)
    labels = np.asarray(true_labels).astype(np.int64)
    if row.free_categories and num_categories < 1:
        raise InputError(
            f"data.num_label_categories: expected at least 1 category to draw labels from, got {num_categories}; "
            "raise it, or leave it out to draw from the data set's number of classes"
        )
    if not row.free_categories and labels.size and num_categories <= labels.max():
        raise InputError(
            f"data.num_label_categories: labels '{method}' are the data set's own and reach {labels.max()}, so at "
            f"least {labels.max() + 1} categories are needed, got {num_categories}; raise it, or leave it out"
        )
    if row.categories is not None and num_categories != row.categories:
        raise InputError(
            f"data.num_label_categories: labels '{method}' have {row.categories} categories, got {num_categories}; "
            "leave it out"
        )
    request = LabelRequest(labels, np.asarray(index), num_categories, seed, epoch if row.each_epoch else 0)
    return _checked(np.asarray(row.assign(request)), method, len(labels), num_categories)


def _checked(labels: np.ndarray, method: str, num_images: int, num_categories: int) -> np.ndarray:
    """Returns the labels of a method as int64.

    Raises:
        InputError: If they are not one integer in [0, num_categories) for each image.
    """
    expected = (
        f"data.labels: expected {echo(method)} to return {num_images:,} integers from 0 to {num_categories - 1:,}"
    )
    if labels.shape != (num_images,) or labels.dtype.kind not in "iu":
        raise InputError(f"{expected}, got {labels.dtype} {labels.shape}; correct its function")
    if labels.size and not 0 <= labels.min() <= labels.max() < num_categories:
        raise InputError(f"{expected}, got {labels.min()} to {labels.max()}; correct its function")
    return labels.astype(np.int64, copy=False)
