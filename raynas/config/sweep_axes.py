"""The axes of a sweep: the keys that vary, and the values that each takes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field, field_validator, model_validator

from raynas.config.run_config import RunConfig
from raynas.errors import InputError
from raynas.messages import echo
from raynas.options import Options

MOST_TRIALS = 10_000
"""Trials of a sweep."""

SAMPLED, CROSSED = ("choice", "uniform", "loguniform"), ("grid", "variants", "seeds")


def without_nulls(value: object) -> object:
    """Returns a mapping without its nulls, by which a `quick:` block takes out what the file has."""
    return {key: one for key, one in value.items() if one is not None} if isinstance(value, dict) else value


def dotted_axes(value: object) -> object:
    """Returns the axes under dotted keys, without nulls; ``--set sweep.keys.train.epochs.grid=[1]`` nests them."""
    if not isinstance(value, dict):
        return value
    axes: dict[Any, Any] = {}
    for key, axis in value.items():
        for dotted, one in _axes_within(key, axis):
            there = axes.get(dotted)
            axes[dotted] = {**there, **one} if isinstance(there, dict) and isinstance(one, dict) else one
    return without_nulls(axes)


def _axes_within(key: Any, axis: Any) -> Iterator[tuple[Any, Any]]:
    """Yields an axis by its key, or those that are nested in a section of the run file."""
    section = str(key).partition(".")[0]
    is_nested = section in RunConfig.model_fields and isinstance(axis, dict) and not {*axis} & {*CROSSED, *SAMPLED}
    if not is_nested or not axis or not all(one is None or isinstance(one, dict) for one in axis.values()):
        yield key, axis
        return
    for name, one in axis.items():
        yield from _axes_within(f"{key}.{name}", one)


def settings_of(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every value under its dotted key, also where sections are written as mappings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from settings_of(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def overlap(one: str, other: str) -> bool:
    """Returns whether two dotted keys are the same, or one is a section that holds the other."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


class Axis(Options):
    """The values that a key takes, in one of these ways.

    Attributes:
        grid: The values; each is combined with all values of the other keys.
        choice: Values of which one is sampled for a trial, all with the same probability.
        uniform: Two numbers between which a number is sampled for a trial, all with the same probability.
        loguniform: Two numbers between which a number is sampled for a trial, uniformly in its logarithm.
        seeds: Number n of repetitions: the key takes the values 0, 1, ..., n - 1.
        variants: Sets of keys that change together, each under the name that tables show. A section may be given as a
            mapping of some of its keys.
    """

    grid: Annotated[list[Any], Field(min_length=1)] | None = None
    choice: Annotated[list[Any], Field(min_length=1)] | None = None
    uniform: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    loguniform: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] | None = None
    seeds: Annotated[int, Field(ge=1, le=MOST_TRIALS)] | None = None
    variants: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] | None = None

    @field_validator("variants", mode="before")
    @classmethod
    def _named(cls, value: object) -> object:
        return without_nulls(value)

    @model_validator(mode="after")
    def _one_way(self) -> Axis:
        given = [kind for kind in (*CROSSED, *SAMPLED) if getattr(self, kind) is not None]
        if len(given) != 1:
            raise InputError(f"expected one of {', '.join((*CROSSED, *SAMPLED))}, got {' and '.join(given) or 'none'}")
        for kind in ("uniform", "loguniform"):
            bounds = getattr(self, kind)
            if bounds is not None and bounds[0] >= bounds[1]:
                raise InputError(f"{kind}: expected [least, greatest], got {bounds}")
        listed = self.grid or self.choice
        if listed is not None and len({json.dumps(value, sort_keys=True) for value in listed}) < len(listed):
            raise InputError(f"expected different values, got {echo(listed)}")
        return self

    @property
    def kind(self) -> str:
        """The way, by its name."""
        return next(kind for kind in (*CROSSED, *SAMPLED) if getattr(self, kind) is not None)

    @property
    def values(self) -> list[Any]:
        """The values of an axis that is crossed; the bounds or the values to sample from otherwise."""
        if self.seeds is not None:
            return list(range(self.seeds))
        return list(getattr(self, self.kind))

    def draw(self, rng: np.random.Generator) -> Any:
        """Returns a value."""
        if self.choice is not None:
            return self.choice[int(rng.integers(len(self.choice)))]
        if self.uniform is not None:
            return float(rng.uniform(self.uniform[0], self.uniform[1]))
        assert self.loguniform is not None
        return float(np.exp(rng.uniform(*np.log(self.loguniform))))

    def changes(self, key: str, value: Any) -> list[tuple[str, Any]]:
        """Returns what a value of this axis sets: dotted keys of the run file, each with its value.

        A mapping sets the keys that it names and leaves the others of its section as they are.

        Args:
            key: The axis's key.
            value: One of its values, or the name of a variant.
        """
        return list(settings_of({key: value} if self.variants is None else self.variants[value]))

    def changed(self, key: str) -> list[str]:
        """Returns the dotted keys that the axis sets, each once.

        Raises:
            InputError: If one of its values sets a key twice.
        """
        keys: list[str] = []
        for value in self.values if self.kind not in ("uniform", "loguniform") else [0.0]:
            of_value = [changed for changed, _ in self.changes(key, value)]
            twice = first_overlap(of_value, of_value)
            if twice is not None:
                raise InputError(f"keys.{key}: {value} sets {twice} twice; name it once")
            keys += [changed for changed in of_value if changed not in keys]
        return keys


def first_overlap(keys: Sequence[str], others: Sequence[str]) -> str | None:
    """Returns the first key that overlaps another one, by position if both lists are the same; None if none does."""
    for place, key in enumerate(keys):
        for number, other in enumerate(others):
            if (keys is not others or number != place) and overlap(key, other):
                return max(key, other, key=len)
    return None
