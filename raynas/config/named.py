"""Keys of the run file that name a member: by the name of a row, by a dotted path, or in Python by the row itself."""

from __future__ import annotations

import functools
from typing import Any

from pydantic import BeforeValidator

from raynas.config.explain import name_of
from raynas.members import Family


def named(family: Family[Any]) -> BeforeValidator:
    """Returns the validator of a key that names a row of a family; a row is replaced by its name.

    Example:
        ``sampling: Annotated[str, named(SAMPLINGS)] | None = None``
    """
    return BeforeValidator(functools.partial(name_of, family))
