"""Every sweep in jobs/ varies a valid run, its quick form too, and shows the figures of its paper as printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from raynas.cli import main
from raynas.config.nested import flatten
from raynas.config.reading import load_config
from raynas.config.run_config import RunConfig
from tests.stages.runs import ROOT

SWEEPS = sorted((ROOT / "jobs").glob("sweep_*.yaml"))
DATASETS = ("CIFAR-10", "CIFAR-100", "ImageNet16-120")


def sections(job: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Returns a file without what it says of the sweep, what it says, and what its quick form changes of that."""
    values = yaml.safe_load(job.read_text(encoding="utf-8"))
    return values, values.pop("sweep"), values["quick"].pop("sweep", {})


def alone(job: Path, folder: Path) -> Path:
    """Returns the run that is varied, as a file of its own."""
    file = folder / job.name
    file.write_text(yaml.safe_dump(sections(job)[0], sort_keys=False), encoding="utf-8")
    return file


@pytest.fixture
def base(job: Path, tmp_path: Path) -> Path:
    return alone(job, tmp_path)


def settings(axes: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Returns every value of every axis: the axis, the value's name, and the keys that it sets."""
    found = []
    for axis, values in axes.items():
        ((kind, of),) = values.items()
        if kind == "variants":
            found += [(axis, name, keys) for name, keys in of.items() if keys is not None]
        elif kind == "seeds":
            found += [(axis, f"{seed}", {"seed": seed}) for seed in range(of)]
        else:
            found += [(axis, json.dumps(value), {axis: value}) for value in of]
    return found


def varied(base: Path, keys: dict[str, Any], quick: bool = False) -> RunConfig:
    return load_config(base, [f"{key}={json.dumps(value)}" for key, value in keys.items()], quick)


def test_there_is_a_sweep_for_each_ablation_of_the_papers() -> None:
    assert [job.stem for job in SWEEPS] == [
        "sweep_amended_eta",
        "sweep_gdas_temperature",
        "sweep_rlnas_angle_bias",
        "sweep_rlnas_angle_parts",
        "sweep_rlnas_categories",
        "sweep_rlnas_labels",
        "sweep_rlnas_methods",
        "sweep_rlnas_unnas",
        "sweep_setn_candidates",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("job", SWEEPS, ids=lambda path: path.stem)
def test_the_run_that_is_varied_passes_its_check(job: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(base)]) == 0
    assert "# space: " in capsys.readouterr().out


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
@pytest.mark.parametrize("job", SWEEPS, ids=lambda path: path.stem)
def test_every_value_of_every_axis_makes_a_valid_run_that_differs_from_the_others(
    job: Path, base: Path, quick: bool
) -> None:
    _, sweep, changes = sections(job)
    axes = {axis: {**values} for axis, values in sweep["keys"].items()}
    for axis, values in changes.get("keys", {}).items() if quick else ():
        for kind, of in values.items():
            axes[axis][kind] = {**axes[axis][kind], **of} if isinstance(of, dict) else of
    made: dict[str, list[RunConfig]] = {}
    for axis, _, keys in settings(axes):
        config = varied(base, keys, quick)
        assert config not in made.setdefault(axis, [])
        made[axis].append(config)
    assert len(made) == len(sweep["keys"])
    assert all(len(of) > 1 for axis, of in made.items() if not (quick and axis in ("seed", "dataset")))
    assert not quick or len(made.get("dataset", [1])) == 1


@pytest.mark.parametrize("job", SWEEPS, ids=lambda path: path.stem)
def test_a_quick_sweep_is_the_same_in_small_in_one_process_a_trial(job: Path, base: Path) -> None:
    full, quick = load_config(base), load_config(base, quick=True)
    assert (quick.train.workers, quick.train.use_gpu) == (0, False)
    kinds = {
        config.search.fitness for _, _, keys in settings(sections(job)[1]["keys"]) for config in [varied(base, keys)]
    }
    assert quick.search.evaluators == 0 or kinds == {"angle"}, "Ray takes longer to start than to evaluate"
    images = (quick.data.max_images or 50_000) * quick.data.train_portion
    least = 60 if quick.alphas.gradient == "amended" else 500
    assert least <= images // quick.train.batch_size * quick.train.epochs <= 2000
    kept = ("algorithm", "data.labels", "data.train_portion", "train.weight_decay", "train.clip_norm", "train.schedule")
    kept += ("search.name", "search.fitness", "search.derivation", "search.population", "search.select", "alphas.eta")
    full_values, quick_values = flatten(full.model_dump()), flatten(quick.model_dump())
    assert {key: quick_values[key] for key in kept} == {key: full_values[key] for key in kept}


def differences(one: RunConfig, other: RunConfig) -> set[str]:
    values = [flatten(config.model_dump()) for config in (one, other)]
    return {key for key in values[0] if values[0][key] != values[1][key]} - {"name"}


@pytest.mark.parametrize(
    ("job", "of", "keys"),
    [
        ("sweep_rlnas_labels", "rlnas_nasbench201", set()),
        ("sweep_rlnas_categories", "rlnas_nasbench201", set()),
        ("sweep_rlnas_angle_parts", "rlnas_nasbench201", set()),
        ("sweep_rlnas_methods", "spos_nasbench201", {"algorithm", "data.labels", "search.fitness"}),
        ("sweep_rlnas_methods", "rlnas_nasbench201", {"search.calibration_images"}),
        ("sweep_rlnas_unnas", "rlnas_nasbench201", {"search.calibration_images"}),
        ("sweep_rlnas_angle_bias", "rlnas_nasbench201", {"search.calibration_images"}),
        (
            "sweep_amended_eta",
            "amended_darts_nasbench201",
            {"train.epochs", "train.batch_size", "train.checkpoint_every", "alphas.measures_descent"},
        ),
        ("sweep_gdas_temperature", "gdas_nasbench201", set()),
        ("sweep_setn_candidates", "setn_nasbench201", {"search.population"}),
    ],
)
def test_a_sweep_varies_the_job_of_its_paper(job: str, of: str, keys: set[str], tmp_path: Path) -> None:
    assert (
        differences(load_config(alone(ROOT / f"jobs/{job}.yaml", tmp_path)), load_config(ROOT / f"jobs/{of}.yaml"))
        == keys
    )


def axis_of(job: str, axis: str) -> dict[str, Any]:
    keys: dict[str, Any] = sections(ROOT / f"jobs/{job}.yaml")[1]["keys"][axis]
    return keys


def test_the_axes_are_those_of_the_papers(tmp_path: Path) -> None:
    assert axis_of("sweep_rlnas_categories", "data.num_label_categories") == {"grid": list(range(10, 201, 10))}
    methods = axis_of("sweep_rlnas_methods", "method")["variants"]
    assert {name: tuple(keys.values()) for name, keys in methods.items()} == {
        "A (SPOS)": ("true", "one_shot_accuracy"),
        "B": ("true", "angle"),
        "B, angle of the code": ("true", "angle", "official"),
        "C": ("random", "one_shot_accuracy"),
        "D (RLNAS)": ("random", "angle"),
        "D, angle of the code": ("random", "angle", "official"),
    }
    amended = load_config(alone(ROOT / "jobs/sweep_amended_eta.yaml", tmp_path))  # Bi et al. 2019, section 4.1.1
    assert (amended.train.epochs, amended.train.batch_size, amended.alphas.learning_rate) == (500, 96, 3e-4)
    assert (amended.alphas.betas, amended.alphas.weight_decay) == ([0.5, 0.999], 1e-3)
    assert axis_of("sweep_amended_eta", "alphas.eta") == {"grid": [0, 0.001, 0.01, 0.1, 1]}
    candidates = axis_of("sweep_setn_candidates", "method")["variants"]
    asked = {name: (keys.get("search.name"), keys.get("search.population")) for name, keys in candidates.items()}
    assert asked["SETN, T = 1"] == ("derive", None)
    for number in (10, 100, 1000):
        assert asked[f"SETN, T = {number}"] == ("alpha_sampling", number)
    assert asked["SETN-RAND"] == ("random", 1000)
    assert (candidates["SETN-LR"]["train.path_per_cell"], candidates["SETN-NON"]["train.sampling"]) == (
        False,
        "mixture",
    )
    starts = axis_of("sweep_gdas_temperature", "temperature")["variants"]
    assert starts["10 to 0.1 (paper)"] == {"alphas.temperature": [10, 0.1]}
    assert all(
        name.split(" (")[0] == "{:g} to {:g}".format(*keys["alphas.temperature"]) for name, keys in starts.items()
    )


# What is published, a line for each row of a table: CIFAR-10, CIFAR-100 and ImageNet16-120.

TABLES = {
    ("sweep_rlnas_methods", "true_accuracy"): """
        A (SPOS) : 92.11 66.89 40.80
        B : 93.76 71.11 41.44
        B, angle of the code : 93.76 71.11 41.44
        C : 80.60 52.84 28.37
        D (RLNAS) : 93.45 70.71 43.70
        D, angle of the code : 93.45 70.71 43.70""",
    ("sweep_rlnas_methods", "tau"): """
        A (SPOS) : 0.4239 0.4832 0.4322
        B : 0.6671 0.6942 0.6342
        B, angle of the code : 0.6671 0.6942 0.6342
        C : 0.0874 -0.0195 -0.0262
        D (RLNAS) : 0.5059 0.5097 0.4716
        D, angle of the code : 0.5059 0.5097 0.4716""",
    ("sweep_rlnas_labels", "true_accuracy"): """
        random : 93.45±0.11 70.71±0.36 43.70±1.25
        shuffled : 93.52±0.27 70.25±0.25 43.81±1.12
        random_each_iteration : 93.65±0.07 71.45±0.42 27.51±1.04
        shuffled_each_iteration : 92.85±0.46 61.59±6.57 27.51±1.04""",
    ("sweep_rlnas_angle_bias", "true_accuracy"): """
        Training free, normal : 90.74±1.39 66.97±1.86 38.54±2.86
        Training free, uniform : 91.55±1.34 66.59±2.10 39.03±3.91
        Random search : 92.09±0.21 67.27±1.28 40.77±3.64
        RLNAS : 93.45±0.11 70.71±0.36 43.70±1.25""",
}
TABLES["sweep_rlnas_methods", "tau_in_order"] = TABLES["sweep_rlnas_methods", "tau"]
"""Tables 1 (test accuracy), 2, 6 and 7 of Zhang et al. 2021."""


@pytest.mark.parametrize(("job", "metric"), TABLES, ids=lambda part: part)
def test_the_published_figures_are_those_of_the_papers_table(job: str, metric: str) -> None:
    sweep = sections(ROOT / f"jobs/{job}.yaml")[1]
    (axis,) = (name for name in sweep["keys"] if name not in ("dataset", "search.angle", "seed"))
    expected = {}
    for line in TABLES[job, metric].strip().splitlines():
        name, _, cells = line.strip().partition(" : ")
        for dataset, cell in zip(DATASETS, cells.split(), strict=True):
            value, _, deviation = cell.partition("±")
            expected[name, dataset] = (float(value), float(deviation) if deviation else None)
    figures = [figure for figure in sweep["published"] if metric in figure]
    told = {(f["when"][axis], f["when"]["dataset"]): (f[metric], f.get("deviation")) for f in figures}
    assert told == expected and len(figures) == len(expected)
    assert {name for name, _ in told} == {
        json.loads(name) if name.startswith('"') else name for of, name, _ in settings(sweep["keys"]) if of == axis
    }


def test_the_pretext_tasks_stand_beside_table_12_of_rlnas() -> None:
    sweep = sections(ROOT / "jobs/sweep_rlnas_unnas.yaml")[1]
    told = {f["when"]["method"]: (f["true_accuracy"], f["deviation"]) for f in sweep["published"]}
    assert told == {
        "UnNAS, rotation": (92.41, 0.12),
        "UnNAS, jigsaw": (92.38, 0.19),
        "RLNAS": (93.45, 0.11),
        "RLNAS, angle of the code": (93.45, 0.11),
    }
    methods = sweep["keys"]["method"]["variants"]
    assert {name: tuple(keys.values()) for name, keys in methods.items()} == {
        "UnNAS, rotation": ("rotation", "one_shot_accuracy"),
        "UnNAS, jigsaw": ("jigsaw", "one_shot_accuracy"),
        "RLNAS": ("random", "angle"),
        "RLNAS, angle of the code": ("random", "angle", "official"),
    }


def test_the_parts_of_the_angle_are_those_of_section_3_2_2_of_rlnas_and_of_its_code() -> None:
    """Each row changes one part of the paper's angle, or of the code's; the figures are those of method D."""
    variants = axis_of("sweep_rlnas_angle_parts", "angle")["variants"]
    assert variants["paper"] == {} and variants["code"] == {"search.angle": "official"}
    changed = []
    for name, keys in variants.items():
        parts = {key.removeprefix("search.angle_"): value for key, value in keys.items() if key != "search.angle"}
        assert len(parts) == (0 if name in ("paper", "code") else 1), name
        changed += list(parts.items())
    assert set(changed) == {("skip", "identity"), ("pool", "per_channel"), ("extras", "counted"), ("ends", "all")}
    published = sections(ROOT / "jobs/sweep_rlnas_angle_parts.yaml")[1]["published"]
    assert published == [
        {"when": {"angle": "code"}, "true_accuracy": 93.45},
        {"when": {"angle": "code"}, "tau": 0.5059, "tau_in_order": 0.5059},
    ]


@pytest.mark.parametrize("job", ["methods", "labels", "unnas", "angle_parts"])
def test_beside_published_figures_cells_are_found_by_the_angle_of_the_code_too(job: str, tmp_path: Path) -> None:
    """The supernets of both are the same, so that the second angle costs a search and no training."""
    file = alone(ROOT / f"jobs/sweep_rlnas_{job}.yaml", tmp_path)
    by_angle: dict[str, list[RunConfig]] = {"paper": [], "official": []}
    for _, _, keys in settings(sections(ROOT / f"jobs/sweep_rlnas_{job}.yaml")[1]["keys"]):
        config = varied(file, keys)
        if config.search.fitness == "angle" and config.data.labels == "random":
            by_angle[config.search.angle].append(config)
    assert by_angle["paper"] and by_angle["official"]
    assert by_angle["official"][0].train == by_angle["paper"][0].train
    assert by_angle["official"][0].data == by_angle["paper"][0].data


@pytest.mark.parametrize("job", ["categories", "angle_bias"])
def test_where_the_angle_of_the_code_would_double_a_sweep_its_head_says_how_to_take_it(job: str) -> None:
    head = (ROOT / f"jobs/sweep_rlnas_{job}.yaml").read_text(encoding="utf-8").partition("seed: 0")[0]
    assert "--set search.angle=official" in head


def test_as_many_categories_as_classes_are_method_d() -> None:
    methods, categories = (
        sections(ROOT / f"jobs/sweep_rlnas_{name}.yaml")[1]["published"] for name in ("methods", "categories")
    )
    classes = dict(zip(DATASETS, (10, 100, 120), strict=True))
    of_d = [f for f in methods if f["when"]["method"] == "D (RLNAS)"]
    assert categories == [
        {**f, "when": {"data.num_label_categories": classes[f["when"]["dataset"]], "dataset": f["when"]["dataset"]}}
        for f in of_d
    ]


@pytest.mark.parametrize("job", ["amended_eta", "gdas_temperature", "setn_candidates"])
def test_figures_of_other_spaces_are_not_shown(job: str) -> None:
    assert "published" not in sections(ROOT / f"jobs/sweep_{job}.yaml")[1]
