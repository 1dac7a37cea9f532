"""The section `search.refine`: the best architectures of a search, evaluated once more."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, create_model, field_validator

from raynas.config.explain import own_words
from raynas.config.named import named
from raynas.fitness import FITNESSES
from raynas.options import Images, Options

Combine: TypeAlias = Literal["standard_scores", "log_ranks"]
Fitnesses: TypeAlias = Annotated[str | Annotated[list[str], Field(min_length=2)] | None, named(FITNESSES)]


def check_fitnesses(value: str | list[str] | None) -> str | list[str] | None:
    """Returns a fitness or a list of them that can be combined.

    Raises:
        PydanticCustomError: If one is named twice, or two come of one evaluation.
    """
    if not isinstance(value, list):
        return value
    if len(set(value)) < len(value):
        raise own_words(f"expected different ones, got {value}")
    measured: dict[int, str] = {}
    for name in sorted(value):
        measure = FITNESSES.row(name).measure
        if measure is None:
            continue
        if id(measure) in measured:
            raise own_words(f"{measured[id(measure)]} and {name} come of one evaluation; name one of them")
        measured[id(measure)] = name
    return value


_FIELDS: dict[str, Any] = {
    "from": (
        Images,
        Field(
            default=150,
            description="How many of the best architectures of the search are evaluated again. Of those that compute "
            "the same function, one is.",
        ),
    )
}
_FROM: type[Options] = create_model("_FROM", __base__=Options, **_FIELDS)  # a field cannot be written as `from:`


class RefineSection(_FROM):
    """How the best architectures of a search are evaluated again: by another fitness, or at another size.

    Attributes:
        fitness: The fitness, or a list of them; that of the search by default. One that needs trained supernets can be
            taken where the search trains them, at the same size of the space.
        combine: How a list of fitnesses becomes one; as in the search by default.
        space: Keys of the space that differ from the search, such as ``cells``.
    """

    fitness: Fitnesses = None
    combine: Combine | None = None
    space: dict[str, Any] = {}

    @field_validator("fitness")
    @classmethod
    def _one_evaluation(cls, value: str | list[str] | None) -> str | list[str] | None:
        return check_fitnesses(value)

    @property
    def number(self) -> int:
        """How many of the best architectures are evaluated again: the key ``from``."""
        number: int = getattr(self, "from")
        return number
