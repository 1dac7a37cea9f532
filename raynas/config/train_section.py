"""The `train` and `alphas` sections of a run file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from raynas.config.locations import checked_url
from raynas.config.named import named
from raynas.messages import echo
from raynas.options import MOST, Count, Images, Location, Options, Positive, Processes, Seed
from raynas.supernet.architecture_gradients import GRADIENTS
from raynas.supernet.routes import GATES, SAMPLINGS


class TrainSection(Options):
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
        sampling: What a step trains: uniform (one random path), fair (every candidate once), by the alphas mixture (all
            candidates, weighted) or gumbel (one sampled path), or the dotted path of a rule of your own.
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
    sampling: Annotated[str, named(SAMPLINGS)] | None = None
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


class AlphasSection(Options):
    """How architecture parameters (alphas) are trained, on the search split, beside the weights.

    Attributes:
        gates: What their step runs: mixture (all candidates), gumbel (one sampled by them), two_paths (two sampled by
            them), or the dotted path of a rule of your own. An algorithm without alphas leaves this key open.
        gradient: Which gradient they follow: first or second order, amended, or the dotted path of one of your own.
        eta: The amending coefficient.
        radius: Radius of finite differences in second derivatives; exact ones by default.
        learning_rate: Learning rate of Adam.
        betas: Decay rates of Adam's two averages.
        weight_decay: L2 penalty.
        clip_norm: Bound on the norm of the gradient; none by default.
        before_weights: Whether their step comes before the step of the weights, or after it.
        first_epoch: Epochs during which they rest.
        temperature: Of gates that have one: the first number in the first epoch, the second in the last.
        temperature_schedule: How it gets there: by the same difference every epoch, or by the same factor.
        idle: Of gates that sample single candidates: whether the weights of the others are added for their gradients.
    """

    gates: Annotated[str, named(GATES)] | None = None
    gradient: Annotated[str, named(GRADIENTS)] | None = None
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
