"""The sizes that a reader can take in at once, of files and functions, and no comprehension inside of another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import raynas
from tests.density import LONGEST_FILE, density_of, long_functions, nested_comprehensions

PACKAGE = Path(raynas.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))


def relative(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def test_no_file_is_too_long() -> None:
    lengths = {relative(file): len(file.read_text().splitlines()) for file in FILES}
    assert {file: length for file, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_too_long() -> None:
    found = {relative(file): long_functions(ast.parse(file.read_text())) for file in FILES}
    assert {file: names for file, names in found.items() if names} == {}


def test_no_comprehension_is_inside_of_another() -> None:
    found = {relative(file): nested_comprehensions(ast.parse(file.read_text())) for file in FILES}
    assert {file: lines for file, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("a = [b for b in c]", []),
        ("a = [[b for b in c] for c in d]", [1]),
        ("a = {b: any(e for e in b)\n for b in c}", [1]),
        ("a = [lambda: [b for b in c] for c in d]", [1]),
    ],
)
def test_comprehensions_inside_of_others_are_found(source: str, lines: list[int]) -> None:
    assert nested_comprehensions(ast.parse(source)) == lines


def test_docstrings_and_comments_are_no_code(tmp_path: Path) -> None:
    file = tmp_path / "small.py"
    file.write_text('"""Says\nsomething."""\n\n# why\nX = 1  # here\n"""A number."""\n\ny = [a for a in b]\n')
    density = density_of([file])
    assert (density.code_lines, density.comments, density.comprehensions) == (2, 2, 1)
