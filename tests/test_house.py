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


NEWER = {
    "typing": {"Self", "Never", "LiteralString", "Required", "NotRequired", "Unpack", "TypeVarTuple", "override"}
    | {"assert_never", "assert_type", "reveal_type", "dataclass_transform", "TypeAliasType", "ReadOnly", "TypeIs"},
    "enum": {"StrEnum", "ReprEnum", "verify"},
    "datetime": {"UTC"},
    "contextlib": {"chdir"},
    "itertools": {"batched"},
    "builtins": {"ExceptionGroup", "BaseExceptionGroup"},
    "tomllib": {"*"},
}
"""What is newer than the oldest Python that raynas declares, 3.10, by module."""


def newer_than_declared(source: str) -> list[str]:
    """Returns the lines that import or name what Python 3.10 does not have."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in NEWER:
            names = {alias.name for alias in node.names}
            found += [f"{node.lineno}: {name}" for name in sorted(names) if {name, "*"} & NEWER[node.module]]
        elif isinstance(node, ast.Import):
            found += [f"{node.lineno}: {alias.name}" for alias in node.names if alias.name == "tomllib"]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in NEWER.get(node.value.id, ()):
                found.append(f"{node.lineno}: {node.value.id}.{node.attr}")
        elif isinstance(node, ast.Name) and node.id in NEWER["builtins"]:
            found.append(f"{node.lineno}: {node.id}")
    return found


def test_nothing_is_newer_than_the_oldest_python_that_is_declared() -> None:
    found = {relative(file): newer_than_declared(file.read_text()) for file in FILES}
    assert {file: lines for file, lines in found.items() if lines} == {}
    assert newer_than_declared("from typing import Any, Self\nimport tomllib\nimport enum\nenum.StrEnum") == [
        "1: Self",
        "2: tomllib",
        "4: enum.StrEnum",
    ]
