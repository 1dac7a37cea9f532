"""What happens in a run, for callbacks: epochs, generations, evaluated architectures and ranks, from its records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from raynas.config.run_config import RunConfig
from raynas.stages.record_events import RecordEvents
from raynas.trackers.event import Artifact

Callback: TypeAlias = Callable[[str, Mapping[str, Any]], None]
"""Called with what happened and its figures.

``epoch``: an epoch of a training has ended; ``training`` names its folder in the run, and the other figures are those
of its line in ``metrics.jsonl``. ``architecture``: an architecture was evaluated; the figures are those of its line in
``search/history.jsonl``. ``generation``: a generation was evaluated; ``best`` and ``mean`` are fitnesses. ``rank``: a
fitness was compared with a benchmark. What a continued run had done before is not told again. An error that a callback
raises ends the run, which continues where it was when it is given again.
"""


def reporting(config: RunConfig, callbacks: Sequence[Callback]) -> Callable[[], None]:
    """Returns a function that tells callbacks what is new in a run's folder since it was last called."""
    if not callbacks:
        return lambda: None
    events = RecordEvents(config.folder)
    events.news()

    def report() -> None:
        for event in events.news():
            if isinstance(event, Artifact):
                continue
            for callback in callbacks:
                callback(event.kind, event.figures())

    return report
