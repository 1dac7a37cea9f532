"""Runs that differ only in their seeds, and the looks that keep them together."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raynas.report.palette import DASHES, SERIES, Look
from raynas.report.run_values import Run
from raynas.report.wording import flatten

OF_ONE_RUN = ("name", "seed", "storage_path", "train.base_seeds", "train.reuse")
"""Keys in which runs of several seeds differ."""


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one configuration with several seeds; most groups of a comparison have one run.

    Attributes:
        name: The common beginning of their names.
        members: The runs with their names on the page.
    """

    name: str
    members: Sequence[tuple[str, Run]]

    @property
    def title(self) -> str:
        """The name, with the number of runs if there are several."""
        return self.name if len(self.members) == 1 else f"{self.name} ({len(self.members)} seeds)"


def groups_of(named: Sequence[tuple[str, Run]]) -> list[Group]:
    """Returns the runs in groups of equal configuration and different seeds, in the order of their first members."""
    by_configuration: dict[str, list[tuple[str, Run]]] = {}
    seen: Counter[str] = Counter()
    for name, run in named:
        values = {key: value for key, value in flatten(run.config).items() if key not in OF_ONE_RUN}
        seeds = json.dumps([values, run.config.get("seed"), list(run.base_seeds)], sort_keys=True)
        seen[seeds] += 1  # a second run of the same seed adds nothing to an interval
        by_configuration.setdefault(json.dumps([values, seen[seeds]], sort_keys=True), []).append((name, run))
    groups = []
    for members in by_configuration.values():
        names = [name for name, _ in members]
        groups.append(Group(_common(names), members))
    titles = Counter(group.title for group in groups)
    return [group if titles[group.title] == 1 else replace(group, name=group.members[0][0]) for group in groups]


def _common(names: Sequence[str]) -> str:
    """Returns the common beginning of names without a dangling separator; the first name if there is none.

    A number is removed only if it is cut off: ``run-10`` and ``run-11`` are ``run``, and ``lr0.1`` stays.
    """
    if len(names) == 1:
        return names[0]
    common = os.path.commonprefix(list(names))
    is_cut_off = any(re.match(r"\d", name[len(common) :]) for name in names)
    whole = re.sub(r"\d+$", "", common) if is_cut_off else common
    return whole.rstrip(" -_#.:") or common or names[0]


def looks_of_groups(groups: Sequence[Group]) -> dict[str, Look]:
    """Returns a look for each run and for each group: one colour a group, other dashes for each of its runs."""
    looks: dict[str, Look] = {}
    for place, group in enumerate(groups):
        color, turn = SERIES[place % len(SERIES)], place // len(SERIES)
        looks[group.title] = (color, DASHES[turn % len(DASHES)])
        for number, (name, _) in enumerate(group.members):
            looks[name] = (color, DASHES[(turn + number) % len(DASHES)])
    return looks


def fitness_named(looks: Mapping[str, Look], names: Sequence[tuple[str, str]]) -> dict[str, Look]:
    """Returns the looks of curves that belong to runs: the colour of the run, other dashes for each further curve.

    Args:
        looks: The looks of the runs.
        names: The run of each curve and the name of the curve.
    """
    found: dict[str, Look] = {}
    counts: dict[str, int] = {}
    for run, curve in names:
        color, dashes = looks[run]
        number = counts.get(run, 0)
        found[curve] = (color, dashes if number == 0 else DASHES[(DASHES.index(dashes) + number) % len(DASHES)])
        counts[run] = number + 1
    return found
