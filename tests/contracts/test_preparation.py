"""Every verb prepares a run in the same way: a wrong configuration is refused by all of them, in the same words."""

from __future__ import annotations

from pathlib import Path

import pytest

from raynas.cli import main
from tests.stages.runs import small_run

WRONG = {
    "a searcher that the space does not suit": ({}, ["search.name=exact_angle"], "search.name"),
    "more children than a population": ({}, ["search.population=5"], "search.mutations"),
    "a population that pareto cannot fill": ({}, ["search.name=pareto", "search.population=7"], "search.mutations"),
    "a candidate that is none": ({}, ["search.mutation_excludes=[foo]"], "search.mutation_excludes"),
    "limits that admit nothing": ({}, ["search.limits.max_parameters=1"], "search.limits"),
    "a batch of more than all images": ({}, ["train.batch_size=100000"], "train.batch_size"),
    "fewer categories than labels": ({}, ["data.labels=true", "data.num_label_categories=2"], "data.num_label"),
    "a benchmark that is not named": ({}, ["search.fitness=benchmark_table"], "benchmark.path"),
    "an angle after the last epoch": ({}, ["search.angle_epoch=99"], "search.angle_epoch"),
    "more images than the search split": (
        {"algorithm": "spos"},
        ["search.evaluation_images=100000"],
        "search.evaluation_images",
    ),
    "an evaluation batch of more than all images": (
        {"algorithm": "spos"},
        ["search.evaluation_batch_size=100000"],
        "search.evaluation_batch_size",
    ),
    "no images to evaluate on": ({"algorithm": "spos"}, ["data.train_portion=1"], "data.train_portion"),
    "a derivation of another space": (
        {"algorithm": "gdas"},
        ["search.derivation=pairs"],
        "search.derivation",
    ),
    "a space that has no weight vector": (
        {},
        ["space={name: tests.contracts.plain_space.PlainSpace}"],
        "PlainSpace",
    ),
}

VERBS = ("check", "run", "train", "search", "rank", "profile", "sweep", "submit")


@pytest.mark.slow
@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_configuration_gives_the_same_message_from_all_verbs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    sections, overrides, key = WRONG[case]
    monkeypatch.chdir(tmp_path)
    file = small_run(tmp_path, **sections)
    swept = tmp_path / "swept.yaml"
    swept.write_text(file.read_text() + "sweep: {keys: {search.top: {grid: [3, 4]}}, metric: fitness}\n")
    words = [word for override in overrides for word in ("--set", override)]
    said = {}
    for verb in VERBS:
        status = main([verb, str(swept if verb == "sweep" else file), *words])
        said[verb] = capsys.readouterr().err
        assert status == 2, (verb, said[verb])
    assert len(set(said.values())) == 1, said
    (line,) = said["run"].splitlines()
    assert line.startswith("raynas: ") and key in line
    assert not (tmp_path / "runs").exists()
