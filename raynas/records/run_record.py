"""The records of a whole run: its configuration and its images."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator

from raynas.errors import InputError
from raynas.records.record import Listed, Number, OtherFile, Part, Record
from raynas.records.search_record import QuantityRecord


def _named(config: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(config.get("name"), str):
        raise InputError(f"expected text under name, got {config.get('name')!r}")
    return config


class SearchPlan(Part):
    """What the search of a run is by, known before it begins.

    Attributes:
        fitness: The fitness, those of a consensus joined by ``+``.
        name: The fitness with its definition, such as ``angle (paper)``.
        quantities: The fitness, and what is measured beside it; empty in runs of earlier versions.
        objectives: The costs to be small, beside the fitness; most searches have none.
    """

    fitness: str
    name: str
    quantities: Listed[QuantityRecord] = []
    objectives: Listed[str] = []


class RunRecord(Record):
    """The resolved configuration of a run.

    Attributes:
        config: Every key of the run file, with its default where the file leaves it out.
        versions: Versions of raynas, Python and the packages that began the run.
        created: Time at which the run began.
        plan: What the search is by; null in runs of earlier versions.
        defaults: Defaults of the keys by their dotted names, in the version that began the run; without keys that a run
            file has to give. Empty in runs of earlier versions.
    """

    file: ClassVar[str] = "config.json"
    holds: ClassVar[str] = "the resolved configuration, and what began the run"

    config: Annotated[dict[str, Any], AfterValidator(_named)]
    versions: dict[str, str] = {}
    created: str = ""
    plan: SearchPlan | None = None
    defaults: dict[str, Any] = {}

    def section(self, name: str) -> dict[str, Any]:
        """Returns a section of the configuration; empty if the run has none."""
        values = self.config.get(name)
        return values if isinstance(values, dict) else {}

    @property
    def searched_by(self) -> SearchPlan | None:
        """What the search is by, also in runs of earlier versions; None if no file states it."""
        if self.plan is None and isinstance(self.section("search").get("fitness"), str | list):
            return _plan_of_earlier_versions(self.section("search"))
        return self.plan


def _plan_of_earlier_versions(search: dict[str, Any]) -> SearchPlan:
    """Returns the plan of a search section, by the names that raynas 0.2 and earlier knew."""
    fitness = search["fitness"]
    names = [str(name) for name in fitness] if isinstance(fitness, list) else [fitness]
    joined = "+".join(names)
    has_definition = joined in ("angle", "initial_angle")
    objectives = search.get("objectives") if search.get("name") == "pareto" else None
    return SearchPlan(
        fitness=joined,
        name=f"{joined} ({search.get('angle')})" if has_definition else joined,
        objectives=[str(name) for name in objectives] if isinstance(objectives, list) else [],
    )


class IgnoredFiles(Part):
    """Files that are not read because of their kind.

    Attributes:
        files: Number of files.
        first: The first of them.
    """

    files: int
    first: Listed[str]


class DataRecord(Record):
    """The images of a run.

    Attributes:
        name: Name of the data set.
        classes: Names of the classes; null if they have none.
        num_classes: Number of classes.
        resolution: Height and width of an image in pixels.
        channels: Number of colour channels.
        mean: Mean of each channel, subtracted.
        std: Standard deviation of each channel, divided by.
        pixels: How a file becomes numbers.
        images: Number of images of each split.
        skipped: Why a file that cannot be read is left out, by its path.
        ignored: Files that are not read, by the reason.
        converted: Number of files that were converted, by their kind.
    """

    file: ClassVar[str] = "data.json"
    holds: ClassVar[str] = "classes, normalisation and number of images of each split, and files that were left out"

    name: str = ""
    classes: Listed[str] | None = None
    num_classes: int
    resolution: int
    channels: int = 3
    mean: Listed[Number]
    std: Listed[Number]
    pixels: str = ""
    images: dict[str, int]
    skipped: dict[str, str] = {}
    ignored: dict[str, IgnoredFiles] = {}
    converted: dict[str, int] = {}


PAGE = OtherFile("report/index.html", "the page; its figures are in `report/figures/`")
