"""Every key of a run file is documented; the JSON schema says what the sections say."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from raynas.config.json_schema import run_file_schema
from raynas.config.key_docs import REQUIRED, key_docs, kind_in_words, section_docs
from raynas.config.nested import flatten
from raynas.config.run_config import RunConfig
from raynas.config.yaml_text import read_yaml
from raynas.spaces import SPACES
from tests.fuzz.cases import leaves
from tests.stages.runs import ROOT

SMALLEST = "name: small\nspace: {name: nasbench201}\ndata: {name: digits}\n"


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = run_file_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_every_key_and_section_has_a_text() -> None:
    assert [key.key for key in key_docs() if len(key.text) < 5] == []
    assert [name for name, text in section_docs().items() if len(text) < 15] == []


def test_every_key_of_the_sections_is_documented() -> None:
    documented = {key.key for key in key_docs()}
    assert {key for key, _, _ in leaves()} <= documented


def test_defaults_are_those_of_an_empty_file() -> None:
    values = flatten(RunConfig.model_validate(yaml.safe_load(SMALLEST)).model_dump())
    checked = 0
    for key in key_docs():
        if key.default is REQUIRED or key.key not in values or key.key in ("search.name", "search.fitness"):
            continue
        assert values[key.key] == key.default, key.key
        checked += 1
    assert checked > 100


def test_keys_of_a_space_are_the_arguments_of_its_class() -> None:
    for name in SPACES.names():
        space = SPACES.row(name)()
        for key in key_docs():
            if key.space == name:
                assert getattr(space, key.name) == key.default


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 1_000_000}, "integer, 1 to 1,000,000"),
        ({"type": "integer", "minimum": 1, "maximum": 10**9}, "integer, at least 1"),
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number, above 0 and at most 1"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "true or false"),
        ({"enum": ["a", "b"]}, "a or b"),
        ({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "number"}}, "list of 2 x (number)"),
        ({"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63}, "integer, at least 0 and below 2^63"),
    ],
)
def test_types_are_said_in_words(schema: dict[str, Any], words: str) -> None:
    assert kind_in_words(schema) == words


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_schema_accepts_every_job(job: Any, validator: Any) -> None:
    assert [error.message for error in validator.iter_errors(read_yaml(job.read_text(), job.name))] == []


@pytest.mark.parametrize(
    "lines",
    [
        "train: {epochs: 0}",
        "train: {epoch: 1}",
        "algorithm: rlna",
        "search: {fitness: [angle]}",
        "quick: {train: {epoch: 1}}",
        "quick: 3",
        "sweep: {metric: tau}",
        "sweep: {keys: {seed: {seeds: 0}}}",
        "sweep: {keys: {seed: null}}",
        "nonsense: 1",
    ],
)
def test_the_schema_refuses_what_a_key_does_not_take(lines: str, validator: Any) -> None:
    assert not list(validator.iter_errors(yaml.safe_load(SMALLEST)))
    assert list(validator.iter_errors(yaml.safe_load(SMALLEST + lines)))


def test_the_schema_knows_the_keys_of_each_space(validator: Any) -> None:
    wrong = yaml.safe_load("space: {name: darts, width: 2}\ndata: {name: digits}")
    assert list(validator.iter_errors(wrong))
    own = yaml.safe_load("space: {name: my.Space, width: 2}\ndata: {name: digits}")
    assert not list(validator.iter_errors(own))


def test_the_schema_describes_every_key() -> None:
    schema = run_file_schema()
    sections = [schema, *(schema["$defs"][name] for name in ("TrainSection", "SearchSection", "SweepSection", "Axis"))]
    for section in sections:
        for name, value in section["properties"].items():
            described = value.get("description") or schema["$defs"].get(_named(value), {}).get("description")
            assert described, name


def _named(value: dict[str, Any]) -> str:
    references = [value, *value.get("anyOf", ()), value.get("items", {}), value.get("additionalProperties") or {}]
    return next((part["$ref"].rpartition("/")[2] for part in references if "$ref" in part), "")
