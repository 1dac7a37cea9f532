"""The training of one network: averages, dropout, statistics measured anew, and resumes to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from raynas.networks.learner import NetworkLearner
from raynas.networks.training_form import network_to_train
from raynas.spaces.darts import Darts
from raynas.storage.checkpoint import load_checkpoint, save_checkpoint
from raynas.training.loop import StepReport, train
from raynas.training.network_recipe import NetworkRecipe
from raynas.training.plan import Plan

SPACE = Darts(channels=4, cells=3)
CELL = SPACE.parse(
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), ('max_pool_3x3', 2), "
    "('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_5x5', 3), ('avg_pool_3x3', 0)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), ('max_pool_3x3', 2), ('dil_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_5x5', 3), ('avg_pool_3x3', 0)], reduce_concat=range(2, 6))"
)
EVERYTHING = {"ema": 0.9, "dropout": 0.3, "drop_path": 0.2, "drop_path_rises": True, "auxiliary": "tower"}


class Noise:
    """Batches of noise that are a function of epoch and step."""

    steps_per_epoch = 3

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(first_step, self.steps_per_epoch):
            generator = torch.Generator().manual_seed(100 * epoch + step)
            images = torch.randn(6, 3, 16, 16, generator=generator)
            labels = torch.randint(7, (6,), generator=generator)
            yield images[rank::world], labels[rank::world]


def recipe(**keys: object) -> NetworkRecipe:
    return NetworkRecipe.model_validate({"epochs": 3, "batch_size": 6, "learning_rate": 0.05, **keys})


def learner(of: NetworkRecipe) -> NetworkLearner:
    torch.manual_seed(0)
    network = network_to_train(SPACE, CELL, 7, of)
    return NetworkLearner(network, of, Noise(), held_out={"test": Noise()}, seed=5)


def trained(of: NetworkRecipe) -> NetworkLearner:
    made = learner(of)
    train(made, Plan("network", "network", of))
    return made


@pytest.mark.parametrize("keys", [{}, EVERYTHING], ids=["plain", "everything"])
def test_a_training_goes_on_from_any_step_to_the_same_bits(tmp_path: Path, keys: dict[str, object]) -> None:
    of = recipe(**keys)
    whole = trained(of).state()
    for stop in (2, 3, 7):
        first = learner(of)

        def save(report: StepReport, first: NetworkLearner = first, stop: int = stop) -> None:
            if report.step == stop:
                save_checkpoint(tmp_path / f"at_{stop}", first.state(), {}, epochs=0, steps=stop)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(first, Plan("network", "network", of), report_step=save)
        second = learner(of)
        second.restore(load_checkpoint(tmp_path / f"at_{stop}", {}).parts)
        epoch, step = divmod(stop, Noise.steps_per_epoch)
        train(second, Plan("network", "network", of), first_epoch=epoch, first_step=step)
        again = second.state()
        assert {part: set(tensors) for part, tensors in again.items()} == {p: set(t) for p, t in whole.items()}
        for part, tensors in whole.items():
            for name, tensor in tensors.items():
                assert torch.equal(again[part][name], tensor), (part, name)


def test_the_finished_network_has_averaged_weights_and_is_saved() -> None:
    plain, averaged = trained(recipe()), trained(recipe(ema=0.9))
    assert "final" not in plain.state() and plain.finished is plain.module
    final = averaged.state()["final"]
    assert all(torch.equal(final[name], tensor) for name, tensor in averaged.finished.state_dict().items())
    assert not torch.equal(final["classifier.weight"], averaged.module.state_dict()["classifier.weight"])
    same = averaged.module.state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in plain.module.state_dict().items())


def test_statistics_are_measured_anew_over_the_last_epoch() -> None:
    of = recipe(estimate_batch_norm=True)
    module = trained(of).module
    sums, count = torch.zeros(12), 0
    for images, _ in Noise().epoch(2):
        out = module.stem0.conv(images)  # type: ignore[union-attr, operator]
        sums += out.mean(dim=(0, 2, 3)).detach()
        count += 1
    assert torch.allclose(module.stem0.bn.running_mean, sums / count, atol=1e-6)  # type: ignore[union-attr, arg-type]


def test_figures_of_held_out_images_come_with_the_last_epoch() -> None:
    made = trained(recipe())
    right = top5 = 0
    losses = []
    made.module.eval()
    with torch.inference_mode():
        for images, labels in Noise().epoch(0):
            logits = made.module(images)
            losses.append(nn.functional.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(dim=1) == labels).sum())
            top5 += sum(int(label) in row for label, row in zip(labels, logits.topk(5).indices.tolist(), strict=True))
    figures = made.finish_epoch(2)["test"]
    assert made.finish_epoch(1) == {}
    assert figures["test_accuracy"] == pytest.approx(100 * right / 18)
    assert figures["test_top5_accuracy"] == pytest.approx(100 * top5 / 18)
    assert figures["test_loss"] == pytest.approx(float(sum(losses)) / 18, rel=1e-5)
