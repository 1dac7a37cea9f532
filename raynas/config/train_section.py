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
        sampling: Candidates that a training step runs: one random path (uniform), every candidate once (fair), all
            candidates weighted by the alphas (mixture), one path sampled by the alphas (gumbel), or the dotted path of
            a rule of your own.
        path_per_cell: Whether every cell samples a path of its own; otherwise all cells share one path.
        base_seeds: Seeds of independently trained supernets, whose results are averaged; ``[seed]`` by default.
        reuse: Folder or URL of another run of the same space, data and training, whose supernets are used instead of
            training new ones.
        initialisation: Distribution of the initial kernels of convolutions and linear layers: Kaiming's normal or
            uniform one, scaled by the number of inputs (normal, uniform) or of outputs (normal_fan_out,
            uniform_fan_out). By default each layer has the distribution of torch.
        linear_initialisation: Distribution of the initial linear layers alone. small: normal with deviation 0.01, and
            biases of 0. By default the key initialisation holds for them too.
        idle_weights: What happens in a step to candidates that the step does not run. rest: nothing. coast: momentum
            moves them on and weight decay shrinks them, as in the code of RLNAS.
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
        gates: Candidates that a step of the alphas runs: all of them (mixture), one sampled by the alphas (gumbel), two
            sampled by the alphas (two_paths), or the dotted path of a rule of your own. An algorithm without alphas
            leaves this key open.
        gradient: Gradient of the alphas: of first order (first), of second order (second), amended, or the dotted path
            of a rule of your own.
        idle: Whether the gate weights of candidates that were not sampled, all of them 0, are added to the output, so
            that their alphas get gradients too. Only for gates that sample one candidate.
    """

    gates: Annotated[str, named(GATES)] | None = None
    gradient: Annotated[str, named(GRADIENTS)] | None = None
    idle: bool = False
