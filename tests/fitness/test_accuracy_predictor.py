"""The predictor of accuracies from a few known ones, on accuracies in closed form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau, rankdata
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from raynas.cli import main
from raynas.fitness.accuracy_predictor import AccuracyPredictor
from raynas.search_space import all_architectures
from raynas.spaces.nasbench201 import GRAPH, NasBench201
from tests.search.conftest import Chain
from tests.stages.runs import small_run

SPACE = Chain(5, ("a", "b", "c", "d"))
EVERY = [tuple(row) for row in all_architectures(SPACE).tolist()]
TERMS = np.random.default_rng(3).random((5, 4))
ACCURACIES = 95 - np.exp(TERMS[np.arange(5), np.array(EVERY)].sum(axis=1))  # skewed, with some near chance
PICKED = np.random.default_rng(0).permutation(len(EVERY))[:80]
KNOWN = [EVERY[index] for index in PICKED]


def test_the_gaussian_process_is_that_of_scikit_learn_on_one_hot_candidates_and_ranks() -> None:
    predictor = AccuracyPredictor(SPACE, KNOWN, ACCURACIES[PICKED], kind="gaussian_process", seed=0)
    one_hot = np.eye(4)[np.array(EVERY)].reshape(len(EVERY), 20)
    paths = np.ones((len(EVERY), 5))  # in a chain
    features = np.concatenate([one_hot, paths], axis=1)
    kernel = ConstantKernel(1.0) * RBF(3.0) + WhiteKernel(0.1)
    plain = GaussianProcessRegressor(kernel, normalize_y=True, random_state=0)
    plain.fit(features[PICKED], (rankdata(ACCURACIES[PICKED]) - 0.5) / 80)
    np.testing.assert_allclose(predictor(EVERY)[:, 0], plain.predict(features), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", ["gaussian_process", "gradient_boosting"])
def test_it_ranks_architectures_that_it_never_saw(kind: str) -> None:
    predictor = AccuracyPredictor(SPACE, KNOWN, ACCURACIES[PICKED], kind=kind, seed=0)
    rest = np.setdiff1d(np.arange(len(EVERY)), PICKED)
    predicted = predictor([EVERY[index] for index in rest])[:, 0]
    assert kendalltau(predicted, ACCURACIES[rest]).statistic > 0.7


def test_dead_candidates_change_nothing() -> None:
    space = NasBench201()
    rng = np.random.default_rng(0)
    known = [tuple(row) for row in rng.integers(0, 5, (20, 6)).tolist()]
    predictor = AccuracyPredictor(space, known, rng.random(20), kind="gaussian_process", seed=0)
    first, second, other = predictor([(3, 0, 0, 2, 0, 0), (4, 0, 0, 2, 0, 0), (4, 0, 0, 3, 0, 0)])[:, 0]
    assert first == second != other  # nothing leaves the first node


@pytest.mark.slow
def test_a_run_states_how_many_accuracies_it_learnt_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = NasBench201(2, 1)
    lines = ["arch,test_accuracy_200"]
    sampled = np.random.default_rng(0).permutation(15_625)[:157]
    for architecture in all_architectures(space)[sampled].tolist():
        live = GRAPH.path_counts(np.array([architecture]) != 0)[0] > 0
        accuracy = 50 + 5 * np.count_nonzero(live & (np.array(architecture) > 1))
        lines.append(f"{space.describe(tuple(architecture))},{accuracy}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    benchmark = {"path": str(tmp_path / "table.csv")}
    file = small_run(tmp_path, search={"fitness": "predictor", "predictor_samples": 60}, benchmark=benchmark)
    assert main(["rank", str(file)]) == 0
    name = "predictor (gaussian_process, 60 known accuracies)"
    (record,) = (tmp_path / "runs/small/rank").glob("*.json")
    result = json.loads(record.read_text())
    assert result["rows"][0]["name"] == name
    assert any("learnt from the benchmark accuracies of 60 random architectures" in r for r in result["remarks"])
    assert result["rows"][0]["tau"] > 0.5
    assert main(["check", str(file), "--set", "search.predictor_samples=200"]) == 2
    assert "search.predictor_samples: expected 5 to 157, the architectures of table.csv, got 200" in (
        capsys.readouterr().err
    )
