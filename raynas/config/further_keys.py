"""Sections of the run file that have the options of the members named in them as further keys."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from raynas.config.explain import own_words, raised_again
from raynas.config.named import naming_keys
from raynas.options import Options

if TYPE_CHECKING:
    from typing_extensions import Self

OptionsKind = TypeVar("OptionsKind", bound=Options)


class SectionOfMembers(Options):
    """A section with keys that name members. The options of these members are keys of the section too.

    A member that raynas brings along has its options among the section's own keys, or states them as further keys.
    """

    model_config = ConfigDict(extra="allow")

    @model_validator(mode="wrap")
    @classmethod
    def _with_further_keys(cls, values: Any, parse: ModelWrapValidatorHandler[Self]) -> Self:
        """Checks the further keys, and adds those that the file leaves out with their defaults.

        Raises:
            ValidationError: If a key or value is not what it should be, with one entry for each.
        """
        if not isinstance(values, Mapping):
            return parse(values)
        named = _options_named_in(cls, values)
        if named is None:
            return parse(values)
        known = {key: value for key, value in values.items() if key in cls.model_fields}
        further, of_members = _checked(named, values, cls.model_fields)
        unknown = _unknown_keys(cls, named, values)
        try:
            section = parse({**known, **further})
        except ValidationError as error:
            mistakes = raised_again(error)
            said = {mistake["loc"][:1] for mistake in mistakes}
            mistakes += [mistake for mistake in of_members if mistake["loc"][:1] not in said]
        else:
            mistakes = of_members
        mistakes += unknown
        if mistakes:
            raise ValidationError.from_exception_data(cls.__name__, mistakes, hide_input=True)
        section.model_fields_set.difference_update(set(further) - set(values))  # defaults, which the file leaves out
        return section

    def options_of(self, kind: type[OptionsKind]) -> OptionsKind:
        """Returns the options of a member, which are keys of this section."""
        if isinstance(self, kind):
            return self
        values = {**dict(self), **(self.model_extra or {})}
        return kind.model_validate({key: values[key] for key in kind.model_fields if key in values})


def _options_named_in(section: type[Options], values: Mapping[str, Any]) -> list[type[Options]] | None:
    """Returns the classes of options of the members that a section names; None if there is no such member.

    Which keys there are is not known then. The validator of the key that names the member says why.
    """
    found: list[type[Options]] = []
    for key, family in naming_keys(section):
        names = values.get(key)
        for name in names if isinstance(names, list | tuple) else [names]:
            try:
                row = family.row(name) if isinstance(name, str) else name
            except ValueError:
                return None
            if family.holds(row) and hasattr(row, "options"):
                found.append(row.options)
    return found


def _checked(
    members: Sequence[type[Options]], values: Mapping[str, Any], of_section: Mapping[str, Any]
) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    """Returns the options of members as keys of a section, and the mistakes in them.

    Args:
        members: The classes of options.
        values: What the file says.
        of_section: The section's own keys. Where the file leaves out one of these, the default of the member counts.
    """
    options: dict[str, Any] = {}
    mistakes: list[InitErrorDetails] = []
    for member in members:
        given = {key: values[key] for key in member.model_fields if key in values}
        try:
            checked = member.model_validate(given)
        except ValidationError as error:
            mistakes += raised_again(error)
            continue
        for key in member.model_fields:
            if key not in of_section or key not in values:
                options.setdefault(key, getattr(checked, key))
    return options, mistakes


def _unknown_keys(
    section: type[Options], members: Sequence[type[Options]], values: Mapping[str, Any]
) -> list[InitErrorDetails]:
    """Returns a mistake for each key that neither the section nor a member knows."""
    known = list(section.model_fields)
    for member in members:
        known += [key for key in member.model_fields if key not in known]
    mistakes: list[InitErrorDetails] = []
    for key, value in values.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            suggestion = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            mistakes.append(InitErrorDetails(type=own_words(f"unknown key; {suggestion}"), loc=(key,), input=value))
    return mistakes
