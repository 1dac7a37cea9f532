"""Errors of pydantic in the words of a run file: the key, what was expected, what came, and the remedy."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError

from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.options import Options, OptionsType

OWN_WORDS = "own_words"
"""The type of mistakes whose message is complete."""


def own_words(message: str) -> PydanticCustomError:
    """Returns an error to raise in a validator, whose message stands after the key as it is."""
    return PydanticCustomError(OWN_WORDS, "{message}", {"message": message})


def raised_again(error: ValidationError) -> list[InitErrorDetails]:
    """Returns the mistakes of an error, such that they can be raised together with others."""
    mistakes: list[InitErrorDetails] = []
    for mistake in error.errors():
        kind: str | PydanticCustomError = mistake["type"]
        if kind == OWN_WORDS:
            kind = own_words(mistake["msg"])
        again = InitErrorDetails(type=kind, loc=mistake["loc"], input=mistake["input"])
        if "ctx" in mistake and isinstance(kind, str):
            again["ctx"] = mistake["ctx"]
        mistakes.append(again)
    return mistakes


def parse_section(values: Any, section: type[OptionsType], key: str) -> OptionsType:
    """Returns a section of plain values.

    Args:
        values: What the file says.
        section: Its model.
        key: Its name, which leads those of its keys in messages.

    Raises:
        InputError: If a key or value is not what it should be; one line for each.
    """
    try:
        return section.model_validate(values)
    except ValidationError as error:
        raise InputError(explain(error, section, key)) from error


def check_arguments(function: Callable[..., object], arguments: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Returns `arguments` checked against the names and types of a function's or class's parameters.

    Raises:
        InputError: If one is unknown, missing or of the wrong type; `section` leads the key's name.
    """
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    fields: dict[str, Any] = {
        key: (hints.get(key, Any), ... if parameter.default is parameter.empty else parameter.default)
        for key, parameter in parameters.items()
    }
    model = create_model(section, __base__=Options, **fields)
    try:
        return {key: value for key, value in model.model_validate(dict(arguments)) if key in arguments}
    except ValidationError as error:
        raise InputError(explain(error, model, section)) from error


def explain(error: ValidationError, model: type[BaseModel], section: str = "") -> str:
    """Returns one line for each mistaken key: as the user wrote it, what was expected, and what came."""
    lines: dict[str, str] = {}
    for mistake in error.errors():
        parts = [
            str(part)
            for part in mistake["loc"]
            if not str(part).startswith(("constrained", "list[", "literal[", "function"))
        ]
        if len(parts) > 1 and parts[-1] in ("int", "bool", "str", "float"):
            parts.pop()  # the member of a union that was tried
        key = shortened(".".join([section, *parts] if section else parts))
        if mistake["type"] == "extra_forbidden":
            lines[key] = f"unknown key; {_suggest(parts, model)}"
        elif mistake["type"] == OWN_WORDS:
            lines[key] = mistake["msg"]
        elif mistake["type"] == "missing":
            lines[key] = "this key is required"
        elif mistake["type"] == "value_error":
            field, colon, message = str(mistake["ctx"]["error"]).partition(": ")
            lines[".".join(filter(None, (key, field))) if colon else key] = message or field
        else:
            expectation = mistake["msg"].removeprefix("Input should be ").removeprefix("String should ")
            expectation = expectation.replace("List should have", "a list of").replace(" after validation", "")
            got = "nothing" if mistake["input"] is None else echo(mistake["input"])
            if mistake["type"] == "string_type" and isinstance(mistake["input"], bool | int | float):
                got += "; put it in quotes"
            tried = lines[key].partition(", got ")[0] + " or" if key in lines else "expected"
            lines[key] = f"{tried} {expectation}, got {got}"
    return "\n".join(f"{key}: {line}" for key, line in lines.items())


def _suggest(parts: Sequence[str], model: type[BaseModel]) -> str:
    """Returns which keys there are where an unknown one stands, the likeliest first."""
    for part in parts[:-1]:
        if part in model.model_fields:
            annotation = model.model_fields[part].annotation
            sections = (annotation, *typing.get_args(annotation))  # a section, or sections by name
            model = next((one for one in sections if inspect.isclass(one) and issubclass(one, BaseModel)), model)
    keys = [*model.model_fields, *getattr(model, "further_keys", ())]
    close = difflib.get_close_matches(parts[-1], keys, n=1)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(keys) or 'none'}"
