"""What can be searched. A space is one file: a subclass of `SearchSpace` with a `name`, its cell, its networks.

A space is found by its name in the modules of this package; nothing is registered. A space of your own is a class that
a run file names by its dotted path.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import TypeGuard

from raynas.errors import InputError
from raynas.members import Family, by_name, load, stated_in
from raynas.messages import echo
from raynas.search_space import SearchSpace


@functools.cache
def space_classes() -> Mapping[str, type[SearchSpace]]:
    """Returns the spaces that raynas brings along by their names, sorted."""
    return by_name(__name__, (value for value in stated_in(__name__) if _is_named_space(value)))


def _is_named_space(value: object) -> TypeGuard[type[SearchSpace]]:
    """Returns whether something is a space with a name of its own, not that of its parent or of none."""
    return SPACES.holds(value) and "name" in vars(value)


class SpaceFamily(Family[type[SearchSpace]]):
    """The spaces that a run file can name. Its rows are classes."""

    def rows(self) -> dict[str, type[SearchSpace]]:
        """Returns the spaces that raynas brings along by their names, sorted."""
        return dict(space_classes())

    def holds(self, value: object) -> TypeGuard[type[SearchSpace]]:
        """Returns whether something is a class of spaces."""
        return inspect.isclass(value) and issubclass(value, SearchSpace)

    def row(self, name: str) -> type[SearchSpace]:
        """Returns the class of a space, given its name or the dotted path of a user's own class.

        Importing a class of the user's own executes its module. It may lie in the folder that raynas was started in.

        Raises:
            InputError: If there is no such space.
        """
        if name.rpartition(".")[0]:  # a dotted path
            found = load(name, self.key)
            if not self.holds(found):
                raise InputError(f"{self.key}: {echo(name)} is not a subclass of raynas.search_space.SearchSpace")
            return found
        classes = space_classes()
        if name not in classes:
            raise InputError(
                f"{self.key}: expected one of {', '.join(classes)} or the dotted path of your own class "
                f"(package.module.Class), got {echo(name)}"
            )
        return classes[name]

    def path_of(self, row: type[SearchSpace], module: str = "") -> str:
        """Returns how a run file names a space: by its name, or by the dotted path of the class.

        Raises:
            InputError: If no module that can be imported states the class under a name.
        """
        return super().path_of(row, module or row.__module__)


SPACES = SpaceFamily("space.name", type, __name__)
"""The spaces."""
