"""The `train` and `alphas` sections of a run file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from raynas.config.execution import TrainingExecution
from raynas.config.locations import checked_url
from raynas.config.named import named
from raynas.errors import InputError
from raynas.options import Execution, Location, OneOf, Seed
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.architecture_gradients import GRADIENTS
from raynas.supernet.routes import GATES, SAMPLINGS
from raynas.supernet.temperature import TemperatureOptions
from raynas.training.initial_weights import DISTRIBUTIONS, LINEAR_DISTRIBUTIONS
from raynas.training.recipe import Recipe


class TrainSection(Recipe, TrainingExecution):
    """How the supernet is trained.

    Attributes:
        sampling: What a step trains: uniform (one random path), fair (every candidate once), by the alphas mixture (all
            candidates, weighted) or gumbel (one sampled path), or the dotted path of a rule of your own.
        path_per_cell: Whether every cell samples a path of its own, or all cells share one.
        base_seeds: Seeds of independently trained supernets, whose angles are averaged; ``[seed]`` by default.
        reuse: Folder or URL of another run of the same space, data and training, whose supernets to take instead of
            training.
        initialisation: Distribution of the first kernels of convolutions and linear layers: Kaiming's normal or
            uniform one by the inputs, or by the outputs (normal_fan_out, uniform_fan_out); each layer's own by default.
        linear_initialisation: Distribution of linear layers alone: normal with deviation 0.01 and no first bias
            (small); by default as initialisation says.
        idle_weights: What candidates that a step does not run do in it: rest, or coast (momentum carries them on and
            weight decay shrinks them, as in the code of RLNAS and of its time).
    """

    sampling: Annotated[str, named(SAMPLINGS)] | None = None
    path_per_cell: bool | None = None
    base_seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000)] | None = None
    reuse: Annotated[Location | None, Execution()] = None
    initialisation: Annotated[str, OneOf(DISTRIBUTIONS)] | None = None
    linear_initialisation: Annotated[str, OneOf(LINEAR_DISTRIBUTIONS)] | None = None
    idle_weights: Literal["rest", "coast"] = "rest"

    @field_validator("reuse")
    @classmethod
    def _folder_or_url(cls, value: str | None) -> str | None:
        return value if value is None else checked_url(value)

    @model_validator(mode="after")
    def _workers_and_seeds(self) -> TrainSection:
        least, most = self.worker_range
        if least > most:
            raise InputError(f"workers: expected [min, max] with min <= max, got {self.workers}")
        if most > self.batch_size:
            raise InputError(
                f"workers: {most} workers cannot share batches of {self.batch_size} images; raise train.batch_size"
            )
        if self.base_seeds is not None and len(set(self.base_seeds)) < len(self.base_seeds):
            raise InputError(f"base_seeds: expected different seeds, got {self.base_seeds}")
        if self.idle_weights == "coast" and self.momentum == 0:
            raise InputError("idle_weights: coast needs a momentum above 0; set it to rest, or raise train.momentum")
        return self


class AlphasSection(AlphaRecipe, TemperatureOptions):
    """How architecture parameters (alphas) are trained, on the search split, beside the weights.

    Attributes:
        gates: What their step runs: mixture (all candidates), gumbel (one sampled by them), two_paths (two sampled by
            them), or the dotted path of a rule of your own. An algorithm without alphas leaves this key open.
        gradient: Which gradient they follow: first or second order, amended, or the dotted path of one of your own.
        idle: Of gates that sample single candidates: whether the weights of the others are added for their gradients.
    """

    gates: Annotated[str, named(GATES)] | None = None
    gradient: Annotated[str, named(GRADIENTS)] | None = None
    idle: bool = False
