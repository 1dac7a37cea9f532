"""What happens in a run, for callbacks: every epoch and every evaluated architecture, as its records state them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from raynas.config.run_config import RunConfig
from raynas.records.record import Line
from raynas.records.search_record import HistoryLine
from raynas.records.training_record import EpochLine
from raynas.storage.run_folder import METRICS

Callback: TypeAlias = Callable[[str, Mapping[str, Any]], None]
"""Called with what happened and its figures.

``epoch``: an epoch of a training has ended; ``training`` names its folder in the run, and the other figures are those
of its line in ``metrics.jsonl``. ``architecture``: an architecture was evaluated; the figures are those of its line in
``search/history.jsonl``. What a continued run had done before is not told again. An error that a callback raises ends
the run, which continues where it was when it is given again.
"""

HISTORY = "search/history.jsonl"


def reporting(config: RunConfig, callbacks: Sequence[Callback]) -> Callable[[], None]:
    """Returns a function that tells callbacks what is new in a run's folder since it was last called."""
    if not callbacks:
        return lambda: None
    told = _Told(config.folder)
    told.news()

    def report() -> None:
        for kind, figures in told.news():
            for callback in callbacks:
                callback(kind, figures)

    return report


class _Told:
    """The lines of a run's records that were told."""

    def __init__(self, folder: Path) -> None:
        """Begins with nothing told."""
        self._folder = folder
        self._counts: dict[Path, int] = {}

    def news(self) -> list[tuple[str, dict[str, Any]]]:
        """Returns what the folder holds that was not returned before."""
        found = []
        for file in sorted(self._folder.glob(f"**/{METRICS}")):
            training = file.parent.relative_to(self._folder).as_posix()
            found += [("epoch", {"training": training, **line}) for line in self._new(file, EpochLine)]
        found += [("architecture", line) for line in self._new(self._folder / HISTORY, HistoryLine)]
        return found

    def _new(self, file: Path, kind: type[Line]) -> list[dict[str, Any]]:
        """Returns the lines of a file that were not returned before; a file that was cut off tells what follows."""
        lines = kind.read_good(file)
        first = min(self._counts.get(file, 0), len(lines))
        self._counts[file] = len(lines)
        return [line.content() for line in lines[first:]]
