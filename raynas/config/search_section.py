"""The `search`, `latency` and `benchmark` sections of a run file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, create_model, field_validator, model_validator

from raynas.config.explain import own_words
from raynas.config.further_keys import SectionOfMembers
from raynas.config.named import named
from raynas.config.refine_section import Combine, Fitnesses, RefineSection, check_fitnesses
from raynas.errors import InputError
from raynas.fitness import FITNESSES, EvaluationOptions, FitnessRow
from raynas.fitness.accuracy_predictor import PredictorOptions
from raynas.fitness.angle import AngleOptions
from raynas.fitness.row import FITNESS, ScoreOptions, described
from raynas.members import Need
from raynas.messages import echo
from raynas.options import Execution, Location, Options, Processes
from raynas.search import (
    SEARCHERS,
    AgingOptions,
    AlphaSamplingOptions,
    BayesianOptions,
    EvolutionOptions,
    ExactAngleOptions,
    ParetoOptions,
    SearcherRow,
)
from raynas.search.limits import limit_keys
from raynas.supernet.costs import COSTS


def _limit_fields() -> dict[str, Any]:
    """Returns the two limits on every cost; what bounds a measurement is checked before it is measured."""
    fields: dict[str, Any] = {}
    for row in COSTS.rows().values():
        bound = Annotated[float, Field(ge=0)] if row.is_measured else float
        for key in limit_keys(row.name):
            unit = f" in {row.unit}" if row.unit else ""
            text = f"{'Upper' if key.startswith('max_') else 'Lower'} limit on {row.title}{unit}; none by default."
            fields[key] = (bound | None, Field(default=None, description=text))
    return fields


_OF_COSTS: type[Options] = create_model("_OF_COSTS", __base__=Options, **_limit_fields())


class LimitsSection(_OF_COSTS):
    """Bounds on what an architecture may cost: absolute counts for one image; seconds as `latency` measures them."""


class MembersSection(SectionOfMembers):
    """Who proposes architectures, and what they are worth.

    Attributes:
        name: The searcher, or the dotted path of one of your own.
        fitness: The fitness, or the dotted path of one of your own; a list is combined into one.
        combine: How a list of fitnesses becomes one: the mean of their standard scores, or the sum of the logarithms of
            their ranks, each against the same sample of the space.
    """

    name: Annotated[str | None, named(SEARCHERS)] = None
    fitness: Fitnesses = None
    combine: Combine = "standard_scores"


class PlacesSection(Options):
    """Where architectures are evaluated by fitnesses that run networks.

    Attributes:
        evaluators: Number of Ray actors that evaluate architectures in parallel; 0 evaluates in this process, without
            Ray. By default as many as there are CPUs (or GPUs), and more on a cluster that can grow where there is much
            to evaluate.
        cpus_per_evaluator: Number of CPUs, and of torch threads, of an evaluator. Results with another number agree to
            rounding.
        gpus_per_evaluator: Number of GPUs of an evaluator; with 0.5 two evaluators share a GPU.
    """

    evaluators: Annotated[Annotated[int, Field(ge=0, le=100_000)] | None, Execution()] = None
    cpus_per_evaluator: Annotated[Processes, Execution(rounds=True)] = 1
    gpus_per_evaluator: Annotated[float, Field(ge=0, le=1_024), Execution(rounds=True)] = 0.0


class SearchSection(
    ExactAngleOptions,
    EvolutionOptions,
    PlacesSection,
    EvaluationOptions,
    ScoreOptions,
    PredictorOptions,
    AngleOptions,
    AgingOptions,
    BayesianOptions,
    ParetoOptions,
    AlphaSamplingOptions,
    MembersSection,
):
    """How architectures are proposed and evaluated.

    It has the options of all searchers and fitnesses that raynas brings along. Members that are named by the run file
    may have further options, which are keys of this section too.

    Attributes:
        limits: What an architecture may cost.
        refine: How the best architectures are evaluated again, and ordered by what comes of it; not at all without
            this section.
    """

    limits: LimitsSection = LimitsSection()
    refine: RefineSection | None = None

    @field_validator("objectives")
    @classmethod
    def _costs(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in COSTS.names():
                raise own_words(f"expected costs out of {', '.join(COSTS.names())}, got {echo(name)}")
        return value

    @field_validator("fitness")
    @classmethod
    def _one_evaluation(cls, value: str | list[str] | None) -> str | list[str] | None:
        return check_fitnesses(value)

    @model_validator(mode="after")
    def _only_fitness(self) -> SearchSection:
        only = None if self.name is None else self.searcher.only_fitness
        if only is not None and self.fitness not in (None, only):
            raise InputError(
                f"name: {self.name} finds the largest {only}; set search.fitness to {only}, got {self.fitness}"
            )
        return self

    @property
    def searcher(self) -> SearcherRow:
        """The row of the searcher, of a resolved section."""
        assert self.name is not None
        return SEARCHERS.row(self.name)

    @property
    def fitnesses(self) -> tuple[str, ...]:
        """The fitnesses as the run file names them, one or more, of a resolved section."""
        assert self.fitness is not None
        return tuple(self.fitness) if isinstance(self.fitness, list) else (self.fitness,)

    @property
    def fitness_rows(self) -> tuple[FitnessRow, ...]:
        """The rows of the fitnesses, of a resolved section."""
        return tuple(FITNESSES.row(name) for name in self.fitnesses)

    @property
    def needs(self) -> frozenset[Need]:
        """What the searcher and the fitnesses need together, of a resolved section."""
        return self.searcher.needs.union(*(row.needs for row in self.fitness_rows))

    @property
    def fitness_name(self) -> str:
        """The names of the fitnesses together with what defines them, for people, of a resolved section."""
        return " + ".join(described(row, self.options_of(row.options)) for row in self.fitness_rows)

    @property
    def objectives_beside_fitness(self) -> tuple[str, ...]:
        """The costs that the searcher minimises besides maximising the fitness, of a resolved section."""
        return tuple(self.searcher.objectives(self.options_of(self.searcher.options)))

    def recorded_quantities(self) -> list[dict[str, Any]]:
        """Returns what records say of the fitness, the first, and of every quantity beside it, of a resolved section.

        That is name, title, unit and digits. Of a fitness, ``of`` is the quantity of a measure that it is, ``negated``
        whether it is minus that, and ``benchmark`` whether it reads a benchmark.
        """
        rows = self.fitness_rows
        consensus_of = " and ".join(row.title for row in rows)
        recorded: list[dict[str, Any]] = [
            {"name": FITNESS, "title": f"consensus of {consensus_of}", "unit": "", "digits": 3}
        ]
        for row in rows:
            for quantity in row.quantities:
                recorded.append({key: getattr(quantity, key) for key in ("name", "title", "unit", "digits")})
                if quantity.name == row.name:
                    recorded[-1]["benchmark"] = Need.BENCHMARK in row.needs
                if quantity.name == row.name and row.measure is not None:
                    recorded[-1] |= {"of": row.quantity, "negated": row.negated}
        if len(rows) > 1:
            return recorded
        return [{**recorded[1], "name": FITNESS}, *recorded[2:]]

    def bounds(self) -> dict[str, float]:
        """Returns the limits that are set, by their keys."""
        return dict(self.limits.model_dump(exclude_none=True))


class LatencySection(Options):
    """How the latency of candidates is measured, where a search asks for it: for limits, or as an objective.

    Attributes:
        device: Device on which latency is measured.
        batch_size: Number of images in a batch while latency is measured.
        threads: Number of torch threads while latency is measured on a CPU.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 1
    threads: Annotated[int, Field(ge=1, le=1_024)] = 1


class BenchmarkSection(Options):
    """The benchmark's accuracies that a ranking is compared with.

    Attributes:
        path: File with the benchmark's accuracies: a CSV file with a row for each architecture, or the files of
            NATS-Bench or NAS-Bench-201.
        column: Column of the file, or kind of accuracy in the files of NATS-Bench, that architectures are compared by.
        columns: Further columns or kinds of accuracy. A ranking gives its rank correlation with each of them too.
        dataset: Data set whose accuracies are read, in files that hold several.
    """

    path: Annotated[Location | None, Execution()] = None
    column: str = "test_accuracy_200"
    columns: list[str] = []
    dataset: Literal["cifar10", "cifar100", "imagenet16-120"] = "cifar10"
