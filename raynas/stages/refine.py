"""The best architectures of a search, evaluated again by another fitness or at another size of the space.

A cheap score orders the whole search; a dearer one orders the head of it (multi-fidelity). Rows are kept in
``search/refined.jsonl`` as they come, so that a run that was killed goes on.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from raynas.config.refine_section import RefineSection
from raynas.config.search_section import SearchSection
from raynas.errors import InputError
from raynas.members import Need
from raynas.records.record import text_of
from raynas.records.search_record import RefinedLine, RefinementRecord
from raynas.search_space import Architecture
from raynas.stages.evaluation import Evaluation, check_evaluation, needs_training
from raynas.stages.progress import Progress
from raynas.stages.progress_line import duration
from raynas.stages.subjects import resized
from raynas.stages.task import Task, as_searched
from raynas.storage.mirror import Mirror
from raynas.storage.run_folder import append_lines, write_text

REFINED = "refined"
"""The key of the fitness of a refinement in the results of a search."""


@dataclass(frozen=True)
class Refinement:
    """What a refinement came to.

    Attributes:
        record: How it was done.
        quantity: What results say of its fitness, with the key `REFINED`.
        fitness: The fitness by architecture.
    """

    record: RefinementRecord
    quantity: dict[str, Any]
    fitness: Mapping[Architecture, float]


def refined_task(task: Task) -> Task:
    """Returns the task in which the architectures of a search are evaluated again.

    Raises:
        InputError: If the space does not take the keys that differ, or its architectures would be others.
    """
    section = _section(task)
    searched = as_searched(task)
    space = resized(searched.space, section.space, "search.refine.space")
    config = task.config.model_copy(update={"search": _refined_search(task.config.search)})
    return replace(searched, config=config, space=space, latency=None if section.space else task.latency)


def _section(task: Task) -> RefineSection:
    section = task.config.search.refine
    assert section is not None
    return section


def _refined_search(search: SearchSection) -> SearchSection:
    """Returns the section `search` with the fitness of the refinement, and no options that only others have."""
    section = search.refine
    assert section is not None
    changed = {"fitness": section.fitness or search.fitness, "combine": section.combine or search.combine}
    refined = search.model_copy(update={**changed, "refine": None})
    known = set(search.searcher.options.model_fields)
    for row in refined.fitness_rows:
        known |= set(row.options.model_fields)
    further = {key: value for key, value in (search.model_extra or {}).items() if key in known}
    object.__setattr__(refined, "__pydantic_extra__", further)
    return refined


def check_refinement(task: Task) -> list[str]:
    """Checks a refinement before anything is trained, and returns a line about it; none without one.

    Raises:
        InputError: If it would change nothing, or its fitness cannot be taken.
    """
    search, section = task.config.search, task.config.search.refine
    if section is None:
        return []
    refined = refined_task(task)
    rows = refined.config.search.fitness_rows
    if not section.space and rows == search.fitness_rows:
        raise InputError(
            "search.refine: expected another fitness than the search has, or other keys of the space, got neither; set "
            "search.refine.fitness or search.refine.space"
        )
    for row in rows:
        if Need.SUPERNETS in row.needs and section.space:
            raise InputError(
                f"search.refine.fitness: {row.name} needs supernets that are trained at the size of "
                "search.refine.space; leave that out, or give a fitness that needs no training"
            )
        if Need.SUPERNETS in row.needs and not needs_training(search):
            raise InputError(
                f"search.refine.fitness: {row.name} needs trained supernets, which {search.fitness_name} needs not; "
                "give a fitness that needs no training"
            )
        if Need.ALPHAS in row.needs and task.config.alphas.gates is None:
            raise InputError(
                f"search.refine.fitness: {row.name} needs alphas, which {task.config.algorithm} has none of; give "
                "another fitness"
            )
    check_evaluation(refined)
    return [f"refinement: the best {section.number:,} of the search again by {_what(refined, section)}"]


def _what(refined: Task, section: RefineSection) -> str:
    """Returns by what architectures are evaluated again, and at which size, for people."""
    at = ", ".join(f"{key} {value}" for key, value in section.space.items())
    return refined.config.search.fitness_name + (f" with space.{at}" if at else "")


def refine(
    task: Task,
    mirror: Mirror,
    best: Sequence[Mapping[str, Any]],
    evaluating: Callable[[], AbstractContextManager[Evaluation]],
    progress: Progress,
) -> Refinement:
    """Returns the fitness of the best architectures of a search in the task of the refinement.

    Args:
        task: The task of the search.
        mirror: The run's folder, and what carries its files.
        best: Lines of different functions, the best first: as many of them are taken as the section says.
        evaluating: Opens the evaluation in the task of `refined_task`, if there is anything left to evaluate.
        progress: Told how far it is.

    Raises:
        InputError: If the file of the folder is of another refinement.
        RunError: If an evaluation fails.
    """
    began = time.perf_counter()
    section, refined = _section(task), refined_task(task)
    # Neighbours begin alike, which the evaluation of a chain makes use of.
    architectures = sorted(tuple(line["architecture"]) for line in best[: section.number])
    lines = _recorded(mirror, architectures)
    if len(lines) < len(architectures):
        with evaluating() as evaluation:
            _evaluate(refined, mirror, architectures, lines, evaluation, progress, began)
    name = refined.config.search.fitness_name
    largest = max((line.fitness for line in lines), default=-math.inf)
    seconds = time.perf_counter() - began
    progress.note(f"refinement: {len(lines):,} architectures, best {name} {largest:.5g}, {duration(seconds)}")
    quantity = refined.config.search.recorded_quantities()[0]
    record = RefinementRecord(
        architectures=len(lines),
        fitness="+".join(row.name for row in refined.config.search.fitness_rows),
        name=name,
        space=section.space,
        seconds=round(seconds, 6),
    )
    return Refinement(
        record=record,
        quantity={**quantity, "name": REFINED, "title": f"refined by {_what(refined, section)}"},
        fitness={tuple(line.architecture): line.fitness for line in lines},
    )


def _recorded(mirror: Mirror, architectures: Sequence[Architecture]) -> list[RefinedLine]:
    """Returns the lines that are recorded.

    Raises:
        InputError: If they are of other architectures.
    """
    file = mirror.folder / RefinedLine.file
    lines = RefinedLine.read_all(file, "remove the file to evaluate them again")
    if [tuple(line.architecture) for line in lines] != list(architectures[: len(lines)]):
        raise InputError(f"{file} is not of this search; remove the file to evaluate its best architectures again")
    return lines


def _evaluate(
    refined: Task,
    mirror: Mirror,
    architectures: Sequence[Architecture],
    lines: list[RefinedLine],
    evaluation: Evaluation,
    progress: Progress,
    began: float,
) -> None:
    """Evaluates what is left and adds it to the lines, each recorded as soon as it is known."""
    file = mirror.folder / RefinedLine.file
    write_text(file, text_of(lines))  # what was not written to its end is dropped
    for rows in evaluation.stream(architectures[len(lines) :]):
        seconds = round(time.perf_counter() - began, 6)
        new: list[RefinedLine] = []
        for row in rows.tolist():
            architecture = architectures[len(lines) + len(new)]
            values = dict(zip(evaluation.quantities, row, strict=True))
            about = {"architecture": list(architecture), "description": refined.space.describe(architecture)}
            new.append(RefinedLine(**{**about, **values, "seconds": seconds}))
        mirror.check()
        append_lines(file, new)
        mirror.push("search", every=10)
        lines += new
        best = max(line.fitness for line in lines)
        figures = (f"best {refined.config.search.fitness_name} {best:.5g}", f"{len(lines):,} of {len(architectures):,}")
        progress.show("refinement", len(lines), len(architectures), *figures)


def in_refined_order(lines: Sequence[dict[str, Any]], refinement: Refinement) -> list[dict[str, Any]]:
    """Returns the lines that were evaluated again with their fitness under `REFINED`, the best first.

    Equals stay in the order of the search.
    """
    refined = []
    for line in lines:
        architecture = tuple(line["architecture"])
        if architecture in refinement.fitness:
            refined.append({**line, REFINED: refinement.fitness[architecture]})
    return sorted(refined, key=lambda line: -line[REFINED])
