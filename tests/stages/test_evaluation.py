"""How architectures are evaluated: what each fitness reads, where it is computed, and what a user gets wrong."""

import csv
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from scipy.stats import rankdata

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.data import load_dataset, split_indices
from raynas.on_ray.session import on_ray
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages.evaluation import evaluating, log_rank
from raynas.stages.progress import Progress
from raynas.stages.task import make_task
from raynas.stages.train_supernet import build_supernet
from raynas.supernet.gates import single_path
from tests.fitness.weights import plain_angle
from tests.stages.chain_space import ChainSpace
from tests.stages.runs import command, small_run, start, succeed, wait_until

SIZES = ("calibration_images", "evaluation_images", "evaluation_batch_size")


def spos_run(folder: Path, **sections: Any) -> Path:
    """Returns a run file of SPOS that evaluates in this process, on 128 images."""
    search = {"evaluators": 0, "evaluation_images": 128, "calibration_images": 128, "evaluation_batch_size": 64}
    sections["search"] = {**search, **sections.get("search", {})}
    sections["train"] = {"epochs": 1, **sections.get("train", {})}
    return small_run(folder, algorithm="spos", **sections)


def history(run: Path) -> list[dict[str, Any]]:
    lines = map(json.loads, (run / "search/history.jsonl").read_text().splitlines())
    return [{key: line[key] for key in line if key != "seconds"} for line in lines]


def mistake(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Returns the one line that a user's mistake is answered with."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("raynas: ")]
    assert len(lines) == len(err.splitlines()) == 1, err
    assert "Traceback" not in out
    return lines[0].removeprefix("raynas: ")


def logits_of_search_split(run: Path, architecture: list[int]) -> torch.Tensor:
    """Returns an architecture's logits on the search split, by a plain loop with torch's own cumulative averages."""
    from safetensors.torch import load_file

    supernet = NasBench201(2, 1).build_supernet(10)
    supernet.load_state_dict(load_file(run / "supernet/seed_0/epoch_00001/weights.safetensors"))
    digits = load_dataset("digits")
    train, search = split_indices(len(digits.train), 0.5, 0)
    calibration = np.random.default_rng([0, 0]).permutation(len(train))[:718]
    mean, std = (torch.tensor(values)[:, None, None] for values in (digits.mean, digits.std))

    def images(positions: np.ndarray) -> torch.Tensor:
        return (torch.from_numpy(digits.train.images[positions]).permute(0, 3, 1, 2) / 255 - mean) / std

    gates = single_path(tuple(architecture))
    for module in supernet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    supernet.train()
    with torch.no_grad():
        supernet(images(train[calibration]), gates)
        logits: torch.Tensor = supernet.eval()(images(search), gates)
    return logits


def check_line(run: Path, line: dict[str, Any], labels: torch.Tensor) -> None:
    """Compares what a history says of an architecture with accuracy and loss on these labels."""
    logits = logits_of_search_split(run, line["architecture"])
    assert line["loss"] == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-4)
    assert line["fitness"] == line["accuracy"]
    accuracy = 100 * (logits.argmax(1) == labels).double().mean().item()
    assert line["accuracy"] == pytest.approx(accuracy, abs=100 / 719 + 1e-9)  # one image may lie on the fence


def classes_of_search_split() -> torch.Tensor:
    digits = load_dataset("digits")
    return torch.from_numpy(digits.train.labels[split_indices(len(digits.train), 0.5, 0)[1]])


ALL_IMAGES = dict.fromkeys(SIZES, 718) | {"evaluation_images": 719}


def test_one_shot_accuracy_is_that_of_the_trained_weights_on_the_search_split(tmp_path: Path) -> None:
    """Against a plain loop, on images picked by hand."""
    assert main(["run", str(spos_run(tmp_path, search=ALL_IMAGES))]) == 0
    for line in history(tmp_path / "runs/small")[:5]:
        check_line(tmp_path / "runs/small", line, classes_of_search_split())


def test_a_supernet_of_random_labels_is_evaluated_by_its_own_labels_or_by_the_classes(tmp_path: Path) -> None:
    """Method C of RLNAS: the paper does not say which labels its validation images have."""
    file = spos_run(tmp_path, data={"labels": "random"}, search={**ALL_IMAGES, "name": "random", "generations": 1})
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    by_class = ["--set", "search.evaluation_labels=classes", "--set", "name=by_class", "--set", f"train.reuse={run}"]
    assert main(["run", str(file), *by_class]) == 0
    own, classes = history(run), history(tmp_path / "runs/by_class")
    task = make_task(load_config(file))
    _, search = split_indices(len(task.dataset.train), 0.5, 0)
    random_labels = torch.from_numpy(task.labels(0, epoch=0)[search])
    assert 0.05 < (random_labels == classes_of_search_split()).double().mean().item() < 0.15
    for line, of_classes in zip(own[:3], classes[:3], strict=True):
        check_line(run, line, random_labels)
        check_line(run, of_classes, classes_of_search_split())
    assert [line["loss"] for line in own] != [line["loss"] for line in classes]


def test_the_loss_as_fitness_is_minus_the_loss_and_beside_it_stands_the_accuracy(tmp_path: Path) -> None:
    assert main(["run", str(spos_run(tmp_path, search={"fitness": "one_shot_loss"}))]) == 0
    lines = history(tmp_path / "runs/small")
    assert all(line["fitness"] == -line["loss"] for line in lines)
    assert len({line["accuracy"] for line in lines}) > 5


def test_several_supernets_are_evaluated_each_on_its_own_labels_and_averaged(tmp_path: Path) -> None:
    """Random labels differ from seed to seed: so do those of the images to evaluate on."""
    together = tmp_path / "both"
    runs = {}
    for name, seeds in (("three", [3]), ("four", [4]), ("both", [3, 4])):
        (tmp_path / name).mkdir()
        search = {"name": "random", "population": 10, "generations": 1}
        file = spos_run(tmp_path / name, data={"labels": "random"}, train={"base_seeds": seeds}, search=search)
        assert main(["run", str(file)]) == 0
        runs[name] = history(tmp_path / name / "runs/small")
    assert together.exists()
    for three, four, both in zip(runs["three"], runs["four"], runs["both"], strict=True):
        for key in ("fitness", "accuracy", "loss"):
            assert both[key] == pytest.approx((three[key] + four[key]) / 2, rel=1e-12)
        assert both["spread"] == pytest.approx(abs(three["fitness"] - four["fitness"]) / 2**0.5, rel=1e-9)
    assert any(three["loss"] != four["loss"] for three, four in zip(runs["three"], runs["four"], strict=True))


def test_the_training_free_angle_lies_between_two_initialisations_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path, algorithm="training_free")
    assert main(["run", str(file)]) == 0
    assert "supernet: not needed by search.fitness: initial_angle" in capsys.readouterr().out
    assert not (tmp_path / "runs/small/supernet").exists()
    task = make_task(load_config(file))
    other = int(np.random.SeedSequence([0, 1]).generate_state(1)[0])
    before, after = (build_supernet(task, seed).state_dict() for seed in (0, other))
    for line in history(tmp_path / "runs/small")[:8]:
        expected = plain_angle(before, after, line["architecture"], 2, 1, "paper")
        assert line["fitness"] == pytest.approx(expected, abs=1e-7)


def test_small_linear_layers_are_drawn_by_the_seed_in_a_supernet(tmp_path: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        config = load_config(small_run(tmp_path, train={"initialisation": "uniform", "linear_initialisation": "small"}))
        return build_supernet(make_task(config), seed).state_dict()["classifier.weight"]

    assert 0.005 < head(0).std() < 0.015
    assert torch.equal(head(0), head(0)) and not torch.equal(head(0), head(1))


def test_an_initialisation_is_drawn_by_the_seed_from_the_distribution_that_is_asked_for(tmp_path: Path) -> None:
    def kernel(seed: int, distribution: str | None) -> torch.Tensor:
        config = load_config(small_run(tmp_path, train={"initialisation": distribution}))
        return build_supernet(make_task(config), seed).state_dict()["cells.0.edges.0.nor_conv_3x3.conv.weight"]

    bound = np.sqrt(6 / 18)  # of Kaiming's uniform distribution over 2 channels of 3 x 3; by default it is sqrt(1 / 18)
    assert (
        np.sqrt(1 / 18) < kernel(0, "uniform").abs().max() <= bound < max(kernel(s, "normal").max() for s in range(9))
    )
    assert kernel(0, None).abs().max() <= np.sqrt(1 / 18)
    assert torch.equal(kernel(1, "normal"), kernel(1, "normal"))
    assert not torch.equal(kernel(1, "normal"), kernel(2, "normal"))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of the whole space, in which accuracy is known by formula."""
    file = tmp_path / "table.csv"
    space = NasBench201()
    from raynas.search_space import all_architectures

    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "test_accuracy_200"])
        for number, architecture in enumerate(all_architectures(space).tolist()):
            writer.writerow([space.describe(tuple(architecture)), round(10 + 80 * (number * 7919 % 15625) / 15625, 4)])
    return file


def test_evolution_on_the_table_is_the_upper_bound_and_needs_no_training(
    tmp_path: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    search = {"fitness": "benchmark_table", "name": "exhaustive", "population": 15_625}
    assert main(["run", str(small_run(tmp_path, search=search, benchmark={"path": str(table)}))]) == 0
    best = json.loads((tmp_path / "runs/small/search/result.json").read_text())["best"]
    assert best[0]["fitness"] == round(10 + 80 * 15624 / 15625, 4)
    assert "supernet: not needed by search.fitness: benchmark_table" in capsys.readouterr().out


@pytest.mark.parametrize("fitness", ["num_parameters", "multiply_adds", "random"])
def test_the_plain_baselines_are_fitnesses_of_a_run_like_any_other(tmp_path: Path, fitness: str) -> None:
    assert main(["run", str(small_run(tmp_path, search={"fitness": fitness}))]) == 0
    lines = history(tmp_path / "runs/small")
    if fitness == "random":
        assert len({line["fitness"] for line in lines}) == len(lines)
    else:
        assert all(line["fitness"] == line[fitness] for line in lines)


@pytest.mark.parametrize(
    ("search", "data", "message"),
    [
        (
            {"evaluation_batch_size": 200},
            {},
            "search.evaluation_batch_size: a batch of 200 images is more than the 128 there are to calibrate on; lower "
            "it to 128 or less, or give more images",
        ),
        ({"evaluation_images": 50}, {}, "more than the 50 there are to evaluate on"),
        ({"evaluation_images": 720}, {}, "search.evaluation_images: expected at most 719 (the search split), got 720"),
        (
            {},
            {"train_portion": 1.0},
            "data.train_portion: one_shot_accuracy is evaluated on the search split, which is empty",
        ),
        (
            {"evaluation_labels": "classes"},
            {"labels": "random", "num_label_categories": 5},
            "search.evaluation_labels: expected at least 10 label categories to tell the classes apart, got 5",
        ),
        (
            {"evaluation_labels": "classes"},
            {"labels": "rotation"},
            "search.evaluation_labels: expected training with data.labels 'rotation', whose labels say what was done",
        ),
        (
            {"fitness": "benchmark_table"},
            {},
            "benchmark.path: search.fitness: benchmark_table reads a table; say where",
        ),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], search: dict[str, Any], data: dict[str, Any], message: str
) -> None:
    for verb in ("check", "run"):
        assert message in mistake(capsys, verb, spos_run(tmp_path, search=search, data=data))
    assert not (tmp_path / "runs/small").exists(), "nothing is left behind"


def test_a_table_that_is_not_there_is_one_line_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = small_run(tmp_path, benchmark={"path": str(tmp_path / "none.csv")})
    for verb in ("check", "run"):
        assert mistake(capsys, verb, file).startswith(f"benchmark.path: {tmp_path / 'none.csv'} does not exist")
    assert not (tmp_path / "runs/small").exists()


def test_weights_that_diverged_are_an_error_with_its_cause_and_no_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = spos_run(tmp_path)
    assert main(["train", str(file)]) == 0
    place = tmp_path / "runs/small/supernet/seed_0/epoch_00001"
    from safetensors.torch import load_file, save_file

    weights = load_file(place / "weights.safetensors")
    weights["classifier.weight"][0, 0] = float("nan")
    save_file(weights, place / "weights.safetensors")
    checksums = subprocess.run(["sha256sum", *sorted(os.listdir(place))], cwd=place, capture_output=True, check=True)
    (place / "SHA256SUMS").write_bytes(checksums.stdout)
    assert main(["search", str(file)]) == 1
    assert "the one-shot loss of (" in capsys.readouterr().err
    assert (tmp_path / "runs/small/search/history.jsonl").read_text() == ""


@pytest.mark.ray
@pytest.mark.slow
def test_an_evaluator_too_large_for_this_machine_is_one_line(tmp_path: Path) -> None:
    file = spos_run(tmp_path, search={"evaluators": 1, "cpus_per_evaluator": 3}, local_cpus=2)
    status, _, err = command("run", file)
    assert status == 2
    assert err.startswith("raynas: search.evaluators: an evaluator needs 3 CPU but this machine offers 2; lower")
    assert len(err.splitlines()) == 1


@pytest.mark.ray
@pytest.mark.slow
def test_three_evaluators_and_two_of_which_one_is_killed_leave_the_history_of_a_single_process(tmp_path: Path) -> None:
    expected = []
    sizes = {"evaluation_images": 718, "calibration_images": 700, "evaluation_batch_size": 32}
    for name, evaluators in (("none", 0), ("three", 3), ("killed", 2)):
        folder = tmp_path / name
        folder.mkdir()
        file = spos_run(folder, search={**sizes, "evaluators": evaluators}, local_cpus=4)
        if name != "killed":
            succeed("run", file)
        else:
            process = start("run", file)
            lines = folder / "runs/small/search/history.jsonl"
            wait_until(lambda lines=lines: lines.exists() and lines.read_text().count("\n") > 3, process)  # type: ignore[misc]
            found = subprocess.run(["ps", "-eo", "pid,sess,args"], capture_output=True, text=True).stdout.splitlines()
            evaluating = [line.split() for line in found if "ray::Evaluator" in line]
            ours = [int(pid) for pid, *_ in evaluating if _is_child(int(pid), process.pid)]
            assert len(ours) == 2
            os.kill(ours[0], signal.SIGKILL)
            out, err = process.communicate(timeout=300)
            assert process.returncode == 0, err
            assert "an evaluator was lost; its candidates are evaluated again" in out
        run = folder / "runs/small"
        outcome = (history(run), json.loads((run / "search/result.json").read_text())["best"])
        expected = expected or [outcome]
        assert outcome == expected[0], name


@pytest.mark.ray
@pytest.mark.slow
def test_several_fitnesses_that_run_networks_share_the_actors_and_leave_the_history_of_a_single_process(
    tmp_path: Path,
) -> None:
    """Actors of their own for each would wait for CPUs that the others hold."""
    histories = []
    for evaluators in (0, 2):
        folder = tmp_path / str(evaluators)
        folder.mkdir()
        search = {"fitness": ["naswot", "one_shot_loss", "meco", "num_parameters"], "evaluators": evaluators}
        sizes = {"name": "random", "population": 6, "generations": 1}
        succeed("run", spos_run(folder, search={**search, **sizes}, local_cpus=2))
        histories.append(history(folder / "runs/small"))
    assert histories[0] == histories[1]
    assert {"naswot", "one_shot_loss", "loss", "accuracy", "meco"} <= set(histories[0][0])


def _is_child(pid: int, ancestor: int) -> bool:
    """Returns whether a process descends from another one."""
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            return False
    return False


def test_another_runs_supernet_is_evaluated_without_training_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    assert main(["run", str(spos_run(first))]) == 0
    file = spos_run(second)
    reuse = f"train.reuse={first / 'runs/small'}"
    assert main(["run", str(file), "--set", reuse]) == 0
    assert f"supernet: that of {first / 'runs/small'}" in capsys.readouterr().out
    assert not (second / "runs/small/supernet").exists()
    assert history(second / "runs/small") == history(first / "runs/small")
    changed = mistake(capsys, "run", file, "--set", reuse, "--set", "name=x", "--set", "train.epochs=2")
    assert "trained other supernets (train.epochs 1 there, 2 here); leave it out to train" in changed
    assert "is no run of raynas" in mistake(capsys, "run", file, "--set", f"train.reuse={tmp_path}", "--set", "name=y")
    assert main(["run", str(file), "--set", reuse, "--set", "name=z", "--set", "search.fitness=angle"]) == 0


def sampled_values(file: Path, fitness: str, *overrides: str) -> np.ndarray:
    """Returns the fitness of the architectures that a consensus is standardised over, by an evaluation of its own."""
    config = load_config(file, [f"search.fitness={fitness}", *overrides])
    task = make_task(config)
    rng = np.random.default_rng(0)
    sampled = [tuple(rng.integers(0, [5] * 6).tolist()) for _ in range(100)]
    with on_ray(config) as backend, evaluating(task, backend, Progress(Console(), "")) as evaluation:
        return np.concatenate(list(evaluation.stream(sampled)))[:, 0]


def test_a_list_of_fitnesses_is_the_mean_of_their_standard_scores(tmp_path: Path) -> None:
    names = ["one_shot_loss", "displacement", "num_parameters"]
    file = spos_run(tmp_path, search={"fitness": names, "population": 6, "generations": 1, "name": "random"})
    assert main(["run", str(file)]) == 0
    scales = {name: sampled_values(file, name) for name in names}
    for line in history(tmp_path / "runs/small"):
        scores = [(line[name] - scales[name].mean()) / scales[name].std() for name in names]
        assert line["fitness"] == pytest.approx(np.mean(scores), abs=1e-9)
        assert line["one_shot_loss"] == -line["loss"]
        assert line["accuracy"] >= 0


def test_log_ranks_add_up_the_logarithms_of_the_ranks_in_the_sample(tmp_path: Path) -> None:
    """In an evolution as in a ranking: a value depends on its architecture alone."""
    names = ["jacob_cov", "live_multiply_adds"]
    evolution = {"name": "evolution", "population": 6, "generations": 2, "select": 3, "mutations": 3, "crossovers": 2}
    file = spos_run(tmp_path, search={"fitness": names, "combine": "log_ranks", **evolution})
    assert main(["run", str(file)]) == 0
    assert main(["rank", str(file), "--sample", "12"]) == 0
    assert not (tmp_path / "runs/small/supernet").exists(), "scores of initial weights need no training"
    scales = {name: sampled_values(file, name) for name in names}
    with (tmp_path / "runs/small/rank/jacob_cov_live_multiply_adds.csv").open(newline="") as stream:
        ranked = [{name: float(row[name]) for name in (*names, "fitness")} for row in csv.DictReader(stream)]
    assert len(ranked) == 12
    for line in [*history(tmp_path / "runs/small"), *ranked]:
        expected = 0.0
        for name in names:
            ranks, score = rankdata(scales[name]), log_rank(np.array([line[name]]), scales[name])[0]
            below, above = ranks[scales[name] <= line[name]], ranks[scales[name] >= line[name]]
            assert len(below) == 0 or score >= np.log(below.max()) - 1e-9
            assert len(above) == 0 or score <= np.log(above.min()) + 1e-9
            expected += score
        assert line["fitness"] == pytest.approx(expected, abs=1e-9)


def test_a_log_rank_rises_with_the_value_and_shares_the_rank_of_equals() -> None:
    of_sample = np.array([1.0, 2.0, 2.0, 4.0])
    values = np.array([-5.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 9.0])
    ranks = np.exp(log_rank(values, of_sample))
    assert (np.diff(ranks) > 0).all()
    assert ranks[[2, 4, 6]] == pytest.approx([1.0, 2.5, 4.0])
    assert ranks[[3, 5]] == pytest.approx([1.75, 3.25])
    assert ranks[-1] == pytest.approx(4 + 5 / of_sample.std())
    assert ranks[0] > 0


def test_angle_and_displacement_can_be_taken_at_an_earlier_epoch(tmp_path: Path) -> None:
    """The sums of an epoch are what a run that stops there would give."""
    short, long = tmp_path / "short", tmp_path / "long"
    values = {}
    for folder, epochs in ((short, 2), (long, 3)):
        folder.mkdir()
        # a constant rate: a shorter cosine would be another one
        rates = {"learning_rate": 0.01, "min_learning_rate": 0.01}
        file = spos_run(folder, train={"epochs": epochs, **rates})
        assert main(["train", str(file)]) == 0
        for fitness in ("angle", "displacement"):
            early = [] if epochs == 2 else ["search.angle_epoch=2"]
            values[epochs, fitness] = sampled_values(file, fitness, *early)
            values[epochs, fitness, "last"] = sampled_values(file, fitness)
    for fitness in ("angle", "displacement"):
        assert values[3, fitness] == pytest.approx(values[2, fitness], rel=1e-12)
        assert values[3, fitness] != pytest.approx(values[3, fitness, "last"], rel=1e-3)


def test_the_definition_that_a_run_asks_for_is_recorded_beside_the_papers_after_every_epoch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = {"angle": "official", "angle_skip": "identity", "angle_extras": "none"}
    file = small_run(tmp_path, train={"epochs": 2}, search=parts)
    assert main(["train", str(file)]) == 0
    lines = (tmp_path / "runs/small/supernet/seed_0/angle_tables.jsonl").read_text().splitlines()
    own = "official, extras none, skip identity"
    assert [set(json.loads(line)) for line in lines] == [{"epochs", "paper", "official", own}] * 2
    last = sampled_values(file, "angle")
    assert sampled_values(file, "angle", "search.angle_epoch=2") == pytest.approx(last, abs=1e-12)
    assert sampled_values(file, "angle", "search.angle_epoch=1") != pytest.approx(last, abs=1e-6)
    other = ("--set", "search.angle=published", "--set", "search.angle_epoch=1", "--set", "search.fitness=angle")
    expected = "recorded no angle (published, extras none, skip identity) after 1 epochs; leave it out, or train"
    assert expected in mistake(capsys, "rank", file, "--sample", "10", *other)


def test_where_paths_end_is_another_angle_of_the_same_supernet(tmp_path: Path) -> None:
    file = small_run(tmp_path, train={"epochs": 2}, search={"mutation_excludes": ["none"]})
    assert main(["train", str(file)]) == 0
    last, every = (sampled_values(file, "angle", f"search.angle_ends={ends}") for ends in ("last", "all"))
    np.testing.assert_array_equal(last, sampled_values(file, "angle"))
    assert np.abs(last - every).max() > 0.001
    early = sampled_values(file, "angle", "search.angle_ends=all", "search.angle_epoch=2")
    np.testing.assert_allclose(early, every, atol=1e-12)
    assert load_config(file, ["search.angle_ends=all"]).search.fitness_name == "angle (paper, ends all)"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("search.fitness=[one_shot_loss, one_shot_accuracy]", "come of one evaluation; name one of them"),
        ("search.fitness=[angle, angle]", "search.fitness: expected different ones"),
        ("search.fitness=[angle]", "search.fitness: "),
        (
            "search.fitness=angles",
            "search.fitness: expected one of angle, az_complexity, ",
        ),
        ("search.angle_epoch=2", "search.angle_epoch: expected at most train.epochs (1), got 2"),
    ],
)
def test_a_wrong_fitness_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, message: str
) -> None:
    assert message in mistake(capsys, "run", spos_run(tmp_path), "--set", override)


def test_a_space_that_states_nothing_but_its_networks_is_searched_by_accuracy_and_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(ChainSpace, "weight_vector")
    file = spos_run(tmp_path, space={"name": "tests.stages.chain_space.ChainSpace"}, report=True)
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    costs = {"num_parameters", "multiply_adds"}
    assert {*history(run)[0]} == {"generation", "architecture", "description", "fitness", "accuracy", "loss"} | costs
    assert f"report: {run / 'report/index.html'}" in capsys.readouterr().out
    assert "multiply-adds" in (run / "report/index.html").read_text()
    assert main(["rank", str(file), "--sample", "8"]) == 0
    assert "tau-b with the parameters" in capsys.readouterr().out
    assert "ChainSpace states no weight vector" in mistake(capsys, "rank", file, "--set", "search.fitness=angle")
