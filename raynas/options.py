"""What the options of a part are made of: checked values with a name, a default and a documentation.

A part of raynas that takes options declares them once, as a subclass of `Options` beside its code. The section of the
run file is composed of these classes.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, ClassVar, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from raynas.messages import echo, shortened

MOST = 10**9
"""The largest whole number that a key takes, but for seeds and for keys with a smaller bound of their own."""
Positive = Annotated[int, Field(ge=1, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Processes = Annotated[int, Field(ge=1, le=100_000)]
"""Processes, or the CPUs or threads of one."""
Images = Annotated[int, Field(ge=1, le=1_000_000)]
"""Images, or architectures, of which one process holds all at a time."""
Pixels = Annotated[int, Field(ge=0, le=4_096)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(gt=0, le=1)]


def _expanded(location: str) -> str:
    """Returns a path or URL with ``~`` and variables such as ``$HOME`` or ``${HOME}`` replaced by what they stand for.

    Raises:
        ValueError: If a variable is not set, or there is no such user.
    """
    for name in re.findall(r"\$(\w+)|\$\{([^}]*)\}", location):
        variable = "".join(name)
        if variable not in os.environ:
            raise ValueError(
                f"expected variables that are set, got {echo(location)}, and {shortened(variable)} is not; set it, or "
                "write the path out"
            )
    expanded = os.path.expanduser(os.path.expandvars(location))
    if expanded.startswith("~"):
        raise ValueError(f"expected a user's home, got {echo(location)}; write the path out, or ./ before the name")
    if not expanded:
        raise ValueError(f"expected a path, got {echo(location)}; leave the key out for the default")
    return expanded


Location = Annotated[str, AfterValidator(_expanded)]
"""A path or a URL."""


class Options(BaseModel):
    """Options of a part of raynas: unknown keys, wrong types and numbers that are not finite are refused."""

    further_keys: ClassVar[tuple[str, ...]] = ()
    """Keys that a file may have beside these, which are read before the others."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, hide_input_in_errors=True)


OptionsType = TypeVar("OptionsType", bound=Options)
