"""A space by its name and keys, as a run file or the record of a network states them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raynas.config.explain import check_arguments
from raynas.errors import InputError
from raynas.failures import described
from raynas.messages import shortened
from raynas.search_space import SearchSpace
from raynas.spaces import SPACES


def made_space(name: str, arguments: Mapping[str, Any]) -> SearchSpace:
    """Returns a space. A dotted path of the user's own imports its module.

    Args:
        name: The name of a space, or the dotted path of a class.
        arguments: Its further keys.

    Raises:
        InputError: If there is no such space, or it does not take the keys.
    """
    space_class = SPACES.row(name)
    try:
        return space_class(**check_arguments(space_class, arguments, "space"))
    except InputError:
        raise
    except (Exception, SystemExit) as error:  # of code that is not ours
        raise InputError(
            f"space: {shortened(name)} cannot be made: {described(error)}; correct its keys or its class"
        ) from error
