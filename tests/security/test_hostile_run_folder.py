"""A run folder that a stranger made: reading it, or working in it, touches nothing outside and contacts nobody."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from raynas.cli import main
from raynas.on_ray.sweep_states import states_of
from raynas.records.cells import csv_cell, markdown_text
from raynas.report.page import write_comparison, write_report
from raynas.report.run_files import read_run
from raynas.report.sweep_files import parse_results
from raynas.report.sweep_page import write_sweep_report
from raynas.report.sweep_tables import markdown, trials_csv
from raynas.storage import mirror as storage
from raynas.storage.checkpoint import DamagedCheckpoint, load_checkpoint
from tests.report import runs, sweeps
from tests.report.pages import Page, only_script
from tests.stages.runs import small_run

FORMULA, SCRIPT = "=cmd|' /C calc'!A0", "</style><script>alert(1)</script><img src=x onerror=alert(1)>"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A folder of the user's, which nobody may touch."""
    folder = tmp_path / "thesis"
    (folder / "figures").mkdir(parents=True)
    for name in ("index.html", "a.svg", "b.png", "figures/c.pdf", "results.csv", "figures.json", "lock", "notes.txt"):
        (folder / name).write_text("mine")
    return folder


def trained(folder: Path) -> Path:
    runs.write_config(folder)
    runs.write_training(folder)
    return folder


def sweep(folder: Path, **changes: Any) -> dict[str, Any]:
    axes = {"train.learning_rate": ("grid", [0.1, 0.2])}
    return sweeps.results(axes, lambda point, seed: {"true_accuracy": 90.0 + seed}, seeds=2) | changes


LINKS = ["report", "report/figures", "report/index.html", "report/figures.json", "supernet", "search/history.jsonl"]


@pytest.mark.parametrize("link", LINKS)
def test_no_report_follows_a_link_out_of_the_run(
    tmp_path: Path, victim: Path, capsys: pytest.CaptureFixture[str], link: str
) -> None:
    run = trained(tmp_path / "run")
    before = contents(victim)
    if (run / link).exists():
        shutil.rmtree(run / link)
    (run / link).parent.mkdir(parents=True, exist_ok=True)
    (run / link).symlink_to(victim / "index.html" if "." in link else victim)
    for arguments in (["report", run], ["compare", run, run, "--out", tmp_path / "page.html"]):
        assert main([str(argument) for argument in arguments]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"raynas: {run / link}: expected files and folders, got a link out of")
    assert contents(victim) == before


@pytest.mark.parametrize("link", ["report", "results.csv", "trials/point-0_seed-0", "supernets"])
def test_no_report_of_a_sweep_follows_a_link_out_of_it(tmp_path: Path, victim: Path, link: str) -> None:
    folder = sweeps.write(tmp_path / "sweep", sweep(tmp_path))
    before = contents(victim)
    (folder / link).parent.mkdir(parents=True, exist_ok=True)
    (folder / link).symlink_to(victim)
    with pytest.raises(ValueError, match="got a link out of"):
        write_sweep_report(folder)
    assert contents(victim) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "link"),
    [
        *(("run", link) for link in ("supernet", "search", "tensorboard", "ray", "lock", "notes.txt", ".x.abcdefgh")),
        *(("rank", "rank"), ("profile", "lock")),
    ],
)
def test_no_stage_works_through_a_link_out_of_the_run(
    tmp_path: Path, victim: Path, capsys: pytest.CaptureFixture[str], verb: str, link: str
) -> None:
    file = small_run(tmp_path, search={"fitness": "num_parameters"})
    run = tmp_path / "runs/small"
    run.mkdir(parents=True)
    before = contents(victim)
    (run / link).symlink_to(victim / "notes.txt" if link in ("lock", "notes.txt") else victim)
    assert main([verb, str(file)]) == 2
    assert f"{run / link}: expected files and folders, got a link out of" in capsys.readouterr().err
    assert contents(victim) == before


def test_only_figures_that_an_earlier_page_listed_are_removed(tmp_path: Path) -> None:
    run = trained(tmp_path / "run")
    figures = run / "report/figures"
    figures.mkdir(parents=True)
    for name in ("mine.svg", "mine.pdf", "old.svg"):
        (figures / name).write_text("mine")
    hostile = ["old.svg", "../index.html", "../../config.json", "/etc/passwd", "mine.pdf", 3, None]
    (run / "report/figures.json").write_text(json.dumps(hostile))
    write_report(run)
    names = {file.name for file in figures.iterdir()}
    assert {"mine.svg", "mine.pdf", "loss.svg"} <= names and "old.svg" not in names
    assert (run / "config.json").exists() and (run / "report/index.html").exists()
    assert set(json.loads((run / "report/figures.json").read_text())["figures"]) == names - {"mine.svg", "mine.pdf"}


def test_a_comparison_is_not_written_through_a_link(tmp_path: Path, victim: Path) -> None:
    run = trained(tmp_path / "run")
    (tmp_path / "page.html").symlink_to(victim / "index.html")
    with pytest.raises(ValueError, match="--out: expected the name of a page to write, got the link"):
        write_comparison([run, run], tmp_path / "page.html")
    assert (victim / "index.html").read_text() == "mine" and (tmp_path / "page.html").is_symlink()


@pytest.fixture
def nobody_is_contacted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is pulled is noted, and is nothing."""
    pulled: list[str] = []

    def pull(location: str, *parts: str, weights: bool = True) -> Path:
        pulled.append(location)
        return Path("/nowhere")

    monkeypatch.setattr(storage, "pulled", pull)
    return pulled


@pytest.mark.slow
@pytest.mark.parametrize("reuse", ["s3://bucket/base?endpoint_override=http://evil&scheme=http", "{elsewhere}/base"])
def test_a_place_that_a_run_names_is_visited_only_if_the_user_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], nobody_is_contacted: list[str], reuse: str
) -> None:
    reuse = reuse.format(elsewhere=tmp_path / "elsewhere")
    secret = trained(tmp_path / "elsewhere/base")
    run = tmp_path / "runs/run"
    runs.write_config(run, train={"reuse": reuse})
    runs.write_search(run)
    for arguments in (["report", run], ["compare", run, run, "--out", tmp_path / "page.html"]):
        assert main([str(argument) for argument in arguments]) == 0
        err = capsys.readouterr().err
        assert all("are left out" in line and "--reuse" in line and reuse[:20] in line for line in err.splitlines())
        assert err and nobody_is_contacted == []
    page = Page(run / "report/index.html")
    assert "Training" not in page.said_by("h2") and "are left out" in page.text
    assert main(["report", str(run), "--reuse", reuse]) == 0
    assert capsys.readouterr().err == ""
    if "://" in reuse:
        assert nobody_is_contacted == [reuse]
    else:
        assert "Training" in Page(run / "report/index.html").said_by("h2")
        assert main(["compare", str(run), str(secret), "--out", str(tmp_path / "page.html")]) == 0
        assert capsys.readouterr().err == "", "a run that is given is named"


def test_supernets_beside_a_run_are_read_but_not_through_a_link(tmp_path: Path) -> None:
    base = trained(tmp_path / "runs/base")
    runs.write_config(tmp_path / "runs/run", train={"reuse": str(base)})
    runs.write_search(tmp_path / "runs/run")
    run = read_run(tmp_path / "runs/run")
    assert set(run.training) == {0} and run.left_out is None
    (base / "supernet/seed_1").symlink_to("/etc")
    with pytest.raises(ValueError, match="got a link out of"):
        read_run(tmp_path / "runs/run")


@pytest.mark.parametrize("folder", ["../../run", "/etc", "trials/../../x", "a\\b", "", "."])
def test_a_trial_whose_folder_is_elsewhere_is_refused(tmp_path: Path, folder: str) -> None:
    content = sweep(tmp_path)
    content["trials"][0]["folder"] = folder
    with pytest.raises(ValueError, match="results.json is damaged .*expected the name of something below"):
        write_sweep_report(sweeps.write(tmp_path / "sweep", content))


def test_the_state_of_a_trial_speaks_of_its_own_trial(tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    (tmp_path / "states/a.json").write_text(json.dumps({"name": "../../evil", "begun": 0}))
    with pytest.raises(ValueError, match="expected the state of the trial a"):
        states_of(tmp_path)


@pytest.mark.parametrize("parts", [["../../x"], ["weights", "/etc/x"], ["other"]])
def test_a_checkpoint_is_read_from_its_own_files_only(tmp_path: Path, parts: list[str]) -> None:
    for format_number in (1, 2):
        content = {"format": format_number, "parts": parts, "epochs": 1}
        (tmp_path / "checkpoint.json").write_text(json.dumps(content))
        with pytest.raises(DamagedCheckpoint, match="expected names of parts, weights among them, got"):
            load_checkpoint(tmp_path, {})


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["../../evil", f'/etc/a\\1b"><script>{"x" * 300}'])
def test_figures_of_any_metric_lie_in_their_folder(tmp_path: Path, metric: str) -> None:
    content = sweep(tmp_path, metric=metric)
    content = json.loads(json.dumps(content).replace("true_accuracy", json.dumps(metric)[1:-1]))
    folder = sweeps.write(tmp_path / "deep/down/sweep", content)
    page = Page(write_sweep_report(folder))
    assert only_script(page)
    written = {file for file in tmp_path.rglob("*") if file.suffix in (".svg", ".png")}
    assert written and {file.parent for file in written} == {folder / "report/figures"}


@pytest.mark.slow
@pytest.mark.parametrize("text", [f"{SCRIPT} {FORMULA}", '" onload="alert(1) $x_{$ \\frac &lt;script&gt; ]]> -->'])
def test_texts_of_a_run_are_only_text_on_its_page_and_in_its_figures(tmp_path: Path, text: str) -> None:
    run = tmp_path / "run"
    runs.write_config(run, name=text, algorithm=text, space={"name": text, text: text}, data={"name": text})
    runs.write_training(run)
    lines = runs.write_search(run)
    for line in lines:
        line["description"] = text
    runs.write_lines(run / "search/history.jsonl", lines)
    drawn = [
        {**line, "drawing": {text[:9]: [["in", text[:9], text[:12]], [text[:9], "out", text[:12]]]}}
        for line in lines[:3]
    ]
    runs.write_result(run, fitness="angle", lines=lines, best=drawn)
    page = Page(write_report(run))
    assert page.said_by("h1") == [text] and text in "".join(word for _, word in page.texts)
    assert only_script(page) and not {"img", "iframe", "object"} & set(page.tags)
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    for file in (run / "report/figures").glob("*.svg"):
        elements = list(ElementTree.parse(file).iter())
        assert not [e for e in elements if e.tag.rpartition("}")[2] in ("script", "foreignObject", "a")]
        links = [value for e in elements for name, value in e.attrib.items() if name.endswith("href")]
        assert all(link.startswith(("#", "data:image/png;")) for link in links)
        assert not [name for e in elements for name in e.attrib if name.startswith("on")]


HOSTILE_CELLS = [FORMULA, "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1+1"]


@pytest.mark.parametrize("text", HOSTILE_CELLS)
def test_a_text_that_looks_like_a_formula_is_a_text_in_csv(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


@pytest.mark.parametrize("value", [1, -1.5, None, True, "-1.5", "+2e-3", "a=b", "nor_conv_3x3", "|a~0|+|b~1|", ""])
def test_numbers_and_other_texts_stay_in_csv(value: object) -> None:
    assert csv_cell(value) == value


def test_no_cell_of_a_sweep_is_a_formula(tmp_path: Path) -> None:
    content = sweep(tmp_path, metric=FORMULA)
    content = json.loads(json.dumps(content).replace("true_accuracy", FORMULA).replace("point-0", "=point-0"))
    content["trials"][0]["error"] = FORMULA
    rows = list(csv.reader(trials_csv(parse_results(content)).splitlines()))
    cells = [cell for row in rows for cell in row]
    assert f"'{FORMULA}" in rows[0] and f"'{FORMULA}" in rows[1]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t", "\r"))]
    assert rows[1][1] == "0.1" and float(rows[2][6]) == 91.0


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("<img src=http://evil>", "\\<img src=http://evil>"),
        ("![x](http://evil)", "!\\[x\\](http://evil)"),
        ("[x](javascript:alert(1))", "\\[x\\](javascript:alert(1))"),
        ("a | b\nc", "a \\| b c"),
        ("**bold** _it_ `code` ~~no~~", "\\*\\*bold\\*\\* \\_it\\_ \\`code\\` \\~\\~no\\~\\~"),
        ("# title", "\\# title"),
        ("- item", "\\- item"),
        ("1. item", "1\\. item"),
        ("--- x", "\\--- x"),
        ("> x", "\\> x"),
        ("&lt;b&gt;", "\\&lt;b\\&gt;"),
        ("\\", "\\\\"),
        ("-0.5", "-0.5"),
        ("0.934 ± 0.1", "0.934 ± 0.1"),
        ("num_parameters", "num_parameters"),
        ("A (SPOS)", "A (SPOS)"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text: str, written: str) -> None:
    assert markdown_text(text) == written


def test_no_text_of_a_sweep_is_markup_in_markdown(tmp_path: Path) -> None:
    content = sweep(tmp_path, name=SCRIPT, source="![x](http://evil) | <b>")
    content["rows"][0]["published"] = {"true_accuracy": {"value": 1.0, "deviation": None}}
    content = json.loads(json.dumps(content).replace("train.learning_rate", "<b>|![a](b)"))
    text = markdown(parse_results(content))
    assert "<" not in text.replace("\\<", "") and "[" not in text.replace("\\[", "")
    assert {line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("|")} == {5}
