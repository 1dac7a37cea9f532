"""The record of a network in use: its architecture, what its images become, what it reaches, where it comes from.

It is the ``config.json`` of an exported network. Whoever reads it needs no run: space, architecture and weights are
enough to build the network again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, model_validator

from raynas.errors import InputError
from raynas.messages import echo
from raynas.records.record import Listed, Number, Part, Record

MOST_PIXELS = 4_096
"""Largest height and width of an image that a record may state."""

MOST_CLASSES = 1_000_000
"""Largest number of classes that a record may state."""

WEIGHTS = ("retrained", "inherited", "initial")
"""Where weights come from: a training of the network itself, the supernet, or no training."""

RESIZED_BY = ("torch", "pillow")
"""Which library resizes an image: torch for data in memory, Pillow for image files. Their roundings differ."""


def _checked(number: Number, least: float, most: float) -> Number:
    """Returns a number in a range.

    Raises:
        InputError: If it is not in the range.
    """
    if not least <= number <= most:
        raise InputError(f"expected {least:,} to {most:,}, got {echo(number)}")
    return number


def _pixels(value: int) -> int:
    _checked(value, 1, MOST_PIXELS)
    return value


def _one_of(names: Sequence[str], value: str) -> str:
    """Returns a name.

    Raises:
        InputError: If it is none of the names.
    """
    if value not in names:
        raise InputError(f"expected {', '.join(names)}, got {echo(value)}")
    return value


def _three(values: list[Number]) -> list[Number]:
    """Returns a number for each of red, green and blue.

    Raises:
        InputError: If there are not three finite numbers.
    """
    if len(values) != 3 or not all(math.isfinite(value) for value in values):
        raise InputError(f"expected three numbers, for red, green and blue, got {echo(values)}")
    return values


def _three_positive(values: list[Number]) -> list[Number]:
    if min(_three(values)) <= 0:
        raise InputError(f"expected three numbers above 0, got {echo(values)}")
    return values


Pixels = Annotated[int, AfterValidator(_pixels)]
Channels = Annotated[Listed[Number], AfterValidator(_three)]
Deviations = Annotated[Listed[Number], AfterValidator(_three_positive)]


class Preprocessing(Part):
    """What an image becomes before the network sees it.

    The image is made red, green and blue in 8 bits, resized until its shorter side is `resize`, cropped to the centre,
    divided by 255, and normalised: (value - mean) / std.

    Attributes:
        resolution: Height and width of the network's input in pixels.
        mean: Mean of red, green and blue (black 0, white 1), subtracted.
        std: Deviation of red, green and blue, divided by.
        resize: Pixels of the shorter side before the crop; the resolution for data in memory.
        interpolation: How pixels between pixels are computed; ``bilinear``, with antialiasing.
        resized_by: The library that resizes: ``torch`` for data in memory, ``pillow`` for image files.
    """

    resolution: Pixels
    mean: Channels
    std: Deviations
    resize: Pixels
    interpolation: Annotated[str, AfterValidator(lambda value: _one_of(("bilinear",), value))] = "bilinear"
    resized_by: Annotated[str, AfterValidator(lambda value: _one_of(RESIZED_BY, value))] = "torch"

    @model_validator(mode="after")
    def _crop_fits(self) -> Preprocessing:
        if self.resize < self.resolution:
            raise InputError(f"expected resize of {self.resolution} or more, got {self.resize}")
        return self


class NetworkAccuracy(Part):
    """The accuracy of the trainings of an architecture, on images that the search has not seen.

    Attributes:
        images: The split that was read, such as ``test``.
        seeds: Seed of each training.
        top1: Accuracy of each training in percent.
        top5: Share of images whose class is among the five most probable, of each training in percent; null if it was
            not measured.
        exported_seed: Seed of the training whose weights these are; null for the weights of none.
    """

    images: str = "test"
    seeds: Listed[int]
    top1: Listed[Number]
    top5: Listed[Number] | None = None
    exported_seed: int | None = None

    @model_validator(mode="after")
    def _one_number_a_seed(self) -> NetworkAccuracy:
        wanted = len(self.seeds)
        for name, values in (("top1", self.top1), ("top5", self.top5)):
            if values is not None and len(values) != wanted:
                raise InputError(f"expected {wanted} numbers under {name}, one for each seed, got {len(values)}")
        return self


class Provenance(Part):
    """Where a network comes from.

    Attributes:
        run: Name of the run that found the architecture; empty for none.
        algorithm: The algorithm of that run.
        data: Name of the data set that the network was trained on.
        fitness: What the search compared architectures by.
        fitness_value: The fitness of this architecture; larger is better.
        versions: Versions of raynas, torch and the like.
        created: Time at which the network was exported or trained.
    """

    run: str = ""
    algorithm: str = ""
    data: str = ""
    fitness: str = ""
    fitness_value: Number | None = None
    versions: dict[str, str] = {}
    created: str = ""


class ExportFacts(Part):
    """What was measured when a network was exported.

    Attributes:
        format: Name of the format.
        files: SHA-256 of each file that holds weights or code, by its name.
        images: Number of images whose outputs were compared.
        largest_difference: Largest difference of a logit before and after the export.
        latency_before: Median seconds for one image in torch, before the export.
        latency_after: Median seconds for one image with the exported network.
        measured_on: Name of the device of the latency.
    """

    format: str
    files: dict[str, str]
    images: int = 0
    largest_difference: Number = 0.0
    latency_before: Number | None = None
    latency_after: Number | None = None
    measured_on: str = ""


def _named(space: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(space.get("name"), str):
        raise InputError(f"expected text under name, got {echo(space.get('name'))}")
    return space


class NetworkRecord(Record):
    """A network in use: enough to build it, to feed it, and to know what it is.

    Attributes:
        space: Name and arguments of the space.
        architecture: Candidate taken at each choice.
        text: The architecture as text.
        num_classes: Number of classes.
        classes: Names of the classes; null if they have none.
        preprocessing: What an image becomes before the network sees it.
        num_parameters: Number of parameters.
        multiply_adds: Multiply-adds for one image.
        weights: Where the weights come from: ``retrained``, ``inherited`` from the supernet, or ``initial``.
        accuracy: Accuracy of its trainings; null if it was not trained.
        recipe: Keys and values of its training; null if it was not trained.
        provenance: Where the network comes from.
        export: What was measured at its export; null before it.
    """

    model_config = ConfigDict(extra="ignore")

    space: Annotated[dict[str, Any], AfterValidator(_named)]
    architecture: Listed[int]
    text: str = ""
    num_classes: Annotated[int, AfterValidator(lambda value: int(_checked(value, 1, MOST_CLASSES)))]
    classes: Listed[str] | None = None
    preprocessing: Preprocessing
    num_parameters: int
    multiply_adds: int
    weights: Annotated[str, AfterValidator(lambda value: _one_of(WEIGHTS, value))]
    accuracy: NetworkAccuracy | None = None
    recipe: dict[str, Any] | None = None
    provenance: Provenance = Provenance()
    export: ExportFacts | None = None

    @model_validator(mode="after")
    def _one_name_a_class(self) -> NetworkRecord:
        if self.classes is not None and len(self.classes) != self.num_classes:
            raise InputError(f"expected {self.num_classes} names under classes, got {len(self.classes)}")
        return self

    @property
    def space_arguments(self) -> dict[str, Any]:
        """The arguments of the space, without its name."""
        return {key: value for key, value in self.space.items() if key != "name"}

    @property
    def class_names(self) -> list[str]:
        """The names of the classes; their numbers if they have none."""
        return list(self.classes) if self.classes is not None else [str(label) for label in range(self.num_classes)]


def mean_and_deviation(values: Sequence[Number]) -> tuple[float, float | None]:
    """Returns the mean of numbers and their standard deviation (n - 1); None of a single number."""
    mean = sum(values) / len(values)
    if len(values) < 2:
        return mean, None
    squares = sum((value - mean) ** 2 for value in values)
    return mean, math.sqrt(squares / (len(values) - 1))
