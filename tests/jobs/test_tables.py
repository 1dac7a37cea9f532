"""The tables of `jobs/README.md`: every table and figure of the four papers, and every job."""

from __future__ import annotations

import re

import pytest

from raynas.config.job_files import job_names
from raynas.networks.published import published
from raynas.recipes import names as recipe_names
from tests.stages.runs import ROOT

PAGE = (ROOT / "jobs/README.md").read_text(encoding="utf-8")
MEASURED = (ROOT / "tests/performance/README.md").read_text(encoding="utf-8")
STATES = ("reproduced in small", "expressible at full size", "not")
TABLES = {"RLNAS": 12, "GDAS": 5, "SETN": 3, "Amended-DARTS": 2}
FIGURES = {"RLNAS": 5, "GDAS": 4, "SETN": 3, "Amended-DARTS": 3}
"""How many tables and figures each paper has."""


def rows(heading: str) -> list[list[str]]:
    """Returns the cells of each row of the table below a heading of the page."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


PUBLISHED = rows("Every table and figure of the four papers")


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_every_table_and_figure_of_the_four_papers_has_one_row() -> None:
    expected = []
    for paper, tables in TABLES.items():
        expected += [(paper, f"Table {number}") for number in range(1, tables + 1)]
        expected += [(paper, f"Figure {number}") for number in range(1, FIGURES[paper] + 1)]
    assert [(row[0], row[1].partition(":")[0]) for row in PUBLISHED] == expected
    assert len(PUBLISHED) == 37


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[0]}, {row[1]}")
def test_a_table_or_figure_has_one_of_three_states_and_names_what_there_is(row: list[str]) -> None:
    _, _, commands, state, figures = row
    assert state in STATES
    assert commands
    for text in code(commands):
        if re.fullmatch(r"(sweep|small|rlnas|spos|setn|gdas|darts|amended_darts)_[a-z0-9_]+", text):
            assert text in (*job_names(), *recipe_names()), f"{text} is neither a job nor a recipe"
        if re.fullmatch(r"(RLNAS|GDAS|SETN)[A-Z0-9_]*", text):
            assert published(text) is not None, text
        if text.startswith("raynas network "):
            assert published(text.split()[2]) is not None, text
        if text.startswith("raynas retrain "):
            words = text.split()
            assert published(words[2]) is not None, text
            assert words[3] == "--recipe" and words[4] in recipe_names(), text


@pytest.mark.parametrize("row", PUBLISHED, ids=lambda row: f"{row[0]}, {row[1]}")
def test_what_is_reproduced_in_small_names_a_section_of_what_was_measured(row: list[str]) -> None:
    headings = re.findall(r"^## (.+)$", MEASURED, flags=re.MULTILINE)
    link = re.fullmatch(r"\[(.+)\]\(\.\./tests/performance/README\.md#(.+)\)", row[4])
    assert (link is not None) == (row[3] == "reproduced in small")
    if link is not None:
        title, anchor = link.groups()
        assert title in headings
        assert anchor == re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")


def test_every_job_is_in_the_table_of_jobs_once_and_the_papers_name_it_or_its_row_says_what_it_is() -> None:
    jobs = rows("The jobs of this folder")
    names = [code(row[0])[0] for row in jobs]
    assert sorted(names) == sorted(job_names())
    of_papers = {text for row in PUBLISHED for text in code(row[2])}
    for name, row in zip(names, jobs, strict=True):
        assert name in of_papers or row[2], f"nothing says what {name} is"
