"""The `search`, `latency` and `benchmark` sections of a run file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from raynas.options import Images, Location, Options, Positive, Processes

FitnessName = Literal[
    "angle",
    "displacement",
    "one_shot_accuracy",
    "one_shot_loss",
    "initial_angle",
    "log_probability",
    "benchmark_table",
    "num_parameters",
    "multiply_adds",
    "random",
]


class LimitsSection(Options):
    """Bounds on what an architecture may cost: absolute counts for one image; seconds as `latency` measures them."""

    max_parameters: float | None = None
    min_parameters: float | None = None
    max_multiply_adds: float | None = None
    min_multiply_adds: float | None = None
    max_latency: Annotated[float, Field(ge=0)] | None = None  # what bounds a measurement is checked before it
    min_latency: Annotated[float, Field(ge=0)] | None = None


class SearchSection(Options):
    """How architectures are proposed and judged.

    Attributes:
        name: Who proposes.
        derivation: What derive takes: whether none, the candidate that passes nothing, competes; or, in the DARTS
            space, the two strongest pairs of edge and operation of each node.
        most_skips: So many skip connections in the (normal) cell that alphas stand for are too many: they are taken as
            they were in the epoch before; as they ended by default.
        objectives: What pareto weighs against the fitness: costs, to be low.
        fitness: Who judges; of a list, the mean of the standard scores of each.
        angle: Which weights the angle counts: those on paths (paper), or stem, fixed blocks and head too (official).
        angle_epoch: Epochs of training after which angle and displacement are taken; the last by default.
        calibration_images: Training images on which an architecture's batch normalisation is measured anew.
        evaluation_images: Images of the search split to judge by; all of them by default.
        evaluation_batch_size: Images in a batch, of both kinds.
        evaluators: Ray actors that judge in parallel; by default as many as there are CPUs (or GPUs), and on a cluster
            that can grow more where there is much to judge; 0 judges in this process, without Ray.
        cpus_per_evaluator: CPUs, and torch threads, of an evaluator. Another number of threads rounds otherwise.
        gpus_per_evaluator: GPUs of an evaluator; a half lets two share one.
        population: Architectures in a generation.
        generations: Generations, the random one included.
        select: How many of the best are parents.
        mutations: Children by mutation in a generation.
        crossovers: Children by crossover in a generation.
        mutation_probability: Chance of each choice to be drawn anew.
        mutation_excludes: Names of candidates that a mutation never draws.
        max_tries: Draws allowed per child wanted.
        limits: What an architecture may cost.
        top: How many of the best to report.
    """

    name: Literal["random", "evolution", "exhaustive", "pareto", "exact_angle", "derive", "alpha_sampling"] | None = (
        None
    )
    most_skips: Positive | None = None
    derivation: Literal["with_none", "without_none", "pairs"] | None = None
    objectives: Annotated[list[Literal["num_parameters", "multiply_adds", "latency"]], Field(min_length=1)] = [
        "multiply_adds"
    ]
    fitness: FitnessName | Annotated[list[FitnessName], Field(min_length=2)] | None = None
    angle: Literal["paper", "official"] = "paper"
    angle_epoch: Positive | None = None
    calibration_images: Positive = 2048
    evaluation_images: Positive | None = None
    evaluation_batch_size: Images = 256
    evaluators: Annotated[int, Field(ge=0, le=100_000)] | None = None
    cpus_per_evaluator: Processes = 1
    gpus_per_evaluator: Annotated[float, Field(ge=0, le=1_024)] = 0.0
    population: Images = 100
    generations: Images = 20
    select: Positive = 30
    mutations: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    crossovers: Annotated[int, Field(ge=0, le=1_000_000)] = 50
    mutation_probability: Annotated[float, Field(ge=0, le=1)] = 0.1
    mutation_excludes: list[str] = []
    max_tries: Annotated[int, Field(ge=1, le=10_000)] = 10
    limits: LimitsSection = LimitsSection()
    top: Images = 10

    @model_validator(mode="after")
    def _exact(self) -> SearchSection:
        if self.name == "exact_angle" and self.fitness not in (None, "angle"):
            raise ValueError(
                f"name: exact_angle finds the largest angle; set search.fitness to angle, got {self.fitness}"
            )
        return self

    @field_validator("fitness")
    @classmethod
    def _one_evaluation(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(set(value)) < len(value):
            raise ValueError(f"expected different ones, got {value}")
        if isinstance(value, list) and {"one_shot_accuracy", "one_shot_loss"} <= set(value):
            raise ValueError("one_shot_accuracy and one_shot_loss come of one evaluation; name one of them")
        return value

    @property
    def fitnesses(self) -> tuple[FitnessName, ...]:
        """The fitnesses by name, one or more."""
        assert self.fitness is not None
        return tuple(self.fitness) if isinstance(self.fitness, list) else (self.fitness,)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keys that the named searcher takes."""
        shared = ("population",)
        keys = {
            "random": (*shared, "generations"),
            "exhaustive": shared,
            "exact_angle": ("top",),
            "derive": ("derivation",),
            "alpha_sampling": (*shared, "generations"),
            "pareto": (
                *(*shared, "generations", "mutations", "crossovers", "objectives"),
                *("mutation_probability", "mutation_excludes", "max_tries"),
            ),
            "evolution": (
                *(*shared, "generations", "select", "mutations", "crossovers"),
                *("mutation_probability", "mutation_excludes", "max_tries"),
            ),
        }[self.name or "evolution"]
        return {key: getattr(self, key) for key in keys}


class LatencySection(Options):
    """How the latency of candidates is measured, where a search asks for it: for limits, or as an objective.

    Attributes:
        device: Where.
        batch_size: Images in a batch.
        threads: Threads of torch, on a CPU.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 1
    threads: Annotated[int, Field(ge=1, le=1_024)] = 1


class BenchmarkSection(Options):
    """The truth to hold a ranking against, where a benchmark knows it.

    Attributes:
        path: A CSV file with a row for each architecture, or the files of NATS-Bench or NAS-Bench-201.
        column: Which accuracy is the truth.
        dataset: Whose accuracy, in files that know several data sets.
    """

    path: Location | None = None
    column: str = "test_accuracy_200"
    dataset: Literal["cifar10", "cifar100", "imagenet16-120"] = "cifar10"
