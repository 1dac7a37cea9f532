"""Members: everything that a run file can name. Each states itself as a row beside its own code.

A row is a value of a frozen dataclass: the name, what the member needs, its unit, and how it is made. A `Family` finds
the rows of one kind in the modules of a package, so that a new member is one new file. A member of the user's own is
named by its dotted path, such as ``my_package.my_module.MY_ROW``.
"""

from __future__ import annotations

import difflib
import enum
import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeGuard, TypeVar

from raynas.errors import InputError, RunError
from raynas.failures import described
from raynas.messages import echo, shortened
from raynas.own_modules import extend_search_path


class Need(enum.Enum):
    """What a member needs before it can do its work. The value completes the sentence "it needs ..."."""

    SUPERNETS = "trained supernets"
    ALPHAS = "architecture parameters (alphas)"
    WEIGHT_VECTOR = "a space that states its weight vector"
    NETWORKS = "networks to run"
    BENCHMARK = "a benchmark"
    CHAIN = "a space that is a chain of choices"


class Row(Protocol):
    """What all rows have."""

    @property
    def name(self) -> str:
        """The name in run files."""


class Named(Protocol):
    """A class that is a member, such as a space: its attribute `name` is the name in run files."""

    name: ClassVar[str]


RowType = TypeVar("RowType", bound=Row)
NamedType = TypeVar("NamedType", bound="Row | type[Named]")


@dataclass(frozen=True)
class Family(Generic[RowType]):
    """The members that one key of the run file can name.

    Attributes:
        key: The key, such as ``search.fitness``.
        kind: The class of the rows.
        package: The package whose modules state the rows that raynas brings along.
        accepts: Whether the key can name a row, where two keys share one kind of rows.
    """

    key: str
    kind: type[RowType]
    package: str
    accepts: Callable[[RowType], bool] = lambda row: True

    def rows(self) -> dict[str, RowType]:
        """Returns the rows that raynas brings along by their names, sorted."""
        return {name: row for name, row in _rows_in(self.package, self.kind).items() if self.accepts(row)}

    def holds(self, value: object) -> TypeGuard[RowType]:
        """Returns whether something is a row of this kind, whether or not raynas brings it along."""
        return isinstance(value, self.kind)

    def names(self) -> tuple[str, ...]:
        """Returns the names that raynas brings along."""
        return tuple(self.rows())

    def row(self, name: str) -> RowType:
        """Returns the row of a name, or of a dotted path of the user's own.

        Importing a dotted path executes its module. It may lie in the folder that raynas was started in.

        Raises:
            InputError: If there is no such member.
        """
        rows = self.rows()
        if name in rows:
            return rows[name]
        if "." not in name:
            close = difflib.get_close_matches(name, rows, n=1)
            hint = f"did you mean {close[0]}?" if close else "or give the dotted path of your own"
            raise InputError(f"{self.key}: expected one of {', '.join(rows)}, got {echo(name)}; {hint}")
        found = load(name, self.key)
        if not self.holds(found):
            raise InputError(
                f"{self.key}: expected {echo(name)} to be a {self.kind.__module__}.{self.kind.__name__}, got "
                f"{type(found).__name__}; name the row, not what it makes"
            )
        if not self.accepts(found):
            raise InputError(f"{self.key}: {echo(name)} does not serve this key; name another row, or extend this one")
        return found

    def path_of(self, row: RowType, module: str = "") -> str:
        """Returns how a run file names a row: by its name, or by the dotted path of the module that states it.

        Args:
            row: The row.
            module: The module to look in first, by its dotted name.

        Raises:
            InputError: If no module that can be imported states the row under a name.
        """
        if self.rows().get(getattr(row, "name", "")) is row:  # a class may lack a name
            return row.name
        for path in (module, *sorted(sys.modules)):
            found = sys.modules.get(path)
            if found is sys.modules["__main__"]:  # other processes cannot import it, by whatever name it goes here
                continue
            for name, value in list(getattr(found, "__dict__", {}).items()):
                if value is row:
                    return f"{path}.{name}"
        raise InputError(
            f"{self.key}: expected a row that a module states under a name, got {echo(row)}; assign it in a module"
        )


def is_own(name: str) -> bool:
    """Returns whether a name is the dotted path of a member of the user's own."""
    return "." in name


def load(path: str, key: str) -> Any:
    """Returns what a dotted path names.

    Args:
        path: The module and the name in it, joined by a dot.
        key: The key of the run file that names it.

    Raises:
        InputError: If it cannot be imported.
    """
    extend_search_path()
    module_name, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"{key}: cannot import {echo(path)} ({shortened(str(error), 300)}); it must be importable where raynas "
            "runs, for example from the directory it is started in"
        ) from error
    except (Exception, SystemExit) as error:  # of code that is not ours
        raise InputError(f"{key}: importing {echo(path)} ends in {described(error)}; correct that module") from error


@functools.cache
def _rows_in(package: str, kind: type[RowType]) -> dict[str, RowType]:
    """Returns the rows of one kind that the modules of a package state, by their names, sorted."""
    return by_name(package, (value for value in stated_in(package) if isinstance(value, kind)))


def stated_in(package: str) -> Iterator[Any]:
    """Yields all that the modules of a package state under a name, imported names included."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
        yield from vars(importlib.import_module(module.name)).values()


def by_name(package: str, members: Iterable[NamedType]) -> dict[str, NamedType]:
    """Returns the members of a package by their names, sorted.

    Raises:
        RunError: If two different members have one name.
    """
    found: dict[str, NamedType] = {}
    for member in members:
        if found.setdefault(member.name, member) is not member:
            raise RunError(f"{package} states two members called {member.name}")
    return dict(sorted(found.items()))
