"""Data sets that are not on this machine, replaced by images without content of the same number and size.

A check, and a job that will run elsewhere, know from them what a run would do: the split, the batches, the costs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from raynas.config.data_section import DataSection
from raynas.data import Dataset, ImageSet, TextArrays, TextOptions, TextSource
from raynas.data.image_source import KnownSize
from raynas.data.text import text_dataset

UNKNOWN = KnownSize("a file that is not here", 1_000_000, 10, 32)
"""What is assumed of other data sets: enough images for any split and batch."""


def is_here(data: DataSection) -> bool:
    """Returns whether the images can be read without downloading them."""
    source = data.source
    if source.is_downloaded:
        return False
    return data.path is not None or not source.path_can_wait


def is_readable(data: DataSection) -> bool:
    """Returns whether this machine has the path of the images, if they have one."""
    return is_here(data) and (data.path is None or Path(data.path).exists())


def stand_in(data: DataSection) -> Dataset:
    """Returns a data set of the known number and size of images, all of them black."""
    known = data.source.known or UNKNOWN
    number = min(data.max_images or known.images, known.images)
    resolution = data.resolution or known.resolution
    labels = np.arange(number) % known.num_classes
    if isinstance(data.source, TextSource):
        return _stand_in_of_text(data, labels)
    pixels = np.broadcast_to(np.zeros((), np.uint8), (number, resolution, resolution, 3))
    files = ("train/class/image.jpeg",) * number
    images = ImageSet(files if data.source.reads_files else pixels, labels, np.arange(number))
    none = np.empty(0, np.int64)
    empty = ImageSet(() if data.source.reads_files else pixels[:0], none, none)
    return Dataset(
        name=data.name,
        train=images,
        test=empty,
        num_classes=known.num_classes,
        resolution=resolution,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        crop_padding=round(resolution / 8),
        flip=True,
    )


def _stand_in_of_text(data: DataSection, tokens: np.ndarray) -> Dataset:
    """Returns a text of a known number of tokens; validation and test text have a tenth of it, as in Penn Treebank."""
    words = tuple(map(str, range(tokens.max() + 1)))
    tenth = tokens[: max(2, len(tokens) // 10)]
    options = data.source.options.model_validate(data.further)
    assert isinstance(options, TextOptions), "checked where a text is read"
    return text_dataset(data.name, TextArrays(tokens, tenth, tenth, words), options)


def stand_in_line(data: DataSection) -> str:
    """Returns what is assumed of a data set that is not read, in one line."""
    known = data.source.known or UNKNOWN
    number, classes = f"{known.images:,}", f"{known.num_classes:,}"
    if data.source.holds == "tokens":
        counted = f"{number} training tokens of {classes} words"
    else:
        counted = f"{number} training images of {classes} classes"
    until = ", until data.path says where a folder lies" if data.source.path_can_wait and data.path is None else ""
    return f"data: not looked at; what follows is for {known.title}: {counted}{until}"
