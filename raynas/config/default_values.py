"""The values that a stored configuration would have had, had its run file left every key open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raynas.config.nested import flatten
from raynas.config.run_config import own_members, parse_config
from raynas.errors import InputError

GIVEN = ("name", "algorithm", "space.name", "data.name", "data.path")
"""Keys that a run file gives, or that decide which defaults there are."""


def default_values(config: Mapping[str, Any], own: bool = False) -> dict[str, object]:
    """Returns the defaults of a configuration by dotted keys, without the keys that its file has to give.

    Args:
        config: The configuration as plain values.
        own: Whether members of the user's own may be imported, since the user carries the run out.

    Returns:
        The defaults; none for a configuration with members that may not be imported, or that this version refuses.
    """
    if own_members(config) and not own:
        return {}
    flat = flatten(config)
    given: dict[str, Any] = {"name": "defaults", "space": {}, "data": {}}
    for key in GIVEN[1:]:
        section, dot, name = key.rpartition(".")
        if key in flat:
            (given[section] if dot else given)[name] = flat[key]
    try:
        parsed = parse_config(given).model_dump(mode="json")
    except InputError:
        return {}
    values = flatten(parsed)
    # The supernets of a run are those of its seed, unless its file names others.
    values["train.base_seeds"] = [flat.get("seed")]
    return {key: value for key, value in values.items() if key not in GIVEN}
