"""The values that a stored configuration would have had, had its run file left every key open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raynas.config.nested import flatten
from raynas.config.run_config import own_members, parse_config
from raynas.errors import InputError

GIVEN = ("name", "algorithm", "space.name", "data.name", "data.path")
"""Keys that a run file gives, or that decide which defaults there are."""


def default_values(config: Mapping[str, Any]) -> dict[str, object]:
    """Returns the defaults of a stored configuration by dotted keys, without the keys that its file has to give.

    Nothing of the user's own is imported: a configuration that names members by dotted paths has no known defaults,
    and so has one that this version does not accept. The result is then empty.
    """
    if own_members(config):
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
