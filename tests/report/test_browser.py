"""Pages opened in a headless Chromium: they render, fit a phone, complain of nothing and ask for nothing."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from raynas.report.page import write_comparison, write_report
from raynas.report.sweep_page import write_sweep_report
from tests.report import runs, sweeps

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed: apt-get install chromium"),
]

FRAME = """<!DOCTYPE html><html><body style="margin:0">
<iframe src="{address}" style="width:{width}px;height:{height}px;border:0"></iframe><pre></pre><script>
document.querySelector("iframe").onload = function () {{
  const page = this.contentDocument, root = page.documentElement;
  const drawn = [...page.querySelectorAll("svg")].map(svg => svg.getBoundingClientRect());
  document.querySelector("pre").textContent = JSON.stringify({{
    title: page.title, view: root.clientWidth, content: root.scrollWidth,
    figures: drawn.filter(box => box.width > 100 && box.height > 15).length,
    scrolling: [...page.querySelectorAll("*")].filter(e => e.scrollWidth > e.clientWidth + 1 && e.clientWidth
      && getComputedStyle(e).overflowX === "auto").map(e => e.className),
  }});
}}
</script></body></html>"""


@dataclass(frozen=True)
class Seen:
    """What a browser made of a page of some width."""

    title: str
    view: int
    content: int
    figures: int
    scrolling: list[str]
    picture: np.ndarray
    console: list[str]
    requested: list[str]


HEIGHT = 3000


def opened(frame: Path, width: int, folder: Path) -> tuple[str, str, list[str]]:
    """Returns what a browser wrote to standard error and to the page's own output, and the lines of its console."""
    flags = [
        *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *("--no-first-run", "--disable-extensions", "--disable-sync", "--disable-background-networking"),
        *("--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND", "--allow-file-access-from-files"),
        *(f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'requests.json'}"),
        *(f"--window-size={width},{HEIGHT}", "--virtual-time-budget=3000", "--enable-logging=stderr"),
        *(f"--screenshot={folder / 'picture.png'}", "--dump-dom"),
    ]
    process = subprocess.Popen(
        [CHROMIUM, *flags, frame.as_uri()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        dom, errors = process.communicate(timeout=90)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, errors
    told = re.search(r"<pre>(.*?)</pre>", dom, re.DOTALL)
    assert told is not None and told[1], f"the page did not load\n{errors}"
    return errors, told[1], [line for line in errors.splitlines() if ":CONSOLE" in line]


def see(page: Path, width: int, folder: Path) -> Seen:
    """Returns what a browser made of a page in a frame of a width."""
    folder.mkdir()
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(address=page.as_uri(), width=width, height=HEIGHT))
    _, told, console = opened(frame, width, folder)
    events = json.loads((folder / "requests.json").read_text())["events"]
    asked = [e["params"] for e in events if {"url", "initiator"} <= set(e.get("params", {}))]
    return Seen(
        **json.loads(html.unescape(told)),
        picture=matplotlib.image.imread(folder / "picture.png")[..., :3],
        console=console,
        requested=[p["url"] for p in asked if p["initiator"] != "not an origin"],  # what the browser itself asks for
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    run = runs.write_run(folder / "run", name="A run with <b> & an unusually long name " + 40 * "x")
    chain = folder / "chain"
    runs.write_config(chain, name="chain", space={"name": "a." + 80 * "y"})
    nodes = ["in", *map(str, range(1, 21)), "out"]
    edges = [[a, b, f"mobile_{i % 4}_3x3"] for i, (a, b) in enumerate(zip(nodes, nodes[1:], strict=False))]
    lines = [
        {**line, "description": ",".join(f"block{i}=mobile" for i in range(21)), "drawing": {"chain": edges}}
        for line in runs.write_search(chain, costs=False)[:10]
    ]
    runs.write_result(chain, fitness="angle", lines=lines, best=lines)
    rng = np.random.default_rng(0)
    cells = folder / "cells"
    runs.write_config(cells, name="cells", search={"name": "pareto"})
    runs.write_pareto(cells)
    runs.write_profile(cells)
    runs.write_alphas(cells, choices=runs.darts_choices([f"cell{cell}" for cell in range(8)]))
    result = json.loads((cells / "search/result.json").read_text())
    for line in (*result["best"], *result["front"]):
        pair = runs.darts_cell(rng), runs.darts_cell(rng)
        line |= {"description": runs.genotype(*pair), "drawing": dict(zip(("normal", "reduction"), pair, strict=True))}
    runs.write_json(cells / "search/result.json", result)
    points = [{"train.learning_rate": 1e-4 * 1.02**k, "label": f"{k % 3} " + "long " * 40} for k in range(200)]
    axes = {"train.learning_rate": ("loguniform", [1e-4, 1e-2]), "label": ("choice", [p["label"] for p in points[:3]])}
    trials = {f"point-{k}_seed-0": ("failed", "RuntimeError: " + 100 * "z") for k in range(3)}
    swept = sweeps.results(axes, lambda p, _: {"true_accuracy": 90.0}, points=points, seeds=1, missing=trials)
    return {
        "sweep": write_sweep_report(sweeps.write(folder / "sweep", swept)),
        "run": write_report(run),
        "cells": write_report(cells),
        "chain": write_report(chain),
        "comparison": write_comparison([run, chain, cells, cells], folder / "comparison.html"),
    }


@pytest.mark.parametrize("width", [375, 1200])
@pytest.mark.parametrize("name", ["run", "chain", "cells", "comparison", "sweep"])
def test_a_page_renders_within_its_width_and_asks_for_nothing(
    pages: dict[str, Path], name: str, width: int, tmp_path: Path
) -> None:
    seen = see(pages[name], width, tmp_path / "browser")
    assert seen.title.endswith(" · raynas")
    assert seen.view == width
    assert seen.content <= width
    assert seen.figures == pages[name].read_text().count("<svg ") >= (2 if name == "sweep" else 4)
    assert set(seen.scrolling) <= {"box", "drawing"}
    assert seen.console == []
    assert seen.requested == []
    white = (seen.picture > 0.99).all(axis=2)
    assert 0.3 < white.mean() < 0.99
    ink = (abs(seen.picture - np.array([0x1F, 0x29, 0x33]) / 255) < 0.02).all(axis=2)
    assert ink[:200].any() and ink[1500:].any()


def test_tables_scroll_in_their_own_box_on_a_phone(pages: dict[str, Path], tmp_path: Path) -> None:
    assert "box" in see(pages["run"], 375, tmp_path / "phone").scrolling
    assert see(pages["run"], 1200, tmp_path / "desk").scrolling == []


def test_long_texts_of_architectures_need_no_scrolling_on_a_phone(pages: dict[str, Path], tmp_path: Path) -> None:
    assert "Genotype(" in pages["cells"].read_text()
    assert "box" not in see(pages["cells"], 375, tmp_path / "phone").scrolling


HANDS = """<!DOCTYPE html><html><body><iframe src="{address}" style="width:1200px;height:2000px"></iframe><pre></pre>
<script>
document.querySelector("iframe").onload = function () {{
  const page = this.contentDocument, root = page.documentElement, said = {{}};
  const table = [...page.querySelectorAll("table.sortable")].findLast(t => t.textContent.includes("{head}"));
  const column = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === "{head}");
  const cells = () => [...table.tBodies[0].rows].map(row => row.cells[column].textContent);
  const head = table.tHead.rows[0].cells[column];
  said.given = cells();
  head.querySelector("button").click(); said.ascending = cells(); said.order = head.getAttribute("aria-sort");
  head.querySelector("button").click(); said.descending = cells();
  head.querySelector("button").click(); said.again = cells();
  const filter = table.closest(".table").querySelector("input");
  filter.value = "point-7_ done"; filter.dispatchEvent(new Event("input"));
  said.left = [...table.tBodies[0].rows].filter(row => row.getClientRects().length)
    .map(row => row.cells[0].textContent);
  const paper = () => this.contentWindow.getComputedStyle(page.body).backgroundColor;
  said.light = paper(); page.querySelector(".theme").click(); said.dark = paper();
  const svg = [...page.querySelectorAll("svg")].find(each => each.querySelector(".values"));
  svg.scrollIntoView();
  const box = svg.querySelector(".values circle").getBoundingClientRect();
  const place = {{ clientX: box.x + box.width / 2 + 3, clientY: box.y + box.height / 2, bubbles: true }};
  svg.dispatchEvent(new this.contentWindow.PointerEvent("pointermove", place));
  said.tip = page.querySelector(".tip").hidden ? "" : page.querySelector(".tip").textContent;
  svg.dispatchEvent(new this.contentWindow.PointerEvent("pointerleave"));
  said.gone = page.querySelector(".tip").hidden;
  document.querySelector("pre").textContent = JSON.stringify(said);
}}
</script></body></html>"""


def test_a_reader_orders_filters_changes_the_theme_and_points_at_values(tmp_path: Path) -> None:
    points = [{"train.epochs": 3 * ((7 * k) % 20)} for k in range(20)]
    axes = {"train.epochs": ("grid", sorted(point["train.epochs"] for point in points))}
    content = sweeps.results(axes, lambda p, _: {"true_accuracy": 0.5 * p["train.epochs"]}, points=points, seeds=1)
    page = write_sweep_report(sweeps.write(tmp_path / "sweep", content))
    folder = tmp_path / "browser"
    folder.mkdir()
    frame = folder / "frame.html"
    frame.write_text(HANDS.format(address=page.as_uri(), head="train.epochs"))
    _, told, console = opened(frame, 1300, folder)
    said = json.loads(html.unescape(told))
    given = [str(point["train.epochs"]) for point in points]
    assert said["order"] == "ascending" and console == []
    rows = said["given"]
    assert sorted(rows) == sorted(given) and said["again"] == rows
    assert said["ascending"] == sorted(given, key=int) and said["descending"] == sorted(given, key=int, reverse=True)
    assert said["light"] == "rgb(255, 255, 255)" and said["dark"] == "rgb(20, 25, 31)"
    assert "benchmark accuracy" in said["tip"] and "percent" in said["tip"] and said["gone"] is True
    assert said["left"] == ["point-7_seed-0"]


def test_a_page_that_is_wide_noisy_and_curious_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<!DOCTYPE html><html><head><title>bad</title></head><body><img src="http://127.0.0.1:9/x.png">'
        '<div style="width: 900px">wide</div><script>console.error("noise")</script></body></html>'
    )
    seen = see(page, 375, tmp_path / "browser")
    assert seen.content > 900
    assert any("noise" in line for line in seen.console)
    assert seen.requested == ["http://127.0.0.1:9/x.png"] * len(seen.requested) != []
