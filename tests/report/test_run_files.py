"""What is read from a run's folder, and how a damaged file is named."""

from __future__ import annotations

import io
import json
import math
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from raynas.report.run_files import read_run
from tests.report import runs


def test_everything_that_was_written_is_read(tmp_path: Path) -> None:
    runs.write_run(tmp_path, name="whole", train={"base_seeds": [0, 1]})
    run = read_run(tmp_path)
    history = [json.loads(line) for line in (tmp_path / "search/history.jsonl").read_text().splitlines()]
    result = json.loads((tmp_path / "search/result.json").read_text())
    assert (run.name, run.fitness, run.quantity.title, list(run.training)) == ("whole", "angle", "angle (rad)", [0, 1])
    assert run.about.versions["torch"] == "2.15.0"
    for seed, metrics in run.training.items():
        lines = (tmp_path / f"supernet/seed_{seed}/metrics.jsonl").read_text().splitlines()
        assert metrics["loss"].tolist() == [json.loads(line)["loss"] for line in lines]
    assert run.history is not None
    for column in ("generation", "fitness", "num_parameters", "multiply_adds", "seconds"):
        assert run.history.columns[column].tolist() == [line[column] for line in history]
    assert [best.architecture for best in run.best] == [tuple(line["architecture"]) for line in result["best"]]
    assert [dict(best.drawing) for best in run.best] == [
        {name: [tuple(edge) for edge in edges] for name, edges in line["drawing"].items()} for line in result["best"]
    ]
    rank = run.ranks[0]
    assert (rank.label, rank.cells, rank.table, len(rank.architectures)) == (
        "angle_paper",
        200,
        "nasbench201_cifar10.csv",
        200,
    )
    assert rank.rows[0].tau == 0.62
    assert rank.rows[0].tau_interval == (0.61, 0.63)
    assert rank.rows[0].top == {1: (91.9, 92.01), 10: (91.0, 92.1), 100: (82.0, 93.0)}
    assert math.isnan(rank.rows[1].tau_within)


def test_the_best_so_far_is_the_running_maximum(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    lines = runs.write_search(tmp_path)
    history = read_run(tmp_path).history
    assert history is not None
    fitness = [line["fitness"] for line in lines]
    assert history.best_so_far.tolist() == [max(fitness[: i + 1]) for i in range(len(fitness))]


def test_the_seconds_of_a_stage_add_up_over_its_parts(tmp_path: Path) -> None:
    runs.write_run(tmp_path)
    runs.write_rank(tmp_path, "one_shot_accuracy", fitness="one_shot_accuracy")
    assert read_run(tmp_path).seconds == {"training": 2 * 5 * 2.5, "search": 12.5, "rank": 2 * 3.25}


def test_parts_that_are_missing_are_empty(tmp_path: Path) -> None:
    trained, searched, ranked = (tmp_path / name for name in ("trained", "searched", "ranked"))
    for folder in (trained, searched, ranked):
        runs.write_config(folder)
    runs.write_training(trained)
    runs.write_search(searched, costs=False, drawings=False)
    runs.write_rank(ranked)
    (ranked / "rank/angle_paper.csv").unlink()
    run = read_run(trained)
    assert (run.history, run.result, list(run.best), list(run.ranks)) == (None, None, [], [])
    assert set(run.seconds) == {"training"}
    run = read_run(searched)
    assert not run.training and run.history is not None and "num_parameters" not in run.history.columns
    assert [dict(best.drawing) for best in run.best] == [{}] * 10
    run = read_run(ranked)
    assert run.ranks[0].rows[0].tau == 0.62 and list(run.ranks[0].architectures) == []


def test_the_best_of_a_search_that_goes_on_are_those_of_its_history(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    lines = runs.write_search(tmp_path, result=False)
    with (tmp_path / "search/history.jsonl").open("a") as stream:
        stream.write('{"generation": 9, "fit')  # is being written
    run = read_run(tmp_path)
    assert run.history is not None and len(run.history.columns["fitness"]) == len(lines)
    top = sorted((line["fitness"] for line in lines), reverse=True)[:10]
    assert [best.numbers["fitness"] for best in run.best] == top
    assert run.fitness == "angle"


def test_a_column_is_read_only_if_every_line_has_it_and_null_is_not_a_number(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    lines = [{"epoch": 0, "loss": 1.0, "accuracy": None, "seconds": 1}, {"epoch": 1, "loss": 0.5, "accuracy": 20.0}]
    runs.write_lines(tmp_path / "supernet/seed_0/metrics.jsonl", lines)
    metrics = read_run(tmp_path).training[0]
    assert set(metrics) == {"epoch", "loss", "accuracy"}
    np.testing.assert_array_equal(metrics["accuracy"], [math.nan, 20.0])


def test_seeds_are_ordered_as_numbers_and_other_folders_are_left_alone(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    for seed in (10, 9, 2):
        runs.write_training(tmp_path, seed)
    (tmp_path / "supernet/seed_x").mkdir()
    (tmp_path / "supernet/seed_3").mkdir()
    assert list(read_run(tmp_path).training) == [2, 9, 10]


def test_the_rank_of_the_searchs_own_fitness_comes_first(tmp_path: Path) -> None:
    runs.write_run(tmp_path)
    for label, fitness in (("angle_official", "angle"), ("a_fitness", "random")):
        runs.write_rank(tmp_path, label, fitness=fitness)
    assert [rank.label for rank in read_run(tmp_path).ranks] == ["angle_paper", "a_fitness", "angle_official"]


def test_the_benchmark_accuracy_is_looked_up_in_the_ranks_or_is_the_tables_fitness(tmp_path: Path) -> None:
    ranked, by_table = tmp_path / "ranked", tmp_path / "table"
    runs.write_config(ranked)
    runs.write_rank(ranked, cells=[[0] * 6, [1] * 6], values=[0.1, 0.2], true=[90.5, 91.25])
    assert read_run(ranked).benchmark_accuracy((1,) * 6) == 91.25
    assert read_run(ranked).benchmark_accuracy((2,) * 6) is None
    runs.write_rank(ranked, cells=[[0] * 6, [1] * 6], values=[0.1, 0.2], true=[90.5, 91.25], table=None)
    assert read_run(ranked).benchmark_accuracy((1,) * 6) is None
    runs.write_config(by_table, search={"fitness": "benchmark_table"})
    runs.write_search(by_table, fitness="benchmark_table")
    best = read_run(by_table).best[0]
    assert read_run(by_table).benchmark_accuracy(best.architecture) == best.numbers["fitness"]


def test_a_rank_without_a_table_holds_the_correlation_with_the_sizes(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    rows = [{"name": "angle (paper)", "tau_parameters": 0.4, "tau_multiply_adds": 0.5}]
    runs.write_rank(tmp_path, rows=rows, table=None)
    rank = read_run(tmp_path).ranks[0]
    assert not rank.has_table and math.isnan(rank.rows[0].tau) and np.isnan(rank.columns["true"]).all()
    assert rank.rows[0].tau_sizes == {"num_parameters": 0.4, "multiply_adds": 0.5}


def test_what_the_fitness_measures_is_told_by_the_result_or_by_the_configuration(tmp_path: Path) -> None:
    search = {"fitness": "angle", "angle": "official"}
    runs.write_config(tmp_path, search=search)
    runs.write_search(tmp_path, result=False)
    runs.write_rank(tmp_path, "angle_official")
    runs.write_rank(tmp_path, "angle")
    run = read_run(tmp_path)
    assert run.quantity.title == "angle, official (rad)"
    assert [rank.label for rank in run.ranks] == ["angle_official", "angle"]
    lines = runs.write_search(tmp_path, result=False)
    runs.write_result(tmp_path, fitness="angle", lines=lines, best=lines[:3])
    assert read_run(tmp_path).quantity.title == "angle (rad)"
    runs.write_config(tmp_path, search={**search, "fitness": ["angle", "random"]})
    (tmp_path / "search/result.json").unlink()
    assert read_run(tmp_path).fitness == "angle+random"


def test_a_search_that_goes_on_is_shown_by_what_the_configuration_says_of_it(tmp_path: Path) -> None:
    """So a fitness and a searcher of the user's own are shown with unit and objectives before there is a result."""
    runs.write_config(tmp_path, search={"name": "mine.SEARCH", "fitness": "mine.NEAR"})
    runs.write_search(tmp_path, result=False)
    file = tmp_path / "config.json"
    quantity = {"name": "fitness", "title": "nearness", "unit": "m", "digits": 1, "benchmark": True}
    plan = {"fitness": "near", "name": "near (north)", "quantities": [quantity], "objectives": ["latency"]}
    file.write_text(json.dumps({**json.loads(file.read_text()), "plan": plan}))
    run = read_run(tmp_path)
    assert (run.fitness, run.quantity.title, run.objectives) == ("near", "nearness, north (m)", ["latency"])
    assert run.is_by_benchmark and not run.is_by_accuracy


def test_what_a_search_for_trade_offs_and_a_profile_left_is_read(tmp_path: Path) -> None:
    runs.write_config(tmp_path, search={"name": "pareto", "objectives": ["latency"]})
    runs.write_pareto(tmp_path, objectives=("latency", "num_parameters"))
    runs.write_profile(tmp_path)
    run = read_run(tmp_path)
    front = json.loads((tmp_path / "search/result.json").read_text())["front"]
    assert [one.architecture for one in run.front] == [tuple(line["architecture"]) for line in front]
    assert [one.numbers["latency"] for one in run.front] == [line["latency"] for line in front]
    assert (run.objectives, run.hypervolumes) == (["latency", "num_parameters"], [0.5, 0.75, 0.875, 0.9375])
    assert run.missed is None
    assert run.profile is not None and run.profile.predicted.tolist() == [0.0041, 0.0045, 0.0082]
    (tmp_path / "search/result.json").unlink()
    assert read_run(tmp_path).objectives == ["latency"]
    runs.write_config(tmp_path, search={"name": "evolution", "objectives": ["latency"]})
    assert (list(read_run(tmp_path).objectives), list(read_run(tmp_path).front)) == ([], [])


def test_the_benchmark_accuracies_of_the_front_are_read_from_the_result(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_pareto(tmp_path)
    first = read_run(tmp_path).front[0].architecture
    assert read_run(tmp_path).benchmark_accuracy(first) is None
    front = json.loads((tmp_path / "search/result.json").read_text())["front"]
    runs.add_to_result(tmp_path, front=[{**line, "true": 91.5} for line in front])
    assert read_run(tmp_path).benchmark_accuracy(first) == 91.5


def test_texts_hold_nothing_that_a_page_cannot(tmp_path: Path) -> None:
    runs.write_config(tmp_path, name="a\x00b\x1b[31m\ud800c\tüλ\U0001f600")
    runs.write_training(tmp_path)
    assert read_run(tmp_path).name == "a\ufffdb\ufffd[31m\ufffdc\tüλ\U0001f600"


# Architecture parameters


def softmax(values: list[float]) -> list[float]:
    exponentials = [math.exp(value) for value in values if not math.isnan(value)]
    return [one / sum(exponentials) for one in exponentials]


@pytest.mark.parametrize("choices", [None, runs.darts_choices(), runs.quadruple_choices()])
def test_the_architecture_parameters_of_every_base_seed_are_read(
    tmp_path: Path, choices: dict[str, list[str]] | None
) -> None:
    runs.write_config(tmp_path)
    written = {seed: runs.write_alphas(tmp_path, seed, choices=choices) for seed in (10, 2)}
    runs.write_training(tmp_path, 3)
    run = read_run(tmp_path)
    assert list(run.alphas) == [2, 10] and list(run.training) == [2, 3, 10]
    for seed, values in written.items():
        alphas = run.alphas[seed]
        np.testing.assert_array_equal(alphas.values, values)
        assert alphas.epochs == 5
        about = json.loads((tmp_path / f"supernet/seed_{seed}/alphas.json").read_text())["choices"]
        assert list(alphas.choices) == [choice["name"] for choice in about]
        assert [list(names) for names in alphas.candidates] == [choice["candidates"] for choice in about]
        lines = [
            json.loads(line) for line in (tmp_path / f"supernet/seed_{seed}/derived.jsonl").read_text().split("\n")[:-1]
        ]
        assert [list(derived.architecture) for derived in alphas.derived] == [line["architecture"] for line in lines]
        assert [derived.operations for derived in alphas.derived] == [line["operations"] for line in lines]


@pytest.mark.parametrize("choices", [None, runs.quadruple_choices()])
def test_weights_entropy_and_shares_are_those_counted_choice_by_choice(
    tmp_path: Path, choices: dict[str, list[str]] | None
) -> None:
    runs.write_config(tmp_path)
    values = runs.write_alphas(tmp_path, epochs=2, choices=choices, collapse=1500.0 if choices is None else 1.0)
    alphas = read_run(tmp_path).alphas[0]
    for epoch, rows in enumerate(values.tolist()):
        weights = [softmax([v - max(v for v in row if not math.isnan(v)) for v in row]) for row in rows]
        for choice, of in enumerate(weights):
            assert alphas.weights[epoch, choice, : len(of)] == pytest.approx(of)
            assert np.isnan(alphas.weights[epoch, choice, len(of) :]).all()
            entropy = -sum(p * math.log(p) for p in of if p > 0) / math.log(len(of))
            assert alphas.entropies[epoch, choice] == pytest.approx(entropy, abs=1e-12)
        assert alphas.largest[epoch] == pytest.approx(statistics.mean(max(of) for of in weights))
        shares = [
            sum(
                p * name.split("+").count("skip_connect") / len(name.split("+"))
                for p, name in zip(of, names, strict=True)
            )
            for of, names in zip(weights, alphas.candidates, strict=True)
            if any("skip_connect" in name for name in names)
        ]
        share = alphas.share("skip_connect")
        assert share is not None and share[epoch] == pytest.approx(statistics.mean(shares))
    assert alphas.share("skip") is None


def test_choices_of_a_single_candidate_are_left_out(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    choices = {"a": ["skip_connect"], "b": ["skip_connect", "conv"], "c": ["conv"], "d": ["x", "y", "z"]}
    values = runs.write_alphas(tmp_path, choices=choices, architecture=(0, 1, 0, 2))
    alphas = read_run(tmp_path).alphas[0]
    assert list(alphas.choices) == ["b", "d"]
    np.testing.assert_array_equal(alphas.values, values[:, [1, 3]])
    assert (alphas.derived[-1].architecture, list(alphas.derived[-1].taken)) == ((0, 1, 0, 2), [1, 2])
    runs.write_alphas(tmp_path, choices={"a": ["skip_connect"], "b": ["conv"]})
    assert read_run(tmp_path).alphas == {}


def test_what_is_none_is_no_edge_of_a_derived_architecture(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path, architecture=(0, 1, 1, 3, 0, 1))
    last = read_run(tmp_path).alphas[0].derived[-1]
    assert (last.edges, last.operations) == (4, {"none": 2, "skip_connect": 3, "nor_conv_3x3": 1})


def test_epochs_without_steps_on_the_parameters_have_no_numbers_of_them(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    line = {"loss": 1.0, "temperature": None}
    steps = {"search_loss": 2.0, "cosine": 0.5}
    lines = [{"epoch": 0, **line}, {"epoch": 1, **line, "search_loss": None}, {"epoch": 2, **line, **steps}]
    runs.write_lines(tmp_path / "supernet/seed_0/metrics.jsonl", lines)
    metrics = read_run(tmp_path).training[0]
    assert set(metrics) == {"epoch", "loss", "search_loss", "cosine"}
    np.testing.assert_array_equal(metrics["search_loss"], [math.nan, math.nan, 2.0])
    np.testing.assert_array_equal(metrics["loss"], [1.0, 1.0, 1.0])
    np.testing.assert_array_equal(metrics["epoch"], [0, 1, 2])


@pytest.mark.parametrize("missing", ["alphas.npy", "alphas.json", "derived.jsonl"])
def test_parameters_of_which_a_part_is_missing_are_not_shown(tmp_path: Path, missing: str) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path)
    (tmp_path / "supernet/seed_0" / missing).unlink()
    run = read_run(tmp_path)
    assert run.alphas == {} and "search_loss" in run.training[0]


def test_parameters_of_a_training_that_goes_on_are_those_that_all_files_tell(tmp_path: Path) -> None:
    """One that went on from a checkpoint has parameters of later epochs, until it gets there again."""
    runs.write_config(tmp_path)
    values = runs.write_alphas(tmp_path, epochs=9)
    place = tmp_path / "supernet/seed_0"
    for name, kept in (("derived.jsonl", 4), ("metrics.jsonl", 3)):
        lines = (place / name).read_text().splitlines()[:kept]
        (place / name).write_text("".join(f"{line}\n" for line in lines) + '{"epoch')
    alphas = read_run(tmp_path).alphas[0]
    np.testing.assert_array_equal(alphas.values, values[:4])
    assert (alphas.epochs, len(alphas.derived)) == (3, 4)
    (place / "metrics.jsonl").write_text("")
    (place / "derived.jsonl").write_text("")
    assert message(tmp_path).endswith("holds no result yet; run `raynas run FILE.yaml` first")


# Mistakes


def message(folder: Path) -> str:
    with pytest.raises(ValueError) as error:
        read_run(folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    expected = "holds no run (there is no config.json); give the folder that `raynas run` named at its end"
    assert message(tmp_path) == f"{tmp_path} {expected}"
    assert message(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'} {expected}"
    (tmp_path / "file").write_text("x")
    assert message(tmp_path / "file") == f"{tmp_path / 'file'} {expected}"


def test_a_run_that_has_done_nothing_is_named(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    (tmp_path / "supernet/seed_0").mkdir(parents=True)
    (tmp_path / "supernet/seed_0/metrics.jsonl").write_text("")
    assert message(tmp_path) == f"{tmp_path} holds no result yet; run `raynas run FILE.yaml` first"


METRICS = '{"epoch": 0, "loss": 1.5}\n'
LINE = '{"generation": 0, "architecture": [1], "description": "a", "fitness": 1.0}\n'
BEST = {"architecture": [1], "description": "a", "fitness": 1.0}


def result(*best: object) -> str:
    content = {"fitness": "angle", "evaluations": 1, "generations": 1, "seconds": 1.0, "best": list(best)}
    return json.dumps(content)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", '{"config": {\n"name": }}', "at line 2 (Expecting value)"),
        ("config.json", "[]", "expected keys and values, got list"),
        ("config.json", '{"config": {"name": 3}}', "expected text under name, got 3"),
        ("supernet/seed_0/metrics.jsonl", METRICS * 2 + "{oops\n" + METRICS, "at line 3 (Expecting property name"),
        ("supernet/seed_0/metrics.jsonl", METRICS + '{"epoch": 1}\n', "at line 2: expected a number under loss, got N"),
        ("supernet/seed_0/metrics.jsonl", METRICS + "\n" + METRICS, "at line 2 (Expecting value)"),
        ("supernet/seed_0/metrics.jsonl", METRICS + "7\n", "at line 2: expected keys and values, got int"),
        ("search/history.jsonl", LINE * 4 + "[1, 2\n", "at line 5 (Expecting ',' delimiter)"),
        (
            "search/history.jsonl",
            LINE + LINE.replace("1.0", '"1"'),
            "at line 2: expected a number under fitness, got '1'",
        ),
        ("search/history.jsonl", LINE.replace("0", "true", 1), "expected a whole number under generation, got True"),
        ("search/history.jsonl", LINE + "\xff\n", "at line 2 (it is not UTF-8 text)"),
        ("search/result.json", '{\n"fitness": "angle",\n"best"\n}', "at line 4 (Expecting ':' delimiter)"),
        ("search/result.json", '{"fitness": "angle"}', "expected a whole number under evaluations, got None"),
        ("search/result.json", result(BEST, {}), ": best[1]: expected a list under architecture, got None"),
        (
            "search/result.json",
            result({**BEST, "drawing": {"cell": [["in", "out"]]}}),
            ": best[0].drawing.cell: expected edges [source, target, operation]",
        ),
        (
            "search/result.json",
            result({**BEST, "drawing": {"cell": [["a", "b", "x"], ["b", "a", "x"]]}}),
            ": best[0].drawing.cell: the edges run in a circle among the nodes a, b",
        ),
        (
            "search/result.json",
            result({**BEST, "drawing": [1]}),
            ": best[0]: expected keys and values under drawing, got [1]",
        ),
        ("rank/a.json", "{", "at line 1 (Expecting property name"),
        ("rank/a.json", '{"label": "a"}', "expected text under fitness, got None"),
    ],
)
def test_a_damaged_file_is_named_with_the_line_and_what_was_expected(
    tmp_path: Path, name: str, text: str, said: str
) -> None:
    runs.write_run(tmp_path)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    told = message(tmp_path)
    assert told.startswith(f"{tmp_path / name} is damaged")
    assert said in told
    assert told.endswith("; restore it, or remove it to have the report without it")


@pytest.mark.parametrize(
    ("further", "said"),
    [
        ({"objectives": "latency"}, "expected a list under objectives, got 'latency'"),
        ({"objectives": []}, "expected some of num_parameters, multiply_adds, latency under objectives, got []"),
        ({"objectives": ["flops"]}, "latency under objectives, got ['flops']"),
        ({"objectives": [["latency"]]}, "latency under objectives, got [['latency']]"),
        ({"hypervolumes": None}, "expected a list under hypervolumes, got None"),
        ({"hypervolumes": [0.5, "1"]}, "expected numbers under hypervolumes, got [0.5, '1']"),
        ({"front": {}}, "expected a list under front, got {}"),
        ({"front": [BEST]}, "front[0]: expected a number under multiply_adds, got None"),
        ({"front": [{"multiply_adds": 3}]}, "front[0]: expected a list under architecture, got None"),
        ({"missed": "0"}, "expected a number under missed, got '0'"),
    ],
)
def test_a_damaged_front_is_named(tmp_path: Path, further: dict[str, object], said: str) -> None:
    runs.write_config(tmp_path)
    runs.write_pareto(tmp_path)
    runs.add_to_result(tmp_path, **further)
    told = message(tmp_path)
    assert told.startswith(f"{tmp_path / 'search/result.json'} is damaged: ") and said in told


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"device": None}, "expected text under device, got None"),
        ({"correlation": None}, "expected a number under correlation, got None"),
        ({"networks": []}, "networks is empty, expected what was measured"),
        ({"networks": [{"predicted": 1.0}]}, "networks[0]: expected a number under measured, got None"),
    ],
)
def test_a_damaged_profile_is_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    runs.write_config(tmp_path)
    runs.write_profile(tmp_path, **changes)
    told = message(tmp_path)
    assert told.startswith(f"{tmp_path / 'profile.json'} is damaged: ") and said in told


def array(*, shape: tuple[int, ...] = (6, 6, 5), dtype: str = "float64", **at: tuple[tuple[int, ...], float]) -> bytes:
    stream = io.BytesIO()
    values = np.zeros(shape, dtype)
    for place, value in at.values():
        values[place] = value
    np.save(stream, values)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("alphas.npy", b"", "is damaged (EOF: reading magic string"),
        ("alphas.npy", b"alphas", "is damaged ("),
        ("alphas.npy", array()[:-8], "is damaged (EOF: reading array data"),
        (
            "alphas.npy",
            array(shape=(6, 6)),
            "expected numbers of shape (epochs + 1, 6, 5), got float64 of shape (6, 6)",
        ),
        ("alphas.npy", array(shape=(6, 6, 4)), "(epochs + 1, 6, 5), got float64 of shape (6, 6, 4)"),
        ("alphas.npy", array(shape=()), "got float64 of shape ()"),
        ("alphas.npy", array(dtype="int64"), "got int64 of shape (6, 6, 5)"),
        (
            "alphas.npy",
            array(one=((2, 3, 4), math.inf)),
            "expected a number for candidate 4 of choice 3 after 2 epochs, got inf",
        ),
        ("alphas.npy", array(one=((5, 0, 1), math.nan)), "for candidate 1 of choice 0 after 5 epochs, got nan"),
        ("alphas.npy", array(shape=(5, 6, 5)), "derived.jsonl is damaged: expected a line for each of the 5 epochs"),
        ("alphas.json", b'{"choices": {}}', "expected a list under choices, got {}"),
        ("alphas.json", b'{"choices": [{"name": 3}]}', "choices[0]: expected text under name, got 3"),
        ("alphas.json", b'{"choices": [{"name": "a", "candidates": []}]}', "expected names under candidates, got []"),
        ("alphas.json", b'{"choices": [{"name": "a", "candidates": ["b", 1]}]}', "under candidates, got ['b', 1]"),
        ("derived.jsonl", b'{"epochs": 0}\n', "at line 1: expected a list under architecture, got None"),
        ("derived.jsonl", b"", "expected a line for each of the 5 epochs of metrics.jsonl and no more than the 6 rows"),
    ],
)
def test_damaged_architecture_parameters_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path)
    place = tmp_path / "supernet/seed_0"
    (place / name).write_bytes(content)
    told = message(tmp_path)
    assert told.startswith(f"{place}") and said in told
    assert told.endswith("; restore it, or remove it to have the report without it")


def test_a_number_past_a_choices_last_candidate_is_damage(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    values = runs.write_alphas(tmp_path, choices={"a": ["x", "y"], "b": ["x", "y", "z"]})
    values[1, 0, 2] = 0.25
    np.save(tmp_path / "supernet/seed_0/alphas.npy", values)
    assert "expected NaN for candidate 2 of choice 0 after 1 epochs, got 0.25" in message(tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": 3}, "expected 2 under epochs, got 3"),
        ({"architecture": [0] * 5}, "expected a candidate of each choice under architecture, got [0, 0, 0, 0, 0]"),
        ({"architecture": [0] * 5 + [5]}, "of each choice under architecture, got [0, 0, 0, 0, 0, 5]"),
        ({"architecture": [0] * 5 + [-1]}, "of each choice under architecture"),
        ({"architecture": [0] * 5 + [1.0]}, "of each choice under architecture"),
        ({"operations": []}, "expected keys and values under operations, got []"),
        ({"operations": {"conv": "2"}}, "expected a whole number under conv, got '2'"),
    ],
)
def test_a_damaged_line_of_what_was_derived_is_named(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path)
    file = tmp_path / "supernet/seed_0/derived.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    lines[2] |= changes
    runs.write_lines(file, lines)
    told = message(tmp_path)
    assert told.startswith(f"{file} is damaged at line 3: ") and said in told


def test_an_architecture_of_another_space_than_the_alphas_takes_no_candidate(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_alphas(tmp_path)
    file = tmp_path / "supernet/seed_0/derived.jsonl"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    runs.write_lines(file, [line | {"architecture": [1] * 24, "choices": None} for line in lines])
    last = read_run(tmp_path).alphas[0].derived[-1]
    assert (last.architecture, last.taken) == ((1,) * 24, (-1,) * 6)


def test_a_text_among_the_numbers_of_the_steps_is_named(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    file = tmp_path / "supernet/seed_0/metrics.jsonl"
    runs.write_lines(file, [{"epoch": 0, "loss": 1.0, "cosine": 0.5}, {"epoch": 1, "loss": 1.0, "cosine": "0.5"}])
    assert f"{file} is damaged at line 2: expected a number under cosine, got '0.5'" in message(tmp_path)


@pytest.mark.parametrize(
    ("rows", "said"),
    [([], "rows is empty"), ([{"tau": 1}], "rows[0]: expected text under name"), ([3], "rows[0]: expected keys and")],
)
def test_a_damaged_row_of_a_rank_is_named(tmp_path: Path, rows: list[dict[str, float]], said: str) -> None:
    runs.write_run(tmp_path)
    runs.write_rank(tmp_path, rows=rows or None)
    if not rows:
        file = tmp_path / "rank/angle_paper.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "rows": []}))
    assert f"{tmp_path / 'rank/angle_paper.json'} is damaged: {said}" in message(tmp_path)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda lines: [*lines[:3], "1-x-2,a,0,0,0,0", *lines[3:]], "at line 4 (invalid literal for int()"),
        (lambda lines: [*lines[:7], "1-2,a,much,0,0,0"], "at line 8 (could not convert string to float"),
        (lambda lines: [*lines[:2], "1-2,a"], "at line 3 (list index out of range)"),
        (
            lambda lines: ["architecture,fitness", *lines[1:]],
            "at line 1: expected the columns architecture, fitness and",
        ),
        (lambda lines: [], "at line 1: expected the columns architecture, fitness and true, got none"),
    ],
)
def test_a_damaged_line_of_a_table_is_named(tmp_path: Path, edit: Callable[[list[str]], list[str]], said: str) -> None:
    runs.write_run(tmp_path)
    file = tmp_path / "rank/angle_paper.csv"
    file.write_text("\n".join(edit(file.read_text().splitlines())))
    assert f"{file} is damaged {said}" in message(tmp_path)


def test_the_benchmark_accuracies_of_a_result_need_no_rank(tmp_path: Path) -> None:
    runs.write_config(tmp_path)
    runs.write_search(tmp_path)
    file = tmp_path / "search/result.json"
    result = json.loads(file.read_text())
    result["best"] = [{**best, "true": 90.0 + i if i else None} for i, best in enumerate(result["best"])]
    file.write_text(json.dumps(result))
    run = read_run(tmp_path)
    assert [run.benchmark_accuracy(best.architecture) for best in run.best[:3]] == [None, 91.0, 92.0]


def test_a_run_that_reuses_supernets_shows_how_they_were_trained_but_not_their_time(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    runs.write_run(first)
    runs.write_config(second, train={"reuse": str(first)})
    runs.write_search(second)
    run = read_run(second)
    assert {s: m["loss"].tolist() for s, m in run.training.items()} == {
        s: m["loss"].tolist() for s, m in read_run(first).training.items()
    }
    assert "training" not in run.seconds
    assert "training" in read_run(first).seconds
