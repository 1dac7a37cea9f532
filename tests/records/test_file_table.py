"""The table of files in raynas/records/README.md is that of the records, and every key of a record is documented."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from raynas.records.file_table import BEGIN, END, all_tables, documented_fields, file_kinds, file_table, with_tables
from raynas.records.record import OtherFile, Part

README = Path(__file__).parents[2] / "raynas" / "records" / "README.md"
OLD = Path(__file__).parents[1] / "old_runs" / "0.1.0"


def test_the_page_has_the_table_of_the_records() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == with_tables(text, all_tables()), "run: python -m raynas.records.file_table raynas/records/README.md"


def parts() -> list[type[Part]]:
    found, left = set(), [Part]
    file_table("run")  # imports every module of records
    while left:
        for one in left.pop().__subclasses__():
            if one.__module__.startswith("raynas."):
                found.add(one)
                left.append(one)
    return sorted(found, key=lambda part: part.__name__)


@pytest.mark.parametrize("part", parts(), ids=lambda part: part.__name__)
def test_a_record_documents_exactly_its_keys(part: type[Part]) -> None:
    documented = documented_fields(part)
    assert set(documented) | {"version"} == set(part.model_fields) | {"version"}
    assert all(text.endswith(".") for text in documented.values())


@pytest.mark.parametrize("folder", ["run", "sweep"])
def test_every_file_of_an_old_run_is_in_the_table(tmp_path: Path, folder: str) -> None:
    names = ("rlnas", "gdas", "spos") if folder == "run" else ("sweep",)
    patterns = [kind.file for kind in file_kinds(folder)]
    for name in names:
        run = Path(shutil.copytree(OLD / name, tmp_path / name))
        known = set()
        for pattern in patterns:
            for place in run.glob(pattern.rstrip("/")):
                known |= {place, *place.rglob("*")}
        files = {file for file in run.rglob("*") if file.is_file() and "trials" not in file.parts}
        left = {str(file.relative_to(run)) for file in files - known}
        assert {file for file in left if not file.endswith("SHA256SUMS")} == set()


def test_a_text_without_the_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the marks"):
        with_tables("text", {})
    assert with_tables(f"a{BEGIN}old{END}b", {"t": "| |"}) == f"a{BEGIN}\n\nt\n\n| |\n\n{END}b"


def test_each_file_is_there_once() -> None:
    kinds = [*file_kinds("run"), *file_kinds("sweep")]
    assert len({(kind.folder, kind.file) for kind in kinds}) == len(kinds) > 20
    assert any(isinstance(kind, OtherFile) for kind in kinds)
