"""The row of a fitness: its name, its unit, its options, what it needs, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias

import numpy as np
from pydantic import Field

from raynas.errors import InputError
from raynas.members import Need
from raynas.options import MOST, Images, Options, Positive
from raynas.search_space import AdditiveTable, Architecture, SearchSpace

if TYPE_CHECKING:
    from torch import Tensor


FITNESS = "fitness"
"""The quantity that architectures are ranked by."""

SPREAD = "spread"
"""The quantity that several supernets add: by how much the fitness differs between them."""

RESERVED = frozenset(
    {FITNESS, SPREAD, "refined", "architecture", "description", "drawing", "generation", "seconds", "true", "column"}
)
"""Keys of the records of an architecture that no quantity may have as its name."""


class Fitness(Protocol):
    """What an architecture is worth.

    Attributes:
        quantities: Names of what it measures; the first is ``fitness``.
    """

    quantities: tuple[str, ...]

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns what each architecture is worth, ``(n, len(quantities))`` float64.

        A row depends on its architecture alone, to the bit: not on the others, nor on their order.
        """


class Benchmark(Fitness, Protocol):
    """The accuracies of a benchmark: a fitness that knows some architectures.

    Attributes:
        path: The file or folder that they were read from.
    """

    path: Path

    @property
    def architectures(self) -> np.ndarray:
        """The architectures of known accuracy, ``(n, num_choices)`` int64."""

    def accuracies(self, architectures: Sequence[Architecture] | np.ndarray) -> np.ndarray:
        """Returns the accuracy of each architecture, ``(n,)`` float64 percent, NaN where it is not known."""


class FitnessContext(Protocol):
    """What a fitness can ask of the run that it belongs to."""

    @property
    def space(self) -> SearchSpace:
        """The space that the architectures belong to."""

    @property
    def seed(self) -> int:
        """The seed of the run."""

    @property
    def base_seeds(self) -> Sequence[int]:
        """The seeds of the supernets."""

    @property
    def costs(self) -> AdditiveTable:
        """What architectures cost."""

    @property
    def benchmark(self) -> Benchmark:
        """The benchmark that the run file names: its accuracies as a fitness."""

    def initial_weights(self, base_seed: int) -> Mapping[str, Tensor]:
        """Returns the weights of a supernet before its training, by name."""

    def trained_weights(self, base_seed: int) -> Mapping[str, Tensor]:
        """Returns the weights of a supernet after its training, by name."""

    def untrained_weights(self, seed: int) -> Mapping[str, Tensor]:
        """Returns the weights of a supernet that a seed initialises; nothing needs to be trained for it."""

    def recorded_sums(self, base_seed: int, definition: str) -> Mapping[int, AdditiveTable]:
        """Returns the sums under the angle that the training of a supernet recorded, by epoch."""

    def alphas(self, base_seed: int) -> Sequence[np.ndarray]:
        """Returns softmax(alpha) of every choice as the training of a base seed left it."""


@dataclass(frozen=True)
class Quantity:
    """A number that is recorded beside the fitness.

    Attributes:
        name: Its key in records.
        title: Its name for people.
        unit: Its unit, such as ``nats`` or ``percent``; empty for none.
        digits: How many decimals are shown.
        is_accuracy: Whether it is a share of right predictions in percent, which chance bounds from below.
    """

    name: str
    title: str
    unit: str = ""
    digits: int = 4
    is_accuracy: bool = False


class EvaluationOptions(Options):
    """Options of a fitness that runs networks.

    Attributes:
        calibration_images: Number of training images on which batch normalisation is measured anew for each
            architecture.
        evaluation_images: Number of images of the search split on which an architecture is evaluated; all of them by
            default.
        evaluation_batch_size: Number of images in a batch, when batch normalisation is measured and when an
            architecture is evaluated.
        evaluation_labels: Labels of the evaluation images: those that the supernet was trained on (training), or the
            classes of the data set (classes).
    """

    calibration_images: Positive = 2048
    evaluation_images: Positive | None = None
    evaluation_batch_size: Images = 256
    evaluation_labels: Literal["training", "classes"] = "training"


class ScoreOptions(Options):
    """Options of a score at initialisation.

    Attributes:
        score_images: Number of training images in the one batch on which a score at initialisation is taken.
        swap_mu: Number of parameters, in thousands, that swap_regularised prefers. It has no default: the size that a
            network should have is yours to say.
        swap_sigma: Width of that preference, in squared thousands of parameters; swap_regularised needs it too.
        zico_batches: Number of equal parts of the batch between which zico compares gradients.
    """

    score_images: Images = 32
    swap_mu: Annotated[float, Field(ge=0, le=1e9)] | None = None
    swap_sigma: Annotated[float, Field(gt=0, le=1e18)] | None = None
    zico_batches: Annotated[int, Field(ge=2, le=MOST)] = 2


Sums: TypeAlias = "Callable[[Tensor, Tensor, Any], Tensor]"
Values: TypeAlias = "Callable[[Tensor, int, Any], Sequence[float]]"


@dataclass(frozen=True)
class Measure:
    """What is measured of an architecture with the weights that it inherits from a supernet.

    Attributes:
        quantities: What comes of it.
        sums: Returns what a batch adds to the sums, ``(k,)`` float64, from logits, ``(batch, classes)``, labels,
            ``(batch,)``, and options.
        values: Returns the quantities, one number each, from the sums over all images, ``(k,)``, the number of images,
            and options.
    """

    quantities: tuple[Quantity, ...]
    sums: Sums
    values: Values


@dataclass(frozen=True)
class FitnessRow:
    """A fitness as a run file names it. A fitness is larger where an architecture is better.

    A fitness that runs networks states a `measure` and nothing more: that supernets share their weights, that batch
    normalisation is measured anew, that chains share prefixes, and that actors evaluate in parallel comes with it.
    A fitness of initial weights, which needs no training, states a `score`, which actors take in parallel too. Any
    other fitness states how it is made.

    Attributes:
        name: The name.
        title: What the fitness is, for people.
        unit: Its unit, such as ``rad`` or ``percent``; empty for none.
        digits: How many decimals are shown.
        needs: What it needs besides the space.
        options: The class of its options, which are keys of the section `search`.
        definition: Returns what the options say of it, in a few words for people; empty for nothing.
        learns_from: Returns from how many accuracies of the benchmark it learns, given the options; most from none.
        make: Builds the fitness from context and options.
        of_sums: Builds it from the space, the sums under the angle of one supernet and the options, if these are all
            that it takes: it is then known after every epoch.
        measure: What is measured of networks with trained weights.
        score: Returns the fitness of a network with initial weights, given the network on a batch (`Probe`) and the
            options.
        check: Raises `InputError` if a score cannot be taken with some options.
        quantity: Which quantity of the measure is the fitness.
        negated: Whether the fitness is minus this quantity, of which less is better.
        batch: The option that says on how many training images a score is taken.
    """

    name: str
    title: str
    unit: str = ""
    digits: int = 4
    needs: frozenset[Need] = frozenset()
    options: type[Options] = Options
    definition: Callable[[Any], str] = lambda options: ""
    learns_from: Callable[[Any], int] = lambda options: 0
    make: Callable[[FitnessContext, Any], Fitness] | None = None
    of_sums: Callable[[SearchSpace, AdditiveTable, Any], Fitness] | None = None
    measure: Measure | None = None
    score: Callable[[Any, Any], float] | None = None
    check: Callable[[Any], None] = lambda options: None
    quantity: str = ""
    negated: bool = False
    batch: str = "score_images"

    def __post_init__(self) -> None:
        """Checks that the row says one way to make the fitness, and adds what networks need."""
        what = f"the row of fitness {self.name}"
        quantities = () if self.measure is None else tuple(quantity.name for quantity in self.measure.quantities)
        for name in (self.name, *quantities):
            if not name.isidentifier() or name in RESERVED:
                raise InputError(
                    f"{what}: expected names of letters, digits and underscores other than "
                    f"{', '.join(sorted(RESERVED))}, got {name!r}"
                )
        if sum(way is not None for way in (self.make, self.measure, self.score)) != 1:
            raise InputError(f"{what}: expected either `make`, `measure` or `score`; state one of them")
        if self.score is not None:
            object.__setattr__(self, "needs", self.needs | {Need.NETWORKS})
        if self.measure is None:
            return
        if self.quantity not in quantities:
            raise InputError(f"{what}: expected a quantity of {', '.join(quantities)}, got {self.quantity!r}")
        object.__setattr__(self, "needs", self.needs | {Need.SUPERNETS, Need.NETWORKS})

    @property
    def runs_networks(self) -> bool:
        """Whether the fitness runs networks, with trained or with initial weights."""
        return self.measure is not None or self.score is not None

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        """The fitness under its own name, and what is recorded beside it."""
        return (
            Quantity(self.name, self.title, self.unit, self.digits),
            *(() if self.measure is None else self.measure.quantities),
        )


def described(row: FitnessRow, options: Any) -> str:
    """Returns the name of a fitness together with what defines it, for people."""
    definition = row.definition(options)
    return f"{row.name} ({definition})" if definition else row.name
