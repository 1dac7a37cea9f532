"""Prediction: the most probable classes of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from raynas.data.image_files import pillow_quiet
from raynas.errors import InputError
from raynas.messages import printable_text
from raynas.networks.found_network import FoundNetwork
from raynas.networks.predictor import Predictor
from raynas.networks.preprocessing import preprocess, read_image

BATCH = 32
"""Images that pass through the network together."""


@dataclass(frozen=True)
class Prediction:
    """The most probable classes of an image.

    Attributes:
        image: The file.
        classes: Names of the classes, the most probable first; their numbers if they have no names.
        probabilities: The probability of each, softmax of the logits.
    """

    image: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]

    def line(self) -> str:
        """Returns the prediction as a line for people."""
        parts = []
        for name, probability in zip(self.classes, self.probabilities, strict=True):
            parts.append(f"{name} {100 * probability:.1f} %")
        return printable_text(f"{self.image}: {', '.join(parts)}")


def predict(network: FoundNetwork | Predictor, images: Sequence[str], top: int = 5) -> Iterator[Prediction]:
    """Yields the most probable classes of image files, in the order of the files.

    Images of any size and mode are converted as `raynas.networks.preprocessing.preprocess` says.

    Args:
        network: A network on the CPU, with its record.
        images: The files.
        top: Number of classes; all of them if there are fewer.

    Raises:
        InputError: If a file is no image, or `top` is not positive.

    Example:
        ``for prediction in predict(load_network("my_network"), ["cat.png"]): print(prediction.line())``
    """
    if top < 1:
        raise InputError(f"--top: expected 1 or more, got {top}")
    transform = preprocess(network.record.preprocessing)
    names = network.record.class_names
    for start in range(0, len(images), BATCH):
        files = images[start : start + BATCH]
        with pillow_quiet():
            inputs = torch.stack([read_image(file, transform) for file in files])
        probabilities = torch.softmax(network(inputs), dim=1)
        best = probabilities.topk(min(top, len(names)), dim=1)
        for file, values, labels in zip(files, best.values.tolist(), best.indices.tolist(), strict=True):
            yield Prediction(file, tuple(names[label] for label in labels), tuple(values))


def remark_on_classes(network: FoundNetwork | Predictor) -> str | None:
    """Returns the line that says that classes are shown by their numbers; None where they have names."""
    if network.record.classes is not None:
        return None
    return f"the network states no names of its {network.record.num_classes} classes; classes are shown by number"
