"""Run files that raynas writes, explains and brings along."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from raynas.algorithms import ALGORITHMS
from raynas.cli import main
from raynas.config.job_files import job_names, located
from raynas.config.reading import load_config
from raynas.errors import InputError
from raynas.spaces import SPACES
from tests.data.texts import write_text


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out, err


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def images(file: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (60, 8, 8, 3), np.uint8),
        "train_labels": np.arange(60) % 3,
        "test_images": rng.integers(0, 256, (12, 8, 8, 3), np.uint8),
        "test_labels": np.arange(12) % 3,
    }
    np.savez(file, **arrays)


@pytest.mark.long
@pytest.mark.parametrize("algorithm", ALGORITHMS.names())
def test_a_new_file_of_every_algorithm_is_valid(algorithm: str, capsys: pytest.CaptureFixture[str]) -> None:
    space = "mobilenet" if algorithm == "spos" else "nasbench201"
    assert answer(capsys, "new", "mine", "--algorithm", algorithm, "--space", space)[0] == 0
    for quick in ([], ["--quick"]):
        status, out, err = answer(capsys, "check", "mine.yaml", *quick)
        assert (status, err) == (0, "")
        assert yaml.safe_load(out)["algorithm"] == algorithm


@pytest.mark.parametrize("space", SPACES.names())
def test_a_new_file_of_every_space_is_valid(space: str, capsys: pytest.CaptureFixture[str]) -> None:
    algorithm = "spos" if space == "quadruples" else "rlnas"
    data = []
    if space == "recurrent":
        data = ["--data", "text", "--path", str(write_text(Path("words"), lines=1000))]
    assert answer(capsys, "new", "mine", "--space", space, "--algorithm", algorithm, *data)[0] == 0
    for quick in ([], ["--quick"]):
        status, out, err = answer(capsys, "check", "mine.yaml", *quick)
        assert (status, err) == (0, "")
        assert yaml.safe_load(out)["space"]["name"] == space


def test_a_new_file_of_a_text_ranks_by_perplexity_and_images_do_not_fit_it(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = answer(capsys, "new", "mine", "--space", "recurrent", "--algorithm", "gdas")
    assert status == 2 and err.startswith("raynas: --data: networks of recurrent take tokens, got digits, which holds")
    text = ["--data", "text", "--path", str(write_text(Path("words")))]
    assert answer(capsys, "new", "mine", "--space", "recurrent", "--algorithm", "gdas", *text)[0] == 0
    assert load_config("mine.yaml").search.fitness == "one_shot_perplexity"


def test_a_space_that_the_algorithm_cannot_search_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = answer(capsys, "new", "mine", "--space", "quadruples")
    assert status == 2
    assert err.startswith("raynas: --space: quadruples states no weight vector, which rlnas needs; give --algorithm")
    assert not Path("mine.yaml").exists()


def test_a_new_file_shows_the_defaults_that_hold_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "new", "mine", "--algorithm", "gdas")[0] == 0
    before = load_config("mine.yaml").model_dump()
    lines, shown = [], 0
    for line in Path("mine.yaml").read_text().splitlines():
        is_default = line.strip().startswith("#") and line.strip()[1:2].isalpha()
        shown += is_default
        lines.append(line.replace("#", "", 1) if is_default else line)
    Path("mine.yaml").write_text("\n".join(lines))
    after = load_config("mine.yaml").model_dump()
    assert shown > 15
    assert len(after["space"]) > len(before["space"]), "their defaults are those of the space"
    assert {**after, "space": before["space"]} == before


def test_a_new_file_runs_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    images(Path("own.npz"))
    assert answer(capsys, "new", "mine", "--data", "own.npz")[0] == 0
    status, out, err = answer(capsys, "run", "mine.yaml", "--quick", "--set", "report=false", "--name", "first")
    assert (status, err) == (0, "")
    assert out.splitlines()[-1] == f"run folder: {Path('runs/first').absolute()}"
    assert len(json.loads(Path("runs/first/search/result.json").read_text())["best"]) == 10


def test_a_new_file_replaces_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("x")
    status, _, err = answer(capsys, "new", "mine")
    assert (status, err) == (2, "raynas: NAME: mine.yaml exists; give another name, or remove that file\n")
    assert Path("mine.yaml").read_text() == "x"


def test_a_job_of_raynas_is_named_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = answer(capsys, "check", "jobs:quickstart", "--name", "other")
    assert status == 0
    assert yaml.safe_load(out)["name"] == "other"
    assert load_config("jobs:quickstart").name == "quickstart"
    assert load_config("jobs:quickstart.yaml") == load_config(located("jobs:quickstart"))
    assert "small_rlnas" in job_names()


@pytest.mark.parametrize("name", ["jobs:small_rlna", "jobs:", "jobs:../pyproject", "jobs:/etc/passwd"])
def test_another_name_is_answered_with_the_nearest_ones(name: str) -> None:
    with pytest.raises(InputError, match="jobs:.*expected a run file that raynas brings along") as refused:
        located(name)
    assert ("jobs:small_rlnas" in str(refused.value)) == (name == "jobs:small_rlna")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("train.epochs", ["train.epochs: integer, 1 to 1,000,000; default: 250"]),
        ("train.sampling", ["gumbel (gdas, proxyless)", "fair     as many paths as candidates, each once"]),
        (
            "search.limits",
            ["search.limits.max_latency: number, at least 0; default: null", "Upper limit on latency in s"],
        ),
        ("space", ["space.width (mobilenet): number; default: 1.0"]),
        ("epochs", ["train.epochs: ", "retrain.epochs: "]),
        ("rlnas", ["algorithm: rlnas", "(Eq. 8 and 9)", "Departs from the paper:"]),
        ("random", ["search.name: random", "search.fitness: random", "data.labels: random"]),
        ("sweep.keys.grid", ["sweep.keys.KEY.grid: list"]),
        ("train.workers", ["May change when a run is resumed: results agree to rounding."]),
        ("quick", ["quick: Keys that win over the others"]),
    ],
)
def test_keys_sections_and_members_are_explained(
    word: str, said: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = answer(capsys, "explain", word)
    assert (status, err) == (0, "")
    for text in said:
        assert text in out


def test_an_explanation_says_the_value_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = answer(capsys, "explain", "train.epochs", "--file", "jobs:quickstart", "--set", "train.epochs=7")
    assert "  in this file: 7\n" in out
    _, out, _ = answer(capsys, "explain", "search.evaluation_images", "--file", "jobs:quickstart")
    assert "  in this file: null, which stands for 40, the whole search split\n" in out
    _, out, _ = answer(capsys, "explain", "data.labels", "--file", "jobs:quickstart")
    assert "  in this file: random\n" in out


@pytest.mark.parametrize(
    ("word", "meant"), [("train.epoch", "train.epochs"), ("serch", "search"), ("gads", "gdas"), ("epoch", "epochs")]
)
def test_an_unknown_word_is_answered_with_the_nearest_ones(
    word: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = answer(capsys, "explain", word)
    assert status == 2
    assert meant in err.partition("did you mean")[2]


def test_a_check_for_programs_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = answer(capsys, "check", "jobs:quickstart", "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["valid"] is True
    assert found["config"] == load_config("jobs:quickstart").model_dump()
    assert found["facts"][0].startswith("data: 160 train, 40 search")
    assert found["nulls"]["data.resolution"] == 8
    status, out, err = answer(capsys, "check", "jobs:quickstart", "--json", "--set", "train.epoch=1")
    assert status == 2
    assert json.loads(out) == {"valid": False, "mistakes": ["train.epoch: unknown key; did you mean epochs?"]}
    assert err == "raynas: train.epoch: unknown key; did you mean epochs?\n"
    wrong = [f"train.wrong{number}=1" for number in range(6)]
    _, out, err = answer(capsys, "check", "jobs:quickstart", "--json", *(f"--set={text}" for text in wrong))
    keys = [line.partition(":")[0] for line in json.loads(out)["mistakes"]]
    assert keys == [text.partition("=")[0] for text in wrong]
    assert len(err.splitlines()) == 4, "a terminal is not flooded"


def test_an_architecture_for_programs_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = answer(capsys, "network", "GDAS_V1", "--json")
    assert status == 0
    found = json.loads(out)
    assert (found["space"], found["networks"][0]["num_parameters"]) == ("darts", 3_368_782)
    published = json.loads(answer(capsys, "network", "--json")[1])
    assert {"GDAS_V1"} <= {row["name"] for row in published}


def test_a_name_that_no_run_can_have_is_answered_as_the_argument_that_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = answer(capsys, "new", "my run")
    assert status == 2
    assert err.startswith("raynas: NAME: the file's own name 'my run' cannot be")
    assert err.endswith("; give another name\n")
