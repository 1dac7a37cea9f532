"""Every file in jobs/ is a valid run; the quick start is run as the README says."""

from pathlib import Path

import pytest

from raynas.cli import main
from raynas.config import load_config
from tests.orchestration.runs import ROOT, succeed

JOBS = sorted((ROOT / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("job", JOBS, ids=lambda path: path.stem)
def test_a_job_passes_its_check(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(job)]) == 0
    assert "# space: " in capsys.readouterr().out


def test_the_rlnas_job_has_the_papers_settings() -> None:
    """Zhang et al. 2021, section 4.1, NAS-Bench-201."""
    config = load_config(ROOT / "jobs/rlnas_nasbench201.yaml")
    assert (config.space.arguments, config.data.name) == ({"channels": 16, "cells": 5}, "cifar10")
    train, search = config.train, config.search
    assert (train.epochs, train.batch_size, train.momentum, train.weight_decay) == (250, 64, 0.9, 5e-4)
    assert (train.learning_rate, train.min_learning_rate) == (0.025, 0.001)
    assert (search.population, search.generations, search.select) == (100, 20, 30)


def test_the_spos_job_trains_the_rlnas_supernet_on_true_labels_and_searches_as_spos_does() -> None:
    """Guo et al. 2020, section 4: 20 generations of 50, 10 of them parents, half mutants and half crossovers."""
    spos, rlnas = (load_config(ROOT / f"jobs/{name}_nasbench201.yaml") for name in ("spos", "rlnas"))
    assert (spos.space, spos.train) == (rlnas.space, rlnas.train)
    assert (spos.data.labels, rlnas.data.labels) == ("true", "random")
    search = spos.search
    assert (search.name, search.fitness) == ("evolution", "one_shot_accuracy")
    assert (search.population, search.generations, search.select) == (50, 20, 10)
    assert (search.mutations, search.crossovers, search.mutation_probability) == (25, 25, 0.1)


@pytest.mark.slow
@pytest.mark.ray
def test_the_quick_start_finds_cells(tmp_path: Path) -> None:
    out = succeed("run", ROOT / "jobs/quickstart.yaml", "--set", f"storage_path={tmp_path}")
    assert "nor_conv_3x3" in out
    assert out.endswith(f"run folder: {tmp_path / 'quickstart'}\n")
