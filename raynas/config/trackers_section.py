"""The `trackers` section of a run file: where the events of a run go."""

from __future__ import annotations

from typing import Annotated

from pydantic import field_validator

from raynas.config.explain import own_words
from raynas.config.further_keys import SectionOfMembers
from raynas.config.named import named
from raynas.errors import InputError
from raynas.optional import install_line, is_installed
from raynas.options import Execution
from raynas.trackers import TRACKERS, TrackerRow
from raynas.trackers.mlflow_run import MlflowOptions
from raynas.trackers.tensorboard_events import TENSORBOARD
from raynas.trackers.wandb_run import WandbOptions


class TrackersSection(MlflowOptions, WandbOptions, SectionOfMembers):
    """Where the events of a run go, beside its folder.

    It has the options of all trackers that raynas brings along. A list of names stands for the section with these
    `names`. Trackers do not change what a run computes, and may be others when it continues.

    Attributes:
        names: The trackers, by names or dotted paths of your own; an empty list for none. The default is TensorBoard,
            where it is installed.
    """

    names: Annotated[Annotated[list[str], named(TRACKERS)] | None, Execution()] = None

    @field_validator("names")
    @classmethod
    def _different(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) < len(value):
            raise own_words(f"expected different ones, got {value}")
        return value

    def rows(self) -> list[TrackerRow]:
        """Returns the rows of the trackers."""
        if self.names is None:
            return [TENSORBOARD] if is_installed(TENSORBOARD.module) else []
        return [TRACKERS.row(name) for name in self.names]

    def check_installed(self) -> None:
        """Checks that the packages of the trackers are installed here.

        Raises:
            InputError: If one is not.
        """
        for row in self.rows():
            if row.module and not is_installed(row.module):
                raise InputError(
                    f"trackers.names: {row.title} needs the package {row.module}, which is not installed; "
                    f"{install_line(row.extra)}"
                )

    @property
    def has_tensorboard(self) -> bool:
        """Whether TensorBoard is among them: then trainings write its events."""
        return TENSORBOARD in self.rows()
