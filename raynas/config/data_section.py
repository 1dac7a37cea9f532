"""The `data` section of a run file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from raynas.options import Location, Options, Pixels, Positive, Share


class DataSection(Options):
    """Images and labels.

    Attributes:
        name: The data set.
        path: Its file or folder; for cifar10 and cifar100 where to keep the download.
        labels: What the supernet is trained on.
        num_label_categories: Categories of random labels; as many as the data set has classes by default.
        train_portion: Share of the training images that trains the supernet; the rest is the search split.
        max_images: Use only so many training images, drawn by the seed.
        resolution: Height and width to resize to; the data set's own by default.
        crop_padding: Black pixels around an in-memory image that a random crop may shift into; by the data set by
            default.
        crop_ratio: Range ``[least, most]`` of width over height of the random crop of an image file; 3/4 to 4/3 by
            default.
        flip: Whether images are mirrored at random; by the data set by default.
        lighting: Deviation of random shifts of an image's colour along the principal components of ImageNet's.
        cutout: Side, in pixels, of the square that is blanked in every training image, in a random place; 0 for none.
        normalise: Whether mean and deviation of the data set are taken out; else a network sees pixels / 255.
        loader_workers: Processes that read image folders, per training worker. Each of them counts as a CPU of the
            training worker.
        on_damaged: What to do if image files of a folder cannot be read, which is found before training: refuse the
            folder, or skip these files.
    """

    name: Literal["digits", "cifar10", "cifar100", "imagenet16-120", "npz", "folder"]
    path: Location | None = None
    labels: Literal["true", "random", "shuffled", "random_each_iteration", "shuffled_each_iteration"] | None = None
    num_label_categories: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    train_portion: Share = 0.5
    max_images: Positive | None = None
    resolution: Annotated[int, Field(ge=4, le=4_096)] | None = None
    crop_padding: Pixels | None = None
    crop_ratio: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    flip: bool | None = None
    lighting: Annotated[float, Field(ge=0)] = 0.0
    cutout: Pixels = 0
    normalise: bool = True
    loader_workers: Annotated[int, Field(ge=0, le=1_024)] = 0
    on_damaged: Literal["refuse", "skip"] = "refuse"

    @field_validator("labels", mode="before")
    @classmethod
    def _yaml_true(cls, value: object) -> object:
        return "true" if value is True else value  # YAML reads the word as a boolean

    @model_validator(mode="after")
    def _one_way_to_crop(self) -> DataSection:
        if self.name == "folder" and self.crop_padding is not None:
            raise ValueError("crop_padding: files are cropped to a random area; leave it out (see data.crop_ratio)")
        if self.name != "folder" and self.crop_ratio is not None:
            raise ValueError(
                f"crop_ratio: only image files are cropped to a random area, not {self.name}; leave it out (see "
                "data.crop_padding)"
            )
        if self.crop_ratio is not None and self.crop_ratio[0] > self.crop_ratio[1]:
            raise ValueError(f"crop_ratio: expected [least, most] with least <= most, got {self.crop_ratio}")
        return self
