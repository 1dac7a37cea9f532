"""A run as an object: what it found, its records, and its networks."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.config.locations import is_url, refuse_links
from raynas.config.run_config import RunConfig, own_members, parse_config
from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.records.record import is_number
from raynas.records.retrain_record import RetrainRecord
from raynas.records.run_record import DataRecord, RunRecord
from raynas.records.search_record import BestArchitecture, HistoryLine, SearchRecord
from raynas.search_space import Architecture
from raynas.storage.mirror import pulled

if TYPE_CHECKING:
    from torch import nn
    from torchvision.transforms import v2

    from raynas.networks.found_network import FoundNetwork


@dataclass(frozen=True)
class FoundArchitecture:
    """An architecture that a search listed.

    Attributes:
        architecture: Candidate taken at each choice.
        text: The architecture as text.
        fitness: Its fitness; larger is better.
        figures: Its other numbers by name, such as ``num_parameters`` and ``multiply_adds``.
    """

    architecture: Architecture
    text: str
    fitness: float
    figures: dict[str, float]

    @classmethod
    def of(cls, record: BestArchitecture) -> FoundArchitecture:
        """Returns what the record of an architecture states."""
        numbers = {key: value for key, value in record.stated().items() if is_number(value) and key != "fitness"}
        return cls(tuple(record.architecture), record.description, record.fitness, numbers)


class Run:
    """A run: its configuration, what its search found, and networks of what it found.

    Attributes:
        config: The resolved configuration.
        folder: The folder of its files; of a run at a URL, the local copy.
    """

    def __init__(self, config: RunConfig, folder: Path | None = None) -> None:
        """Takes the configuration of a run, whose folder may have only some of its results yet."""
        self.config, self.folder = config, config.folder if folder is None else folder

    @classmethod
    def at(cls, location: str) -> Run:
        """Returns the run in a folder or at a URL.

        Raises:
            InputError: If there is no run, or it names code of its own that is not imported.
        """
        folder = pulled(location) if is_url(location) else Path(location).expanduser().absolute()
        file = folder / "config.json"
        if not file.exists():
            raise InputError(f"{shortened(location, 300)} is no run of raynas; give the folder that `raynas run` named")
        refuse_links(folder)
        values = RunRecord.read(file).config
        _check_own_members(values, location)
        if not is_url(location):
            values = {**values, "name": folder.name, "storage_path": str(folder.parent)}
        return cls(parse_config(values), folder)

    def __repr__(self) -> str:
        """Returns the location of the run and how far it is."""
        done = [name for name in ("search", "retrain/*") if list(self.folder.glob(f"{name}/result.json"))]
        state = f"{' and '.join(part.partition('/')[0] for part in done)} done" if done else "search not done"
        return f"Run({self.config.location!r}, {self.config.algorithm} on {self.config.space.name}, {state})"

    # What was found

    @property
    def best(self) -> list[FoundArchitecture]:
        """The best architectures, the best first."""
        return [FoundArchitecture.of(record) for record in self._result.best]

    @property
    def front(self) -> list[FoundArchitecture]:
        """Of a search for trade-offs: the front, the cheapest first; else empty."""
        return [FoundArchitecture.of(record) for record in self._result.front]

    @property
    def history(self) -> Any:
        """Every evaluated architecture: a pandas frame where pandas is installed, else a list of mappings."""
        rows = [line.content() for line in HistoryLine.read_all(self.folder / "search" / "history.jsonl")]
        try:
            import pandas
        except ImportError:
            return rows
        return pandas.DataFrame(rows)

    @property
    def retrained(self) -> dict[str, RetrainRecord]:
        """The results of the run's retrainings that are done, by their names."""
        files = sorted(self.folder.glob("retrain/*/result.json"))
        return {file.parent.name: RetrainRecord.read(file) for file in files}

    @functools.cached_property
    def _result(self) -> SearchRecord:
        file = self.folder / "search" / "result.json"
        if not file.exists():
            raise InputError(f"{self.config.location}: its search is not done; carry it out with raynas.run")
        return SearchRecord.read(file)

    # The images

    @functools.cached_property
    def data(self) -> DataRecord:
        """The images of the run: classes, size, mean and deviation."""
        return DataRecord.read(self.folder / "data.json")

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes by label; None if they have none."""
        return self.data.classes

    @property
    def preprocess(self) -> v2.Transform:
        """What makes an image of Pillow, or ``(height, width, 3)`` uint8, the tensor that the run's networks take."""
        from raynas.networks.preprocessing import preprocess
        from raynas.stages.found import preprocessing_of

        return preprocess(preprocessing_of(self.data))

    # Networks

    def network(
        self,
        architecture: int | str | Sequence[int] = 0,
        weights: str | None = "inherited",
        *,
        seed: int | None = None,
        retraining: str | None = None,
    ) -> nn.Module:
        """Returns the network of an architecture, in evaluation mode.

        Args:
            architecture: Its place among the best, from 0; its text; or its candidates.
            weights: ``inherited`` from the supernet, batch normalisation measured anew; ``retrained``, of a retraining;
                ``initial``, those of the supernet before its training; None for random ones.
            seed: Seed of the supernet or of the retraining; the first one by default.
            retraining: Name of the retraining, if there are several.

        Raises:
            InputError: If there is no such architecture, or no such weights.
        """
        return self.found(architecture, weights, seed=seed, retraining=retraining).module

    def found(
        self,
        architecture: int | str | Sequence[int] = 0,
        weights: str | None = "inherited",
        *,
        seed: int | None = None,
        retraining: str | None = None,
    ) -> FoundNetwork:
        """Returns a network with the record that an export keeps; arguments and errors as of `network`."""
        from raynas.stages.found import find

        config = self.config
        if is_url(config.location):  # the weights are read from the local copy
            config = config.model_copy(update={"storage_path": str(self.folder.parent), "name": self.folder.name})
        return find(config, self.folder, self._chosen(architecture), weights, seed=seed, retraining=retraining)

    def export(
        self,
        folder: str | Path,
        format: str = "safetensors",
        architecture: int | str | Sequence[int] = 0,
        weights: str = "inherited",
        **options: Any,
    ) -> Any:
        """Exports the network of an architecture into a folder; see `raynas export`.

        Args:
            folder: The folder to write.
            format: ``safetensors``, ``pt2``, ``onnx`` or ``python``.
            architecture: As `network` takes it.
            weights: As `network` takes it.
            options: Further arguments of `network`.

        Raises:
            InputError: If there is no such network, or the folder holds something else.
            RunError: If the export computes something else than the network.
        """
        from raynas.networks.export.exporting import export

        return export(self.found(architecture, weights, **options), Path(folder), format)

    def _chosen(self, architecture: int | str | Sequence[int]) -> Architecture | str:
        """Returns the candidates or the text of an architecture.

        Raises:
            InputError: If there are not so many.
        """
        if isinstance(architecture, str):
            return architecture
        if not isinstance(architecture, int):
            return tuple(architecture)
        best = self._result.best
        if not 0 <= architecture < len(best):
            raise InputError(f"expected an architecture from 0 to {len(best) - 1}, the best first, got {architecture}")
        return tuple(best[architecture].architecture)


def _check_own_members(values: dict[str, Any], location: str) -> None:
    """Checks that the code of the user's own which a run names is imported.

    Raises:
        InputError: If it is not: a folder may be a stranger's.
    """
    for key, names in own_members(values).items():
        for name in names if isinstance(names, list) else [names]:
            module = str(name).rpartition(".")[0]
            if module and module not in sys.modules:
                raise InputError(
                    f"{key}: {shortened(location, 300)} names {echo(name)}, code of its own; import {module} before "
                    "you open the run, if you trust it"
                )
