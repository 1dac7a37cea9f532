"""Weights & Biases: a run of its own for every run; by default offline, in the folder of the run.

What is kept offline can be sent later: ``wandb sync RUN/trackers/wandb/wandb/offline-run-*``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated, Literal

from raynas.optional import needed
from raynas.options import Execution, Options
from raynas.trackers.event import Artifact, Configuration, End, Event
from raynas.trackers.row import TRACKER_FOLDER, TrackedRun, Tracker, TrackerRow
from raynas.trackers.scalars import scalars_of


class WandbOptions(Options):
    """Options of the tracker `wandb`.

    Attributes:
        project: The project of W&B that the run belongs to.
        entity: The user or team of W&B; that of the login by default.
        mode: ``offline`` keeps everything in ``trackers/wandb`` of the run's folder; ``online`` sends it to the server
            of the login; ``disabled`` does nothing.
    """

    project: Annotated[str, Execution()] = "raynas"
    entity: Annotated[str | None, Execution()] = None
    mode: Annotated[Literal["offline", "online", "disabled"], Execution()] = "offline"


class WandbRun(Tracker):
    """Writes into a run of W&B; a run that continues has the same identifier."""

    def __init__(self, run: TrackedRun, options: WandbOptions) -> None:
        """Begins the run."""
        wandb = needed("wandb", "wandb", "trackers.names")
        place = run.folder / TRACKER_FOLDER / "wandb"
        place.mkdir(parents=True, exist_ok=True)
        self._folder, self._place, self._status = run.folder, place, 0
        self._run = wandb.init(
            project=options.project,
            entity=options.entity,
            mode=options.mode,
            name=run.name,
            group=run.group or None,
            id=run.digest[:16],
            resume="allow" if options.mode == "online" else None,
            dir=str(place),
            settings=wandb.Settings(silent=True, console="off", x_disable_stats=True),
        )

        self._remove_links_out()

    def _remove_links_out(self) -> None:
        """Removes links that lead out of the folder, as to W&B's own log: no run folder may have such."""
        for path in self._place.rglob("*"):
            if path.is_symlink() and not path.resolve().is_relative_to(self._place.resolve()):
                path.unlink()

    def tell(self, event: Event) -> None:
        """Writes the configuration, figures, files and the end."""
        if isinstance(event, Configuration):
            self._run.config.update({**event.values, "versions": dict(event.versions)}, allow_val_change=True)
        elif isinstance(event, Artifact):
            copy = Path(self._run.dir) / event.path
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._folder / event.path, copy)
        elif isinstance(event, End):
            self._status = {"done": 0, "failed": 1}.get(event.status, 130)
        else:
            for step, values in scalars_of(event):
                for name in values:
                    self._run.define_metric(name, step_metric=f"{name.partition('/')[0]}/step")
                groups = {name.partition("/")[0] for name in values}
                self._run.log({**values, **{f"{group}/step": step for group in groups}})

    def close(self) -> None:
        """Ends the run, and in the mode ``online`` sends the rest."""
        self._run.finish(exit_code=self._status)
        self._remove_links_out()


WANDB = TrackerRow(
    "wandb",
    "Weights & Biases",
    WandbRun,
    options=WandbOptions,
    module="wandb",
    extra="wandb",
    imports=("wandb",),
)
