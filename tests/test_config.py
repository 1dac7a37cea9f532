import math
from pathlib import Path
from typing import get_args

import pytest

from raynas.algorithms import algorithms
from raynas.config import (
    EXECUTION_KEYS,
    DataSection,
    RunConfig,
    SearchSection,
    TrainSection,
    check_arguments,
    flatten,
    load_config,
    parse_config,
)
from raynas.data import DATASETS, LABELS
from raynas.search import SEARCHERS
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.one_shot import SAMPLINGS, Recipe

MINIMAL = "space: {name: nasbench201}\ndata: {name: digits}\n"


def load(tmp_path: Path, text: str = MINIMAL, *overrides: str) -> RunConfig:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    return load_config(file, overrides)


def members(section: type, key: str) -> set[str]:
    """Returns the words that a key accepts."""
    annotation = section.model_fields[key].annotation  # type: ignore[attr-defined]
    words = set(get_args(annotation))
    return {word for part in words for word in (get_args(part) or (part,)) if isinstance(word, str)}


def test_the_words_of_a_run_file_are_the_names_of_the_parts() -> None:
    assert members(DataSection, "name") == set(DATASETS)
    assert members(DataSection, "labels") == set(LABELS)
    assert members(TrainSection, "sampling") == set(SAMPLINGS)
    assert members(SearchSection, "name") == set(SEARCHERS)
    for row in algorithms().values():
        assert row.labels in LABELS
        assert row.sampling in SAMPLINGS
        assert row.search in SEARCHERS
        assert row.fitness in members(SearchSection, "fitness")


def test_the_defaults_are_those_of_the_paper_and_of_the_recipe(tmp_path: Path) -> None:
    train = load(tmp_path).train
    assert (train.epochs, train.batch_size) == (250, 64)
    assert (train.learning_rate, train.min_learning_rate, train.momentum) == (0.025, 0.001, 0.9)
    assert (train.weight_decay, train.nesterov) == (5e-4, True)
    recipe = Recipe()
    for key in set(Recipe.__dataclass_fields__) & set(TrainSection.model_fields):
        assert getattr(train, key) == getattr(recipe, key)


def test_what_a_file_leaves_open_comes_from_its_algorithm(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.data.labels, config.train.sampling) == ("random", "uniform")
    assert (config.search.name, config.search.fitness) == ("evolution", "angle")
    assert config.base_seeds == [0]
    assert load(tmp_path, MINIMAL, "data.labels=true").data.labels == "true"
    assert load(tmp_path, MINIMAL, "data.labels=shuffled").data.labels == "shuffled"


def test_a_run_is_named_after_its_file_and_keeps_all_it_resolved(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL, f"storage_path={tmp_path}")
    assert config.folder == tmp_path / "job"
    assert parse_config(config.model_dump()) == config


@pytest.mark.parametrize("text", ["1e-4", "1.0e-4", "0.0001", "1E-4", "+1e-4"])
def test_numbers_are_read_as_people_write_them(tmp_path: Path, text: str) -> None:
    rate = load(tmp_path, MINIMAL, f"train.learning_rate={text}", "train.min_learning_rate=0").train.learning_rate
    assert math.isclose(rate, 1e-4)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "train.epoch: unknown key; did you mean epochs?"),
        ("sead=3", "sead: unknown key; did you mean seed?"),
        ("search.limits.flops=3", "search.limits.flops: unknown key; there are max_parameters, min_parameters"),
        ("train.epochs=ten", "train.epochs: expected a valid integer, got 'ten'"),
        ("train.epochs=true", "train.epochs: expected a valid integer, got True"),
        ("train.epochs=0", "train.epochs: expected greater than or equal to 1, got 0"),
        ("train.batch_size=1.5", "train.batch_size: expected a valid integer, got 1.5"),
        ("train.workers=x", "train.workers: expected a valid integer or a valid list, got 'x'"),
        ("train.workers=[4, 2]", "train.workers: expected [min, max] with min <= max, got [4, 2]"),
        ("train.workers=65", "train.workers: 65 workers cannot share batches of 64 images; raise train.batch_size"),
        ("train.momentum=0", "train.nesterov: needs a momentum above 0; set train.nesterov to false"),
        ("train.learning_rate=1e-4", "train.min_learning_rate: expected at most train.learning_rate (0.0001)"),
        ("train.base_seeds=[1, 1]", "train.base_seeds: expected different seeds, got [1, 1]"),
        ("data.labels=none", "data.labels: expected 'true', 'random', 'shuffled'"),
        ("data.name=mnist", "data.name: expected 'digits', 'cifar10'"),
        ("data.train_portion=0", "data.train_portion: expected greater than 0, got 0"),
        ("algorithm=darts2", "algorithm: expected one of rlnas, spos, random_search, training_free, got 'darts2'"),
        ("storage_path=s3://bucket", "storage_path: expected a folder that this machine and all workers see"),
        ("name=a/b", "name: expected match pattern"),
        ("space={}", "space.name: this key is required"),
        ("train=5", "train: expected a valid dictionary"),
        ("train.epochs", "--set: expected key=value such as train.epochs=10, got 'train.epochs'"),
        ("seed.x=3", "--set seed.x=3: seed is a value, not a section"),
        ("train.epochs=[", "--set train.epochs=[: not YAML"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError) as mistake:
        load(tmp_path, MINIMAL + "seed: 0\n", override)
    assert str(mistake.value).startswith(message)
    assert "\n" not in str(mistake.value)


def test_every_mistake_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as mistake:
        load(tmp_path, MINIMAL, "train.epoch=3", "seed=-1")
    assert [line.split(":")[0] for line in str(mistake.value).splitlines()] == ["seed", "train.epoch"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [", "not YAML"),
        (b"- 1", "expected keys such as `space:` and `data:`, got list"),
        (b"", "expected keys such as `space:` and `data:`, got NoneType"),
        (b"\xff\xfe", "it is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_run_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "job.yaml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="job.yaml") as mistake:
        load_config(file)
    assert message in str(mistake.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nowhere.yaml: cannot read the run file: No such file"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": "many"}, "space.channels: expected a valid integer, got 'many'"),
        ({"chanels": 3}, "space.chanels: unknown key; did you mean channels?"),
        ({"affine": 1}, "space.affine: expected a valid boolean, got 1"),
    ],
)
def test_the_keys_of_a_space_are_checked_against_its_constructor(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError) as mistake:
        check_arguments(NasBench201, arguments, "space")
    assert str(mistake.value) == message


def test_execution_keys_are_keys() -> None:
    everything = flatten(parse_config({"name": "x", "space": {"name": "y"}, "data": {"name": "digits"}}).model_dump())
    assert EXECUTION_KEYS <= set(everything)
