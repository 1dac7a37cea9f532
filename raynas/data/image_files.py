"""One image file as 8-bit red, green and blue, for every format, depth and orientation.

Every reader of image files calls `read_rgb`, and `examine` converts a file in the same way before training. So a file
that passes the examination is read during training as well.

================================ ================================================================================
in the file                      becomes
================================ ================================================================================
grey, 1-bit, palette             the same value in red, green and blue, or the colour of the palette
16-bit grey (or 10 and 12 bits)  value * 255 / white, where white is the greatest value of that depth
transparency, any kind           left out: the colour that the file stores under it, as torchvision's loader does
CMYK, YCbCr                      Pillow's conversion, without a colour profile
several frames or pages          the first
EXIF orientation                 turned upright
32-bit integers, floats          refused: no value of them is known to be white
================================ ================================================================================
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from raynas.data.messages import one_line
from raynas.errors import InputError

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112  # tag of EXIF
_BITS_PER_SAMPLE = 258  # tag of TIFF
_DEEP_GREY = ("I", "I;16", "I;16B", "I;16L", "I;16N")


@dataclass(frozen=True, slots=True)
class Examination:
    """Results of opening and decoding one file.

    Attributes:
        width: In pixels, as stored; 0 if the file is not an image.
        height: In pixels, as stored; 0 if the file is not an image.
        mode: Pillow's name of kind and depth of the pixels, such as ``RGB`` or ``I;16``.
        conversions: Changes by the reader besides repeating grey, joined by ``"; "``.
        error: One line with the reason why the file cannot be read; empty for a readable file.
    """

    width: int = 0
    height: int = 0
    mode: str = ""
    conversions: str = ""
    error: str = ""


def read_rgb(path: str) -> Image.Image:
    """Returns the image of a file in mode ``RGB``, upright.

    Raises:
        InputError: If the file is not an image, is damaged, or has no known white.
    """
    try:
        with _opened(path) as file:
            return as_rgb(file)
    except _Unreadable as error:
        raise InputError(
            f"data.path: expected {path} to be an image, but it was not read: {error}; replace or remove the file"
        ) from error


def examine(path: str) -> Examination:
    """Returns the results of opening, decoding and converting a file; an unreadable file raises no exception.

    A JPEG is decoded at an eighth of its size. This reads all bytes, and detects truncation as full decoding does.
    """
    try:
        with _opened(path) as file:
            width, height = file.size
            mode, conversions = file.mode, "; ".join(_conversions(file))
            file.draft(file.mode, (1, 1))
            as_rgb(file)
    except _Unreadable as error:
        return Examination(error=str(error))
    return Examination(width, height, mode, conversions)


@contextlib.contextmanager
def pillow_quiet() -> Iterator[None]:
    """Keeps Pillow's warnings about odd files off standard error during the block.

    Warning filters belong to the whole process: enter the block outside of the threads that read.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL(\.|$)")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class _Unreadable(ValueError):
    """The reason why a file was not read, without its path, which the message states first."""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Image.Image]:
    """Yields an image file, of which only the header is read.

    Raises:
        _Unreadable: If it cannot be opened, or the block fails.
    """
    try:
        with Image.open(path) as file:
            yield file
    except Exception as error:  # a damaged file may raise anything
        raise _Unreadable(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Returns one line with the reason why a file was not read."""
    if isinstance(error, UnidentifiedImageError):
        return "it is in no image format that is known"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error) or type(error).__name__


def as_rgb(file: Image.Image) -> Image.Image:
    """Returns an image of any mode in mode ``RGB``, upright and without metadata; see the table above.

    Raises:
        InputError: If the pixels are of a kind without a known white.
    """
    file.load()
    turn = _UPRIGHT.get(_orientation(file))
    if file.mode in _DEEP_GREY or file.mode == "F":
        image = Image.fromarray(_scaled(file)).convert("RGB")
    else:
        file.info.pop("transparency", None)  # converting it would cost time and warn
        image = file.convert("RGB")
    upright = image if turn is None else image.transpose(turn)
    upright.info.clear()  # or a second reader would turn it again
    return upright


def _scaled(file: Image.Image) -> np.ndarray:
    """Returns deep grey values scaled to 8 bits, (height, width) uint8.

    Raises:
        InputError: If no value is known to be white.
    """
    white = _white(file)
    values = np.asarray(file).astype(np.int64)
    if white is None or values.min() < 0 or values.max() > white:
        raise InputError(
            f"its pixels are of mode {file.mode}, of which no value is known to be white; save it with 8 or 16 bits"
        )
    grey: np.ndarray = (values * 255 + white // 2) // white
    return grey.astype(np.uint8)


def _white(file: Image.Image) -> int | None:
    """Returns the greatest value that the depth of a grey image allows; None if it is not known."""
    if file.format == "TIFF":
        bits = max(file.tag_v2.get(_BITS_PER_SAMPLE, (32,)))  # type: ignore[attr-defined]
        return (1 << bits) - 1 if bits <= 16 and file.mode != "F" else None
    if file.mode.startswith("I;16") or file.format in ("PNG", "PPM"):
        return (1 << 16) - 1
    return None


def _orientation(file: Image.Image) -> int:
    """Returns the EXIF orientation; 1, upright, if there is none or it cannot be read."""
    try:
        return int(file.getexif().get(_ORIENTATION, 1))
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return 1


def _conversions(file: Image.Image) -> Iterator[str]:
    """Yields the changes by the reader besides repeating grey in three channels."""
    if file.mode in _DEEP_GREY:
        yield "more than 8 bits, scaled to 8"
    if "transparency" in file.info or file.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        yield "transparency, left out"
    if file.mode == "CMYK":
        yield "CMYK, converted without a colour profile"
    if file.format in ("TIFF", "WEBP", "PNG") and getattr(file, "n_frames", 1) > 1:
        yield "several frames, the first taken"
    if _orientation(file) in _UPRIGHT:
        yield "turned upright by EXIF"
