"""Pages of a run, and of several runs side by side; each page is one file that loads nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from raynas.config.locations import reused_folder, sweep_of
from raynas.errors import InputError
from raynas.report import comparison
from raynas.report.alpha_sections import architecture_parameters
from raynas.report.best_sections import best_architectures
from raynas.report.blocks import Head, Text
from raynas.report.document import document, write_at_once, write_page
from raynas.report.gallery import Gallery
from raynas.report.groups import groups_of, looks_of_groups
from raynas.report.links import HasPage, has_page, home_link, link_to
from raynas.report.overview_figure import run_overview
from raynas.report.rank_sections import rank_correlation
from raynas.report.retrain_sections import retrained_networks
from raynas.report.run_files import Locate, read_run
from raynas.report.run_values import Run
from raynas.report.search_sections import search_results
from raynas.report.summary_sections import configuration, provenance, summary
from raynas.report.training_sections import latency_section, training_section
from raynas.report.verdict import verdict_of
from raynas.report.verdict_sections import found_beside_others, found_by_groups

Defaults: TypeAlias = Callable[[Mapping[str, Any]], Mapping[str, object]]
"""Returns the defaults of a configuration by dotted keys, for a run whose record has none; empty if unknown."""


def no_defaults(config: Mapping[str, Any]) -> Mapping[str, object]:
    """Returns no default values."""
    return {}


def write_report(folder: Path, locate: Locate = reused_folder, defaults_of: Defaults = no_defaults) -> Path:
    """Writes a run's page and its figures, and returns the page: ``report/index.html`` in the run's folder.

    The figures are written to ``figures/*.svg`` and ``*.png``; obsolete figures of an older report are removed.

    Args:
        folder: The run's folder.
        locate: Returns the folder of the reused supernets; by default a folder next to the run.
        defaults_of: Returns the default values of the run's configuration, to show the keys that differ first.

    Raises:
        InputError: If the folder has no run, no result, a damaged file, or a link that leads out of it.
    """
    page, gallery, run = _run_page(folder, locate, defaults_of, has_page)
    overview = run_overview(run, run.quantity)
    if overview is not None:
        gallery.show("overview", overview, "")
    return write_page(folder / "report", page, gallery.files())


def live_run_page(folder: Path, defaults_of: Defaults, exists: HasPage, home: str) -> str:
    """Returns the page of a run for a server, without writing anything.

    Args:
        folder: The run's folder; reused supernets are read from a folder next to it only.
        defaults_of: As `write_report` takes it.
        exists: Returns whether the server has a page of a folder.
        home: The address of the list of runs.

    Raises:
        InputError: As `write_report` raises it.
    """
    return _run_page(folder, reused_folder, defaults_of, exists, home)[0]


def _run_page(
    folder: Path, locate: Locate, defaults_of: Defaults, exists: HasPage, home: str | None = None
) -> tuple[str, Gallery, Run]:
    """Returns the page of a run with its figures and the run; it is live where it has a home."""
    run = read_run(folder, locate)
    gallery, verdict = Gallery(), verdict_of(run)
    sections = [
        found_beside_others(verdict, gallery),
        best_architectures(run, gallery),
        retrained_networks(run, gallery),
        search_results(run, gallery),
        architecture_parameters(run, gallery),
        training_section(run, gallery),
        latency_section(run, gallery),
        rank_correlation(run, gallery),
        configuration(run, run.about.defaults or defaults_of(run.config)),
        provenance(run),
    ]
    head = summary(run, verdict, [*linked_pages(run, exists), *home_link(home)])
    return document(f"{run.name} · raynas", head, sections, live=home is not None), gallery, run


def linked_pages(run: Run, exists: HasPage) -> list[tuple[str, Text]]:
    """Returns links to the sweep of a run and to the run that it reuses."""
    place = run.folder / "report"
    lines: list[tuple[str, Text]] = []
    sweep = sweep_of(run.folder)
    if sweep is not None:
        lines.append(("Trial of", link_to(sweep, f"the sweep {sweep.name}", place, exists)))
    if run.reused is not None:
        lines.append(("Reuses the supernets of", link_to(run.reused, run.reused.name, place, exists)))
    return lines


def write_comparison(folders: Sequence[Path], file: Path, locate: Locate = reused_folder) -> Path:
    """Writes a page that compares runs, and returns its path.

    Runs with the same name get numbers. Searches by different fitnesses get separate figures.

    Args:
        folders: The folders of at least two runs.
        file: Path of the page.
        locate: As `write_report` takes it.

    Raises:
        InputError: If there are fewer than two folders, a folder has no run or no result, a file is damaged, a link
            leads out of a run, or the page is a link.
    """
    if file.is_symlink():
        raise InputError(f"--out: expected the name of a page to write, got the link {file}; give another name")
    if len(folders) < 2:
        raise InputError(f"a comparison takes two run folders or more, got {len(folders)}")
    page = _comparison_page(folders, locate, lambda folder, name: link_to(folder, name, file.parent))
    write_at_once(file, page.encode("utf-8"))
    return file


def live_comparison_page(
    folders: Sequence[Path], link: Callable[[Path, str], Text], lines: Sequence[tuple[str, Text]]
) -> str:
    """Returns a page that compares runs for a server, without writing anything.

    Args:
        folders: The folders of at least two runs; reused supernets are read from folders next to them only.
        link: Returns the link to the page of a run, from its folder and its name.
        lines: The lines at the head of the page.

    Raises:
        InputError: As `write_comparison` raises it.
    """
    return _comparison_page(folders, reused_folder, link, lines, live=True)


def _comparison_page(
    folders: Sequence[Path],
    locate: Locate,
    link: Callable[[Path, str], Text],
    lines: Sequence[tuple[str, Text]] = (),
    live: bool = False,
) -> str:
    """Returns a page that compares runs."""
    runs = [read_run(folder, locate) for folder in folders]
    named = list(zip(comparison.distinct_names(runs), runs, strict=True))
    groups = groups_of(named)
    looks = looks_of_groups(groups)
    gallery = Gallery()
    title = ", ".join(name for name, _ in named) if len(named) < 4 else f"{len(named)} runs"
    sections = [
        comparison.side_by_side(named, looks, link),
        found_by_groups(groups, looks, gallery),
        comparison.best_architectures(named, gallery),
        comparison.search_figures(named, groups, looks, gallery),
        comparison.architecture_parameters(named, looks, gallery),
        comparison.training_section(named, looks, gallery),
        comparison.rank_correlation(named, looks, gallery),
        comparison.different_keys(named),
    ]
    return document(f"{title} · raynas", Head(title, lines), sections, live=live)
