"""The verdict of a run: exact probabilities, and words that claim no more than the numbers."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from raynas.report.intervals import Interval, mean_interval, stands_apart, wilson_interval
from raynas.report.page import write_report
from raynas.report.random_search import choice_of_random_search
from raynas.report.run_files import read_run
from raynas.report.run_values import Run
from raynas.report.unranked import about_sampled, sampled_of
from raynas.report.verdict import against_parameters, against_random_search, verdict_of
from tests.report import runs
from tests.report.pages import Page


@pytest.mark.parametrize("drawn", [1, 2, 3, 7])
@pytest.mark.parametrize("fitness", [[3, 1, 2, 5, 4, 7, 6], [1, 1, 1, 2, 2, 0, 2], [0, 0, 0, 0, 0, 0, 0]])
def test_the_choice_of_random_search_is_that_of_all_draws(fitness: list[float], drawn: int) -> None:
    accuracies = np.array([90.0, 91.5, 88.0, 93.0, 70.0, 92.0, 91.5])
    chances: dict[float, float] = dict.fromkeys(accuracies.tolist(), 0.0)
    draws = list(itertools.combinations(range(7), drawn))
    for draw in draws:
        most = max(fitness[place] for place in draw)
        fittest = [place for place in draw if fitness[place] == most]
        for place in fittest:
            chances[float(accuracies[place])] += 1 / len(draws) / len(fittest)
    choice = choice_of_random_search(np.array(fitness, float), accuracies, drawn)
    assert choice.weights.sum() == pytest.approx(1)
    for accuracy, chance in chances.items():
        assert choice.weights[choice.accuracies == accuracy].sum() == pytest.approx(chance, abs=1e-12)
        more = sum(other for value, other in chances.items() if value >= accuracy)
        assert choice.at_least(accuracy) == pytest.approx(more)
    assert choice.interval.mean == pytest.approx(sum(value * chance for value, chance in chances.items()))


def test_the_range_of_a_large_space_holds_the_stated_share_of_simulated_searches() -> None:
    rng = np.random.default_rng(0)
    accuracies = 94 - rng.exponential(3, size=5000)
    fitness = accuracies + rng.normal(0, 2, size=5000)
    interval = choice_of_random_search(fitness, accuracies, 50).interval
    found = []
    for _ in range(4000):
        draw = rng.choice(5000, 50, replace=False)
        found.append(accuracies[draw[np.argmax(fitness[draw])]])
    assert np.mean(found) == pytest.approx(interval.mean, abs=0.1)
    assert ((np.array(found) >= interval.low) & (np.array(found) <= interval.high)).mean() == pytest.approx(
        0.95, abs=0.015
    )


def test_a_fitness_that_is_not_a_number_is_never_chosen_before_one_that_is() -> None:
    choice = choice_of_random_search(np.array([np.nan, 1.0, np.nan]), np.array([99.0, 50.0, 98.0]), 3)
    assert choice.interval == Interval(50.0, 50.0, 50.0)


@pytest.mark.parametrize("count", [2, 3, 10, 31, 60])
def test_intervals_are_those_of_students_t(count: int) -> None:
    values = np.random.default_rng(count).normal(90, 2, size=count)
    low, high = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
    interval = mean_interval(values.tolist())
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=2e-3)


@pytest.mark.parametrize(("right", "images"), [(0, 40), (7, 50), (1024, 2048), (9310, 10000), (40, 40)])
def test_the_interval_of_an_accuracy_is_that_of_wilson(right: int, images: int) -> None:
    expected = stats.binomtest(right, images).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(100 * right / images, images)
    assert interval.mean == 100 * right / images
    assert (interval.low, interval.high) == pytest.approx((100 * expected.low, 100 * expected.high), abs=1e-9)


def one_shot(folder: Path, accuracies: list[float], *, images: int, categories: int = 10) -> Run:
    """Returns a run that evaluated architectures by their accuracies, without a benchmark."""
    runs.write_config(folder, search={"fitness": "one_shot_accuracy"})
    lines = []
    for place, accuracy in enumerate(accuracies):
        numbers = runs.evaluated([place % 5, 3, 3, 3, 0, 0], accuracy, accuracy=accuracy)
        lines.append({"generation": 0, **numbers})
    runs.write_lines(folder / "search/history.jsonl", lines)
    best = max(lines, key=lambda line: line["fitness"])
    runs.write_result(folder, fitness="one_shot_accuracy", lines=lines, best=[best])
    runs.add_to_result(folder, evaluation_images=images, categories=categories)
    return read_run(folder)


def test_without_a_benchmark_the_images_say_which_architectures_they_tell_apart(tmp_path: Path) -> None:
    interval = stats.binomtest(64, 128).proportion_ci(0.95, method="wilson")
    run = one_shot(tmp_path, [30.0, 50.0, 42.0, 41.0, 49.9], images=128)
    assert 41.0 < 100 * interval.low < 42.0
    said = " ".join(Page(write_report(tmp_path)).text.split())
    assert f"50.00 percent [{100 * interval.low:.2f}, {100 * interval.high:.2f}] accuracy on 128 images" in said
    assert f"Of 5 evaluated architectures, 2 others have at least {100 * interval.low:.2f} percent" in said
    assert "No benchmark accuracy is known" in said
    clear = sampled_of(one_shot(tmp_path, [30.0, 50.0, 41.0], images=128))
    assert clear is not None and "it is apart from all others" in about_sampled(clear)
    assert run.base_seeds == [0]


def test_with_a_benchmark_but_no_ranking_a_random_architecture_is_beside_the_found_one(tmp_path: Path) -> None:
    ranked(tmp_path, 90.0)
    for file in (tmp_path / "rank").iterdir():
        file.unlink()
    result = json.loads((tmp_path / "search/result.json").read_text())
    best = [{**result["best"][0], "true": 90.0}]
    sets = [
        {"of": "all", "architectures": 15625, "mean": 87.06, "deviation": 12.9, "below": 20.4},
        {"of": "without_none", "architectures": 4096, "mean": 91.5, "deviation": 2.25, "below": 15.4},
    ]
    runs.add_to_result(tmp_path, best=best, random=sets, column="test_accuracy_200")
    run = read_run(tmp_path)
    assert verdict_of(run) is None
    said = " ".join(Page(write_report(tmp_path)).text.split())
    assert (
        "90.00 percent benchmark accuracy. One random architecture without none has 91.50 ± 2.25 percent (mean and "
        "deviation of 4,096), and is better than the found one in 85 percent of all cases. The folder has no ranking"
    ) in said


def test_an_accuracy_that_chance_gives_says_nothing_about_the_architecture(tmp_path: Path) -> None:
    guessed = sampled_of(one_shot(tmp_path, [12.0, 9.0], images=100))
    assert guessed is not None and about_sampled(guessed).endswith(
        "Chance gives 10.00 percent, so this says nothing about the architecture."
    )
    better = sampled_of(one_shot(tmp_path, [12.0, 9.0], images=100, categories=40))
    assert better is not None and "1 other has at least" in about_sampled(better)


def test_a_mean_over_supernets_is_no_share_of_images(tmp_path: Path) -> None:
    one_shot(tmp_path, [30.0, 50.0], images=128)
    runs.add_to_result(tmp_path, base_seeds=[0, 1])
    assert sampled_of(read_run(tmp_path)) is None


def test_one_seed_has_no_interval_and_stands_apart_from_nothing() -> None:
    one, far = mean_interval([99.0]), mean_interval([1.0, 1.1])
    assert not one.is_known and not stands_apart(one, [far]) and not stands_apart(far, [])
    assert stands_apart(mean_interval([99.0, 99.1]), [far])


def ranked(folder: Path, found: float, *, limits: dict[str, Any] | None = None, fitness: str = "angle") -> Path:
    """Writes a run that found one of 40 architectures whose accuracies and fitnesses rise together."""
    runs.write_config(folder, search={"limits": limits or {}})
    cells = [[k // 8 % 5, k % 5, 3, 3, k % 2, 0] for k in range(40)]
    lines = [{"generation": 0, **runs.evaluated(cells[0], 0.5)}]
    runs.write_lines(folder / "search/history.jsonl", lines)
    runs.write_result(folder, fitness="angle", lines=lines * 4, best=lines)
    true = [found, *np.linspace(80, 93, 39).tolist()]
    runs.write_rank(folder, fitness=fitness, cells=cells, values=np.argsort(np.argsort(true)).tolist(), true=true)
    return folder


@pytest.mark.parametrize(
    ("found", "share", "words"),
    [
        (95.0, 10, "the search cannot be distinguished from it"),  # 4 draws of 40 hold the best one in 10 percent
        (90.0, 100 * (1 - stats.hypergeom(40, 10, 4).pmf(0)), "the search cannot be distinguished from it"),
        (75.0, 100, "the search found a worse architecture"),
    ],
)
def test_a_search_is_praised_only_outside_the_range_of_random_search(
    tmp_path: Path, found: float, share: float, words: str
) -> None:
    run = read_run(ranked(tmp_path, found))
    verdict = verdict_of(run)
    assert verdict is not None and verdict.evaluations == 4 and verdict.same_fitness is not None
    assert (run.ranks[0].columns["true"] >= found).sum() == {95.0: 1, 90.0: 10, 75.0: 40}[found]
    assert verdict.same_fitness.at_least(found) == pytest.approx(share / 100)
    said = against_random_search(verdict)
    assert f"{words}. Random search does as well or better in {share:.0f} percent of all cases." in said


def test_a_search_is_praised_beyond_the_range_of_random_search(tmp_path: Path) -> None:
    """Of one evaluation in 40, the best one comes in 2.5 percent of all cases, which the range leaves out."""
    run = read_run(ranked(tmp_path, 95.0))
    verdict = verdict_of(run)
    assert verdict is not None
    once = choice_of_random_search(run.ranks[0].columns["fitness"], run.ranks[0].columns["true"], 1)
    said = against_random_search(dataclasses.replace(verdict, evaluations=1, same_fitness=once))
    assert "the search found a better architecture. Random search does as well or better in 2 percent" in said


def test_the_largest_architecture_is_named_with_the_difference(tmp_path: Path) -> None:
    run = read_run(ranked(tmp_path, 90.0))
    rank, verdict = run.ranks[0], verdict_of(run)
    assert verdict is not None
    sizes = rank.columns["num_parameters"]
    largest = rank.columns["true"][sizes == sizes.max()].mean()
    assert verdict.parameters == pytest.approx(largest)
    assert against_parameters(verdict) == (
        f"The architecture with the most parameters has {largest:.2f} percent, {abs(90 - largest):.2f} points "
        f"{'less' if largest < 90 else 'more'}."
    )


def test_limits_of_the_search_hold_for_what_it_is_compared_with(tmp_path: Path) -> None:
    run = read_run(ranked(tmp_path, 90.0))
    sizes = run.ranks[0].columns["num_parameters"]
    bound = float(np.median(sizes))
    limited = verdict_of(read_run(ranked(tmp_path, 90.0, limits={"max_parameters": bound, "min_parameters": None})))
    assert limited is not None
    assert limited.admitted == (sizes <= bound).sum() < len(sizes) and limited.is_limited
    assert limited.best == pytest.approx(run.ranks[0].columns["true"][sizes <= bound].max())


def test_a_ranking_by_another_fitness_says_nothing_of_random_search_by_this_one(tmp_path: Path) -> None:
    verdict = verdict_of(read_run(ranked(tmp_path, 90.0, fitness="num_parameters")))
    assert verdict is not None and verdict.same_fitness is None and against_random_search(verdict) == ""


def test_a_sample_that_is_no_larger_than_the_search_gives_no_verdict(tmp_path: Path) -> None:
    """Random search with as many evaluations as the sample has architectures would find the best of the sample."""
    ranked(tmp_path, 90.0)
    runs.add_to_result(tmp_path, evaluations=39)
    assert verdict_of(read_run(tmp_path)) is not None
    runs.add_to_result(tmp_path, evaluations=40)
    assert verdict_of(read_run(tmp_path)) is None


def test_a_run_without_a_ranking_takes_accuracies_from_another_of_its_space_but_no_fitness(tmp_path: Path) -> None:
    ranked_run = read_run(ranked(tmp_path / "a", 90.0))
    ranked(tmp_path / "b", 91.0)
    for file in (tmp_path / "b/rank").iterdir():
        file.unlink()
    runs.add_to_result(tmp_path / "b", best=[{**runs.evaluated([0, 0, 3, 3, 0, 0], 0.5), "true": 91.0}])
    other = read_run(tmp_path / "b")
    assert verdict_of(other) is None
    verdict, of_ranked = verdict_of(other, [ranked_run]), verdict_of(ranked_run)
    assert verdict is not None and of_ranked is not None
    assert (verdict.found, verdict.parameters, verdict.same_fitness) == (91.0, of_ranked.parameters, None)
    runs.write_config(tmp_path / "b", space={"channels": 4})
    assert verdict_of(read_run(tmp_path / "b"), [ranked_run]) is None


@pytest.mark.slow
def test_a_page_says_what_cannot_be_said(tmp_path: Path) -> None:
    folder = ranked(tmp_path, 90.0)
    page = Page(write_report(folder))
    assert page.said_by("li")[3].startswith("Verdict: 90.00 percent benchmark accuracy. The architecture with the most")
    assert page.said_by("h2")[0] == "Verdict" and not list(page.root.find(".//header").iter("b"))[4:]  # type: ignore[union-attr]
    assert [row[0] for row in page.rows(0)[1:]] == [
        *("found by the search", "most parameters", "random search by the same fitness", "one random architecture"),
        *("best of random by benchmark", "best of all"),
    ]
    for file in (folder / "rank").iterdir():
        file.unlink()
    without = Page(write_report(folder))
    assert "Verdict" not in without.said_by("h2")
    assert "it is open whether this architecture is better than a random one" in without.said_by("li")[3]
