"""Keys of a section that the member named there takes, beside those of the section itself."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import InitErrorDetails

from raynas.config.explain import own_words, raised_again
from raynas.options import Options

SectionType = TypeVar("SectionType", bound=Options)


def parse_with_further_keys(
    section: type[SectionType],
    values: Any,
    parse: Callable[[Any], SectionType],
    options: type[Options],
) -> SectionType:
    """Returns a section with the further keys of a member, checked, and with the defaults of those left out.

    Args:
        section: The section, which accepts keys beside its own.
        values: What the file says.
        parse: Checks the section's own keys.
        options: The further keys that the named member takes.

    Raises:
        ValidationError: If a key or value is not what it should be, with one entry for each.
    """
    if not isinstance(values, Mapping):
        return parse(values)
    mistakes: list[InitErrorDetails] = []
    further = {key: value for key, value in values.items() if key not in section.model_fields}
    try:
        values = {**values, **options.model_validate(further).model_dump()}
    except ValidationError as error:
        mistakes += [_with_suggestion(mistake, section, options) for mistake in raised_again(error)]
    try:
        parsed = parse(values)
    except ValidationError as error:
        mistakes += raised_again(error)
    if mistakes:
        raise ValidationError.from_exception_data(section.__name__, mistakes)
    return parsed


def _with_suggestion(mistake: InitErrorDetails, section: type[Options], options: type[Options]) -> InitErrorDetails:
    """Returns the mistake; an unknown key is said with the keys of section and member together."""
    if mistake["type"] != "extra_forbidden" or not options.model_fields:
        return mistake
    key = str(mistake["loc"][-1])
    known = [*section.model_fields, *options.model_fields]
    close = difflib.get_close_matches(key, known, n=1)
    suggestion = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return InitErrorDetails(type=own_words(f"unknown key; {suggestion}"), loc=mistake["loc"], input=mistake["input"])
