"""The JSON schema of run files, from which editors complete and check keys.

Types, bounds and defaults are those of the sections, descriptions those of their docstrings, and the names that a key
accepts those of the members. Rules that join several keys are not in it: `raynas check` has all of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from raynas.config.key_docs import QUICK, REQUIRED, KeyDoc, key_docs, section_docs, space_keys
from raynas.config.member_docs import member_docs
from raynas.config.named import AnyFamily
from raynas.config.run_config import RunConfig
from raynas.config.sweeps import SweepSection
from raynas.spaces import SPACES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def run_file_schema() -> dict[str, Any]:
    """Returns the JSON schema of a run file, its `quick` block and its `sweep` section included."""
    documented = {key.key: key for key in key_docs() if not key.owner}
    root = _with_docs(RunConfig.model_json_schema(), "", documented)
    sweep = _with_docs(SweepSection.model_json_schema(), "sweep.", documented)
    definitions = {**root.pop("$defs"), **sweep.pop("$defs"), "SweepSection": sweep}
    definitions["SpaceSection"] = _space_schema(documented["space.name"])
    root["properties"]["sweep"] = {"$ref": "#/$defs/SweepSection"}
    root["required"] = [key for key in root["required"] if key != "name"]  # the file's own name by default
    quick = _without_required({key: value for key, value in root.items() if key in ("type", "additionalProperties")})
    quick["properties"] = {key: _relaxed(value) for key, value in root["properties"].items()}
    definitions |= {f"quick.{name}": _without_required(_relaxed(value)) for name, value in definitions.items()}
    _allow_nulls(definitions["quick.SweepSection"]["properties"]["keys"])
    _allow_nulls(definitions["quick.Axis"]["properties"]["variants"]["anyOf"][0])
    root["properties"]["quick"] = {**quick, "description": QUICK}
    title = {"$schema": DIALECT, "title": "Run file of raynas", "description": "A run or sweep of raynas."}
    return {**title, **{key: value for key, value in root.items() if key not in title}, "$defs": definitions}


def _with_docs(schema: dict[str, Any], prefix: str, documented: Mapping[str, KeyDoc]) -> dict[str, Any]:
    """Returns the schema of a section with the texts of its keys, and with the names that they accept."""
    schema = copy.deepcopy(schema)
    _describe(schema, schema, prefix, documented)
    return schema


def _describe(schema: dict[str, Any], root: dict[str, Any], prefix: str, documented: Mapping[str, KeyDoc]) -> None:
    """Adds texts and names to the keys of a section and of the sections inside it, in place."""
    schema.pop("title", None)
    schema["description"] = section_docs().get(prefix.rstrip("."), schema.get("description", ""))
    for name, value in schema.get("properties", {}).items():
        value.pop("title", None)
        key = documented.get(f"{prefix}{name}")
        if key is not None:
            value["description"] = key.text
            if key.family is not None:
                _restrict(value, key.family)
            continue
        reference = _reference_in(value)
        if reference is not None:
            inner = "KEY." if "additionalProperties" in value else ""
            _describe(root["$defs"][reference], root, f"{prefix}{name}.{inner}", documented)


def _reference_in(schema: Any) -> str | None:
    """Returns the name of the first definition that a schema refers to."""
    if isinstance(schema, list):
        return next(filter(None, map(_reference_in, schema)), None)
    if not isinstance(schema, dict):
        return None
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return next(filter(None, map(_reference_in, schema.values())), None)


def _restrict(schema: Any, family: AnyFamily) -> None:
    """Restricts every text of a schema to the names of a family, or to a dotted path, in place."""
    for part in (schema, *schema.get("anyOf", ())):
        if part.get("type") == "array":
            _restrict(part["items"], family)
        elif part.get("type") == "string":
            del part["type"]
            names = [{"const": member.name, "description": member.title} for member in member_docs(family)]
            part["anyOf"] = [*names, _own_path(family)]


def _own_path(family: AnyFamily) -> dict[str, Any]:
    return {"type": "string", "pattern": "\\.", "description": f"the dotted path of your own {family.key}"}


def _space_schema(name: KeyDoc) -> dict[str, Any]:
    """Returns the schema of the section `space`, whose further keys depend on the name."""
    naming: dict[str, Any] = {"type": "string", "description": name.text}
    _restrict(naming, SPACES)
    branches = []
    for space in SPACES.names():
        keys = {key.name: _of_key(key) for key in space_keys(space)}
        of_space = {"properties": {"name": True, **keys}, "additionalProperties": False}
        branches.append({"if": {"properties": {"name": {"const": space}}, "required": ["name"]}, "then": of_space})
    text = section_docs()["space"]
    return {
        "type": "object",
        "description": text,
        "properties": {"name": naming},
        "required": ["name"],
        "allOf": branches,
    }


def _of_key(key: KeyDoc) -> dict[str, Any]:
    """Returns the schema of a key with its text and default."""
    schema = {**key.schema, "description": key.text}
    if key.default is not REQUIRED:
        schema["default"] = list(key.default) if isinstance(key.default, tuple) else key.default
    return schema


def _relaxed(schema: Any) -> Any:
    """Returns a schema that refers to the definitions of the `quick` block, in which nothing is required."""
    if isinstance(schema, list):
        return [_relaxed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    relaxed = {key: _relaxed(value) for key, value in schema.items()}
    if "$ref" in relaxed:
        relaxed["$ref"] = relaxed["$ref"].replace("#/$defs/", "#/$defs/quick.")
    return relaxed


def _without_required(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "required"}


def _allow_nulls(mapping: dict[str, Any]) -> None:
    """Lets a `quick` block take out entries of a mapping by null, in place."""
    mapping["additionalProperties"] = {"anyOf": [mapping["additionalProperties"], {"type": "null"}]}
