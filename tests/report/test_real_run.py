"""The page of a run that raynas itself made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raynas.cli import main
from raynas.report.page import write_report
from tests.report import runs
from tests.report.pages import Page
from tests.stages.runs import small_run


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    assert main(["run", str(small_run(folder, train={"base_seeds": [0, 1]}))]) == 0
    return folder / "runs/small"


def test_the_page_of_a_real_run_shows_what_it_trained_and_found(finished: Path) -> None:
    file = finished / "search/result.json"
    result = json.loads(file.read_text())
    for best in result["best"]:
        best.setdefault("drawing", runs.cell(best["architecture"]))
    file.write_text(json.dumps(result))
    page = Page(write_report(finished))
    assert page.said_by("h1") == ["small"]
    assert page.said_by("h2")[:3] == ["Best architectures", "Search", "Training"]
    best = result["best"][0]
    assert f"angle {best['fitness']:.4f}" in page.said_by("li")[2] and best["description"] in page.said_by("li")[2]
    head, *rows = page.rows(0)
    assert head[:3] == ["", "angle (rad)", "± over seeds (rad)"]
    assert [row[-1] for row in rows] == [line["description"] for line in result["best"]]
    assert {"loss (nats)", "accuracy (percent)", "seed 0", "seed 1", "best so far"} <= set(page.said_by("text"))
    drawn = [line for line in result["best"][:6] if any(line["drawing"].values())]
    operations = [o for line in drawn for edges in line["drawing"].values() for _, _, o in edges]
    assert page.said_by("text").count("conv 3×3") == operations.count("nor_conv_3x3")
    assert page.said_by("text").count("skip") == operations.count("skip_connect")
    assert page.fetched() == []
