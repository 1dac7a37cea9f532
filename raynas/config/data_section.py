"""The `data` section of a run file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from raynas.config.further_keys import SectionOfMembers
from raynas.config.named import named
from raynas.data.augmentation import AugmentationOptions
from raynas.data.image_source import DATASETS, DataSource
from raynas.data.labels import LABELS
from raynas.errors import InputError
from raynas.options import Execution, Location, Positive, Share

OF_IMAGES = (
    *AugmentationOptions.model_fields,
    *("train_portion", "max_images", "resolution", "normalise", "loader_workers", "on_damaged"),
)
"""Keys that a text does not have."""


def _default(key: str) -> object:
    """Returns the default of a key of the section, which a run file may state."""
    return DataSection.model_fields[key].default


class DataSection(AugmentationOptions, SectionOfMembers):
    """Images and labels.

    Attributes:
        name: The data set: a name, or the dotted path of a row of your own, whose further keys stand beside these.
        path: Its file or folder; for cifar10 and cifar100 where to keep the download.
        labels: What the supernet is trained on: a name, or the dotted path of a method of your own.
        num_label_categories: Categories of random labels; as many as the data set has classes by default. Pretext tasks
            (rotation, jigsaw) have a number of their own.
        train_portion: Share of the training images that trains the supernet; the rest is the search split.
        max_images: Use only so many training images, sampled by the seed.
        resolution: Height and width to resize to; the data set's own by default.
        normalise: Whether mean and deviation of the data set are taken out; else a network sees pixels / 255.
        loader_workers: Processes that read image folders, per training worker. Each of them counts as a CPU of the
            training worker.
        on_damaged: What to do if image files of a folder cannot be read, which is found before training: refuse the
            folder, or skip these files.
    """

    name: Annotated[str, named(DATASETS)]
    path: Annotated[Location | None, Execution()] = None
    labels: Annotated[str, named(LABELS)] | None = None
    num_label_categories: Annotated[int, Field(ge=2, le=1_000_000)] | None = None
    train_portion: Share = 0.5
    max_images: Positive | None = None
    resolution: Annotated[int, Field(ge=4, le=4_096)] | None = None
    normalise: bool = True
    loader_workers: Annotated[int, Field(ge=0, le=1_024), Execution()] = 0
    on_damaged: Literal["refuse", "skip"] = "refuse"

    @field_validator("labels", mode="before")
    @classmethod
    def _yaml_true(cls, value: object) -> object:
        return "true" if value is True else value  # YAML reads the word as a boolean

    @property
    def source(self) -> DataSource:
        """The row of the data set."""
        return DATASETS.row(self.name)

    @property
    def further(self) -> dict[str, Any]:
        """The further keys, which the data set takes."""
        return dict(self.model_extra or {})

    @model_validator(mode="after")
    def _no_images_in_a_text(self) -> DataSection:
        if self.source.holds == "tokens":
            given = [key for key in OF_IMAGES if key in self.model_fields_set and getattr(self, key) != _default(key)]
            if given:
                raise InputError(f"{given[0]}: {self.name} is a text, which has no images; leave it out")
        return self

    @model_validator(mode="after")
    def _one_way_to_crop(self) -> DataSection:
        if self.source.reads_files and self.crop_padding is not None:
            raise InputError("crop_padding: files are cropped to a random area; leave it out (see data.crop_ratio)")
        if not self.source.reads_files and self.crop_ratio is not None:
            raise InputError(
                f"crop_ratio: only image files are cropped to a random area, not {self.name}; leave it out (see "
                "data.crop_padding)"
            )
        if self.crop_ratio is not None and self.crop_ratio[0] > self.crop_ratio[1]:
            raise InputError(f"crop_ratio: expected [least, most] with least <= most, got {self.crop_ratio}")
        return self
