"""The labels of the data set itself."""

from __future__ import annotations

import numpy as np

from raynas.data.labels import LabelMethod, LabelRequest


def true_labels(request: LabelRequest) -> np.ndarray:
    """Returns the true labels, (n,) int64."""
    return request.true_labels


TRUE = LabelMethod("true", "the data set's own labels", true_labels)
