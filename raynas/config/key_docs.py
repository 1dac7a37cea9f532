"""What each key of a run file means: its type, default, documentation, and the names that it accepts.

All of it is read from the sections: types and bounds from their fields, texts from their docstrings, names from the
families of members. Key reference, `raynas explain`, `raynas new` and the JSON schema state nothing of their own.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from raynas.algorithms import ALGORITHMS
from raynas.config.named import AnyFamily, naming_keys
from raynas.config.run_config import FILLED_BY_ALGORITHM, RunConfig
from raynas.config.sweeps import SweepSection
from raynas.data.image_source import DATASETS
from raynas.docstrings import attribute_docs, plain, summary
from raynas.options import MOST, Execution
from raynas.spaces import SPACES

REQUIRED = object()
"""The default of a key that a file has to state."""

QUICK = (
    "Keys that win over the others of the file where `--quick` is given: the same run in small. The name of the run "
    "then ends in `-quick`."
)


@dataclass(frozen=True)
class KeyDoc:
    """A key of a run file.

    Attributes:
        key: The dotted key, such as ``train.epochs``.
        schema: The JSON schema of its values.
        default: Its default; `REQUIRED` of a key that has none.
        text: What it means.
        family: The members that it names; None of other keys.
        execution: Its mark, if it says where and how a run is executed, not what it computes.
        space: Of a key of one space: the name of the space.
        data_set: Of a key of one data set: the name of the data set.
    """

    key: str
    schema: Mapping[str, Any]
    default: Any
    text: str
    family: AnyFamily | None = None
    execution: Execution | None = None
    space: str | None = None
    data_set: str | None = None

    @property
    def owner(self) -> str:
        """The space or data set that the key belongs to; empty of a key of the section."""
        return self.space or self.data_set or ""

    @property
    def section(self) -> str:
        """The dotted name of its section; empty at the top of the file."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name inside the section."""
        return self.key.rpartition(".")[2]

    @property
    def kind(self) -> str:
        """Its type and bounds in words."""
        return "name" if self.family is not None else kind_in_words(self.schema)


@functools.cache
def key_docs() -> tuple[KeyDoc, ...]:
    """Returns every key of a run file that raynas knows, in the order of the sections."""
    keys = list(_keys_of(RunConfig, ""))
    place = next(number for number, key in enumerate(keys) if key.key == "space.name") + 1
    keys[place:place] = [key for name in SPACES.names() for key in space_keys(name)]
    place = next(number for number, key in enumerate(keys) if key.key == "data.name") + 1
    keys[place:place] = [key for name in DATASETS.names() for key in data_keys(name)]
    return (*keys, *_keys_of(SweepSection, "sweep."))


def section_docs() -> dict[str, str]:
    """Returns what each section of a run file holds, by its dotted name."""
    texts = dict(_section_docs_of(RunConfig, ""))
    return {**texts, "quick": QUICK, "sweep": summary(SweepSection), **dict(_section_docs_of(SweepSection, "sweep."))}


def space_keys(name: str) -> Iterator[KeyDoc]:
    """Yields the further keys of a space of raynas."""
    space = SPACES.row(name)
    texts = attribute_docs(space)
    hints = typing.get_type_hints(space.__init__, include_extras=True)
    for key, parameter in inspect.signature(space).parameters.items():
        schema = TypeAdapter(hints.get(key, Any)).json_schema()
        default = REQUIRED if parameter.default is parameter.empty else parameter.default
        yield KeyDoc(f"space.{key}", schema, default, texts.get(key, ""), space=name)


def data_keys(name: str) -> Iterator[KeyDoc]:
    """Yields the further keys of a data set of raynas."""
    for key in _keys_of(DATASETS.row(name).options, "data."):
        yield replace(key, data_set=name)


def filled_values(key: str) -> dict[str, Any]:
    """Returns what each algorithm fills in for an open key, by the algorithm's name; empty of other keys."""
    entry = FILLED_BY_ALGORITHM.get(key)
    if entry is None:
        return {}
    return {name: row.in_words()[entry] for name, row in ALGORITHMS.rows().items()}


def kind_in_words(schema: Mapping[str, Any]) -> str:
    """Returns the type and bounds of a JSON schema in words, such as ``integer, 1 to 1,000,000``."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        kinds = [kind_in_words(part) for part in schema["anyOf"] if part.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return f"{kind}{_bounds(schema)}"
    if kind == "array":
        items = kind_in_words(schema.get("items", {}))
        least, most = schema.get("minItems"), schema.get("maxItems")
        return f"list of {least} x ({items})" if least is not None and least == most else f"list of ({items})"
    words = {"boolean": "true or false", "string": "text", "object": "section"}
    return words.get(str(kind), "any value")


def _bounds(schema: Mapping[str, Any]) -> str:
    """Returns the bounds of a number in words, with a comma before them; empty without bounds."""
    least, most = schema.get("minimum"), schema.get("maximum")
    most = None if most == MOST else most
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and most is not None:
        return f", {least:,} to {most:,}"
    words = {"at least": least, "above": above, "at most": most, "below": below}
    parts = [f"{word} {_figure(bound)}" for word, bound in words.items() if bound is not None]
    return f", {' and '.join(parts)}" if parts else ""


def _figure(bound: float) -> str:
    return "2^63" if bound == 2**63 else f"{bound:,}"


def _keys_of(model: type[BaseModel], prefix: str) -> Iterator[KeyDoc]:
    """Yields the keys of a section and of the sections inside it."""
    texts, families = attribute_docs(model), dict(naming_keys(model))
    properties = model.model_json_schema()
    definitions = properties.get("$defs", {})
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is not None:
            yield from _keys_of(section, f"{prefix}{name}.{_any_name(field)}")
            continue
        marks = [mark for mark in field.metadata if isinstance(mark, Execution)]
        yield KeyDoc(
            f"{prefix}{name}",
            inlined(properties["properties"][name], definitions),
            REQUIRED if field.is_required() else field.get_default(call_default_factory=True),
            texts.get(name) or field.description or "",
            families.get(name),
            marks[0] if marks else None,
        )


def _section_docs_of(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    """Yields the sections inside a section, each with its text."""
    for name, field in model.model_fields.items():
        section = section_of(field)
        if section is not None:
            inside = f"{prefix}{name}.{_any_name(field)}"
            yield inside.rstrip("."), plain(summary(section))
            yield from _section_docs_of(section, inside)


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Returns the class of a section, also of one that can be left out; None of other keys."""
    annotation = field.annotation
    for part in (annotation, *typing.get_args(annotation)):
        if inspect.isclass(part) and issubclass(part, BaseModel):
            return part
    return None


def _any_name(field: FieldInfo) -> str:
    """Returns ``KEY.`` if a field has sections by names of the user's own, such as the axes of a sweep."""
    annotation = field.annotation
    return "KEY." if typing.get_origin(annotation) is dict else ""


def inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Returns a JSON schema with references replaced by what they name."""
    if isinstance(schema, list):
        return [inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return inlined(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {key: inlined(value, definitions) for key, value in schema.items()}
