import math
from pathlib import Path
from typing import Any, get_args

import pytest

from raynas.algorithms import ALGORITHMS
from raynas.config.explain import check_arguments
from raynas.config.nested import flatten, set_key
from raynas.config.reading import load_config
from raynas.config.run_config import EXECUTION_KEYS, ROUNDING_KEYS, RunConfig, parse_config
from raynas.data import DATASETS, LABELS
from raynas.fitness import FITNESSES
from raynas.search import SEARCHERS
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.architecture_gradients import GRADIENTS
from raynas.supernet.routes import GATES, SAMPLINGS
from raynas.training.recipe import Recipe

MINIMAL = "space: {name: nasbench201}\ndata: {name: digits}\n"


def load(tmp_path: Path, text: str = MINIMAL, *overrides: str, quick: bool = False) -> RunConfig:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    return load_config(file, overrides, quick)


def members(section: type, key: str) -> set[str]:
    """Returns the words that a key accepts."""
    annotation = section.model_fields[key].annotation  # type: ignore[attr-defined]
    words = set(get_args(annotation))
    return {word for part in words for word in (get_args(part) or (part,)) if isinstance(word, str)}


def test_the_words_of_a_run_file_are_the_names_of_the_parts() -> None:
    for row in ALGORITHMS.rows().values():
        assert row.search in SEARCHERS.names()
        assert row.fitness in FITNESSES.names()


def test_the_defaults_are_those_of_the_paper_and_of_the_recipe(tmp_path: Path) -> None:
    train = load(tmp_path).train
    assert (train.epochs, train.batch_size) == (250, 64)
    assert (train.learning_rate, train.min_learning_rate, train.momentum) == (0.025, 0.001, 0.9)
    assert (train.weight_decay, train.nesterov) == (5e-4, True)


def test_the_sections_are_the_options_of_the_trainings(tmp_path: Path) -> None:
    """So a key of a recipe is a key of the run file, and reaches the training as it is."""
    config = load(tmp_path, MINIMAL, "algorithm=gdas", "train.momentum=0.5", "alphas.betas=[0.1, 0.2]")
    assert isinstance(config.train, Recipe) and isinstance(config.alphas, AlphaRecipe)
    assert (config.train.momentum, config.alphas.betas) == (0.5, [0.1, 0.2])
    filled = {"gradient": "first", "before_weights": False}
    defaults = [(Recipe(), config.train, {"momentum": 0.5}), (AlphaRecipe(), config.alphas, {"betas": [0.1, 0.2]})]
    for recipe, section, changes in defaults:
        for key, value in recipe.model_dump().items():
            assert getattr(section, key) == {**filled, **changes}.get(key, value), key


def test_what_a_file_leaves_open_comes_from_its_algorithm(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert (config.data.labels, config.train.sampling) == ("random", "uniform")
    assert (config.search.name, config.search.fitness) == ("evolution", "angle")
    assert config.base_seeds == [0]
    assert load(tmp_path, MINIMAL, "data.labels=true").data.labels == "true"
    assert load(tmp_path, MINIMAL, "data.labels=shuffled").data.labels == "shuffled"


ROW_KEYS = {
    "data.labels": "labels",
    "train.sampling": "sampling",
    "train.path_per_cell": "path_per_cell",
    "alphas.gates": "gates",
    "alphas.gradient": "gradient",
    "alphas.before_weights": "before_weights",
    "search.name": "search",
    "search.fitness": "fitness",
    "search.derivation": "derivation",
    "search.most_skips": "most_skips",
}
"""Which key each entry of a row fills in."""


@pytest.mark.parametrize("name", ALGORITHMS.names())
def test_a_row_fills_in_every_key_that_is_left_open(tmp_path: Path, name: str) -> None:
    row = ALGORITHMS.row(name)
    assert {"name", *ROW_KEYS.values()} == set(vars(row))
    resolved = flatten(load(tmp_path, MINIMAL, f"algorithm={name}").model_dump())
    assert {entry: resolved[key] for key, entry in ROW_KEYS.items()} == {
        entry: value for entry, value in vars(row).items() if entry != "name"
    }


@pytest.mark.parametrize(
    "override",
    [
        "data.labels=shuffled",
        "train.sampling=fair",
        "train.path_per_cell=false",
        "alphas.gates=mixture",
        "alphas.gradient=amended",
        "alphas.before_weights=false",
        "search.name=alpha_sampling",
        "search.fitness=one_shot_loss",
        "search.derivation=without_none",
    ],
)
@pytest.mark.parametrize("algorithm", ["gdas", "darts"])
def test_a_key_that_is_set_wins_over_the_row_and_changes_no_other(
    tmp_path: Path, algorithm: str, override: str
) -> None:
    key, _, text = override.partition("=")
    value = {"false": False}.get(text, text)
    row = flatten(load(tmp_path, MINIMAL, f"algorithm={algorithm}").model_dump())
    assert flatten(load(tmp_path, MINIMAL, f"algorithm={algorithm}", override).model_dump()) == {**row, key: value}


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
        ("search.limits.flops=3", "search.limits.flops: unknown key; there are max_latency, min_latency"),
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
        (
            "train.schedule=step",
            "train.schedule: expected 'cosine', 'linear', 'two_slopes', 'polynomial' or 'exponential', got 'step'",
        ),
        ("train.schedule_every=2", "train.schedule_every: expected 'epoch' or 'step', got 2"),
        ("train.decay_on=biases", "train.decay_on: expected 'all', 'convolutions' or 'weights', got 'biases'"),
        ("train.label_smoothing=1", "train.label_smoothing: expected less than 1, got 1"),
        ("train.clip_value=0", "train.clip_value: expected greater than 0, got 0"),
        ("data.lighting=-0.1", "data.lighting: expected greater than or equal to 0, got -0.1"),
        ("data.crop_ratio=[1]", "data.crop_ratio: expected "),
        ("data.crop_ratio=[0, 1]", "data.crop_ratio.0: expected greater than 0, got 0"),
        ("data.crop_ratio=[1, 1]", "data.crop_ratio: only image files are cropped to a random area, not digits; leave"),
        ("quik={}", "quik: unknown key; did you mean quick?"),
        ("quick.seed=3", "--set quick.seed=3: overrides win over the block; give --quick --set seed=3"),
        ("data.labels=none", f"data.labels: expected one of {', '.join(LABELS.names())}, got 'none'; or give the"),
        ("data.name=mnist", f"data.name: expected one of {', '.join(DATASETS.names())}, got 'mnist'; or give the"),
        ("data.nme=1", "data.nme: unknown key; did you mean name?"),
        ("train.sampling=two_paths", f"train.sampling: expected one of {', '.join(SAMPLINGS.names())}, got 'two_p"),
        ("data.train_portion=0", "data.train_portion: expected greater than 0, got 0"),
        (
            "algorithm=darts2",
            f"algorithm: expected one of {', '.join(ALGORITHMS.names())}, got 'darts2'; did you mean darts?",
        ),
        ("storage_path=s3://", "storage_path: expected a URL such as s3://bucket/path, got 's3://'"),
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


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["train.sampling=mixture"],
            "train.sampling: mixture needs alphas, which rlnas has none of; set alphas.gates to gumbel, mixture or "
            "two_paths",
        ),
        (["train.sampling=gumbel", "search.name=derive"], "train.sampling: gumbel needs alphas, which rlnas"),
        (["search.name=derive"], "search.name: derive needs alphas, which rlnas has none of"),
        (["search.name=alpha_sampling"], "search.name: alpha_sampling needs alphas, which rlnas has none of"),
        (["search.fitness=log_probability"], "search.fitness: log_probability needs alphas, which rlnas has none of"),
        (["search.fitness=[angle, log_probability]"], "search.fitness: log_probability needs alphas, which rlnas"),
        (
            ["algorithm=darts", "data.train_portion=1.0"],
            "data.train_portion: alphas follow the search split, which is empty at 1; lower it",
        ),
        (
            ["algorithm=gdas", "train.epochs=15", "alphas.first_epoch=15"],
            "alphas.first_epoch: expected less than train.epochs (15), got 15: the alphas would rest to the end",
        ),
        (
            ["algorithm=darts", "search.limits.max_parameters=1e9"],
            "search.limits: what alphas stand for cannot be kept inside limits; leave them out, or take search.name: "
            "alpha_sampling",
        ),
        (
            ["algorithm=darts", "alphas.gates=uniform"],
            f"alphas.gates: expected one of {', '.join(GATES.names())}, got 'uniform'",
        ),
        (["alphas.gradient=third"], f"alphas.gradient: expected one of {', '.join(GRADIENTS.names())}, got 'third'"),
        (["alphas.betas=[0.5]"], "alphas.betas: expected "),
        (["alphas.betas=[0.5, 1]"], "alphas.betas.1: expected less than 1, got 1"),
        (["alphas.temperature=[10, 0]"], "alphas.temperature.1: expected greater than 0, got 0"),
        (
            ["alphas.temperature_schedule=cosine"],
            "alphas.temperature_schedule: expected 'linear' or 'exponential', got",
        ),
        (["alphas.eta=-0.1"], "alphas.eta: expected greater than or equal to 0, got -0.1"),
        (["alphas.radius=0"], "alphas.radius: expected greater than 0, got 0"),
        (["alphas.first_epoch=-1"], "alphas.first_epoch: expected greater than or equal to 0, got -1"),
        (["alphas.gate=mixture"], "alphas.gate: unknown key; did you mean gates?"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_what_alphas_need_and_what_needs_them_is_said_in_one_line(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ValueError) as mistake:
        load(tmp_path, MINIMAL, *overrides)
    assert str(mistake.value).startswith(message)
    assert "\n" not in str(mistake.value)


def test_any_algorithm_may_be_given_alphas(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL, "alphas.gates=gumbel", "train.sampling=mixture", "search.name=derive")
    assert (config.alphas.gates, config.alphas.gradient, config.search.derivation) == (
        "gumbel",
        "first",
        "without_none",
    )
    limits = load(tmp_path, MINIMAL, "algorithm=setn", "search.limits.max_parameters=1e9").search.limits
    assert limits.max_parameters == 1e9


def test_a_gradient_is_clipped_in_one_way(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL, "train.clip_value=5").train.clip_value == 5
    message = "^train.clip_value: the gradient is clipped in one way; leave out this or train.clip_norm$"
    with pytest.raises(ValueError, match=message):
        load(tmp_path, MINIMAL, "train.clip_value=5", "train.clip_norm=5")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "crop_padding: 4",
            "data.crop_padding: files are cropped to a random area; leave it out (see data.crop_ratio)",
        ),
        ("crop_ratio: [2, 1]", "data.crop_ratio: expected [least, most] with least <= most, got [2.0, 1.0]"),
    ],
)
def test_files_are_cropped_in_one_way(tmp_path: Path, data: str, message: str) -> None:
    with pytest.raises(ValueError) as mistake:
        load(tmp_path, f"space: {{name: nasbench201}}\ndata: {{name: folder, {data}}}\n")
    assert str(mistake.value) == message


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


# The quick block

FULL = """
seed: 3
space: {name: nasbench201, channels: 16, cells: 5}
data: {name: folder, path: images, crop_ratio: [1, 1], lighting: 0.1, train_portion: 1.0}
train: {epochs: 50, batch_size: 512, min_learning_rate: 0.0005, workers: 8}
search: {limits: {max_multiply_adds: 600e6, max_parameters: 5e6}}
"""
QUICK = """
quick:
  space: {channels: 4}
  data: {name: cifar10, path: null, crop_ratio: null, lighting: 0.0, max_images: 500}
  train: {epochs: 2, batch_size: 64}
  search: {generations: 3, limits: {max_multiply_adds: null}}
  report: false
"""


def test_without_the_flag_the_block_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, FULL + QUICK) == load(tmp_path, FULL)
    assert "quick" not in load(tmp_path, FULL + QUICK).model_dump()


def test_the_block_overrides_the_keys_it_names_and_no_others(tmp_path: Path) -> None:
    by_hand = [
        *("name=job-quick", "space.channels=4", "data.name=cifar10", "data.path=null", "data.crop_ratio=null"),
        *("data.lighting=0.0", "data.max_images=500", "train.epochs=2", "train.batch_size=64", "search.generations=3"),
        *("search.limits.max_multiply_adds=null", "report=false"),
    ]
    quick = load(tmp_path, FULL + QUICK, quick=True)
    assert quick == load(tmp_path, FULL, *by_hand)
    assert (quick.data.path, quick.data.crop_ratio, quick.search.limits.max_multiply_adds) == (None, None, None)
    assert (quick.seed, quick.train.workers, quick.data.train_portion) == (3, 8, 1.0)
    assert (quick.space.arguments, quick.search.limits.max_parameters) == ({"channels": 4, "cells": 5}, 5e6)


def test_a_section_that_the_file_leaves_out_may_stand_in_the_block(tmp_path: Path) -> None:
    quick = load(tmp_path, MINIMAL + "quick: {train: {epochs: 2}, search: {limits: {max_parameters: 9}}}", quick=True)
    assert (quick.train.epochs, quick.search.limits.max_parameters) == (2, 9)


def test_a_quick_run_has_a_folder_of_its_own_that_overrides_may_rename(tmp_path: Path) -> None:
    assert load(tmp_path, FULL + QUICK, quick=True).name == "job-quick"
    assert load(tmp_path, "name: mine\n" + FULL + QUICK, quick=True).name == "mine-quick"
    assert load(tmp_path, FULL + QUICK + "  name: tiny\n", quick=True).name == "tiny"
    assert load(tmp_path, FULL + QUICK, "name=other", quick=True).name == "other"


def test_overrides_win_over_the_block(tmp_path: Path) -> None:
    overrides = ["train.epochs=7", "search.limits.max_multiply_adds=1e6", "data.name=npz", "data.path=x.npz"]
    quick = load(tmp_path, FULL + QUICK, *overrides, quick=True)
    assert (quick.train.epochs, quick.train.batch_size) == (7, 64)
    assert quick.search.limits.max_multiply_adds == 1e6
    assert (quick.data.name, quick.data.path, quick.data.crop_ratio) == ("npz", "x.npz", None)


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("train: {epoch: 2}", "quick.train.epoch: unknown key; did you mean epochs?"),
        ("train: {epochs: ten}", "quick.train.epochs: expected a valid integer, got 'ten'"),
        ("train: {epochs: null}", "quick.train.epochs: expected a valid integer, got nothing"),
        ("train: {base_seeds: [0, -1]}", "quick.train.base_seeds.1: expected greater than or equal to 0, got -1"),
        ("train: 5", "quick.train: expected a valid dictionary"),
        ("train: {workers: 600}", "quick.train.workers: 600 workers cannot share batches of 512 images"),
        ("search: {limits: {flops: 3}}", "quick.search.limits.flops: unknown key; there are max_latency"),
        ("sead: 3", "quick.sead: unknown key; did you mean seed?"),
        ("trian: {epochs: 2}", "quick.trian: unknown key; did you mean train?"),
        ("name: a/b", "quick.name: expected match pattern"),
    ],
)
def test_a_mistake_in_the_block_is_found_with_the_flag_and_without_and_named_as_written(
    tmp_path: Path, line: str, message: str, quick: bool
) -> None:
    with pytest.raises(ValueError) as mistake:
        load(tmp_path, f"{FULL}quick:\n  {line}\n", quick=quick)
    assert str(mistake.value).startswith(message)
    assert "\n" not in str(mistake.value)


def test_a_mistake_of_the_file_or_of_an_override_is_not_the_blocks(tmp_path: Path) -> None:
    for override, key in (("train.epochs=0", "train.epochs"), ("seed=-1", "seed")):
        with pytest.raises(ValueError, match=f"^{key}: expected greater"):
            load(tmp_path, FULL + QUICK, override, quick=True)
    for quick in (False, True):
        with pytest.raises(
            ValueError, match="^train.sampling: expected one of fair, gumbel, mixture, uniform, got 'all'; or give"
        ):
            load(tmp_path, FULL.replace("workers: 8", "sampling: all") + QUICK, quick=quick)


def test_a_file_with_a_block_may_leave_a_required_key_to_an_override(tmp_path: Path) -> None:
    text = "space: {name: nasbench201}\nquick: {train: {epochs: 2}}\n"
    for quick in (False, True):
        assert load(tmp_path, text, "data.name=digits", quick=quick).data.name == "digits"
        with pytest.raises(ValueError, match="^data: this key is required$"):
            load(tmp_path, text, quick=quick)


@pytest.mark.parametrize(("block", "got"), [("", "None"), ("[1]", r"\[1\]"), ("true", "True")])
def test_a_block_without_keys_is_refused(tmp_path: Path, block: str, got: str) -> None:
    with pytest.raises(ValueError, match=f"^quick: expected keys that override those of the file, got {got}$"):
        load(tmp_path, f"{MINIMAL}quick: {block}\n")


def test_a_file_without_a_block_has_no_quick_form(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^--quick: .*job.yaml has no `quick:` block; write one, or leave --quick out$"
    ):
        load(tmp_path, MINIMAL, quick=True)


def test_execution_keys_are_keys_that_say_where_and_how() -> None:
    everything = flatten(parse_config({"name": "x", "space": {"name": "y"}, "data": {"name": "digits"}}).model_dump())
    assert ROUNDING_KEYS < EXECUTION_KEYS < set(everything)
    rounding = {f"train.{key}" for key in ("workers", "cpus_per_worker", "use_gpu")}
    assert rounding | {"search.cpus_per_evaluator", "search.gpus_per_evaluator"} == ROUNDING_KEYS
    others = {"name", "storage_path", "address", "local_cpus", "report", "data.path", "data.loader_workers"}
    others |= {"search.evaluators", "benchmark.path", "train.reuse", "train.resource", "train.max_failures"}
    others |= {f"train.{key}" for key in ("deterministic", "checkpoint_every", "checkpoint_minutes")}
    others |= {f"trackers.{key}" for key in ("names", "tracking_uri", "experiment", "project", "entity", "mode")}
    assert EXECUTION_KEYS == ROUNDING_KEYS | others | {"train.keep_checkpoints"}


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("train.schedule", "'cosine', 'linear', 'two_slopes', 'polynomial' or 'exponential'"),
        ("train.warmup", "'before' or 'scaled'"),
        ("train.schedule_every", "'epoch' or 'step'"),
        ("train.decay_on", "'all', 'convolutions' or 'weights'"),
        ("train.precision", "'float32' or 'bfloat16'"),
        ("train.initialisation", "'normal', 'uniform', 'normal_fan_out' or 'uniform_fan_out'"),
        ("train.linear_initialisation", "'small'"),
        ("alphas.temperature_schedule", "'linear' or 'exponential'"),
    ],
)
def test_names_that_are_stated_beside_the_code_are_listed_in_the_message(tmp_path: Path, key: str, names: str) -> None:
    with pytest.raises(ValueError, match=rf"^{key}: expected {names}, got 'other'$"):
        load(tmp_path, MINIMAL, f"{key}=other")


@pytest.mark.parametrize("key", ["train.learning_rate", "data.lighting", "search.limits.max_parameters", "alphas.eta"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_a_number_that_is_not_finite_is_refused_where_it_does_not_come_from_yaml(key: str, value: float) -> None:
    values: dict[str, Any] = {"name": "a", "space": {"name": "nasbench201"}, "data": {"name": "digits"}}
    set_key(values, key, value, "test")
    with pytest.raises(ValueError, match=rf"^{key}: expected a finite number, got -?(inf|nan)$"):
        parse_config(values)


def test_arguments_of_a_space_are_finite_too() -> None:
    with pytest.raises(ValueError, match=r"^space\.width: expected a finite number, got inf$"):
        check_arguments(MobileNet, {"width": math.inf}, "space")


WITHOUT_BOUND = {"seed", "train.base_seeds"}
"""Whole numbers that may be large."""


def test_every_whole_number_has_an_upper_bound(tmp_path: Path) -> None:
    """Ten to the ninth epochs, threads or architectures are a slip of the finger."""
    defaults = flatten(load(tmp_path).model_dump())
    counts = [key for key, value in defaults.items() if isinstance(value, int) and not isinstance(value, bool)]
    counts += ["data.max_images", "data.resolution", "local_cpus", "search.evaluators", "search.angle_epoch"]
    assert len(counts) > 25
    for key in set(counts) - WITHOUT_BOUND:
        with pytest.raises(ValueError, match=rf"^{key}: expected less than or equal to [0-9]+"):
            load(tmp_path, MINIMAL, f"{key}=10000000000")
    for key in WITHOUT_BOUND:
        value = f"[{2**63}]" if key.endswith("seeds") else f"{2**63}"
        with pytest.raises(ValueError, match=rf"^{key}[.0]*: expected less than {2**63}"):
            load(tmp_path, MINIMAL, f"{key}={value}")


LOCATIONS = ("storage_path", "data.path", "benchmark.path", "train.reuse")


@pytest.mark.parametrize("key", LOCATIONS)
def test_variables_and_home_are_expanded_in_every_location(
    tmp_path: Path, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("SCRATCH", "/scratch/ann")
    for written, expected in (
        ("~/a", "/home/ann/a"),
        ("$HOME/a", "/home/ann/a"),
        ("${SCRATCH}/a", "/scratch/ann/a"),
        ("a$", "a$"),
        ("s3://bucket${SCRATCH}", "s3://bucket/scratch/ann"),
    ):
        config = load(tmp_path, MINIMAL, f"{key}={written}")
        assert flatten(config.model_dump())[key] == expected
        assert parse_config(config.model_dump()) == config


@pytest.mark.parametrize("key", LOCATIONS)
@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("$NOT_SET/a", "expected variables that are set, got '$NOT_SET/a', and NOT_SET is not; set it, or write"),
        ("${NOT_SET}", "expected variables that are set, got '${NOT_SET}', and NOT_SET is not; set it, or write"),
        ("~nobody_here/a", "expected a user's home, got '~nobody_here/a'; write the path out"),
        ("''", "expected a path, got ''; leave the key out"),
    ],
)
def test_what_a_location_stands_for_must_be_known(tmp_path: Path, key: str, written: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        load(tmp_path, MINIMAL, f"{key}={written}")
    assert str(caught.value).startswith(f"{key}: {message}")


@pytest.mark.parametrize(("stem", "safe"), [("my run", "my-run"), ("-a", "a"), ("été", "t"), ("日本", "run")])
def test_a_file_whose_name_is_no_run_s_says_where_the_name_comes_from(tmp_path: Path, stem: str, safe: str) -> None:
    file = tmp_path / f"{stem}.yaml"
    file.write_text(MINIMAL)
    with pytest.raises(ValueError) as caught:
        load_config(file)
    assert str(caught.value).startswith("name: the file's own name '")
    assert f"write `name: {safe}` into the file, or give --set name={safe}" in str(caught.value)
    assert load_config(file, [f"name={safe}"]).name == safe
    file.write_text(MINIMAL + f"name: {safe}\n")
    assert load_config(file).name == safe


def test_a_name_of_digits_or_a_date_is_a_text_and_one_that_is_a_number_says_the_remedy(tmp_path: Path) -> None:
    assert load(tmp_path, MINIMAL + "name: 007").name == "007"
    assert load(tmp_path, MINIMAL + "name: 2024-01-31").name == "2024-01-31"
    with pytest.raises(ValueError, match="^name: expected a valid string, got 7; put it in quotes$"):
        load(tmp_path, MINIMAL + "name: 7")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeff" + MINIMAL).space.name == "nasbench201"


def test_a_wrong_value_is_quoted_short_and_without_control_characters(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        load(tmp_path, MINIMAL, "train.epochs='" + "x" * 5000 + "'", 'train.momentum="\\e[2J"', "y" * 5000 + "=1")
    assert "\x1b" not in str(caught.value)
    assert max(map(len, str(caught.value).splitlines())) < 300
