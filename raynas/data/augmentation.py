"""Options of random augmentation of training images: crop, mirror, colours, lighting, cutout."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raynas.options import Options, Pixels

_Strength = Annotated[float, Field(ge=0, le=1)]


class AugmentationOptions(Options):
    """Random augmentation of training images.

    Attributes:
        crop_padding: Black pixels around an in-memory image, into which a random crop may shift; the default depends
            on the data set.
        crop_ratio: Range ``[least, most]`` of width over height of the random crop of an image file; 3/4 to 4/3 by
            default. The crop has 0.08 to 1 of the image's area.
        flip: Whether images are mirrored at random; the default depends on the data set.
        color_jitter: Strength of random changes of brightness, contrast and saturation: one number for all, or a list
            of three. A strength of 0.4 multiplies by 0.6 to 1.4; 0 for no changes.
        lighting: Deviation of random shifts of an image's colour along the principal components of ImageNet's.
        cutout: Side, in pixels, of a blank square at a random place of every training image; 0 for none.
    """

    crop_padding: Pixels | None = None
    crop_ratio: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    flip: bool | None = None
    color_jitter: _Strength | Annotated[list[_Strength], Field(min_length=3, max_length=3)] = 0.0
    lighting: Annotated[float, Field(ge=0)] = 0.0
    cutout: Pixels = 0

    @property
    def jitter_strengths(self) -> tuple[float, float, float] | None:
        """The strengths of brightness, contrast and saturation; None without changes of colours."""
        given = self.color_jitter
        brightness, contrast, saturation = given if isinstance(given, list) else [given] * 3
        return (brightness, contrast, saturation) if brightness or contrast or saturation else None
