"""What is refused in YAML, with its line and its key, and how scalars are read."""

from typing import Any

import pytest

from raynas.config.yaml_text import DEEPEST, LARGEST, MOST_VALUES, read_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "job, line 3: a: given twice, first in line 1; leave one out"),
        ("train: {epochs: 1}\nseed: 2\ntrain:\n  epochs: 3\n", "job, line 3: train: given twice, first in line 1"),
        ("train:\n  epochs: 1\n  epochs: 1\n", "job, line 3: train.epochs: given twice, first in line 2"),
        ("sweep:\n  keys:\n  - {a: 1, a: 2}\n", "job, line 3: sweep.keys.0.a: given twice, first in line 3"),
        ("a: {b: .inf}", "job, line 1: a.b: expected a finite number, got .inf"),
        ("a: [1.0, -.Inf]", "job, line 1: a.1: expected a finite number, got -.Inf"),
        ("a: .nan", "job, line 1: a: expected a finite number, got .nan"),
        ("a: 1e999", "job, line 1: a: expected a finite number, got 1e999"),
        ("a: !!float 1__e", "job, line 1: a: expected a finite number, got 1__e"),
        ("1: x", "job, line 1: expected a text as key, got 1; put it in quotes"),
        ("a:\n  true: x", "job, line 2: expected a text as key, got true; put it in quotes"),
        ("on: x", "job, line 1: expected a text as key, got on"),
        ("[a]: x", "job, line 1: expected a text as key, got a sequence"),
        ("a: !!python/name:os.system x", "job, line 1: a: expected a text, number, list or section, got "),
        ("a: !!binary aGk=", "job, line 1: a: expected a text, number, list or section, got "),
        ("a: !!set {b}", "job, line 1: a: expected a text, number, list or section, got "),
        ("a: !!int b", "job: not YAML: invalid literal for int"),
        ("a: !!bool b", "job: not YAML: 'b'"),
        ('a: "\\0"', "job, line 1: a: expected text, got '\\x00'"),
        ('a: "\\ud800"', "job, line 1: a: expected text, got '\\ud800'"),
        ("a: \x1b[2J", "job: not YAML: character 4 is '\\x1b', which no text has"),
        ("a:\n\tb: 1", "job: not YAML: line 2, column 1: while scanning for the next token, found character '\\t'"),
        ("a: 1\n---\na: 2\n", "job: not YAML: line 2, column 1: expected a single document"),
        ("a: [1", "job: not YAML: line 1, column 6: while parsing a flow sequence, expected ',' or ']'"),
        ("a: *b", "job: not YAML: line 1, column 4: found undefined alias 'b'"),
        ("a: &a [*a]", "job, line 1: expected sections, values and lists, got an alias within what it stands for"),
        ("a: &a\n  <<: *a", "job, line 1: expected sections, values and lists, got an alias within"),
        ("a: " + "[" * DEEPEST + "]" * DEEPEST, "job: not YAML: line 1, column 53: more than 50 levels in each other"),
        ("a: {<<: 3}", "job: not YAML: line 1, column 9: << takes sections only"),
        ("a: " + "[" * 100_000, "job: not YAML: line 1, column 53: more than 50 levels in each other"),
        ("#" * (LARGEST + 1), "job: expected at most 1,000,000 characters of YAML, got 1,000,001"),
        ("a: " + "1" * 5_000, "job: not YAML: Exceeds the limit"),
    ],
)
def test_what_would_be_lost_or_changed_without_a_word_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_yaml(text, "job")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_few_aliases_that_stand_for_billions_of_values_are_refused_at_once() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ValueError, match=f"expected at most {MOST_VALUES:,} keys and values, got [0-9,]+; use fewer"):
        read_yaml("\n".join(lines), "job")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("007", "007"),
        ("010", "010"),
        ("1:30", "1:30"),
        ("2024-01-31", "2024-01-31"),
        ("1e-4", 1e-4),
        ("6_00e6", 6e8),
        ("-1.5E+3", -1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("0", 0),
        ("-12", -12),
        ("1_000", 1000),
        ("0x1f", 31),
        ("true", True),
        ("no", False),
        ("~", None),
        ("'1'", "1"),
    ],
)
def test_scalars_are_what_people_mean_by_them(text: str, value: Any) -> None:
    read = read_yaml(text, "job")
    assert (read, type(read)) == (value, type(value))


def test_anchors_and_merge_keys_stand_for_what_they_repeat() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  y: 3\nc:\n  <<: *b\n  x: 4\n"
    assert read_yaml(text, "job") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 4, "y": 3}}
    text = "a: &a {rate: 1}\nb: &b {rate: 2, epochs: 3}\nc: {<<: [*a, *b]}\nd: {epochs: 4, <<: [*b, *a]}"
    read = read_yaml(text, "job")
    assert (read["c"], read["d"]) == ({"rate": 1, "epochs": 3}, {"rate": 2, "epochs": 4})


def test_as_many_levels_as_a_run_file_may_need_are_read() -> None:
    read = read_yaml("a: " + "[" * (DEEPEST - 2) + "1" + "]" * (DEEPEST - 2), "job")
    for _ in range(DEEPEST - 2):
        (read,) = read.values() if isinstance(read, dict) else read
    assert read == [1]


def test_line_ends_of_windows_are_line_ends() -> None:
    assert read_yaml("a: 1\r\nb:\r\n  c: x\r\n", "job") == {"a": 1, "b": {"c": "x"}}
