"""Runs with alphas: what they leave, that an interruption leaves no trace, and what a user gets wrong."""

import csv
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.special import log_softmax, softmax
from scipy.stats import entropy

from raynas.cli import main
from raynas.config.reading import load_config
from raynas.search_space import all_architectures
from raynas.spaces.nasbench201 import NasBench201
from raynas.stages import supernet_records, training
from raynas.stages.task import make_task
from raynas.stages.train_supernet import routing_of
from raynas.supernet.alphas import initial_alphas
from tests.stages.runs import small_run

EPOCHS = 4
SPACE = NasBench201(2, 1)
ROWS: dict[str, dict[str, Any]] = {
    "darts": {"first_epoch": 1},
    "gdas": {"idle": True, "learning_rate": 0.05},
    "setn": {"learning_rate": 0.1},
}


def alpha_run(folder: Path, algorithm: str, **sections: Any) -> Path:
    """Returns a run file of a few steps, evaluated in this process on 64 images."""
    search = {"evaluators": 0, "evaluation_images": 64, "calibration_images": 64, "evaluation_batch_size": 64}
    sections["search"] = {**search, **sections.get("search", {})}
    sections["train"] = {"epochs": EPOCHS, "batch_size": 32, "checkpoint_every": 2, **sections.get("train", {})}
    sections["data"] = {"max_images": 200, "train_portion": 0.6, **sections.get("data", {})}
    sections["alphas"] = {**ROWS.get(algorithm, {}), **sections.get("alphas", {})}
    return small_run(folder, algorithm=algorithm, **sections)


def outcome(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Returns what must not depend on whether a run was interrupted."""
    run = folder / "runs/small"
    place = run / f"supernet/seed_{seed}"
    timed = ("seconds", "images_per_second")
    lines = [(place / "metrics.jsonl").read_text(), (run / "search/history.jsonl").read_text()]
    parts = ("weights", "optimizer", "alphas")
    return {
        **{
            part: hashlib.sha256((place / f"epoch_{EPOCHS:05d}/{part}.safetensors").read_bytes()).hexdigest()
            for part in parts
        },
        "rows": np.load(place / "alphas.npy").tolist(),
        "derived": (place / "derived.jsonl").read_text(),
        "lines": [
            {k: v for k, v in json.loads(line).items() if k not in timed} for line in "".join(lines).splitlines()
        ],
    }


@pytest.fixture(scope="module")
def whole_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Returns the folder of an undisturbed run of an algorithm."""

    @functools.cache
    def run(algorithm: str) -> Path:
        folder = tmp_path_factory.mktemp("whole")
        assert main(["run", str(alpha_run(folder, algorithm))]) == 0
        return folder

    return run


@pytest.fixture(params=ROWS)
def whole(request: pytest.FixtureRequest, whole_of: Callable[[str], Path]) -> tuple[str, Path]:
    """The name of an algorithm, and the folder of an undisturbed run of it."""
    return request.param, whole_of(request.param)


# What a run leaves


def test_alphas_and_what_they_stand_for_are_kept_after_every_epoch(whole: tuple[str, Path]) -> None:
    algorithm, folder = whole
    place = folder / "runs/small/supernet/seed_0"
    rows = np.load(place / "alphas.npy")
    assert rows.shape == (EPOCHS + 1, 6, 5)
    assert rows.dtype == np.float64
    assert np.array_equal(rows[0], np.stack([alpha.detach().double().numpy() for alpha in initial_alphas(SPACE, 0)]))
    for epochs in (2, EPOCHS):
        stored = load_file(place / f"epoch_{epochs:05d}/alphas.safetensors")
        assert np.array_equal(rows[epochs], np.stack([stored[f"{n}.alpha"].double().numpy() for n in range(6)]))
    rests = ROWS[algorithm].get("first_epoch", 0)
    assert [bool((a != b).any()) for a, b in zip(rows, rows[1:], strict=False)] == [n >= rests for n in range(EPOCHS)]
    rule = "without_none" if algorithm.startswith("darts") else "with_none"
    lines = [json.loads(line) for line in (place / "derived.jsonl").read_text().splitlines()]
    assert [line["epochs"] for line in lines] == list(range(EPOCHS + 1))
    for line, row in zip(lines, rows, strict=True):
        architecture = tuple(int(k) + first for k, first in zip(*taken(row, rule), strict=True))
        assert tuple(line["architecture"]) == architecture
        assert line["description"] == SPACE.describe(architecture)
        names = [SPACE.choices[0].candidates[k] for k in architecture if k]
        assert line["operations"] == {name: names.count(name) for name in names}
        weights = np.exp(row) / np.exp(row).sum(axis=1, keepdims=True)
        assert line["dominance"] == pytest.approx(weights.max(axis=1).mean())
        assert line["skip_share"] == pytest.approx(weights[:, 1].mean())
        assert line["none_share"] == pytest.approx(weights[:, 0].mean())
        kept = [row[k] for row, k in zip(weights, architecture, strict=True) if k]
        assert line["least_kept"] == (pytest.approx(min(kept)) if kept else None)
    names = json.loads((place / "alphas.json").read_text())["choices"]
    assert names == [{"name": choice.name, "candidates": list(choice.candidates)} for choice in SPACE.choices]


def taken(row: np.ndarray, rule: str) -> tuple[np.ndarray, list[int]]:
    first = int(rule == "without_none")
    return row[:, first:].argmax(axis=1), [first] * len(row)


def test_the_metrics_of_an_epoch_tell_of_its_alphas(whole: tuple[str, Path]) -> None:
    algorithm, folder = whole
    text = (folder / "runs/small/supernet/seed_0/metrics.jsonl").read_text()
    for epoch, line in enumerate(map(json.loads, text.splitlines())):
        if epoch < ROWS[algorithm].get("first_epoch", 0):
            assert "search_loss" not in line
            continue
        assert line["search_loss"] > 0
        assert 0 <= line["search_accuracy"] <= 100
        assert line["first_norm"] > 0
        assert line["correction_norm"] == 0
        expected = 10 - 9.9 * epoch / (EPOCHS - 1) if algorithm == "gdas" else None
        assert line["temperature"] == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("ends", "schedule", "expected"),
    [
        ([10, 0.1], "linear", [10, 7.525, 5.05, 2.575, 0.1]),
        ([16, 1], "exponential", [16, 8, 4, 2, 1]),
        ([0.5, 8], "exponential", [0.5, 1, 2, 4, 8]),
    ],
)
def test_the_temperature_of_every_step_is_that_of_its_epoch(
    tmp_path: Path, ends: list[float], schedule: str, expected: list[float]
) -> None:
    alphas = {"temperature": ends, "temperature_schedule": schedule}
    file = small_run(tmp_path, algorithm="gdas", train={"epochs": 5}, alphas=alphas)
    routing = routing_of(make_task(load_config(file)), 0, 3, steps_per_epoch=7)
    by_epoch = [[routing.temperature(7 * epoch + step) for step in range(7)] for epoch in range(5)]
    assert by_epoch == [[pytest.approx(value, rel=1e-12)] * 7 for value in expected]


def test_the_search_proposes_what_the_alphas_say(whole: tuple[str, Path]) -> None:
    algorithm, folder = whole
    run = folder / "runs/small"
    lines = [json.loads(line) for line in (run / "search/history.jsonl").read_text().splitlines()]
    last = json.loads((run / "supernet/seed_0/derived.jsonl").read_text().splitlines()[-1])
    if algorithm == "setn":
        assert 20 < len(lines) <= 60
        assert all(line["fitness"] == -line["loss"] for line in lines)
    else:
        assert [line["architecture"] for line in lines] == [last["architecture"]]


# Interruptions


class Interruption:
    """Stops the training where a function is called for the n-th time, before or after it did its work."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, number: int, after: bool) -> None:
        function: Callable[..., Any] = getattr(owner, name)
        self.calls = 0

        def stopping(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls == number and not after:
                raise KeyboardInterrupt
            result = function(*arguments, **options)
            if self.calls == number:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(owner, name, stopping)


RECORDS = supernet_records.SupernetRecords


@pytest.mark.parametrize(
    ("algorithm", "owner", "name", "number", "after"),
    [
        ("gdas", RECORDS, "write", 1, True),  # before the first epoch
        ("gdas", RECORDS, "write", 2, True),  # after the first, of which there is no checkpoint
        ("gdas", RECORDS, "write", 4, False),  # after a checkpoint
        ("gdas", training, "save_checkpoint", 2, False),  # between an epoch's log and its checkpoint
        ("gdas", training, "save_checkpoint", 2, True),
        ("gdas", training, "save_checkpoint", 3, False),  # of the last epoch
        ("gdas", supernet_records, "append_lines", 5, False),  # between alphas.npy and the line of what they stand for
        ("darts", training, "save_checkpoint", 3, False),
        ("setn", training, "save_checkpoint", 3, False),
    ],
    ids=lambda one: getattr(one, "__name__", str(one)).rpartition(".")[2],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(
    whole_of: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    algorithm: str,
    owner: Any,
    name: str,
    number: int,
    after: bool,
) -> None:
    file = alpha_run(tmp_path, algorithm)
    with monkeypatch.context() as patched:
        interruption = Interruption(patched, owner, name, number, after)
        assert main(["run", str(file)]) == 130
        assert interruption.calls == number
    assert main(["run", str(file)]) == 0
    assert outcome(tmp_path) == outcome(whole_of(algorithm))


def test_a_damaged_checkpoint_of_alphas_is_passed_over(whole_of: Callable[[str], Path], tmp_path: Path) -> None:
    file = alpha_run(tmp_path, "gdas")
    assert main(["train", str(file)]) == 0
    place = tmp_path / "runs/small/supernet/seed_0"
    (place / "result.json").unlink()
    damaged = place / f"epoch_{EPOCHS:05d}/alphas.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    assert main(["run", str(file)]) == 0
    assert outcome(tmp_path) == outcome(whole_of("gdas"))


@pytest.mark.parametrize("name", ["metrics.jsonl", "angle_tables.jsonl", "derived.jsonl"])
@pytest.mark.parametrize("left", [1, -1])
def test_records_cut_off_in_a_line_are_written_again(
    whole_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, left: int
) -> None:
    file = alpha_run(tmp_path, "gdas")
    assert main(["train", str(file)]) == 0
    place = tmp_path / "runs/small/supernet/seed_0"
    (place / "result.json").unlink()
    lines = (place / name).read_bytes().splitlines(keepends=True)
    (place / name).write_bytes(b"".join(lines[:-1]) + lines[-1][: left if left > 0 else len(lines[-1]) + left])
    assert main(["run", str(file)]) == 0
    said = f"epoch_{EPOCHS:05d} is later than the records, cut off after epoch {EPOCHS - 1}"
    assert said in capsys.readouterr().out
    assert outcome(tmp_path) == outcome(whole_of("gdas"))


def test_initial_weights_that_are_damaged_are_drawn_again(
    whole_of: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = alpha_run(tmp_path, "gdas")
    assert main(["train", str(file)]) == 0
    place = tmp_path / "runs/small/supernet/seed_0"
    (place / "result.json").unlink()
    damaged = place / "initial/weights.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert main(["run", str(file)]) == 0
    assert (
        "initial is damaged (weights.safetensors is not what was written); initialised again from the seed"
        in "".join(capsys.readouterr().out.splitlines())
    )
    assert damaged.read_bytes() == whole
    assert outcome(tmp_path) == outcome(whole_of("gdas"))


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["darts_second_order", "amended_darts"])
def test_second_derivatives_are_interrupted_without_a_trace_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    outcomes = []
    for name in ("whole", "interrupted"):
        (tmp_path / name).mkdir()
        file = alpha_run(tmp_path / name, algorithm)
        if name == "interrupted":
            with monkeypatch.context() as patched:
                Interruption(patched, training, "save_checkpoint", 3, False)
                assert main(["run", str(file)]) == 130
        assert main(["run", str(file)]) == 0
        outcomes.append(outcome(tmp_path / name))
    assert outcomes[0] == outcomes[1]
    assert all(line["correction_norm"] > 0 for line in outcomes[0]["lines"][:EPOCHS])


# Several trainings, rankings


@pytest.mark.slow
def test_each_base_seed_derives_its_architecture_and_the_supernets_evaluate_together(tmp_path: Path) -> None:
    seeds = [3, 4]
    assert main(["run", str(alpha_run(tmp_path, "gdas", train={"base_seeds": seeds}))]) == 0
    run = tmp_path / "runs/small"
    derived, single = set(), []
    for seed in seeds:
        text = (run / f"supernet/seed_{seed}/derived.jsonl").read_text()
        derived.add(tuple(json.loads(text.splitlines()[-1])["architecture"]))
    lines = [json.loads(line) for line in (run / "search/history.jsonl").read_text().splitlines()]
    assert [tuple(line["architecture"]) for line in lines] == sorted(derived)
    assert len(derived) == 2
    for seed in seeds:
        (tmp_path / str(seed)).mkdir()
        alone = alpha_run(
            tmp_path / str(seed),
            "gdas",
            train={"base_seeds": [seed]},
            search={"name": "exhaustive", "fitness": "log_probability", "population": 15_625},
        )
        assert main(["run", str(alone)]) == 0
        text = (tmp_path / str(seed) / "runs/small/search/history.jsonl").read_text()
        single.append({tuple(line["architecture"]): line["fitness"] for line in map(json.loads, text.splitlines())})
        assert sum(map(np.exp, single[-1].values())) == pytest.approx(1, abs=1e-9)
        rows = np.load(tmp_path / str(seed) / f"runs/small/supernet/seed_{seed}/alphas.npy")
        assert np.array_equal(rows, np.load(run / f"supernet/seed_{seed}/alphas.npy")), "seeds do not meet"
    overrides = ["--set", "search.fitness=log_probability", "--set", f"train.reuse={run}", "--set", "name=again"]
    assert main(["run", str(tmp_path / "small.yaml"), *overrides]) == 0
    again = [json.loads(text) for text in (tmp_path / "runs/again/search/history.jsonl").read_text().splitlines()]
    assert [line["architecture"] for line in again] == [line["architecture"] for line in lines]
    for line in again:
        values = [fitness[tuple(line["architecture"])] for fitness in single]
        assert line["fitness"] == pytest.approx(np.mean(values), rel=1e-12)
        assert line["spread"] == pytest.approx(np.std(values, ddof=1), rel=1e-9)


def test_the_space_is_ranked_by_the_log_probability_of_the_alphas(tmp_path: Path) -> None:
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["arch", "test_accuracy_200"])
        for number, architecture in enumerate(all_architectures(SPACE).tolist()):
            writer.writerow([SPACE.describe(tuple(architecture)), 10 + 80 * (number * 7919 % 15625) / 15625])
    file = alpha_run(tmp_path, "setn", benchmark={"path": str(tmp_path / "table.csv")})
    assert main(["train", str(file)]) == 0
    assert main(["rank", str(file), "--set", "search.fitness=log_probability", "--sample", "400"]) == 0
    with (tmp_path / "runs/small/rank/log_probability.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    alphas = log_softmax(np.load(tmp_path / "runs/small/supernet/seed_0/alphas.npy")[-1], axis=1)
    assert len(rows) == 400
    for row in rows:
        architecture = [int(k) for k in row["architecture"].split("-")]
        assert float(row["fitness"]) == pytest.approx(sum(alphas[range(6), architecture]), rel=1e-6)


def test_setn_samples_by_its_trained_alphas(tmp_path: Path) -> None:
    file = alpha_run(tmp_path, "setn", search={"population": 400, "generations": 1, "fitness": "num_parameters"})
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    shares = softmax(np.load(run / "supernet/seed_0/alphas.npy")[-1], axis=1)
    lines = [json.loads(line) for line in (run / "search/history.jsonl").read_text().splitlines()]
    drawn = np.array([line["architecture"] for line in lines])
    assert shares.max() > 0.3, "the alphas have an opinion"
    for edge in range(6):
        assert abs((drawn[:, edge] == shares[edge].argmax()).mean() - shares[edge].max()) < 0.1


# Mistakes


@pytest.mark.parametrize(
    ("algorithm", "sections", "message"),
    [
        ("rlnas", {"train": {"sampling": "mixture"}}, "train.sampling: mixture needs alphas, which rlnas has none of"),
        ("spos", {"search": {"name": "derive"}}, "search.name: derive needs alphas, which spos has none of; set"),
        ("rlnas", {"search": {"fitness": "log_probability"}}, "search.fitness: log_probability needs alphas"),
        (
            "gdas",
            {"data": {"train_portion": 1.0}, "search": {"fitness": "log_probability"}},
            "data.train_portion: alphas follow the search split, which is empty at 1; lower it",
        ),
        (
            "gdas",
            {"data": {"train_portion": 0.9}, "search": {"fitness": "log_probability"}},
            "train.batch_size: expected at most 20 (the images there are to train on), got 32",
        ),
        ("darts", {"search": {"limits": {"max_parameters": 1e9}}}, "search.limits: what alphas stand for cannot be"),
        ("darts", {"search": {"limits": {"max_latency": 1}}}, "search.limits: what alphas stand for cannot be"),
        ("setn", {"search": {"limits": {"max_parameters": 1}}}, "search.limits.max_parameters: 1.0e0 admits none of"),
        (
            "darts",
            {"alphas": {"idle": True}},
            "alphas.idle: only samples leave candidates idle, got alphas.gates: mixture",
        ),
        (
            "gdas",
            {"search": {"derivation": "pairs"}},
            "search.derivation: NasBench201 has with_none and without_none, got",
        ),
        ("darts", {"alphas": {"first_epoch": 4}}, "alphas.first_epoch: expected less than train.epochs (4), got 4"),
    ],
)
def test_what_alphas_cannot_do_is_one_line_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], algorithm: str, sections: dict[str, Any], message: str
) -> None:
    for verb in ("check", "run"):
        assert main([verb, str(alpha_run(tmp_path, algorithm, **sections))]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"raynas: {message}")
    assert not (tmp_path / "runs/small").exists(), "nothing is left behind"


def test_limits_that_few_architectures_keep_are_no_mistake_before_the_alphas_are_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A single even draw is not likely to be one of the smallest, which are one in twenty."""
    search = {"population": 1, "generations": 1}
    smallest = next(
        int(line.split()[2].replace(",", ""))
        for line in checked(alpha_run(tmp_path, "setn", search=search), capsys)
        if line.startswith("# num_parameters")
    )
    file = alpha_run(tmp_path, "setn", search={**search, "limits": {"max_parameters": float(smallest)}})
    checked(file, capsys)
    assert main(["train", str(file)]) == 0


def checked(file: Path, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Returns what `raynas check` says of a run file that is as it should be."""
    assert main(["check", str(file)]) == 0
    return capsys.readouterr().out.splitlines()


def test_alphas_that_diverge_are_an_error_with_its_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = alpha_run(tmp_path, "setn", alphas={"learning_rate": 1e30, "weight_decay": 1e20})
    assert main(["run", str(file)]) == 1
    assert "the alphas diverged in epoch 0; lower alphas.learning_rate or set" in capsys.readouterr().err
    assert not (tmp_path / "runs/small/supernet/seed_0/result.json").exists()


def test_adams_averages_and_its_step_are_kept_beside_the_alphas(whole: tuple[str, Path]) -> None:
    stored = load_file(whole[1] / f"runs/small/supernet/seed_0/epoch_{EPOCHS:05d}/alphas.safetensors")
    assert {key.partition(".")[2] for key in stored} == {"alpha", "step", "exp_avg", "exp_avg_sq"}
    assert {tensor.dtype for tensor in stored.values()} == {torch.float32}


@pytest.mark.parametrize("algorithm", ["gdas", "setn"])
def test_a_run_says_how_far_its_alphas_have_decided(
    algorithm: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = alpha_run(tmp_path, algorithm, train={"base_seeds": [0, 3]})
    assert main(["run", str(file)]) == 0
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "runs/small/search/result.json").read_text())
    assert [outcome["base_seed"] for outcome in result["alphas"]] == [0, 3]
    for outcome in result["alphas"]:
        rows = np.load(tmp_path / f"runs/small/supernet/seed_{outcome['base_seed']}/alphas.npy")
        weights = softmax(rows[-1], axis=1)
        largest = weights.max(axis=1).mean()
        assert outcome["epochs"] == EPOCHS and outcome["uniform"] == pytest.approx(1 / 5)
        assert outcome["largest"] == pytest.approx(largest)
        assert outcome["decidedness"] == pytest.approx((largest - 1 / 5) / (1 - 1 / 5))
        assert outcome["entropy"] == pytest.approx(np.mean([entropy(row) for row in weights]))
        assert f"alphas of base seed {outcome['base_seed']}: largest probability {largest:.2f}" in said
    assert any(remark.startswith("alphas: undecided") for remark in result["remarks"])
    assert "note: alphas: undecided" in said


def test_a_run_without_alphas_says_nothing_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = {"name": "random", "population": 4, "generations": 1}
    assert main(["run", str(alpha_run(tmp_path, "spos", search=search))]) == 0
    assert "alphas" not in json.loads((tmp_path / "runs/small/search/result.json").read_text())
    assert "alphas:" not in capsys.readouterr().out


def table_of(folder: Path) -> tuple[Path, dict[str, float]]:
    """Returns a benchmark with an accuracy of its own for each architecture, and these by text."""
    accuracies = {}
    for number, architecture in enumerate(all_architectures(SPACE)):
        accuracies[SPACE.describe(tuple(architecture.tolist()))] = 10 + 80 * number / 15624
    file = folder / "table.csv"
    rows = [f"{text},{accuracy}" for text, accuracy in accuracies.items()]
    file.write_text("\n".join(["arch,test_accuracy_200", *rows]))
    return file, accuracies


def test_a_run_says_how_often_what_its_alphas_stand_for_changed_and_what_that_was_worth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, accuracies = table_of(tmp_path)
    file = alpha_run(tmp_path, "gdas", benchmark={"path": str(table)}, report=True)
    assert main(["run", str(file)]) == 0
    said = capsys.readouterr().out
    (outcome,) = json.loads((tmp_path / "runs/small/search/result.json").read_text())["alphas"]
    derived = (tmp_path / "runs/small/supernet/seed_0/derived.jsonl").read_text().splitlines()
    texts = [json.loads(line)["description"] for line in derived]
    assert len(texts) == EPOCHS + 1
    changes = [before != after for before, after in zip(texts, texts[1:], strict=False)]
    assert outcome["changes_in_half"] == sum(changes[-2:]) and outcome["changes_in_tenth"] == sum(changes[-1:])
    known = [accuracies[text] for text in texts]
    assert outcome["benchmark"] == pytest.approx(known)
    plural = "" if sum(changes[-2:]) == 1 else "s"
    line = f"derived architecture: {sum(changes[-2:])} change{plural} in the last 2 epochs; benchmark "
    assert f"{line}{min(known[-2:]):.1f} to {max(known[-2:]):.1f} %" in said
    page = (tmp_path / "runs/small/report/index.html").read_text()
    assert f"between {min(known[-2:]):.2f} and {max(known[-2:]):.2f} percent benchmark accuracy" in page
    assert (tmp_path / "runs/small/report/figures/derived-benchmark.svg").exists()


@pytest.mark.parametrize("derivation", ["with_none", "without_none"])
def test_a_found_accuracy_stands_beside_that_of_a_random_architecture(
    derivation: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, accuracies = table_of(tmp_path)
    file = alpha_run(tmp_path, "gdas", benchmark={"path": str(table)}, search={"derivation": derivation})
    assert main(["run", str(file)]) == 0
    said = capsys.readouterr().out
    result = json.loads((tmp_path / "runs/small/search/result.json").read_text())
    found = result["best"][0]["true"]
    of_set = {"all": list(accuracies.values())}
    if derivation == "without_none":
        of_set["without_none"] = [accuracy for text, accuracy in accuracies.items() if "none" not in text]
    assert [random["of"] for random in result["random"]] == list(of_set)
    for random in result["random"]:
        values = np.array(of_set[random["of"]])
        below = (values < found).mean() + (values == found).mean() / 2
        assert random["architectures"] == len(values) and random["below"] == pytest.approx(100 * below)
        assert random["mean"] == pytest.approx(values.mean()) and random["deviation"] == pytest.approx(values.std())
        line = f"{values.mean():.2f} ± {values.std():.2f} % (mean and deviation of {len(values):,}); the best one found"
        assert f"{line} exceeds {100 * below:.0f} % of them" in said
