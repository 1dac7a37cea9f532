"""Tables for the terminal that could be long: a ranking by epochs, the front of a search for trade-offs."""

from __future__ import annotations

from typing import Any

import pytest

from raynas.report.text_tables import SHOWN, ranking_lines, result_lines


def ranking(epochs: int) -> dict[str, Any]:
    top = {"1": {"mean": 90.0, "best": 90.0}}
    row = {"name": "angle (paper)", "tau": 0.6, "tau_interval": None, "rho": 0.8, "rho_interval": None, "top": top}
    known = {"label": "angle_paper", "cells": 50, "space": 50, "table": "t.csv", "column": "a", "bootstrap": 200}
    by_epoch = [{"epoch": 1 + number, "tau": number / 1000, "rho": None, "top": top} for number in range(epochs)]
    rows = [{**row, "agreement": 80.0, "tau_in_order": 0.58, "tau_within": None}]
    return {**known, "rows": rows, "remarks": [], "epochs": by_epoch or None}


def table_of_epochs(epochs: int) -> list[list[str]]:
    """Returns the rows of the table below its title, as words."""
    lines = ranking_lines(ranking(epochs))
    (begin,) = [number for number, line in enumerate(lines) if line.startswith("angle (paper) after epochs")]
    return [line.split() for line in lines[begin + 1 :]]


def test_tau_with_ties_broken_as_in_the_code_of_rlnas_stands_beside_tau_b() -> None:
    title, header, row = ranking_lines(ranking(0))
    assert "ties in order: tau as the code of RLNAS breaks ties;" in title
    assert header.split()[:4] == ["tau-b", "ties", "in", "order"]
    assert row.split()[:4] == ["angle", "(paper)", "0.6000", "0.5800"]


def test_tau_over_distinct_functions_is_shown_where_functions_come_again() -> None:
    result = ranking(0)
    result["rows"][0]["tau_distinct"] = 0.55
    for functions, shown in ((40, True), (50, False)):
        title, header, row = ranking_lines({**result, "functions": functions})
        assert ("distinct functions" in header, "0.5500" in row) == (shown, shown)
        assert ("distinct functions: tau-b over 40 functions, each once" in title) == shown


def test_further_columns_of_the_benchmark_have_a_column_each() -> None:
    result = ranking(0)
    result["rows"][0]["tau_columns"] = {"valid_accuracy_12": 0.51, "other": None}
    _, header, row = ranking_lines(result)
    assert "tau-b, valid_accuracy_12  tau-b, other" in header
    assert row.split()[4:7] == ["0.8000", "0.5100", "undefined"]


def test_a_ranking_by_epochs_is_a_table_with_a_row_for_each() -> None:
    header, *rows = table_of_epochs(3)
    assert header == ["epochs", "tau-b", "rho", "top", "1"]
    assert rows == [[str(number + 1), f"{number / 1000:.4f}", "undefined", "90.00", "%"] for number in range(3)]


def test_a_long_one_is_thinned_out_and_says_where_the_rest_is() -> None:
    _, *rows = table_of_epochs(300)
    epochs = [int(row[0]) for row in rows]
    assert len(epochs) == SHOWN and (epochs[0], epochs[-1]) == (1, 300)
    gaps = {later - earlier for earlier, later in zip(epochs, epochs[1:], strict=False)}
    assert max(gaps) - min(gaps) <= 1
    assert any("20 of 300; all are in rank/angle_paper.json" in line for line in ranking_lines(ranking(300)))


def test_without_epochs_there_is_no_such_table() -> None:
    assert not any("after epochs" in line for line in ranking_lines(ranking(0)))


def found(front: int) -> dict[str, Any]:
    def row(number: int) -> dict[str, Any]:
        costs = {"num_parameters": 1000 + number, "multiply_adds": 5000 + number, "latency": 0.001 * (number + 1)}
        return {"fitness": 0.5 + number, "description": f"cell{number}", **costs}

    known = {"fitness": "angle", "name": "angle (paper)", "evaluations": 99, "functions": 9, "seconds": 1.0}
    rows = [row(number) for number in range(front)]
    return {**known, "quantities": [], "objectives": ["multiply_adds", "latency"], "best": [row(0)], "front": rows}


@pytest.mark.parametrize(("front", "shown"), [(2, 2), (45, SHOWN)])
def test_a_search_for_trade_offs_prints_its_front_the_cheapest_first(front: int, shown: int) -> None:
    lines = result_lines(found(front))
    (begin,) = [number for number, line in enumerate(lines) if line.startswith("the front of angle (paper)")]
    title = "the front of angle (paper) against multiply adds and latency: "
    assert lines[begin] == f"{title}{front} architectures that none of the others dominates"
    rows = [line.split() for line in lines[begin + 2 : begin + 2 + shown]]
    assert [row[-1] for row in rows][:: shown - 1] == ["cell0", f"cell{front - 1}"]
    assert [float(row[3]) for row in rows] == sorted(float(row[3]) for row in rows)
    assert lines[begin + 2 + shown :] == ([f"{front - shown} more in search/result.json"] if front > shown else [])


def test_a_search_for_the_best_alone_prints_no_front() -> None:
    assert not any("front" in line for line in result_lines({**found(1), "front": [], "objectives": []}))
