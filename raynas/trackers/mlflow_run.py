"""MLflow: a run of its own for every run, with the configuration as parameters and the figures as metrics."""

from __future__ import annotations

import logging
import time
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import field_validator

from raynas.errors import InputError
from raynas.messages import echo
from raynas.optional import needed
from raynas.options import Execution, Options
from raynas.trackers.event import Artifact, Configuration, End, Event
from raynas.trackers.row import TrackedRun, Tracker, TrackerRow
from raynas.trackers.scalars import scalars_of

KEY, EXTRA = "trackers.names", "mlflow"
"""The key that names this tracker, and the extra that brings its package."""

LONGEST = 6_000
"""Characters of a parameter that MLflow takes."""

IDENTITY, GROUP = "raynas.identity", "raynas.sweep"
"""Tags by which a run is found again, and the sweep that it belongs to."""


class MlflowOptions(Options):
    """Options of the tracker `mlflow`.

    Attributes:
        tracking_uri: Where MLflow keeps its runs, such as ``sqlite:////data/mlflow.db`` or ``http://host:5000``; by
            default the variable MLFLOW_TRACKING_URI, else MLflow's own default. Beside an SQL store MLflow keeps files
            in ``mlruns`` of the current folder.
        experiment: The experiment of MLflow that the run belongs to.
    """

    tracking_uri: Annotated[str | None, Execution()] = None
    experiment: Annotated[str, Execution()] = "raynas"

    @field_validator("tracking_uri")
    @classmethod
    def _without_credentials(cls, value: str | None) -> str | None:
        url = urlsplit(value or "")
        if url.scheme.startswith("http") and (url.username or url.password):
            raise InputError(
                "expected a URL without credentials, which run folders would show, got a user at "
                f"{echo(url.hostname)}; "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return value


class MlflowRun(Tracker):
    """Writes into a run of MLflow; a run that continues goes on with the same one."""

    def __init__(self, run: TrackedRun, options: MlflowOptions) -> None:
        """Begins the run, or finds that of an earlier command."""
        self._entities = needed("mlflow.entities", EXTRA, KEY)
        self._client = needed("mlflow.tracking", EXTRA, KEY).MlflowClient(tracking_uri=options.tracking_uri)
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._folder = run.folder
        experiment = self._client.get_experiment_by_name(options.experiment)
        number = experiment.experiment_id if experiment else self._client.create_experiment(options.experiment)
        found = self._client.search_runs([number], filter_string=f"tags.`{IDENTITY}` = '{run.digest}'", max_results=1)
        if found:
            self._id = found[0].info.run_id
            self._client.set_terminated(self._id, status="RUNNING")
        else:
            tags = {IDENTITY: run.digest, "raynas.location": run.location} | ({GROUP: run.group} if run.group else {})
            self._id = self._client.create_run(number, run_name=run.name, tags=tags).info.run_id

    def tell(self, event: Event) -> None:
        """Writes parameters, metrics, files and the end."""
        if isinstance(event, Configuration):
            self._write_settings(event)
        elif isinstance(event, Artifact):
            self._client.log_artifact(self._id, str(self._folder / event.path))
        elif isinstance(event, End):
            status = {"done": "FINISHED", "failed": "FAILED"}.get(event.status, "KILLED")
            self._client.set_terminated(self._id, status=status)
        else:
            self._write_numbers(event)

    def _write_numbers(self, event: Event) -> None:
        for step, values in scalars_of(event):
            milliseconds = int(1000 * time.time())
            metrics = [self._entities.Metric(name, value, milliseconds, step) for name, value in values.items()]
            if metrics:
                self._client.log_batch(self._id, metrics=metrics)

    def _write_settings(self, event: Configuration) -> None:
        """Writes the keys that MLflow does not know yet; it keeps a parameter as it was first written."""
        known = self._client.get_run(self._id).data.params
        new = [self._entities.Param(key, _text(value)) for key, value in event.values.items() if key not in known]
        for start in range(0, len(new), 100):
            self._client.log_batch(self._id, params=new[start : start + 100])
        for name, version in event.versions.items():
            self._client.set_tag(self._id, f"version.{name}", version)


def _text(value: Any) -> str:
    """Returns a value as a parameter."""
    return str(value)[:LONGEST]


MLFLOW = TrackerRow(
    "mlflow",
    "MLflow",
    MlflowRun,
    options=MlflowOptions,
    module="mlflow",
    extra=EXTRA,
    imports=("mlflow.entities", "mlflow.tracking"),
)
