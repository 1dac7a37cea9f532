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
from raynas.members import by_name, load, stated_in
from raynas.messages import echo
from raynas.search_space import SearchSpace


@functools.cache
def space_classes() -> Mapping[str, type[SearchSpace]]:
    """Returns the spaces that raynas brings along by their names, sorted."""
    return by_name(__name__, (value for value in stated_in(__name__) if _is_named_space(value)))


def _is_named_space(value: object) -> TypeGuard[type[SearchSpace]]:
    """Returns whether something is a space with a name of its own, not that of its parent or of none."""
    return _is_space(value) and "name" in vars(value)


def _is_space(value: object) -> TypeGuard[type[SearchSpace]]:
    return inspect.isclass(value) and issubclass(value, SearchSpace)


def load_space_class(name: str) -> type[SearchSpace]:
    """Returns the class of a space, given its name or the dotted path of a user's own class.

    Importing a class of the user's own executes its module. It may lie in the folder that raynas was started in.

    Raises:
        InputError: If there is no such space.
    """
    if name.rpartition(".")[0]:  # a dotted path
        found = load(name, "space.name")
        if not _is_space(found):
            raise InputError(f"space.name: {echo(name)} is not a subclass of raynas.search_space.SearchSpace")
        return found
    classes = space_classes()
    if name not in classes:
        raise InputError(
            f"space.name: expected one of {', '.join(classes)} or the dotted path of your own class "
            f"(package.module.Class), got {echo(name)}"
        )
    return classes[name]
