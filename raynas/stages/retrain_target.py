"""The values of a run file that `raynas retrain` is given: by a run file, the folder of a run, or an architecture."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raynas import recipes
from raynas.config.job_files import PREFIX
from raynas.config.locations import is_url
from raynas.config.nested import merge
from raynas.config.reading import override, read_run_file
from raynas.config.run_config import own_members
from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.networks.published import published
from raynas.records.run_record import RunRecord


def values_of_target(
    target: str,
    overrides: Sequence[str] = (),
    *,
    quick: bool = False,
    recipe: str | None = None,
    top: int | None = None,
    seeds: int | None = None,
) -> dict[str, Any]:
    """Returns the values of a run file whose `retrain` section trains what a target names.

    Args:
        target: A run file, the folder of a run, a text of an architecture, or the name of a published cell.
        overrides: ``key=value`` pairs, which win.
        quick: Whether the block `quick` of a run file overrides its other keys.
        recipe: Name of the recipe.
        top: How many of the best architectures are trained.
        seeds: From how many seeds each is trained: 0, 1 and so on.

    Raises:
        InputError: If the target is none of these, or an architecture comes without a recipe.
    """
    if target.endswith((".yaml", ".yml")) or target.startswith(PREFIX):
        values, sweep = read_run_file(target, overrides, quick)
        if sweep is not None:
            raise InputError(f"sweep: {target} is a sweep; its `retrain` section is the last stage of `raynas sweep`")
    elif quick:
        raise InputError(f"--quick: only a run file has a `quick:` block, got {echo(target)}; leave it out")
    elif is_url(target) or Path(target).is_dir():
        values = _values_of_run(target)
    else:
        values = _values_of_architecture(target, recipe)
    values = {**values, "retrain": merge(values.get("retrain") or {}, chosen_keys(recipe, top, seeds))}
    for text in overrides:
        override(values, text)
    return values


def chosen_keys(recipe: str | None, top: int | None, seeds: int | None) -> dict[str, Any]:
    """Returns the keys of the section `retrain` that a caller chose; see `values_of_target`."""
    chosen = {"recipe": recipe, "top": top, "seeds": None if seeds is None else list(range(seeds))}
    return {key: value for key, value in chosen.items() if value is not None}


def _values_of_run(location: str) -> dict[str, Any]:
    """Returns the configuration that a run's folder states, without its retraining.

    Raises:
        InputError: If there is no run, or it names members of the user's own: a folder may be a stranger's.
    """
    if is_url(location):
        raise InputError(
            f"{shortened(location, 300)}: give the run file of a run at a URL, since only that says who may read there"
        )
    folder = Path(location).absolute()
    file = folder / "config.json"
    if not file.exists():
        raise InputError(f"{shortened(location, 300)} is no run of raynas; give the folder that `raynas run` named")
    values = {key: value for key, value in RunRecord.read(file).config.items() if key != "retrain"}
    if own := own_members(values):
        key, name = next(iter(own.items()))
        raise InputError(
            f"{key}: {shortened(location, 300)} names code of its own, {echo(name)}, which a folder alone does not "
            "have executed; give its run file"
        )
    return {**values, "name": folder.name, "storage_path": str(folder.parent)}


def _values_of_architecture(text: str, recipe: str | None) -> dict[str, Any]:
    """Returns a run that only retrains one architecture, of its space or that of its recipe, on the recipe's data.

    Raises:
        InputError: If there is no recipe.
    """
    if recipe is None:
        raise InputError(
            f"{shortened(text, 80)}: there is neither a run file nor a folder of that name; to train an architecture, "
            f"give --recipe with one of {', '.join(recipes.names())}"
        )
    made_for = recipes.read(recipe)
    cell = published(text)
    space = {"name": made_for["space"]["name"]} if cell is None else {"name": cell.space, **cell.arguments}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:60] or "architecture"
    return {
        "name": f"{name}-{Path(recipe).stem}",
        "space": space,
        "data": dict(made_for["data"]),
        "retrain": {"architectures": [text], "controls": []},
    }
