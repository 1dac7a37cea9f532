"""All 15,625 rows of NAS-Bench-201's own table."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from raynas.search_space import all_architectures, as_array
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.costs import cost_table

MEASURING_DATA = Path(os.environ.get("RAYNAS_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


@pytest.fixture(scope="module")
def rows():
    table = MEASURING_DATA / "nasbench201_cifar10.csv.gz"
    if not table.is_file():
        pytest.skip(f"no NAS-Bench-201 table in {MEASURING_DATA}; set RAYNAS_DATA to where {table.name} lies")
    with gzip.open(table, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def space():
    return NasBench201()


def test_every_row_is_read_and_written_as_it_stands(rows, space):
    architectures = [space.parse(row["arch"]) for row in rows]
    assert [space.describe(architecture) for architecture in architectures] == [row["arch"] for row in rows]
    assert sorted(architectures) == sorted(map(tuple, all_architectures(space).tolist()))


@pytest.mark.parametrize(("column", "quantity"), [("params_m", "num_parameters"), ("multiply_adds_m", "multiply_adds")])
def test_costs_are_the_tables_to_its_last_digit(rows, space, column, quantity):
    table = cost_table(space, 32, 10)
    architectures = as_array([space.parse(row["arch"]) for row in rows])
    ours = table.total(architectures)[:, table.quantities.index(quantity)]
    printed = np.array([float(row[column]) for row in rows])
    decimals = max(len(row[column].partition(".")[2]) for row in rows)
    assert decimals >= 5
    np.testing.assert_allclose(ours / 1e6, printed, rtol=0, atol=0.5 * 10**-decimals + 1e-9)


def test_architectures_that_compute_the_same_function_are_equally_accurate_up_to_their_seeds(rows, space):
    classes = {}
    for row in rows:
        classes.setdefault(space.canonical(space.parse(row["arch"])), []).append(float(row["test_accuracy_200"]))
    assert len(classes) == 4_930
    within = np.concatenate([np.subtract(values, np.mean(values)) for values in classes.values() if len(values) > 1])
    everywhere = np.std([float(row["test_accuracy_200"]) for row in rows])
    assert np.median(np.abs(within)) < 0.5 < 5 < everywhere
