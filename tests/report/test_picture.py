from pathlib import Path

import pytest

from raynas.cli import main
from raynas.report.picture import draw_run
from raynas.report.picture import main as draw
from tests.orchestration.runs import small_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", str(small_run(folder, train={"base_seeds": [0, 1]}))]) == 0
    return folder / "runs/small"


def test_a_picture_shows_training_search_and_the_operations_of_the_best_cell(finished: Path, tmp_path: Path) -> None:
    import json
    import re

    draw_run(finished, tmp_path / "run.svg")
    text = re.sub(r"<!--.*?-->", "", (tmp_path / "run.svg").read_text())
    best = json.loads((finished / "search/result.json").read_text())["best"][0]
    for words in ("supernet training", "cross-entropy (nats)", "best so far", f"angle {best['fitness']:.4f} rad"):
        assert f">{words}<" in text or words in text
    operations = re.findall(r"(\w+)~\d", best["description"])
    assert len(re.findall(">conv 3x3<", text)) == operations.count("nor_conv_3x3")
    assert len(re.findall(">skip<", text)) == operations.count("skip_connect")
    assert ">none<" not in text


def test_the_same_run_gives_the_same_bytes(finished: Path, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        draw([str(finished), str(tmp_path / name)])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_a_png_is_a_png(finished: Path, tmp_path: Path) -> None:
    draw_run(finished, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_an_unfinished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="holds no finished run; give the folder that `raynas run` named"):
        draw([str(tmp_path), str(tmp_path / "x.svg")])
