"""The reference of keys in `jobs/README.md` is what the sections and rows say, and its table of jobs is whole."""

from __future__ import annotations

import re

import pytest

from raynas.config.job_files import job_names
from raynas.config.key_reference import BEGIN, END, with_reference
from raynas.errors import InputError
from tests.fuzz.cases import leaves
from tests.stages.runs import ROOT

PAGE = ROOT / "jobs" / "README.md"


def test_the_page_has_the_reference_of_the_keys() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == with_reference(text), "give `python -m raynas.config.key_reference jobs/README.md`"


def test_every_key_of_a_run_file_is_on_the_page() -> None:
    sections = re.split(r"^### ", PAGE.read_text(encoding="utf-8").partition(BEGIN)[2], flags=re.MULTILINE)[1:]
    tables = {section.partition("\n")[0].strip("`"): section for section in sections}
    for key, _, _ in leaves():
        section, _, name = key.rpartition(".")
        assert f"| `{name}`" in tables[section or "Top of the file"], key


def test_every_job_is_in_the_table_of_jobs() -> None:
    table = PAGE.read_text(encoding="utf-8").partition("## The jobs of this folder")[2].partition("## All keys")[0]
    rows = [line.partition(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == job_names()


def test_a_page_without_the_marks_is_refused() -> None:
    with pytest.raises(InputError, match="expected the marks"):
        with_reference(f"{END} {BEGIN}")
