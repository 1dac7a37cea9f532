"""A run file: its keys, their defaults, and errors that name the key, what was expected and what came.

A run file is YAML. Every key has a default except `space` and `data`; `--set train.epochs=10` overrides one. What a
file leaves open, the row of its `algorithm` fills in, and the resolved configuration is what a run stores and repeats.

What stands under `quick` overrides the rest of its file where `--quick` is given: the same run in small, to be tried.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from raynas.algorithms import algorithms
from raynas.locations import checked_url
from raynas.locations import is_url as is_url
from raynas.locations import staging as staging
from raynas.locations import within as within
from raynas.messages import echo, shortened
from raynas.yaml_text import LARGEST, read_yaml

MOST = 10**9
"""The largest whole number that a key takes, but for seeds and for keys with a smaller bound of their own."""

Positive = Annotated[int, Field(ge=1, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Processes = Annotated[int, Field(ge=1, le=100_000)]
"""Processes, or the CPUs or threads of one."""

Images = Annotated[int, Field(ge=1, le=1_000_000)]
"""Images, or architectures, of which one process holds all at a time."""

Pixels = Annotated[int, Field(ge=0, le=4_096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
LONGEST_NAME = 200
"""Characters of a run's name; file systems take 255 of a file's, and files that are being written have longer ones."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""The names of runs, as a regular expression."""

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
Share = Annotated[float, Field(gt=0, le=1)]


def _expanded(location: str) -> str:
    """Returns a path or URL with ``~`` and variables such as ``$HOME`` or ``${HOME}`` replaced by what they stand for.

    Raises:
        ValueError: If a variable is not set, or there is no such user.
    """
    for name in re.findall(r"\$(\w+)|\$\{([^}]*)\}", location):
        variable = "".join(name)
        if variable not in os.environ:
            raise ValueError(
                f"expected variables that are set, got {echo(location)}, and {shortened(variable)} is not; set it, or "
                "write the path out"
            )
    expanded = os.path.expanduser(os.path.expandvars(location))
    if expanded.startswith("~"):
        raise ValueError(f"expected a user's home, got {echo(location)}; write the path out, or ./ before the name")
    if not expanded:
        raise ValueError(f"expected a path, got {echo(location)}; leave the key out for the default")
    return expanded


Location = Annotated[str, AfterValidator(_expanded)]
"""A path or a URL."""


class Section(BaseModel):
    """A part of a run file: unknown keys, wrong types and numbers that are not finite are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


SectionType = TypeVar("SectionType", bound=Section)


class SpaceSection(Section):
    """What is searched: `name`, and the further keys that the space takes (see `raynas check`)."""

    model_config = ConfigDict(extra="allow")

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The further keys, as the space's constructor takes them."""
        return dict(self.model_extra or {})


class DataSection(Section):
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


class TrainSection(Section):
    """How the supernet is trained.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step over all workers together.
        learning_rate: Where the learning rate starts.
        min_learning_rate: Where it ends.
        schedule: How it gets there: cosine or linear.
        schedule_every: Whether it moves once an epoch or every step.
        momentum: Momentum of SGD.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: L2 penalty.
        decay_on: What the penalty is on: all parameters, the kernels of convolutions, or these and the matrices of
            linear layers (weights), so neither biases nor normalisations.
        clip_norm: Bound on the norm of the gradient; none by default.
        clip_value: Bound on the size of each entry of the gradient, in the place of clip_norm; none by default.
        label_smoothing: Share of the target that is spread evenly over all labels; losses are reported without it.
        sampling: What a step trains: uniform (one random path), fair (every candidate once), or by the alphas: mixture
            (all candidates, weighted) or gumbel (one sampled path).
        path_per_cell: Whether every cell draws its own path or all share one.
        drop_path: Chance of an image to be dropped by a candidate that is no identity.
        auxiliary_weight: Weight of the loss of the auxiliary tower, where the space builds one.
        precision: Arithmetic of forward and backward.
        workers: Training workers; a pair ``[min, max]`` trains elastically; 0 trains without Ray, in this process.
            Results are the same bits with 0 and 1. With more they agree to rounding, but for batch normalisation,
            which sees the share of each worker.
        cpus_per_worker: CPUs, and torch threads, of a worker. Another number of threads rounds otherwise: results
            agree, but not to the bit.
        use_gpu: Whether each worker takes a GPU; results agree with those of a CPU to rounding.
        deterministic: Whether a GPU uses only algorithms that give the same bits every time, in training and in
            evaluation. They are slower, and an operation without such an algorithm ends the run with an error. On the
            CPU the bits are the same without it.
        resource: A resource of the cluster's own naming that each worker takes 1 of, so that it trains on nodes which
            offer that; none by default.
        checkpoint_every: Epochs between checkpoints.
        checkpoint_minutes: Minutes after which to save in any case, in the middle of an epoch too; null for never but
            before a machine is taken back.
        keep_checkpoints: How many of the latest checkpoints to keep.
        base_seeds: Seeds of independently trained supernets, whose angles are averaged; ``[seed]`` by default.
        max_failures: Failures in a row, without a new checkpoint between them, after which training gives up.
        reuse: Folder or URL of another run of the same space, data and training, whose supernets to take instead of
            training.
        initialisation: What the first kernels of convolutions and linear layers are drawn from: Kaiming's normal or
            uniform distribution; as the layers themselves do by default.
    """

    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 250
    batch_size: Images = 64
    learning_rate: Annotated[float, Field(gt=0)] = 0.025
    min_learning_rate: Annotated[float, Field(ge=0)] = 0.001
    schedule: Literal["cosine", "linear"] = "cosine"
    schedule_every: Literal["epoch", "step"] = "epoch"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    decay_on: Literal["all", "convolutions", "weights"] = "all"
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    clip_value: Annotated[float, Field(gt=0)] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    sampling: Literal["uniform", "fair", "mixture", "gumbel"] | None = None
    path_per_cell: bool | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    auxiliary_weight: Annotated[float, Field(ge=0)] = 0.4
    precision: Literal["float32", "bfloat16"] = "float32"
    workers: Annotated[int, Field(ge=0, le=100_000)] | Annotated[list[Processes], Field(min_length=2, max_length=2)] = 1
    cpus_per_worker: Processes = 1
    use_gpu: bool = False
    deterministic: bool = False
    resource: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")] | None = None
    checkpoint_every: Positive = 10
    checkpoint_minutes: Annotated[float, Field(gt=0)] | None = 10.0
    keep_checkpoints: Annotated[int, Field(ge=2, le=MOST)] = 2
    base_seeds: Annotated[list[Seed], Field(min_length=1, max_length=1_000)] | None = None
    max_failures: Count = 3
    reuse: Location | None = None
    initialisation: Literal["normal", "uniform"] | None = None

    @field_validator("resource")
    @classmethod
    def _of_their_own(cls, value: str | None) -> str | None:
        if value in ("CPU", "GPU", "memory", "object_store_memory"):
            raise ValueError(f"expected a name of your own such as raynas_train, got Ray's own {echo(value)}")
        return value

    @field_validator("reuse")
    @classmethod
    def _folder_or_url(cls, value: str | None) -> str | None:
        return value if value is None else checked_url(value)

    @model_validator(mode="after")
    def _consistent(self) -> TrainSection:
        least, most = self.worker_range
        if least > most:
            raise ValueError(f"workers: expected [min, max] with min <= max, got {self.workers}")
        if most > self.batch_size:
            raise ValueError(
                f"workers: {most} workers cannot share batches of {self.batch_size} images; raise train.batch_size"
            )
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs a momentum above 0; set train.nesterov to false")
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate: expected at most train.learning_rate ({self.learning_rate}), "
                f"got {self.min_learning_rate}"
            )
        if self.clip_norm is not None and self.clip_value is not None:
            raise ValueError("clip_value: the gradient is clipped in one way; leave out this or train.clip_norm")
        if self.base_seeds is not None and len(set(self.base_seeds)) < len(self.base_seeds):
            raise ValueError(f"base_seeds: expected different seeds, got {self.base_seeds}")
        return self

    @property
    def worker_range(self) -> tuple[int, int]:
        """The least and the most workers."""
        return (self.workers, self.workers) if isinstance(self.workers, int) else (self.workers[0], self.workers[1])


class AlphasSection(Section):
    """How architecture parameters (alphas) are trained, on the search split, beside the weights.

    Attributes:
        gates: What their step runs: mixture (all candidates), gumbel (one sampled by them) or two_paths (two sampled by
            them). What is left open the algorithm fills in; of one that has no alphas there are then none.
        gradient: Which gradient they follow: first or second order, or amended.
        eta: The amending coefficient.
        radius: Radius of finite differences in second derivatives; exact ones by default.
        learning_rate: Learning rate of Adam.
        betas: Decay rates of Adam's two averages.
        weight_decay: L2 penalty.
        clip_norm: Bound on the norm of the gradient; none by default.
        before_weights: Whether their step comes before the step of the weights, or after it.
        first_epoch: Epochs during which they rest.
        temperature: Of gumbel: from the first number in the first epoch to the second in the last.
        temperature_schedule: How it gets there: by the same difference every epoch, or by the same factor.
        idle: Of gumbel: whether the weights of candidates that were not sampled are added for their gradients.
    """

    gates: Literal["mixture", "gumbel", "two_paths"] | None = None
    gradient: Literal["first", "second", "amended"] | None = None
    eta: Annotated[float, Field(ge=0)] = 0.1
    radius: Annotated[float, Field(gt=0)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)] = [0.5, 0.999]
    weight_decay: Annotated[float, Field(ge=0)] = 1e-3
    clip_norm: Annotated[float, Field(gt=0)] | None = None
    before_weights: bool | None = None
    first_epoch: Count = 0
    temperature: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2)] = [10.0, 0.1]
    temperature_schedule: Literal["linear", "exponential"] = "linear"
    idle: bool = False


class LimitsSection(Section):
    """Bounds on what an architecture may cost: absolute counts for one image; seconds as `latency` measures them."""

    max_parameters: float | None = None
    min_parameters: float | None = None
    max_multiply_adds: float | None = None
    min_multiply_adds: float | None = None
    max_latency: Annotated[float, Field(ge=0)] | None = None  # what bounds a measurement is checked before it
    min_latency: Annotated[float, Field(ge=0)] | None = None


class SearchSection(Section):
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


class LatencySection(Section):
    """How the latency of candidates is measured, where a search asks for it: for limits, or as an objective.

    Attributes:
        device: Where.
        batch_size: Images in a batch.
        threads: Threads of torch, on a CPU.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 1
    threads: Annotated[int, Field(ge=1, le=1_024)] = 1


class BenchmarkSection(Section):
    """The truth to hold a ranking against, where a benchmark knows it.

    Attributes:
        path: A CSV file with a row for each architecture, or the files of NATS-Bench or NAS-Bench-201.
        column: Which accuracy is the truth.
        dataset: Whose accuracy, in files that know several data sets.
    """

    path: Location | None = None
    column: str = "test_accuracy_200"
    dataset: Literal["cifar10", "cifar100", "imagenet16-120"] = "cifar10"


class RunConfig(Section):
    """A whole run file.

    Attributes:
        name: The run's folder under `storage_path`; the file's own name by default.
        seed: Seed of everything that is drawn.
        storage_path: Where run folders are kept: a folder, which with workers on several machines all of them see, or a
            URL such as ``s3://bucket/path`` or ``gs://bucket/path``.
        address: ``local`` starts a Ray of its own, but in a Ray job joins the job's cluster; ``auto`` joins the cluster
            at hand; else a cluster's address.
        local_cpus: CPUs of a local Ray; those of the machine by default.
        algorithm: The row that fills in what the file leaves open.
        space: What is searched.
        data: Images and labels.
        train: How the supernet is trained.
        alphas: How architecture parameters are trained beside it.
        search: How architectures are proposed and judged.
        benchmark: The truth to hold a ranking against.
        latency: How the latency of candidates is measured.
        report: Whether `raynas run` and `raynas rank` end by writing the report, which takes some seconds.
    """

    name: Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME)]
    seed: Seed = 0
    storage_path: Location = "runs"
    address: str = "local"
    local_cpus: Processes | None = None
    algorithm: str = "rlnas"
    space: SpaceSection
    data: DataSection
    train: TrainSection = TrainSection()
    alphas: AlphasSection = AlphasSection()
    search: SearchSection = SearchSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    latency: LatencySection = LatencySection()
    report: bool = True

    @field_validator("storage_path")
    @classmethod
    def _folder_or_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("algorithm")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in algorithms():
            raise ValueError(f"expected one of {', '.join(algorithms())}, got {echo(value)}")
        return value

    @property
    def base_seeds(self) -> list[int]:
        """Seeds of the supernets to train."""
        return self.train.base_seeds or [self.seed]

    @property
    def location(self) -> str:
        """The run's folder or URL."""
        return within(_absolute(self.storage_path), self.name)

    @property
    def folder(self) -> Path:
        """The run's folder; of a run at a URL, where this process works on it."""
        return staging(self.location, "driver") if is_url(self.location) else Path(self.location)

    @property
    def supernets_location(self) -> str:
        """The folder or URL of the run whose supernets are judged by: this one's, or that of `train.reuse`."""
        return _absolute(self.train.reuse) if self.train.reuse else self.location

    @property
    def supernets(self) -> Path:
        """The folder of the run whose supernets are judged by; of one at a URL, where this process reads it."""
        if self.train.reuse is None:
            return self.folder
        reused = self.supernets_location
        return staging(reused, "reader") if is_url(reused) else Path(reused)

    @model_validator(mode="after")
    def _one_table(self) -> RunConfig:
        if self.search.name == "exact_angle" and len(self.base_seeds) > 1:
            raise ValueError(
                f"search.name: exact_angle is exact for one supernet, got train.base_seeds: {self.base_seeds}; name one"
            )
        return self

    def resolve(self) -> RunConfig:
        """Returns the configuration with what is left open filled in by the row of its algorithm."""
        row = algorithms()[self.algorithm]
        return self.model_copy(
            update={
                "data": self.data.model_copy(update={"labels": self.data.labels or row.labels}),
                "train": _filled(self.train, row, "sampling", "path_per_cell", base_seeds=self.base_seeds),
                "alphas": _filled(self.alphas, row, "gates", "gradient", "before_weights"),
                "search": _filled(
                    self.search, row, "fitness", "derivation", "most_skips", name=self.search.name or row.search
                ),
            }
        )._with_alphas()

    def _with_alphas(self) -> RunConfig:
        """Returns this resolved configuration, if what needs alphas has them, and they have what they need.

        Raises:
            ValueError: If something needs alphas and there are none, or they could not be trained or derived from.
        """
        needs = {
            "train.sampling": self.train.sampling in ("mixture", "gumbel") and self.train.sampling,
            "search.name": self.search.name in ("derive", "alpha_sampling") and self.search.name,
            "search.fitness": "log_probability" in self.search.fitnesses and "log_probability",
        }
        for key, word in needs.items():
            if word and self.alphas.gates is None:
                raise ValueError(
                    f"{key}: {word} needs alphas, which {self.algorithm} has none of; set alphas.gates to mixture, "
                    "gumbel or two_paths"
                )
        if self.alphas.idle and self.alphas.gates != "gumbel":
            raise ValueError(
                f"alphas.idle: only samples leave candidates idle, got alphas.gates: {self.alphas.gates}; leave it out"
            )
        if self.alphas.gates is not None and self.data.train_portion == 1:
            raise ValueError("data.train_portion: alphas follow the search split, which is empty at 1; lower it")
        if self.alphas.gates is not None and self.alphas.first_epoch >= self.train.epochs:
            raise ValueError(
                f"alphas.first_epoch: expected less than train.epochs ({self.train.epochs}), got "
                f"{self.alphas.first_epoch}: the alphas would rest to the end"
            )
        if self.search.name == "derive" and self.search.limits != LimitsSection():
            raise ValueError(
                "search.limits: what alphas stand for cannot be kept inside limits; leave them out, or take "
                "search.name: alpha_sampling"
            )
        return self


def _filled(section: SectionType, row: object, *keys: str, **others: object) -> SectionType:
    """Returns a section with the keys that are left open taken from the row of an algorithm, and others set."""
    left_open = {key: getattr(row, key) for key in keys if getattr(section, key) is None}
    return section.model_copy(update={**left_open, **others})


def _absolute(location: str) -> str:
    return location if is_url(location) else str(Path(location).absolute())


EXECUTION_KEYS = frozenset(
    {
        *("name", "storage_path", "address", "local_cpus", "report", "data.path", "data.loader_workers"),
        *("train.workers", "train.cpus_per_worker", "train.use_gpu", "train.max_failures", "train.reuse"),
        "train.deterministic",
        *("train.resource", "train.checkpoint_every", "train.checkpoint_minutes", "train.keep_checkpoints"),
        *("search.evaluators", "search.cpus_per_evaluator", "search.gpus_per_evaluator", "benchmark.path"),
    }
)
"""Keys that say where and how a run is executed, not what it computes: they may change between resumes."""

ROUNDING_KEYS = frozenset(
    {
        *("train.workers", "train.cpus_per_worker", "train.use_gpu"),
        *("search.cpus_per_evaluator", "search.gpus_per_evaluator"),
    }
)
"""Execution keys that change the order in which numbers are added: results agree to rounding, not to the bit.

With batch normalisation `train.workers` changes more: each worker normalises its share of a batch.
"""


def load_config(path: str | Path, overrides: Sequence[str] = (), quick: bool = False) -> RunConfig:
    """Returns the resolved configuration of a run file; of a sweep file, that of the run that it varies.

    Args:
        path: The YAML file.
        overrides: ``key=value`` pairs with dotted keys; values are read as YAML. They win over all that the file says.
        quick: Whether the keys under `quick` override the others, and the name ends in ``-quick``. Without it they are
            only checked.

    Raises:
        ValueError: If the file is missing or no YAML, or a key or value is not what it should be.
    """
    return parse_config(read_run_file(path, overrides, quick)[0])


def read_run_file(path: str | Path, overrides: Sequence[str], quick: bool) -> tuple[dict[str, Any], Any]:
    """Returns the values of a run file, and its `sweep` section, None if it has none; both are still to be parsed.

    Args:
        path: As `load_config` takes it.
        overrides: As `load_config` takes them.
        quick: As `load_config` takes it.

    Raises:
        ValueError: As `load_config` does, but for what only parsing finds.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig") as stream:
            text = stream.read(LARGEST + 1)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ValueError(f"{path}: cannot read the run file: {reason}; give the path of a YAML file") from error
    values = read_yaml(text, str(path))
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected keys such as `space:` and `data:`, got {type(values).__name__}")
    named = "name" in values
    values.setdefault("name", path.stem)
    block = values.pop("quick", {})
    if not isinstance(block, dict):
        raise ValueError(f"quick: expected keys that override those of the file, got {echo(block)}")
    if quick and not block:
        raise ValueError(f"--quick: {path} has no `quick:` block; write one, or leave --quick out")
    small = _merge({**values, "name": f"{values['name']}-quick"}, block)
    block = {key: value for key, value in block.items() if key != "sweep"}
    if not quick and (lines := [line for line in _mistakes(small, block) if line.startswith("quick.")]):
        raise ValueError("\n".join(lines))
    values = small if quick else values
    for override in overrides:
        _override(values, override)
    if not named and values["name"] in (path.stem, f"{path.stem}-quick"):
        _check_file_name(path)
    if quick and (lines := _mistakes(values, block, {override.partition("=")[0] for override in overrides})):
        raise ValueError("\n".join(lines))
    return values, values.pop("sweep", None)


def _check_file_name(path: Path) -> None:
    """Checks that a run can be named after its file.

    Raises:
        ValueError: If not.
    """
    if re.search(NAME, path.stem) is None:
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:LONGEST_NAME] or "run"
        raise ValueError(
            f"name: the file's own name {echo(path.stem)} cannot be that of a run, which has letters, digits, dots, "
            f"dashes and underscores; write `name: {safe}` into the file, or give --set name={safe}"
        )


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """Returns the resolved configuration of plain values, such as a run stored.

    Raises:
        ValueError: If a key or value is not what it should be; one line for each.
    """
    try:
        config = RunConfig.model_validate(values).resolve()
    except ValidationError as error:
        raise ValueError(_explain(error, RunConfig)) from error
    if not _is_utf8(config.location):
        raise ValueError(
            f"storage_path: expected a path in UTF-8, which TensorBoard and safetensors need, got "
            f"{echo(config.location)}; name another folder"
        )
    return config


def _is_utf8(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def parse_section(values: Any, section: type[SectionType], key: str) -> SectionType:
    """Returns a section of plain values.

    Args:
        values: What the file says.
        section: Its model.
        key: Its name, which leads those of its keys in messages.

    Raises:
        ValueError: If a key or value is not what it should be; one line for each.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise ValueError(_explain(error, section, key)) from error


def check_arguments(function: Callable[..., object], arguments: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Returns `arguments` checked against the names and types of a function's or class's parameters.

    Raises:
        ValueError: If one is unknown, missing or of the wrong type; `section` leads the key's name.
    """
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    fields: dict[str, Any] = {
        key: (hints.get(key, Any), ... if parameter.default is parameter.empty else parameter.default)
        for key, parameter in parameters.items()
    }
    model = create_model(section, __base__=Section, **fields)
    try:
        return {key: value for key, value in model.model_validate(dict(arguments)) if key in arguments}
    except ValidationError as error:
        raise ValueError(_explain(error, model, section)) from error


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested values under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _merge(values: Mapping[str, Any], block: Mapping[str, Any]) -> dict[str, Any]:
    """Returns nested values with those of a block in the place of theirs."""
    merged = dict(values)
    for key, value in block.items():
        section = merged.get(key)
        if isinstance(section, Mapping) and isinstance(value, Mapping):
            value = _merge(section, value)
        merged[key] = value
    return merged


def _mistakes(values: Mapping[str, Any], block: Mapping[str, Any], overridden: Collection[str] = ()) -> list[str]:
    """Returns a line for each mistake of a quick run; ``quick.`` leads the keys whose values are the block's."""
    try:
        RunConfig.model_validate({key: value for key, value in values.items() if key != "sweep"})
    except ValidationError as error:
        written = [key for key in flatten(block) if not any(_nested(one, key) for one in overridden)]
        mistakes = {line.partition(": ")[0]: line for line in _explain(error, RunConfig).splitlines()}
        return [
            f"quick.{line}" if any(_nested(key, one) or _nested(one, key) for one in written) else line
            for key, line in mistakes.items()
        ]
    return []


def _nested(section: str, key: str) -> bool:
    """Returns whether a dotted key is `section` or lies in it."""
    return f"{key}.".startswith(f"{section}.")


def _override(values: dict[str, Any], override: str) -> None:
    """Sets one ``dotted.key=value`` in place."""
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ValueError(f"--set: expected key=value such as train.epochs=10, got {echo(override)}")
    if key.startswith("quick."):
        raise ValueError(
            f"--set {shortened(override)}: overrides win over the block; give --quick --set {shortened(override[6:])}"
        )
    source = f"--set {shortened(override)}"
    set_key(values, key, read_yaml(text, source), source)


def set_key(values: dict[str, Any], key: str, value: Any, source: str) -> None:
    """Sets one dotted key in nested values, in place.

    Raises:
        ValueError: If a part of the key is no section; `source`, who sets it, leads the message.
    """
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ValueError(f"{source}: {shortened(section)} is a value, not a section")
    values[last] = value


def _explain(error: ValidationError, model: type[BaseModel], section: str = "") -> str:
    """Returns one line for each mistaken key: as the user wrote it, what was expected, and what came."""
    lines: dict[str, str] = {}
    for mistake in error.errors():
        parts = [
            str(part)
            for part in mistake["loc"]
            if not str(part).startswith(("constrained", "list[", "literal[", "function"))
        ]
        if len(parts) > 1 and parts[-1] in ("int", "bool", "str", "float"):
            parts.pop()  # the member of a union that was tried
        key = shortened(".".join([section, *parts] if section else parts))
        if mistake["type"] == "extra_forbidden":
            lines[key] = f"unknown key; {_suggest(parts, model)}"
        elif mistake["type"] == "missing":
            lines[key] = "this key is required"
        elif mistake["type"] == "value_error":
            field, colon, message = str(mistake["ctx"]["error"]).partition(": ")
            lines[".".join(filter(None, (key, field))) if colon else key] = message or field
        else:
            expectation = mistake["msg"].removeprefix("Input should be ").removeprefix("String should ")
            expectation = expectation.replace("List should have", "a list of").replace(" after validation", "")
            got = "nothing" if mistake["input"] is None else echo(mistake["input"])
            if mistake["type"] == "string_type" and isinstance(mistake["input"], bool | int | float):
                got += "; put it in quotes"
            tried = lines[key].partition(", got ")[0] + " or" if key in lines else "expected"
            lines[key] = f"{tried} {expectation}, got {got}"
    return "\n".join(f"{key}: {line}" for key, line in lines.items())


def _suggest(parts: Sequence[str], model: type[BaseModel]) -> str:
    """Returns which keys there are where an unknown one stands, the likeliest first."""
    for part in parts[:-1]:
        if part in model.model_fields:
            annotation = model.model_fields[part].annotation
            sections = (annotation, *typing.get_args(annotation))  # a section, or sections by name
            model = next((one for one in sections if inspect.isclass(one) and issubclass(one, BaseModel)), model)
    keys = [*model.model_fields, *(["quick", "sweep"] if model is RunConfig else [])]
    close = difflib.get_close_matches(parts[-1], keys, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(keys) or 'none'}"
