"""The page of a run shows the networks that were trained from scratch."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from raynas.cli import main
from raynas.report.page import write_report
from tests.stages.runs import small_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retrained")
    file = small_run(
        folder,
        search={"name": "evolution", "fitness": "num_parameters"},
        retrain={"epochs": 2, "batch_size": 64, "seeds": [0, 1], "space": {"channels": 4}},
    )
    assert main(["run", str(file)]) == 0
    return folder / "runs/small"


def page_of(run: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", write_report(run).read_text()))


def test_accuracies_intervals_and_verdicts_are_on_the_page(run: Path) -> None:
    text = page_of(run)
    assert "best-1 from scratch on digits" in text and "Trained from scratch" in text
    assert "own: 3 networks by the keys of the section retrain, 2 epochs on 1,438 images, 2 seeds each" in text
    assert "a random architecture of equal multiply-adds" in text and "chance is 10.00 percent" in text
    assert len(re.findall(r"points of test accuracy on (random|parameters)", text)) == 2
    assert {"retrained-1.svg", "retraining-1.svg"} <= {file.name for file in (run / "report/figures").iterdir()}


def test_a_run_that_only_retrained_has_a_page(run: Path, tmp_path: Path) -> None:
    only = shutil.copytree(run, tmp_path / "only")
    shutil.rmtree(only / "search")
    text = page_of(only)
    assert "best-1 from scratch on digits" in text and "Searched" not in text and "nothing yet" not in text
