"""Sums over the gradients of an epoch: agreement between batches, and what checkpoints hold."""

from __future__ import annotations

import pytest
import torch

from raynas.supernet.architecture_gradients import ArchitectureGradient
from raynas.supernet.gradient_sums import GradientSums


def gradient(first, correction):
    return ArchitectureGradient([torch.tensor(first)], [torch.tensor(correction)])


def figures_of(*gradients):
    sums = GradientSums(2)
    for one in gradients:
        sums.add(one)
    return sums.take()


def test_equal_batches_agree_wholly_and_opposite_ones_wholly_disagree():
    equal = figures_of(*[gradient([3.0, 4.0], [1.0, 0.0])] * 5)
    assert equal.first_agreement == pytest.approx(1.0)
    assert equal.first_mean_norm == pytest.approx(equal.first_norm) == pytest.approx(5.0)
    opposite = figures_of(gradient([1.0, 0.0], [0.0, 2.0]), gradient([-1.0, 0.0], [0.0, -2.0]))
    assert (opposite.first_agreement, opposite.correction_agreement) == pytest.approx((-1.0, -1.0))
    assert opposite.correction_mean_norm == 0


def test_noise_agrees_with_nothing_whatever_its_dimension():
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(200):
        sums = GradientSums(2)
        for _ in range(4):
            first, correction = torch.randn(2, 2, generator=generator)
            sums.add(ArchitectureGradient([first], [correction]))
        found.append(sums.take().first_agreement)
    assert abs(sum(found) / len(found)) < 0.05
    assert min(found) >= -1 / 3 - 1e-9


def test_one_step_and_a_part_that_is_zero_have_no_agreement():
    assert figures_of(gradient([1.0, 0.0], [1.0, 0.0])).first_agreement is None
    without_correction = figures_of(*[gradient([1.0, 0.0], [0.0, 0.0])] * 3)
    assert without_correction.correction_agreement is None
    assert without_correction.first_agreement == pytest.approx(1.0)


def test_sums_go_on_from_their_state_and_are_given_once():
    gradients = [gradient([float(k), 1.0], [0.5, float(-k)]) for k in range(6)]
    first = GradientSums(2)
    for one in gradients[:3]:
        first.add(one)
    second = GradientSums(2)
    second.restore(first.state())
    for one in gradients[3:]:
        second.add(one)
    assert second.take() == figures_of(*gradients)
    assert second.take() is None


def test_from_the_state_of_an_earlier_version_go_on_the_means_that_it_has():
    begun, sums = figures_of(gradient([3.0, 4.0], [1.0, 0.0])), GradientSums(2)
    sums.restore(torch.tensor([begun.first_norm, begun.correction_norm, begun.cosine, 1.0], dtype=torch.float64))
    sums.add(gradient([0.0, 1.0], [1.0, 0.0]))
    figures = sums.take()
    assert (figures.first_norm, figures.first_agreement) == (3.0, None)
