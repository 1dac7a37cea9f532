"""A space that is not raynas' own goes the whole way: it trains, is ranked, evolves, and its best is a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import tests.stages.chain_space as chain_space
from raynas.cli import main
from raynas.supernet.gates import single_path
from tests.stages.runs import chain_run


def test_it_takes_less_than_sixty_lines():
    assert len(Path(chain_space.__file__).read_text().splitlines()) < 60


def test_it_trains_evolves_is_ranked_by_angle_and_by_accuracy_and_derives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = chain_run(
        tmp_path,
        train={"epochs": 2},
        search={"name": "evolution", "population": 4, "generations": 2, "mutations": 1, "crossovers": 1, "select": 2},
    )
    quick = ("--set", "search.evaluators=0", "--set", "search.evaluation_batch_size=64")
    assert main(["run", str(file)]) == 0
    run = tmp_path / "runs/small"
    assert main(["rank", str(file)]) == 0
    assert main(["rank", str(file), "--set", "search.fitness=one_shot_accuracy", *quick]) == 0
    for label in ("angle_paper", "one_shot_accuracy"):
        assert json.loads((run / f"rank/{label}.json").read_text())["cells"] == 8
    best = json.loads((run / "search/result.json").read_text())["best"][0]
    space = chain_space.ChainSpace()
    weights = load_file(run / "supernet/seed_0/epoch_00002/weights.safetensors")
    supernet, network = space.build_supernet(10), space.build_network(tuple(best["architecture"]), 10)
    supernet.load_state_dict(weights)
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    images = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 3, 8, 8)).astype(np.float32))
    torch.testing.assert_close(network(images), supernet(images, single_path(tuple(best["architecture"]))))
    assert sum(p.numel() for p in network.parameters()) == best["num_parameters"]
