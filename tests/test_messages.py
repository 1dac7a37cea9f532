"""How a message quotes what a user wrote."""

from typing import Any

import pytest

from raynas.messages import LONGEST, echo, shortened


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("ten", "'ten'"),
        (3.5, "3.5"),
        (None, "None"),
        ([1, "\x1b[31m"], "[1, '\\x1b[31m']"),
        ("\u202egnp", "'\\u202egnp'"),
        ("a\nb", "'a\\nb'"),
        pytest.param(10**5000, "a huge int", id="huge"),
    ],
)
def test_a_value_is_quoted_as_python_writes_it(value: Any, text: str) -> None:
    assert echo(value) == text


@pytest.mark.parametrize("value", ["x" * 5000, ["x" * 5000], "\x1b" * 5000, {"a": list(range(5000))}])
def test_a_long_value_is_cut(value: Any) -> None:
    assert len(echo(value)) == LONGEST
    assert echo(value).endswith("...")
    assert "\x1b" not in echo(value)


def test_a_text_without_quotes_is_cut_and_escaped_too() -> None:
    assert shortened("a\x07b\x85\ud800") == "a\\x07b\\x85\\ud800"
    assert shortened("y" * 81) == "y" * 77 + "..."
