"""How dense code is: syntax nodes a line, comprehensions, comments, sizes.

python -m tests.density [FOLDER ...]
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

LONGEST_FILE = 400
"""Lines of a file, all of them counted."""

LONGEST_FUNCTION = 60
"""Lines of a function, its docstring included."""


@dataclass
class Density:
    """What is counted of some files.

    Attributes:
        code_lines: Lines that hold code, docstrings and comments left out.
        nodes: Nodes of the syntax trees, docstrings left out.
        comprehensions: Comprehensions and generator expressions.
        nested: Those that are inside of another one.
        comments: Lines with a comment.
        long_files: Files of more than `LONGEST_FILE` lines.
        long_functions: Functions of more than `LONGEST_FUNCTION` lines.
    """

    code_lines: int = 0
    nodes: int = 0
    comprehensions: int = 0
    nested: int = 0
    comments: int = 0
    long_files: int = 0
    long_functions: int = 0

    def row(self) -> str:
        """Returns the figures as a row of a Markdown table."""
        per_thousand = 1000 / self.code_lines
        return (
            f"{self.code_lines:,} | {self.nodes / self.code_lines:.1f} | {self.comprehensions * per_thousand:.0f} | "
            f"{self.nested * per_thousand:.1f} | {100 * self.comments / self.code_lines:.1f} % | {self.long_files} | "
            f"{self.long_functions}"
        )


def density_of(files: list[Path]) -> Density:
    """Returns the figures of some Python files together."""
    found = Density()
    for file in files:
        source = file.read_text(encoding="utf-8")
        tree = ast.parse(source)
        documentation = _docstring_lines(tree)
        found.code_lines += len(_code_lines(source) - documentation)
        found.comments += _comment_lines(source)
        found.nodes += sum(1 for _ in ast.walk(tree)) - 2 * len(_docstrings(tree))
        found.comprehensions += sum(isinstance(node, COMPREHENSIONS) for node in ast.walk(tree))
        found.nested += len(nested_comprehensions(tree))
        found.long_files += len(source.splitlines()) > LONGEST_FILE
        found.long_functions += len(long_functions(tree))
    return found


def nested_comprehensions(tree: ast.AST) -> list[int]:
    """Returns the lines of comprehensions inside of others."""
    lines = []
    for outer in ast.walk(tree):
        if not isinstance(outer, COMPREHENSIONS):
            continue
        for inner in ast.walk(outer):
            if inner is not outer and isinstance(inner, COMPREHENSIONS):
                lines.append(inner.lineno)
    return sorted(set(lines))


def long_functions(tree: ast.AST) -> list[str]:
    """Returns the names of functions that are too long."""
    functions = [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    return [node.name for node in functions if (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION]


def _docstrings(tree: ast.AST) -> list[ast.Expr]:
    """Returns the statements that are strings alone: docstrings, also those of constants."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]


def _docstring_lines(tree: ast.AST) -> set[int]:
    lines: set[int] = set()
    for node in _docstrings(tree):
        lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _code_lines(source: str) -> set[int]:
    """Returns the numbers of the lines that hold more than a comment."""
    skipped = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skipped:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines


def _comment_lines(source: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


if __name__ == "__main__":
    columns = ("folder", "code lines", "nodes a line", "comprehensions per 1,000", "nested", "comments")
    print(f"| {' | '.join((*columns, 'long files', 'long functions'))} |")
    print("|---|---|---|---|---|---|---|---|")
    for folder in sys.argv[1:] or ["raynas"]:
        print(f"| {folder} | {density_of(sorted(Path(folder).rglob('*.py'))).row()} |")
