"""Loaders whose augmentation is given key by key."""

from __future__ import annotations

from typing import Any

from raynas.data import AugmentationOptions


def loader_options(options: dict[str, Any]) -> dict[str, Any]:
    """Returns options of a `Loader`, in which ``augment`` and the keys of augmentation are one value."""
    options = dict(options)
    keys = {key: options.pop(key) for key in AugmentationOptions.model_fields if key in options}
    augment = options.pop("augment")
    return {**options, "augmentation": AugmentationOptions(**keys) if augment else None}
