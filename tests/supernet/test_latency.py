"""Latency by a clock that the candidates themselves turn: every figure is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import raynas.supernet.latency as latency
from raynas.search_space import Choice, SearchSpace, all_architectures
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.chain import ChainNetwork
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.latency import ROUNDS, WARM_UP, check_latency, latency_table

CPU = torch.device("cpu")


class Clock:
    """Stands still but for what modules add to it, and for one round that is slow."""

    def __init__(self):
        self.now, self.runs = 0.0, 0

    def perf_counter(self):
        return self.now


CLOCK = Clock()


class Timed(nn.Module):
    """Takes seconds in proportion to the pixels of its input; each its own, told apart by its description alone."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds = seconds

    def extra_repr(self):
        return str(self.seconds)

    def forward(self, x):
        CLOCK.runs += 1
        CLOCK.now += self.seconds * x.shape[0] * x.shape[2] * (1 if CLOCK.runs % 7 else 100)
        return nn.functional.max_pool2d(x, 2)


class TimedSpace(SearchSpace):
    name = "timed"
    seconds = ((1, 2), (8, 4, 16))
    choices = tuple(Choice(f"c{i}", tuple(f"s{s}" for s in row)) for i, row in enumerate(seconds))

    def _network(self, rows):
        blocks = [ChoiceBlock({f"s{s}": Timed(s) for s in row}) for row in rows]
        return ChainNetwork(Timed(32), blocks, nn.Sequential(nn.Flatten(), nn.Linear(3, 2)))

    def build_supernet(self, num_classes):
        return self._network(self.seconds)

    def build_network(self, architecture, num_classes):
        return self._network([(row[k],) for row, k in zip(self.seconds, architecture, strict=True)])


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(latency, "time", CLOCK)
    return CLOCK


@pytest.mark.parametrize("batch_size", [1, 3])
def test_every_candidate_gets_the_median_of_its_own_time_on_its_own_input(clock, batch_size):
    table = latency_table(TimedSpace(), 8, 2, device=CPU, batch_size=batch_size)
    assert table.quantities == ("latency",)
    expected = np.array([[4, 8, 0], [16, 8, 32]]) * batch_size  # the stem leaves 4 x 4, the first block 2 x 2
    assert np.array_equal(table.terms[:, :, 0], expected)
    assert table.fixed.tolist() == [32 * 8 * batch_size]


def test_whole_networks_take_what_the_sum_predicts_where_nothing_else_takes_time(clock):
    space = TimedSpace()
    table = latency_table(space, 8, 2, device=CPU)
    every = all_architectures(space)
    measured = check_latency(space, [tuple(a) for a in every.tolist()], 8, 2, device=CPU)
    assert np.array_equal(measured, table.total(every)[:, 0])


def test_candidates_that_are_alike_are_timed_once_and_all_rounds_are_told(clock, monkeypatch):
    told, timed = [], []
    monkeypatch.setattr(latency, "_run", lambda module, shape, device: timed.append((repr(module), shape)) or (int))
    space = NasBench201(channels=2, cells=2)
    latency_table(space, 8, 5, device=CPU, report=lambda done, of: told.append((done, of)))
    candidates = timed[: -latency.WHOLE]
    assert len(set(candidates)) == len(candidates) == 4 * 3  # four kinds that pass something, three widths
    assert told == [(n + 1, WARM_UP + ROUNDS) for n in range(WARM_UP + ROUNDS)]


def test_measuring_leaves_threads_and_random_numbers_as_they_were():
    threads, state = torch.get_num_threads(), torch.random.get_rng_state()
    space = NasBench201(channels=2, cells=1)
    table = latency_table(space, 8, 5, device=CPU, threads=2)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), state)
    assert (table.terms[:, 1:, 0] > 0).all() and (table.terms[:, 0, 0] == 0).all()
    measured = check_latency(space, [(3,) * 6, (1,) * 6], 8, 5, device=CPU)
    assert measured.shape == (2,) and measured[0] > measured[1] > 0


def test_dead_operations_do_not_make_what_is_always_there_too_short(clock, monkeypatch):
    class Dead(TimedSpace):
        """Its second choice never runs."""

        def build_union(self, num_classes):
            return TimedSpace().build_supernet(num_classes)

        def build_network(self, architecture, num_classes):
            return nn.Sequential(Timed(32), Timed(self.seconds[0][architecture[0]]))

        def path_counts(self, architectures):
            return np.array([[1, 0]]).repeat(len(architectures), axis=0)

    assert latency_table(Dead(), 8, 2, device=CPU).fixed.tolist() == [32 * 8]
