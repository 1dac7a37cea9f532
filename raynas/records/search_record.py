"""The records of a search: every evaluated architecture, and the result."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, model_validator

from raynas.errors import InputError
from raynas.records.graph import Graph
from raynas.records.record import Line, Listed, Number, Part, Record, is_number

COST_NAMES = ("num_parameters", "multiply_adds", "latency")
"""What an architecture costs, by the keys of the records."""


class HistoryLine(Line):
    """An evaluated architecture.

    Besides these keys a line has the numbers that its search recorded: ``spread`` over base seeds, one-shot
    ``accuracy`` (percent) and ``loss`` (nats), each fitness of a consensus, ``num_parameters``, ``multiply_adds`` and
    ``latency`` (seconds).

    Attributes:
        generation: Number of the generation, from 0.
        architecture: Candidate taken at each choice.
        description: The architecture as text.
        fitness: Its fitness; larger is better.
        seconds: Time since the search began, or was continued.
    """

    model_config = ConfigDict(extra="allow")
    written_last: ClassVar[tuple[str, ...]] = ("seconds",)

    file: ClassVar[str] = "search/history.jsonl"
    holds: ClassVar[str] = "a line for each evaluated architecture"

    generation: int
    architecture: list[int]
    description: str
    fitness: Number
    seconds: Number | None = None


class RefinedLine(Line):
    """One of the best architectures of a search, evaluated again.

    Besides these keys a line has what else was measured, as a line of the history has.

    Attributes:
        architecture: Candidate taken at each choice.
        description: The architecture as text.
        fitness: The fitness of the refinement; larger is better.
        seconds: Time since the refinement began, or was continued.
    """

    model_config = ConfigDict(extra="allow")
    written_last: ClassVar[tuple[str, ...]] = ("seconds",)

    file: ClassVar[str] = "search/refined.jsonl"
    holds: ClassVar[str] = "a line for each of the best architectures that `search.refine` evaluated again"

    architecture: list[int]
    description: str
    fitness: Number
    seconds: Number | None = None


class RefinementRecord(Part):
    """How the best architectures of a search were evaluated again.

    Attributes:
        architectures: Number of architectures, the best of the search.
        fitness: The fitness, those of a consensus joined by ``+``.
        name: The fitness with its definition.
        space: Keys of the space that differ from the search.
        seconds: Duration.
    """

    architectures: int
    fitness: str
    name: str
    space: dict[str, Any] = {}
    seconds: Number


class BestArchitecture(Part):
    """One of the best architectures, with the numbers of its line in the history.

    Attributes:
        architecture: Candidate taken at each choice.
        description: The architecture as text.
        fitness: Its fitness in the search; larger is better.
        refined: Its fitness when it was evaluated again; null without `search.refine`.
        drawing: Its graphs by name, each a list of edges ``[source, target, operation]``.
        true: Accuracy in the benchmark's table in percent; null if the table lacks it.
    """

    model_config = ConfigDict(extra="allow")
    written_last: ClassVar[tuple[str, ...]] = ("drawing", "true")

    architecture: Listed[int]
    description: str
    fitness: Number
    refined: Number | None = None
    drawing: dict[str, Graph] | None = None
    true: Number | None = None


class QuantityRecord(Part):
    """A quantity that a result has numbers of.

    Attributes:
        name: Key of its numbers.
        title: Its name in words.
        unit: Its unit; empty for none.
        digits: Decimals to show.
        of: Of a fitness: the quantity that it is, or whose negative it is.
        negated: Of a fitness: whether it is the negative of `of`.
        benchmark: Of a fitness: whether it reads a benchmark.
    """

    name: str
    title: str
    unit: str
    digits: int
    of: str | None = None
    negated: bool | None = None
    benchmark: bool | None = None


class AlphaRecord(Part):
    """What the architecture parameters of a supernet came to, as means over the choices with several candidates.

    Attributes:
        base_seed: Seed of the supernet.
        epochs: Epochs of the training.
        largest: Largest weight of a choice at the end.
        uniform: Largest weight of a choice if all candidates weigh the same.
        decidedness: Position of `largest` between `uniform`, which is 0, and one candidate of weight 1, which is 1.
        entropy: Entropy of the weights at the end, in nats.
        most_entropy: Entropy if all candidates weigh the same, in nats.
        changes_in_half: How often the derived architecture changed in the last half of the epochs.
        changes_in_tenth: How often it changed in the last tenth of the epochs.
        benchmark: Benchmark accuracy of the derived architecture before the first epoch and after each, in percent;
            null where the table lacks it.
    """

    base_seed: int
    epochs: int
    largest: Number
    uniform: Number
    decidedness: Number
    entropy: Number
    most_entropy: Number
    changes_in_half: int | None = None
    changes_in_tenth: int | None = None
    benchmark: Listed[Number | None] | None = None


class RandomRecord(Part):
    """The benchmark accuracy of an architecture that is sampled uniformly from a set, beside the best one found.

    Attributes:
        of: The set: ``all`` architectures of the table, those ``without_none``, or those ``within_limits``.
        architectures: Number of architectures in the set.
        mean: Mean of their accuracies, in percent.
        deviation: Standard deviation of their accuracies, in points.
        below: Percentage of them with a lower accuracy than the best one found; null if the table lacks the latter.
    """

    of: str
    architectures: int
    mean: Number
    deviation: Number
    below: Number | None = None


class SearchRecord(Record):
    """The result of a search.

    Attributes:
        fitness: The fitness, those of a consensus joined by ``+``.
        name: The fitness with its definition, such as ``angle (paper)``.
        quantities: The fitness, and what was measured beside it.
        base_seeds: Seeds of the supernets.
        evaluations: Number of evaluated architectures.
        functions: Number of different functions among them.
        evaluation_images: Number of images behind each one-shot accuracy; null without one.
        categories: Number of labels that the supernets tell apart; null where no network was run.
        generations: Number of generations.
        seconds: Duration of the search.
        missed: Of an exact search: by how many radians another angle may exceed the last one listed.
        objectives: Of a search for trade-offs: the costs to be small.
        hypervolumes: Of a search for trade-offs: how far the front had advanced after each generation.
        front: Of a search for trade-offs: the front, the cheapest first.
        alphas: Of a search by architecture parameters: how far those of each supernet have decided.
        random: What a random architecture is worth in the benchmark's table, in the same column.
        refinement: How the best architectures were evaluated again; null without `search.refine`.
        best: The best architectures, the best first: by ``refined`` if they were evaluated again, else by ``fitness``.
        remarks: Reasons why the numbers say little, a sentence each.
        column: Column of the benchmark's table that ``true`` is from.
    """

    model_config = ConfigDict(extra="allow")  # a searcher of the user's own adds keys of its own
    written_last: ClassVar[tuple[str, ...]] = ("best", "remarks", "column")

    file: ClassVar[str] = "search/result.json"
    holds: ClassVar[str] = "the best architectures; says that the search is done"

    fitness: str
    name: str | None = None
    quantities: Listed[QuantityRecord] = []
    base_seeds: Listed[int] | None = None
    evaluations: int
    functions: int | None = None
    evaluation_images: int | None = None
    categories: int | None = None
    generations: int
    seconds: Number
    missed: Number = 0.0
    objectives: Listed[Any] = []
    hypervolumes: Listed[Number] = []
    front: Listed[BestArchitecture] = []
    alphas: Listed[AlphaRecord] = []
    random: Listed[RandomRecord] = []
    refinement: RefinementRecord | None = None
    best: Listed[BestArchitecture]
    remarks: Listed[str] = []
    column: str | None = None

    @model_validator(mode="after")
    def _has_costs_of_front(self) -> SearchRecord:
        if "front" not in self.model_fields_set:
            return self
        if not self.objectives or any(name not in COST_NAMES for name in self.objectives):
            raise InputError(f"expected some of {', '.join(COST_NAMES)} under objectives, got {self.objectives!r}")
        for number, line in enumerate(self.front):
            stated = line.stated()
            for name in self.objectives:
                if not is_number(stated.get(name)):
                    raise InputError(f"front[{number}]: expected a number under {name}, got {stated.get(name)!r}")
        return self
