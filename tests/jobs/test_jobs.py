"""Every file in jobs/ is a valid run, and so is its quick form; the quick start is run as the README says."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml

from raynas.cli import main
from raynas.config.nested import flatten
from raynas.config.reading import load_config
from raynas.stages.evaluation import needs_training
from raynas.stages.task import make_space
from tests.data.texts import write_text
from tests.stages.runs import ROOT, losses, succeed

JOBS = sorted(job for job in (ROOT / "jobs").glob("*.yaml") if not job.stem.startswith("sweep_"))
QUICK_JOBS = [job for job in JOBS if "quick" in yaml.safe_load(job.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_a_job_passes_its_check(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(job)]) == 0
    assert "# space: " in capsys.readouterr().out


def test_jobs_of_the_papers_sizes_have_a_quick_form() -> None:
    assert {job.stem for job in QUICK_JOBS} == {
        job.stem for job in JOBS if not job.stem.startswith("small_") and job.stem != "quickstart"
    }
    assert len(QUICK_JOBS) >= 16


@pytest.mark.slow
@pytest.mark.parametrize("job", QUICK_JOBS, ids=lambda path: path.stem)
def test_a_quick_form_passes_its_check_and_is_the_job_in_small(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(job), "--quick"]) == 0
    out = capsys.readouterr().out
    assert f"name: {job.stem}-quick\n" in out
    if "recurrent" in job.stem:
        assert "for Penn Treebank: 929,588 training tokens of 10,000 words" in out
        return
    assert "for CIFAR-10: 50,000 training images of 10 classes\n" in out
    full, quick = load_config(job), load_config(job, quick=True)
    assert (quick.train.workers, quick.train.use_gpu, quick.data.loader_workers) == (0, False, 0)
    assert quick.search.evaluators == 0 or quick.search.fitness == "angle", "Ray takes longer to start than to evaluate"
    images = (quick.data.max_images or 50_000) * quick.data.train_portion
    least = 60 if quick.alphas.gradient != "first" else 500  # second derivatives take several times as long
    steps = images // quick.train.batch_size * quick.train.epochs
    assert not needs_training(quick.search) or least <= steps <= 4000, "minutes, and not of nothing"
    kept = ("algorithm", "data.labels", "data.lighting", "data.normalise", "search.fitness", "search.population")
    kept += tuple(f"train.{key}" for key in ("schedule", "schedule_every", "decay_on", "clip_norm", "clip_value"))
    kept += ("train.label_smoothing", "train.weight_decay", "search.mutation_excludes", "search.name")
    kept += ("train.sampling", "train.path_per_cell", "train.drop_path", "search.derivation")
    kept += tuple(f"alphas.{key}" for key in ("gates", "gradient", "eta", "radius", "idle", "before_weights"))
    full_values, quick_values = flatten(full.model_dump()), flatten(quick.model_dump())
    for key in kept:
        assert quick_values[key] == full_values[key], key
    assert (quick.search.limits.max_multiply_adds is None) == (full.search.limits.max_multiply_adds is None)


@pytest.mark.long
@pytest.mark.parametrize("job", QUICK_JOBS, ids=lambda path: path.stem)
def test_a_quick_form_trains_searches_and_reports(job: Path, tmp_path: Path) -> None:
    """In smaller still, on digits or a text of a page."""
    quick = load_config(job, quick=True)
    if quick.data.source.holds == "tokens":
        run_on_a_page(job, tmp_path)
        return
    changes = {
        "storage_path": tmp_path,
        "data.name": "digits",
        "data.max_images": 300,
        "data.train_portion": 0.6,
        "data.resolution": quick.data.resolution or 32,
        "train.epochs": 1,
        "train.checkpoint_every": 1,
        "search.generations": 2,
        "search.calibration_images": 32,
        "search.evaluation_images": 32,
        "search.evaluation_batch_size": 32,
    }
    if quick.search.name == "alpha_sampling":
        changes["search.population"] = 20
    if quick.search.name == "exhaustive":
        changes |= {"search.name": "random", "search.population": 20}
    assert main(["run", str(job), "--quick", *(f"--set={key}={value}" for key, value in changes.items())]) == 0
    if needs_training(quick.search):
        assert len(losses(tmp_path / f"{job.stem}-quick")) == 1
    assert (tmp_path / f"{job.stem}-quick/search/result.json").exists()
    assert (tmp_path / f"{job.stem}-quick/report/index.html").exists()


def test_the_job_without_training_takes_no_labels_and_trains_nothing(tmp_path: Path) -> None:
    """Its first cells on digits: the scores are the same for other labels."""
    config = load_config(ROOT / "jobs/zero_cost.yaml")
    assert not needs_training(config.search)
    assert (config.data.labels, config.search.combine) == ("random", "log_ranks")
    histories = []
    for labelled in ("random", "true"):
        folder = tmp_path / labelled
        sizes = ["search.name=random", "search.population=4", "search.generations=1", "report=false"]
        labels = [f"data.labels={labelled}"]
        changes = [f"storage_path={folder}", "data.name=digits", "data.max_images=300", *sizes, *labels]
        arguments = ["run", str(ROOT / "jobs/zero_cost.yaml"), "--quick", *(f"--set={change}" for change in changes)]
        assert main(arguments) == 0
        run = folder / "zero_cost-quick"
        assert not (run / "supernet").exists()
        text = (run / "search/history.jsonl").read_text()
        histories.append([{**json.loads(line), "seconds": None} for line in text.splitlines()])
    assert histories[0] == histories[1]
    assert {"jacob_cov", "meco", "az_trainability", "live_multiply_adds"} <= set(histories[0][0])


def run_on_a_page(job: Path, folder: Path) -> None:
    changes = {
        **{"storage_path": folder, "data.path": write_text(folder / "words", lines=300), "data.window": 9},
        **{"train.epochs": 1, "train.batch_size": 8, "search.evaluation_batch_size": 8, "space.nodes": 3},
        **{"retrain.epochs": 1, "retrain.batch_size": 8, "retrain.seeds": [0]},
    }
    assert main(["run", str(job), "--quick", *(f"--set={key}={value}" for key, value in changes.items())]) == 0
    run = folder / f"{job.stem}-quick"
    record = json.loads(next(run.glob("retrain/*/result.json")).read_text())
    assert [network["name"] for network in record["networks"]] == ["best-1", "random", "lstm"]
    assert all(network["perplexity"]["mean"] > 1 for network in record["networks"])
    assert (run / "report/index.html").exists()


def test_the_recurrent_jobs_have_the_papers_settings() -> None:
    """Dong and Yang 2019, section 4.3, with SGD for its Adam; Liu et al. 2019, appendix A.1.2."""
    gdas, moved, darts = (
        load_config(ROOT / f"jobs/{name}.yaml")
        for name in ("gdas_recurrent_ptb", "gdas_recurrent_wikitext2", "darts_recurrent_ptb")
    )
    assert (gdas.train.epochs, gdas.train.batch_size, gdas.data.further["window"]) == (200, 128, 35)
    assert (darts.train.epochs, darts.train.batch_size) == (50, 256)
    for config in (gdas, moved, darts):
        train, space = config.train, config.space.arguments
        assert (space["nodes"], space["embedding"], space["hidden"]) == (8, 300, 300)
        assert {train.rate(epoch, 0, 1) for epoch in (0, 30, train.epochs - 1)} == {20.0}
        assert (train.momentum, train.nesterov, train.weight_decay, train.clip_norm) == (0, False, 5e-7, 0.25)
        assert (config.alphas.learning_rate, config.alphas.weight_decay, len(config.base_seeds)) == (3e-3, 1e-3, 4)
    evaluated = [(config.retrain.epochs, config.retrain.space["hidden"]) for config in (gdas, moved, darts)]
    assert evaluated == [(2000, 850), (3000, 700), (8000, 850)]
    assert [config.retrain.weight_decay for config in (gdas, moved)] == [8e-7, 5e-7]


def test_the_gdas_jobs_have_the_papers_settings_and_differ_in_the_reduction_cell() -> None:
    """Dong and Yang 2019, sections 3.3 and 4.2."""
    searched, fixed = (load_config(ROOT / f"jobs/{name}_darts_cifar10.yaml") for name in ("gdas", "gdas_frc"))
    assert fixed.space.arguments == {**searched.space.arguments, "reduction": "fixed"}
    assert (fixed.train, fixed.alphas, fixed.search) == (searched.train, searched.alphas, searched.search)
    assert searched.space.arguments == {"channels": 16, "cells": 8, "stem": "cifar", "affine": False}
    train, alphas = searched.train, searched.alphas
    assert (train.epochs, train.learning_rate, train.min_learning_rate, train.weight_decay) == (240, 0.025, 1e-3, 3e-4)
    assert (alphas.learning_rate, alphas.weight_decay, alphas.temperature) == (3e-4, 1e-3, [10, 0.1])
    assert train.path_per_cell and len(searched.base_seeds) == 4 and searched.data.train_portion == 0.5


def test_the_setn_job_has_the_papers_settings() -> None:
    """Dong and Yang 2019 (SETN), section 5.1."""
    config = load_config(ROOT / "jobs/setn_darts_cifar10.yaml")
    train, alphas, search = config.train, config.alphas, config.search
    assert (config.space.name, config.space.arguments["cells"]) == ("quadruples", 8)
    assert (train.epochs, train.batch_size, train.learning_rate, train.min_learning_rate) == (400, 64, 0.025, 0)
    assert (train.weight_decay, train.clip_norm, train.drop_path, train.path_per_cell) == (3e-4, 10, 0.1, True)
    assert (alphas.learning_rate, alphas.weight_decay, alphas.clip_norm) == (3e-3, 1e-3, 10)
    assert (search.name, search.population, search.fitness) == ("alpha_sampling", 1000, "one_shot_loss")


def test_the_amended_jobs_search_s1_and_s2_as_networks_are_trained() -> None:
    """Bi et al. 2019, sections 4.1.1 to 4.1.3: 3.3e13 and 1.5e48 architectures."""
    one, two = (load_config(ROOT / f"jobs/amended_darts_s{number}_cifar10.yaml") for number in (1, 2))
    assert (one.train, one.alphas, one.data) == (two.train, two.alphas, two.data)
    assert f"{make_space(one).num_architectures:.1e}" == "3.3e+13"
    assert f"{make_space(two).num_architectures:.1e}" == "1.5e+48"
    for config in (one, two):
        assert (config.space.arguments["channels"], config.space.arguments["auxiliary"]) == (36, True)
        assert (config.train.batch_size, config.train.epochs, config.data.cutout) == (96, 100, 16)
        assert (config.alphas.eta, config.alphas.learning_rate, config.alphas.betas) == (0.1, 3e-4, [0.5, 0.999])


def test_the_amended_jobs_differentiate_exactly_and_begin_with_equal_alphas() -> None:
    """Bi et al. 2019, section 4.1.1: no finite difference is named, and all operators begin with equal weights."""
    for job in ("s1_cifar10", "s2_cifar10", "figure2"):
        alphas = load_config(ROOT / f"jobs/amended_darts_{job}.yaml").alphas
        assert (alphas.gradient, alphas.radius, alphas.initial) == ("amended", None, "equal")


def test_the_job_of_figure_2_searches_fourteen_edges_without_none_for_500_epochs() -> None:
    """Bi et al. 2019, section 4.1.1."""
    config = load_config(ROOT / "jobs/amended_darts_figure2.yaml")
    space, train, alphas = make_space(config), config.train, config.alphas
    assert len(space.choices) == 28 and {len(choice.candidates) for choice in space.choices} == {7}
    assert not any("none" in choice.candidates for choice in space.choices)
    assert (config.space.arguments["channels"], train.batch_size, train.epochs) == (16, 96, 500)
    assert (alphas.eta, alphas.learning_rate, alphas.weight_decay, alphas.betas) == (0.1, 3e-4, 1e-3, [0.5, 0.999])
    assert config.search.derivation == "without_none"


def test_the_second_order_job_has_the_settings_of_darts() -> None:
    """Liu et al. 2019, section 3.1 and its code."""
    config = load_config(ROOT / "jobs/darts_second_order_cifar10.yaml")
    train, alphas = config.train, config.alphas
    assert (train.epochs, train.batch_size, train.weight_decay, train.clip_norm) == (50, 64, 3e-4, 5)
    assert (alphas.gradient, alphas.radius, alphas.before_weights) == ("second", 0.01, True)


def test_the_rlnas_job_has_the_papers_settings() -> None:
    """Zhang et al. 2021, section 4.1, NAS-Bench-201."""
    config = load_config(ROOT / "jobs/rlnas_nasbench201.yaml")
    assert (config.space.arguments, config.data.name) == ({"channels": 16, "cells": 5}, "cifar10")
    train, search = config.train, config.search
    assert (train.epochs, train.batch_size, train.momentum, train.weight_decay) == (250, 64, 0.9, 5e-4)
    assert (train.learning_rate, train.min_learning_rate) == (0.025, 0.001)
    assert (search.population, search.generations, search.select) == (100, 20, 30)


def test_the_spos_job_trains_the_rlnas_supernet_on_true_labels_and_searches_as_method_a_of_rlnas() -> None:
    """Zhang et al. 2021, section 4.1: 20 generations of 100, 30 of them parents, and 50 mutants, 50 crossed."""
    spos, rlnas = (load_config(ROOT / f"jobs/{name}_nasbench201.yaml") for name in ("spos", "rlnas"))
    assert (spos.space, spos.train) == (rlnas.space, rlnas.train)
    assert (spos.data.labels, rlnas.data.labels) == ("true", "random")
    search = spos.search
    assert (search.name, search.fitness) == ("evolution", "one_shot_accuracy")
    assert (search.population, search.generations, search.select) == (100, 20, 30)
    assert (search.mutations, search.crossovers, search.mutation_probability) == (50, 50, 0.1)
    assert search.mutation_excludes == rlnas.search.mutation_excludes == ["none"]


def test_full_size_jobs_of_one_shot_accuracy_calibrate_on_20_000_images() -> None:
    """Of 200 batches of 128 images in the code of SPOS; tau between 2,048 and 20,000 images is 0.901."""
    of_spos = [load_config(job) for job in JOBS if job.stem.startswith("spos_")]
    assert len(of_spos) == 4
    for config in of_spos:
        assert (config.search.fitness, config.search.calibration_images) == ("one_shot_accuracy", 20_000)
    for name in ("gdas", "setn", "darts", "amended_darts"):
        assert load_config(ROOT / f"jobs/{name}_nasbench201.yaml").search.calibration_images == 20_000


@pytest.mark.parametrize("data", ["cifar10", "imagenet"])
def test_spos_in_the_darts_space_is_rlnas_on_true_labels_by_one_shot_accuracy_on_images_set_aside(data: str) -> None:
    """Zhang et al. 2021, section 4.2.2: half of CIFAR-10, and 50,000 images of ImageNet."""
    spos, rlnas = (load_config(ROOT / f"jobs/{name}_darts_{data}.yaml") for name in ("spos", "rlnas"))
    assert (spos.space, spos.train) == (rlnas.space, rlnas.train)
    assert spos.search.limits == rlnas.search.limits
    assert (spos.data.labels, spos.search.fitness) == ("true", "one_shot_accuracy")
    changed = {"labels": "true", "train_portion": 0.5 if data == "cifar10" else 0.961}
    assert spos.data == rlnas.data.model_copy(update=changed)
    if data == "imagenet":
        assert 1_281_167 - round(1_281_167 * 0.961) == pytest.approx(50_000, rel=1e-3)


def test_rlnas_in_the_darts_space_has_the_settings_of_darts_but_for_epochs_and_data() -> None:
    """Liu et al. 2019, section 3.1; Zhang et al. 2021, section 4.1: 8 cells for 250 epochs."""
    config = load_config(ROOT / "jobs/rlnas_darts_cifar10.yaml")
    assert config.space.arguments == {"channels": 16, "cells": 8, "stem": "cifar"}
    assert (config.data.name, config.data.train_portion, config.data.labels) == ("cifar10", 1.0, "random")
    train = config.train
    assert (train.epochs, train.batch_size, train.weight_decay, train.clip_norm) == (250, 64, 3e-4, 5)
    assert (train.learning_rate, train.min_learning_rate, train.schedule) == (0.025, 0.001, "cosine")
    assert (train.momentum, train.nesterov, train.decay_on) == (0.9, False, "all")


def test_rlnas_in_the_darts_space_on_imagenet_has_the_papers_settings() -> None:
    """Zhang et al. 2021, sections 4.1 and 4.2.2."""
    config = load_config(ROOT / "jobs/rlnas_darts_imagenet.yaml")
    assert config.space.arguments == {"channels": 48, "cells": 14, "stem": "imagenet"}
    train = config.train
    assert (train.workers, train.use_gpu, train.epochs, train.batch_size) == (8, True, 50, 512)
    assert (train.momentum, train.weight_decay, train.schedule) == (0.9, 4e-5, "cosine")
    assert (train.learning_rate, train.min_learning_rate) == (0.1, 5e-4)
    assert config.search.limits.max_multiply_adds == 600e6


def test_rlnas_in_the_mobilenet_space_has_the_papers_settings() -> None:
    """Zhang et al. 2021, section 4.2.3; the numbers of steps are those of its code, 2,502 an epoch."""
    config = load_config(ROOT / "jobs/rlnas_mobilenet_imagenet.yaml")
    assert (config.space.name, config.space.arguments) == ("mobilenet", {"width": 1.0})
    assert (config.train.epochs, 1_281_167 // config.train.batch_size) == (120, 2502)
    assert config.search.limits.max_multiply_adds == 475e6


def test_spos_in_the_mobilenet_space_trains_the_steps_of_its_code_and_searches_as_the_paper_does() -> None:
    """Guo et al. 2020, section 4, under the limit of Zhang et al. 2021; 50,000 images or so are left for evaluation."""
    config = load_config(ROOT / "jobs/spos_mobilenet_imagenet.yaml")
    left = round(1_281_167 * (1 - config.data.train_portion))
    assert left == 51_247
    assert (1_281_167 - left) // 1024 * config.train.epochs == pytest.approx(150_000, rel=0.01)
    assert (config.search.fitness, config.search.limits.max_multiply_adds) == ("one_shot_accuracy", 475e6)
    assert (config.data.normalise, config.data.color_jitter) == (False, 0.4)


def test_pixels_from_0_to_255_in_the_order_of_spos_code_give_the_gradients_of_pixels_from_0_to_1() -> None:
    """Batch normalisation behind the first convolution takes the scale out; the order only renames channels."""
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (16, 3, 12, 12)).double()
    kernel = torch.randn(8, 3, 3, 3, dtype=torch.float64) / 5

    def gradient(images: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        weight = weight.clone().requires_grad_()
        passed = F.conv2d(images, weight, stride=2, padding=1)
        normalised = F.relu6(F.batch_norm(passed, None, None, training=True))
        (normalised * torch.linspace(-1, 1, normalised.numel()).view_as(normalised)).sum().backward()
        assert weight.grad is not None
        return weight.grad

    ours = gradient(pixels / 255, kernel)
    blue_green_red = torch.tensor([2, 1, 0])
    theirs = gradient(pixels[:, blue_green_red], kernel[:, blue_green_red])
    torch.testing.assert_close(theirs[:, blue_green_red], ours, rtol=1e-3, atol=1e-3 * ours.abs().max().item())
    assert ours.abs().max() > 1e-3


@pytest.mark.parametrize(
    "space",
    [
        "rlnas_darts_cifar10",
        "rlnas_darts_imagenet",
        "rlnas_mobilenet_imagenet",
        "spos_darts_cifar10",
        "spos_darts_imagenet",
    ],
)
def test_rlnas_evolves_as_spos_does(space: str) -> None:
    """Zhang et al. 2021, section 4.1: "the same evolution hyper-parameters as SPOS"."""
    ours, spos = (load_config(ROOT / f"jobs/{name}.yaml").search for name in (space, "spos_mobilenet_imagenet"))
    for key in ("population", "generations", "select", "mutations", "crossovers", "mutation_probability"):
        assert getattr(ours, key) == getattr(spos, key)
    assert (spos.population, spos.generations, spos.select, spos.mutations, spos.crossovers) == (50, 20, 10, 25, 25)


@pytest.mark.slow
@pytest.mark.ray
def test_the_quick_start_finds_cells(tmp_path: Path) -> None:
    out = succeed("run", ROOT / "jobs/quickstart.yaml", "--set", f"storage_path={tmp_path}")
    assert "nor_conv_3x3" in out
    assert out.endswith(f"run folder: {tmp_path / 'quickstart'}\n")
