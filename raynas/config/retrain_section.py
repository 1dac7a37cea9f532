"""The `retrain` section of a run file: which networks are trained from scratch, and by which recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, field_validator

from raynas import recipes
from raynas.config.nested import merge
from raynas.data.augmentation import AugmentationOptions
from raynas.errors import InputError
from raynas.members import is_own
from raynas.network_capabilities import size_of
from raynas.options import OneOf, Options, Positive, Seed, Share
from raynas.spaces import SPACES
from raynas.training.network_recipe import NetworkRecipe

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Names of folders, as a regular expression."""

Listed: TypeAlias = Annotated[list[str], Field(min_length=1)]
Named: TypeAlias = Annotated[dict[Annotated[str, Field(pattern=NAME, max_length=100)], str], Field(min_length=1)]

CONTROLS = ("random", "parameters", "lstm")
"""The networks that the found ones are compared with."""


class SubjectsSection(Options):
    """Which networks are trained.

    Attributes:
        name: The folder of the retraining inside ``retrain/`` of the run; the name of the recipe by default.
        recipe: The recipe whose keys stand for those that the file leaves out: a name, or the path of a YAML file of
            your own. An unknown name is answered with all names.
        top: How many of the best architectures of the search are trained.
        architectures: Architectures to train in the place of those of the search: texts in any spelling, or names of
            published ones; in a list, or by names of your own.
        controls: Networks that are trained beside them, by the same recipe: ``random``, a random architecture with as
            many multiply-adds as the best one; ``parameters``, the architecture with the most parameters; and, of
            texts alone, ``lstm``, a language model of one LSTM with no more parameters than the best one.
        seeds: Seeds that each network is trained from.
        space: Keys of the space at which the networks are built, such as ``channels`` and ``cells``; those of the
            search by default.
        max_multiply_adds: Limit on the multiply-adds of an image: each network is made as wide as it admits.
        train_portion: Share of the training images that networks are trained on. The accuracy on the others is reported
            as validation accuracy.
    """

    name: Annotated[str, Field(pattern=NAME, max_length=100)] | None = None
    recipe: str | None = None
    top: Positive = 1
    architectures: Listed | Named | None = None
    controls: list[Annotated[str, OneOf(CONTROLS)]] = ["random", "parameters"]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000)] = [0, 1, 2]
    space: dict[str, Any] = {}
    max_multiply_adds: Annotated[float, Field(gt=0)] | None = None
    train_portion: Share = 1.0

    @field_validator("seeds", "controls", "architectures")
    @classmethod
    def _different(cls, values: Any) -> Any:
        if isinstance(values, list) and len(set(values)) < len(values):
            raise InputError(f"expected different ones, got {values}; leave out what is there twice")
        return values


class RetrainSection(NetworkRecipe, SubjectsSection):
    """Which networks are trained from scratch, and how. Who trains them, and when they save, `train` says.

    Attributes:
        augmentation: How training images are changed at random; as the `data` section says by default.
    """

    augmentation: AugmentationOptions | None = None

    @property
    def folder(self) -> str:
        """The folder of the retraining inside that of the run."""
        return f"retrain/{self.name or _stem(self.recipe) or 'own'}"


CHOSEN = ("name", "top", "architectures", "controls", "seeds")
"""Keys that say what is trained, not how: a retraining may be continued with others."""


def _stem(recipe: str | None) -> str | None:
    """Returns the name of a recipe, of a file that without its folder and ending."""
    return None if recipe is None else recipe.replace("\\", "/").rpartition("/")[2].removesuffix(".yaml")


def with_recipe(values: Any) -> Any:
    """Returns the values of a run file with the keys of the recipe under its `retrain` section.

    The sizes of the recipe's networks are taken if the recipe is for the run's space.

    Raises:
        InputError: If there is no such recipe.
    """
    if not isinstance(values, Mapping):
        return values
    section = values.get("retrain")
    if not isinstance(section, Mapping) or not isinstance(section.get("recipe"), str) or _is_resolved(section):
        return values
    recipe = recipes.read(section["recipe"])
    space = values.get("space")
    name = space.get("name") if isinstance(space, Mapping) else None
    sizes = sizes_for(recipe, name if isinstance(name, str) else None)
    fragment = {**recipe["retrain"], "space": sizes or {}}
    return {**values, "retrain": merge(fragment, section)}


def sizes_for(recipe: Mapping[str, Any], space: str | None) -> dict[str, Any] | None:
    """Returns the keys of a space at the size that a recipe is for; None if it is for another space."""
    sizes = dict(recipe.get("space", {}))
    made_for = sizes.pop("name", None)
    if space is None or is_own(space) or space not in SPACES.rows():
        return None
    return sizes if size_of(SPACES.row(space)) == size_of(SPACES.row(made_for)) else None


def _is_resolved(section: Mapping[str, Any]) -> bool:
    return set(RetrainSection.model_fields) <= set(section)
