"""What is known of a training before any data are read. Imports nothing of torch."""

from __future__ import annotations

from dataclasses import dataclass

from raynas.training.metrics import ACCURACY, LOSS, Metric
from raynas.training.recipe import Recipe


@dataclass(frozen=True)
class Plan:
    """A training as a run announces it.

    Attributes:
        name: The name among the trainings of its stage, such as ``seed 0``.
        folder: The folder inside the run folder, such as ``supernet/seed_0``.
        recipe: Hyper-parameters.
        subject: What is trained, for people.
        section: The section of the run file that holds the recipe, for messages.
        metrics: What a step sums up, in the order of its sums. The first is the loss, which must stay finite.
        samples: What a step counts.
        events: The folder of TensorBoard's events inside that of the run; that of the training by default.
    """

    name: str
    folder: str
    recipe: Recipe
    subject: str = "the network"
    section: str = "train"
    metrics: tuple[Metric, ...] = (LOSS, ACCURACY)
    samples: str = "images"
    events: str = ""

    @property
    def speed(self) -> str:
        """The key of the samples per second in records."""
        return f"{self.samples}_per_second"
