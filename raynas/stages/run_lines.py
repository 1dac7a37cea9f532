"""Lines that a run prints about itself: its space, what it continues from, and what a training came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.config.run_config import RunConfig
from raynas.records.record import Number
from raynas.records.training_record import EpochLine
from raynas.stages.progress_line import duration
from raynas.stages.task import Task
from raynas.stages.train_supernet import supernet_plans
from raynas.stages.training import is_done
from raynas.storage.checkpoint import checkpoint_folders
from raynas.storage.run_folder import METRICS, whole_lines
from raynas.training.plan import Plan

MEASURED = {
    "validation_accuracy": "validation accuracy {:.2f} %",
    "test_accuracy": "test accuracy {:.2f} %",
    "validation_perplexity": "validation perplexity {:.2f}",
    "test_perplexity": "test perplexity {:.2f}",
}
"""How lines show what a training measured on other images than its own, by the keys of its records."""


def space_line(task: Task) -> str:
    """Returns a line about the space."""
    space = task.space
    return f"space: {task.config.space.name}, {space.num_architectures:,} architectures of {len(space.choices)} choices"


def continued_line(config: RunConfig) -> str | None:
    """Returns what is in a run's folder, from which it continues; None if nothing of use is there."""
    parts = list(_continued_trainings(supernet_plans(config), config.folder))
    search = config.folder / "search"
    if (search / "result.json").exists():
        parts.append("search done")
    elif evaluated := len(whole_lines(search / "history.jsonl")):
        parts.append(f"{evaluated:,} architectures evaluated")
        if refined := len(whole_lines(search / "refined.jsonl")):
            parts.append(f"{refined:,} of the best evaluated again")
    return f"continues: {'; '.join(parts)}" if parts else None


def _continued_trainings(plans: Sequence[Plan], folder: Path) -> Iterator[str]:
    """Yields how far each training of the supernets is, of those that have begun."""
    if all(is_done(folder, plan) for plan in plans):
        yield "supernet trained"
        return
    for plan in plans:
        name = "supernet" if len(plans) == 1 else f"supernet of {plan.name}"
        checkpoints = checkpoint_folders(folder / plan.folder)
        if is_done(folder, plan):
            yield f"{name} trained"
        elif checkpoints:
            _, epochs, *step = checkpoints[-1].name.split("_")
            within_epoch = f" and {int(step[1])} steps" if step else ""
            yield f"{name} after {int(epochs)} of {plan.recipe.epochs} epochs{within_epoch}"


def trained_figures(plan: Plan, folder: Path) -> str:
    """Returns what a training came to, from the line of its last epoch; empty if that is damaged."""
    return ", ".join(_shown(plan, _last_numbers(plan, folder)))


def _shown(plan: Plan, numbers: dict[str, Number]) -> Iterator[str]:
    """Yields the figures of an epoch that it has."""
    for metric in plan.metrics:
        if metric.name in numbers:
            yield metric.text.format(numbers[metric.name])
    for key, text in MEASURED.items():
        if key in numbers:
            yield text.format(numbers[key])


def training_summary(config: RunConfig) -> dict[str, float]:
    """Returns the means over the supernets of what their last epochs came to, by names; empty without supernets."""
    values: dict[str, list[float]] = {}
    for plan in supernet_plans(config):
        numbers = _last_numbers(plan, config.supernets)
        for metric in plan.metrics:
            if metric.name in numbers:
                values.setdefault(metric.name, []).append(float(numbers[metric.name]))
    return {name: sum(of_seeds) / len(of_seeds) for name, of_seeds in values.items()}


def ranking_summary(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns tau-b of the fitness of a ranking; empty without a benchmark."""
    rows = result.get("rows") or [{}]
    tau = rows[0].get("tau")
    return {} if tau is None else {"tau": float(tau)}


def _last_numbers(plan: Plan, folder: Path) -> dict[str, Number]:
    """Returns the numbers of a training's last epoch; none if its line is damaged."""
    lines = EpochLine.read_good(folder / plan.folder / METRICS)
    return lines[-1].numbers() if lines else {}


def trained_line(plan: Plan, folder: Path) -> str:
    """Returns a line about one training of several that is done."""
    lines = EpochLine.read_good(folder / plan.folder / METRICS)
    seconds = duration(sum(line.seconds or 0.0 for line in lines))
    figures = trained_figures(plan, folder)
    line = f"{plan.name}: {plan.recipe.epochs:,} epochs in {seconds}"
    return f"{line}, {figures}" if figures else line
