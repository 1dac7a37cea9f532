"""What can be searched, one file a space: the space, its cell, its supernet, its derived network."""

from __future__ import annotations

import importlib
import inspect

from raynas.failures import described
from raynas.messages import echo, shortened
from raynas.own_modules import extend_search_path
from raynas.search_space import SearchSpace

SPACES: dict[str, str] = {
    "nasbench201": "raynas.spaces.nasbench201.NasBench201",
    "darts": "raynas.spaces.darts.Darts",
    "quadruples": "raynas.spaces.quadruples.Quadruples",
    "mobilenet": "raynas.spaces.mobilenet.MobileNet",
}
"""The built-in spaces, by the name a run file uses. A space of your own is named by its dotted path."""


def is_own(name: str) -> bool:
    """Returns whether `space.name` is the dotted path of a class of the user's own."""
    return "." in name and name not in SPACES


def load_space_class(name: str) -> type[SearchSpace]:
    """Returns the class of the space called `name`: a key of `SPACES` or the dotted path of a user's own class.

    Importing a class of the user's own executes its module. It may lie in the folder that raynas was started in.

    Raises:
        ValueError: If there is no such space.
    """
    module_name, _, class_name = SPACES.get(name, name).rpartition(".")
    if not module_name:
        raise ValueError(
            f"space.name: expected one of {', '.join(SPACES)} or the dotted path of your own class "
            f"(package.module.Class), got {echo(name)}"
        )
    if is_own(name):
        extend_search_path()
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"space.name: cannot import {echo(name)} ({shortened(str(error), 300)}); it must be importable where "
            "raynas runs, for example from the directory it is started in"
        ) from error
    except (Exception, SystemExit) as error:  # of code that is not ours
        raise ValueError(
            f"space.name: importing {echo(name)} ends in {described(error)}; correct that module"
        ) from error
    if not (inspect.isclass(found) and issubclass(found, SearchSpace)):
        raise ValueError(f"space.name: {echo(name)} is not a subclass of raynas.search_space.SearchSpace")
    return found
