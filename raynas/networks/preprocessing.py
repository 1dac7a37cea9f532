"""What an image becomes before a network sees it, as a transform of torchvision, the same as in raynas' evaluation.

Training and evaluation read images by `raynas.data`. A network in use gets one image at a time, of any size and mode,
and this module treats it in the same way. For images of the network's own data set the result is the same to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from raynas.data import Dataset
from raynas.data.crops import shorter_side
from raynas.data.image_files import as_rgb, read_rgb
from raynas.errors import InputError
from raynas.messages import shortened
from raynas.records.network_record import Preprocessing
from raynas.records.record import Number

if TYPE_CHECKING:
    from torchvision.transforms import v2


def preprocessing_of(dataset: Dataset) -> Preprocessing:
    """Returns what the evaluation on a data set does with its images."""
    return stated_preprocessing(dataset.resolution, dataset.mean, dataset.std, reads_files=dataset.reads_files)


def stated_preprocessing(
    resolution: int, mean: Sequence[Number], std: Sequence[Number], *, reads_files: bool
) -> Preprocessing:
    """Returns what raynas' evaluation does with images.

    Args:
        resolution: Height and width in pixels.
        mean: Mean of red, green and blue (black 0, white 1).
        std: Deviation of red, green and blue.
        reads_files: Whether the data set is image files, not arrays in memory.
    """
    return Preprocessing(
        resolution=resolution,
        mean=list(mean),
        std=list(std),
        resize=shorter_side(resolution) if reads_files else resolution,
        interpolation="bilinear",
        resized_by="pillow" if reads_files else "torch",
    )


def preprocess(preprocessing: Preprocessing) -> v2.Compose:
    """Returns the transform from an image to the network's input, ``(3, resolution, resolution)`` float32.

    It takes an image of Pillow in any mode, or an array: uint8, ``(height, width, 3 or 1)`` or ``(height, width)``.

    Args:
        preprocessing: What the record of the network states.

    Example:
        ``transform = preprocess(found.record.preprocessing)``, then
        ``found(transform(Image.open("cat.png")).unsqueeze(0))``
    """
    from torchvision.transforms import v2

    crop = v2.CenterCrop(preprocessing.resolution)
    normalise = Normalise(preprocessing.mean, preprocessing.std)
    if preprocessing.resized_by == "pillow":
        return v2.Compose([RgbImage(), v2.Resize(preprocessing.resize), crop, normalise])
    return v2.Compose([RgbPixels(), ResizePixels(preprocessing.resize), crop, normalise])


def read_image(path: str, transform: v2.Compose) -> Tensor:
    """Returns the network's input of an image file, ``(3, resolution, resolution)`` float32.

    Args:
        path: The file.
        transform: The transform of `preprocess`.

    Raises:
        InputError: If the file is not an image, is damaged, or has no known white.
    """
    try:
        image = read_rgb(path)
    except InputError as error:
        raise InputError(str(error).removeprefix("data.path: ")) from error
    pixels: Tensor = transform(image)
    return pixels


def timm_config(preprocessing: Preprocessing) -> dict[str, Any]:
    """Returns the preprocessing in the words of timm's ``pretrained_cfg``, which its ``create_transform`` takes."""
    return {
        "input_size": (3, preprocessing.resolution, preprocessing.resolution),
        "interpolation": preprocessing.interpolation,
        "crop_pct": preprocessing.resolution / preprocessing.resize,
        "crop_mode": "center",
        "mean": tuple(preprocessing.mean),
        "std": tuple(preprocessing.std),
    }


class RgbImage(nn.Module):
    """Makes an image or an array an image of Pillow in mode ``RGB``."""

    def forward(self, image: Image.Image | np.ndarray) -> Image.Image:
        """Returns the image in mode ``RGB``, upright."""
        if isinstance(image, Image.Image):
            return as_rgb(image)
        return Image.fromarray(_coloured(image))


class RgbPixels(nn.Module):
    """Makes an image or an array a tensor of pixels."""

    def forward(self, image: Image.Image | np.ndarray) -> Tensor:
        """Returns ``(3, height, width)`` uint8."""
        pixels = np.asarray(as_rgb(image)) if isinstance(image, Image.Image) else _coloured(image)
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


class ResizePixels(nn.Module):
    """Resizes pixels as the loading of data in memory does: bilinear, with antialiasing, rounded to 8 bits."""

    def __init__(self, shorter: int) -> None:
        """Takes the pixels of the shorter side."""
        super().__init__()
        self.shorter = shorter

    def forward(self, pixels: Tensor) -> Tensor:
        """Returns ``(3, height, width)`` uint8 whose shorter side has the given number of pixels."""
        height, width = pixels.shape[1:]
        least = min(height, width)
        if least == self.shorter:
            return pixels
        size = (self.shorter * height // least, self.shorter * width // least)
        return F.interpolate(pixels.unsqueeze(0), size, mode="bilinear", antialias=True)[0]


class Normalise(nn.Module):
    """Subtracts each channel's mean and divides by its deviation, with the roundings of `raynas.data.normalisation`."""

    def __init__(self, mean: Sequence[Number], std: Sequence[Number]) -> None:
        """Takes mean and deviation of red, green and blue (black 0, white 1)."""
        super().__init__()
        deviation = torch.tensor(std, dtype=torch.float32)
        self._scale = (1 / (255 * deviation)).view(3, 1, 1)
        self._shift = (-torch.tensor(mean, dtype=torch.float32) / deviation).view(3, 1, 1)

    def forward(self, image: Image.Image | Tensor) -> Tensor:
        """Returns ``(3, height, width)`` float32, given an image or uint8 pixels of that shape."""
        pixels = image
        if isinstance(image, Image.Image):
            pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        assert isinstance(pixels, Tensor)
        return pixels.float().mul_(self._scale).add_(self._shift)


def _coloured(pixels: np.ndarray) -> np.ndarray:
    """Returns pixels as ``(height, width, 3)``; grey is repeated.

    Raises:
        InputError: If they are of another kind or shape.
    """
    is_array = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    with_channels = pixels[:, :, None] if is_array and pixels.ndim == 2 else pixels
    if not is_array or with_channels.ndim != 3 or with_channels.shape[2] not in (1, 3) or not with_channels.size:
        found = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise InputError(
            "image: expected an image of Pillow or a uint8 array (height, width, 3 or 1), got "
            f"{shortened(found)}; scale the pixels to 0..255, convert them, and put the channels last"
        )
    return np.ascontiguousarray(np.broadcast_to(with_channels, (*with_channels.shape[:2], 3)))
