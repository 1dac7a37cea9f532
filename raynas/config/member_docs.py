"""What each member that a run file can name is, from its row and from the docstring of the module that states it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from raynas.algorithms import ALGORITHMS
from raynas.config.named import AnyFamily
from raynas.data.image_source import DATASETS
from raynas.spaces import SPACES

_BY_MODULE = (ALGORITHMS.key, DATASETS.key, SPACES.key)
"""Families whose members have a module each, whose docstring says what the member is."""


@dataclass(frozen=True)
class MemberDoc:
    """A member of a family.

    Attributes:
        name: Its name in run files.
        title: What it is, in a line.
        needs: What it needs before it can do its work.
        text: The docstring of the module that states it, with equations, departures from the paper, and source.
    """

    name: str
    title: str
    needs: tuple[str, ...] = ()
    text: str = ""


def member_docs(family: AnyFamily) -> list[MemberDoc]:
    """Returns what each member of a family is, sorted by name."""
    return [member_doc(family, name) for name in family.names()]


def member_doc(family: AnyFamily, name: str) -> MemberDoc:
    """Returns what a member of a family is.

    Args:
        family: The family.
        name: The member's name, or the dotted path of one of the user's own.

    Raises:
        InputError: If there is no such member.
    """
    row = family.row(name)
    text = inspect.cleandoc(_text_of(family, row))
    first = " ".join(text.partition("\n\n")[0].split()).rstrip(".")
    title = first if family.key in _BY_MODULE else getattr(row, "title", "") or first
    needs = tuple(sorted(need.value for need in getattr(row, "needs", ())))
    return MemberDoc(name, title, needs, text)


def _text_of(family: AnyFamily, row: Any) -> str:
    """Returns the docstring of the module that states a row; of a class of the user's own, that of the class."""
    module = _module_of(family, row)
    if module is None:
        return (row.__doc__ if inspect.isclass(row) else None) or ""
    return module.__doc__ or ""


def _module_of(family: AnyFamily, row: Any) -> ModuleType | None:
    """Returns the module of the family's package that states a row, not one that imports it; None if none does."""
    package = importlib.import_module(family.package)
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{family.package}.{found.name}")
        for name, value in vars(module).items():
            if value is row and _is_stated(module, name):
                return module
    return None


def _is_stated(module: ModuleType, name: str) -> bool:
    """Returns whether a module assigns or defines a name at its top."""
    return re.search(rf"^(class )?{name}\b *[=:(]", inspect.getsource(module), re.MULTILINE) is not None
