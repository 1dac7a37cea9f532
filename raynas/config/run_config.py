"""A whole run file as a value: its sections, resolved by the row of its algorithm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from raynas.algorithms import ALGORITHMS
from raynas.config.data_section import DataSection
from raynas.config.explain import explain
from raynas.config.locations import checked_url, is_url, staging, within
from raynas.config.named import named, naming_keys
from raynas.config.nested import flatten
from raynas.config.retrain_section import RetrainSection, with_recipe
from raynas.config.search_section import BenchmarkSection, LatencySection, SearchSection
from raynas.config.trackers_section import TrackersSection
from raynas.config.train_section import AlphasSection, TrainSection
from raynas.errors import InputError
from raynas.members import Need, is_own
from raynas.messages import echo
from raynas.options import Execution, Location, Options, OptionsType, Processes, Seed, marked_keys
from raynas.spaces import SPACES
from raynas.supernet.routes import GATES, SAMPLINGS

LONGEST_NAME = 200
"""Characters of a run's name; file systems take 255 of a file's, and files that are being written have longer ones."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""The names of runs, as a regular expression."""

FILLED_BY_ALGORITHM = {
    "data.labels": "labels",
    "train.sampling": "sampling",
    "train.path_per_cell": "path_per_cell",
    "alphas.gates": "gates",
    "alphas.gradient": "gradient",
    "alphas.before_weights": "before_weights",
    "search.name": "search",
    "search.fitness": "fitness",
    "search.derivation": "derivation",
    "search.most_skips": "most_skips",
}
"""Keys that the row of the algorithm fills in where the file leaves them open, each with the entry of the row."""


class SpaceSection(Options):
    """What is searched: `name`, and the further keys that the space takes.

    Attributes:
        name: The space: a name, or the dotted path of a class of your own.
    """

    model_config = ConfigDict(extra="allow")

    name: Annotated[str, named(SPACES, is_loaded=False)]

    @property
    def arguments(self) -> dict[str, Any]:
        """The further keys, as the space's constructor takes them."""
        return dict(self.model_extra or {})


class RunConfig(Options):
    """A whole run file.

    Attributes:
        name: The run's folder under `storage_path`; the file's own name by default.
        seed: Seed of all random numbers.
        storage_path: Where run folders are kept: a folder, which with workers on several machines all of them see, or a
            URL such as ``s3://bucket/path`` or ``gs://bucket/path``.
        address: ``local`` starts a Ray of its own, but in a Ray job joins the job's cluster; ``auto`` joins the cluster
            at hand; else a cluster's address.
        local_cpus: CPUs of a local Ray; those of the machine by default.
        algorithm: The row that fills in what the file leaves open: a name, or the dotted path of a row of your own.
        space: What is searched.
        data: Images and labels.
        train: How the supernet is trained.
        alphas: How architecture parameters are trained beside it.
        search: How architectures are proposed and evaluated.
        benchmark: The accuracies that a ranking is compared with.
        latency: How the latency of candidates is measured.
        retrain: Which networks are trained from scratch, and how; none without this section.
        trackers: Where the events of the run go, beside its folder: a list of names, or a section.
        report: Whether `raynas run` and `raynas rank` end by writing the report, which takes some seconds.
    """

    further_keys: ClassVar[tuple[str, ...]] = ("quick", "sweep")

    name: Annotated[str, Field(pattern=NAME, max_length=LONGEST_NAME), Execution()]
    seed: Seed = 0
    storage_path: Annotated[Location, Execution()] = "runs"
    address: Annotated[str, Execution()] = "local"
    local_cpus: Annotated[Processes | None, Execution()] = None
    algorithm: Annotated[str, named(ALGORITHMS)] = "rlnas"
    space: SpaceSection
    data: DataSection
    train: TrainSection = TrainSection()
    alphas: AlphasSection = AlphasSection()
    search: SearchSection = SearchSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    latency: LatencySection = LatencySection()
    retrain: RetrainSection | None = None
    trackers: TrackersSection = TrackersSection()
    report: Annotated[bool, Execution()] = True

    @model_validator(mode="before")
    @classmethod
    def _with_recipe(cls, values: Any) -> Any:
        return with_recipe(values)

    @field_validator("trackers", mode="before")
    @classmethod
    def _list_of_trackers(cls, value: Any) -> Any:
        return {"names": value} if isinstance(value, list) else value

    @field_validator("storage_path")
    @classmethod
    def _folder_or_url(cls, value: str) -> str:
        return checked_url(value)

    @model_validator(mode="before")
    @classmethod
    def _with_members_of_algorithm(cls, values: Any) -> Any:
        """Names searcher and fitness of the algorithm where the file leaves them open, so that their options count."""
        if not isinstance(values, Mapping):
            return values
        search = values.get("search", {})
        if not isinstance(search, Mapping):
            return values
        algorithm = values.get("algorithm", cls.model_fields["algorithm"].default)
        try:
            entries = _entries_of(ALGORITHMS.path_of(algorithm) if ALGORITHMS.holds(algorithm) else algorithm)
        except ValueError:  # the validator of the key says why
            return values
        members = {"name": entries["search"], "fitness": entries["fitness"]}
        left_open = {key: name for key, name in members.items() if search.get(key) is None}
        return {**values, "search": {**search, **left_open}}

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
        """The folder or URL of the run whose supernets are used: this one's, or that of `train.reuse`."""
        return _absolute(self.train.reuse) if self.train.reuse else self.location

    @property
    def supernets(self) -> Path:
        """The folder of the run whose supernets are used; of one at a URL, where this process reads it."""
        if self.train.reuse is None:
            return self.folder
        reused = self.supernets_location
        return staging(reused, "reader") if is_url(reused) else Path(reused)

    @model_validator(mode="after")
    def _one_table(self) -> RunConfig:
        one = self.search.name is not None and self.search.searcher.only_one_supernet
        if one and len(self.base_seeds) > 1:
            raise InputError(
                f"search.name: {self.search.name} is exact for one supernet, got train.base_seeds: {self.base_seeds}; "
                "name one"
            )
        return self

    def resolve(self) -> RunConfig:
        """Returns the configuration with what is left open filled in by the row of its algorithm.

        Raises:
            InputError: If something needs alphas and there are none, or they could not be trained or derived from.
        """
        entries = _entries_of(self.algorithm)
        data = _filled(self.data, entries, "data")
        train = _filled(self.train, entries, "train", base_seeds=self.base_seeds)
        alphas = _filled(self.alphas, entries, "alphas")
        search = _filled(self.search, entries, "search")
        resolved = self.model_copy(update={"data": data, "train": train, "alphas": alphas, "search": search})
        resolved._check_alphas()
        return resolved

    def _check_alphas(self) -> None:
        """Checks that what needs alphas has them, and that the alphas have what they need.

        Raises:
            InputError: If not.
        """
        if self.alphas.gates is None:
            for key, name in self._in_need_of_alphas():
                *most, last = GATES.names()
                raise InputError(
                    f"{key}: {name} needs alphas, which {self.algorithm} has none of; set alphas.gates to "
                    f"{', '.join(most)} or {last}"
                )
            if self.train.average_when_stalled is not None:
                raise InputError(
                    "train.average_when_stalled: needs the loss on the search split, which steps of alphas measure, "
                    f"and {self.algorithm} has none; leave it out"
                )
        if self.alphas.idle and (self.alphas.gates is None or not GATES.row(self.alphas.gates).has_idle):
            raise InputError(
                f"alphas.idle: only samples leave candidates idle, got alphas.gates: {self.alphas.gates}; leave it out"
            )
        if self.alphas.draws > 1 and (self.alphas.gates is None or not GATES.row(self.alphas.gates).samples):
            raise InputError(
                f"alphas.draws: only gates that sample have several draws, got alphas.gates: {self.alphas.gates}; "
                "leave it out"
            )
        if self.alphas.gates is not None and self.data.train_portion == 1:
            raise InputError("data.train_portion: alphas follow the search split, which is empty at 1; lower it")
        if self.alphas.gates is not None and self.alphas.first_epoch >= self.train.epochs:
            raise InputError(
                f"alphas.first_epoch: expected less than train.epochs ({self.train.epochs}), got "
                f"{self.alphas.first_epoch}: the alphas would rest to the end"
            )
        if self.search.searcher.no_limits is not None and self.search.bounds():
            raise InputError(f"search.limits: {self.search.searcher.no_limits}")

    def _in_need_of_alphas(self) -> Iterator[tuple[str, str]]:
        """Yields the keys that name a member which needs alphas, each with the name."""
        assert self.train.sampling is not None
        if Need.ALPHAS in SAMPLINGS.row(self.train.sampling).needs:
            yield "train.sampling", self.train.sampling
        if Need.ALPHAS in self.search.searcher.needs:
            yield "search.name", self.search.searcher.name
        for row in self.search.fitness_rows:
            if Need.ALPHAS in row.needs:
                yield "search.fitness", row.name


def _entries_of(algorithm: Any) -> dict[str, Any]:
    """Returns the entries of an algorithm, by its name or dotted path, as the values of a run file.

    Raises:
        InputError: If there is no such algorithm, or it has a row that no module states under a name.
    """
    if not isinstance(algorithm, str):
        raise InputError(f"algorithm: expected a name, got {echo(algorithm)}; name a row")
    return ALGORITHMS.row(algorithm).in_words(algorithm.rpartition(".")[0])


def _filled(section: OptionsType, entries: Mapping[str, object], name: str, **others: object) -> OptionsType:
    """Returns a section with the keys that are left open taken from an algorithm's entries, and others set."""
    left_open: dict[str, object] = {}
    for dotted, entry in FILLED_BY_ALGORITHM.items():
        of_section, _, key = dotted.partition(".")
        if of_section == name and getattr(section, key) is None:
            left_open[key] = entries[entry]
    return section.model_copy(update={**left_open, **others})


def _absolute(location: str) -> str:
    return location if is_url(location) else str(Path(location).absolute())


NAMING_KEYS = tuple(key for key, _ in naming_keys(RunConfig))
"""Keys that can name a member of the user's own by its dotted path. Parsing a configuration imports its module."""


def own_members(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of plain values that name members of the user's own, each with its value."""
    flat = flatten(values)
    found: dict[str, Any] = {}
    for key in NAMING_KEYS:
        names = flat.get(key)
        listed = names if isinstance(names, list) else [names]
        if any(isinstance(name, str) and is_own(name) for name in listed):
            found[key] = names
    return found


EXECUTION_KEYS = frozenset(key for key, _ in marked_keys(RunConfig))
"""Keys that say where and how a run is executed, not what it computes: they may change between resumes."""
ROUNDING_KEYS = frozenset(key for key, mark in marked_keys(RunConfig) if mark.rounds)
"""Execution keys that change the order in which numbers are added: results agree to rounding, not to the bit.

With batch normalisation `train.workers` changes more: each worker normalises its share of a batch.
"""


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """Returns the resolved configuration of plain values, such as a run stored.

    Raises:
        InputError: If a key or value is not what it should be; one line for each.
    """
    try:
        config = RunConfig.model_validate(values).resolve()
    except ValidationError as error:
        raise InputError(explain(error, RunConfig)) from error
    if not _is_utf8(config.location):
        raise InputError(
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
