"""How training images are changed at random: cropped, mirrored, lit, cut out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from raynas.options import Options, Pixels


class AugmentationOptions(Options):
    """How training images are changed at random.

    Attributes:
        crop_padding: Black pixels around an in-memory image that a random crop may shift into; by the data set by
            default.
        crop_ratio: Range ``[least, most]`` of width over height of the random crop of an image file; 3/4 to 4/3 by
            default. The crop has 0.08 to 1 of the image's area.
        flip: Whether images are mirrored at random; by the data set by default.
        lighting: Deviation of random shifts of an image's colour along the principal components of ImageNet's.
        cutout: Side, in pixels, of the square that is blanked in every training image, in a random place; 0 for none.
    """

    crop_padding: Pixels | None = None
    crop_ratio: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    flip: bool | None = None
    lighting: Annotated[float, Field(ge=0)] = 0.0
    cutout: Pixels = 0
