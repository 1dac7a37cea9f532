import json
import random
import subprocess
from pathlib import Path

import pytest
import torch
from torch import nn

from raynas.storage.checkpoint import (
    Checkpoint,
    DamagedCheckpoint,
    checkpoint_folders,
    drop_checkpoints,
    epoch_folder,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.alphas import AlphaTraining, probabilities_of
from raynas.training.objective import Objective
from raynas.training.optimizers import optimizer_state, restore_optimizer

ABOUT = {"space": {"name": "toy"}, "num_classes": 3, "base_seed": 0}


def save(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    epochs: int,
    steps: int,
    alphas: AlphaTraining | None = None,
    steps_of_epoch: int = 0,
    sums: dict[str, torch.Tensor] | None = None,
) -> None:
    """Saves what a training of these objects goes on from."""
    parts = {"weights": dict(network.state_dict())}
    if optimizer is not None:
        parts["optimizer"] = optimizer_state(network, optimizer)
    if alphas is not None:
        parts["alphas"] = alphas.state()
    if sums is not None:
        parts["sums"] = sums
    save_checkpoint(folder, parts, ABOUT, epochs=epochs, steps=steps, steps_of_epoch=steps_of_epoch)


def restore(
    checkpoint: Checkpoint,
    network: nn.Module,
    optimizer: torch.optim.Optimizer | None = None,
    alphas: AlphaTraining | None = None,
) -> None:
    """Puts a checkpoint's tensors into these objects."""
    network.load_state_dict(checkpoint.weights)
    if optimizer is not None:
        restore_optimizer(network, optimizer, checkpoint.parts.get("optimizer", {}))
    if alphas is not None:
        alphas.restore(checkpoint.parts.get("alphas", {}))


def trained() -> tuple[nn.Module, torch.optim.SGD]:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network[:2](torch.randn(2, 3, 8, 8)).square().sum().backward()  # the last layer has no gradient
    optimizer.step()
    return network, optimizer


def test_weights_buffers_and_momentum_come_back_to_the_bit(tmp_path: Path) -> None:
    network, optimizer = trained()
    save(tmp_path / "c", network, optimizer, 7, 70)
    other, other_optimizer = trained()
    other_optimizer.state.clear()
    checkpoint = load_checkpoint(tmp_path / "c", ABOUT)
    restore(checkpoint, other, other_optimizer)
    assert checkpoint.epochs == 7
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])
    for mine, its in zip(network.parameters(), other.parameters(), strict=True):
        assert its.stride() == mine.stride(), "the memory format stays"
        momentum = optimizer.state[mine].get("momentum_buffer")
        if momentum is None:
            assert its not in other_optimizer.state
        else:
            assert torch.equal(momentum, other_optimizer.state[its]["momentum_buffer"])


def alpha_training(seed: int, steps: int = 0) -> AlphaTraining:
    """Returns alphas of twelve choices of two to four candidates, and their optimiser after some steps."""
    generator = torch.Generator().manual_seed(seed)
    alphas = [nn.Parameter(torch.randn(2 + n % 3, generator=generator)) for n in range(12)]
    training = AlphaTraining(alphas, None, lambda *_: (), AlphaRecipe(), objective=Objective())  # type: ignore[arg-type]
    for _ in range(steps):
        for alpha in alphas[:-1]:  # the last has no gradient
            alpha.grad = torch.randn(alpha.shape, generator=generator)
        training.optimizer.step()
    return training


@pytest.mark.parametrize("steps", [0, 3])
def test_alphas_and_the_state_of_adam_come_back_to_the_bit(tmp_path: Path, steps: int) -> None:
    network, optimizer = trained()
    first, second = alpha_training(0, steps), alpha_training(1)
    kept = list(second.alphas)
    save(tmp_path / "c", network, optimizer, 7, 70, first)
    checkpoint = load_checkpoint(tmp_path / "c", ABOUT)
    restore(checkpoint, network, optimizer, second)
    for one, other in zip(first.alphas, second.alphas, strict=True):
        assert torch.equal(one, other)
        mine, its = first.optimizer.state.get(one, {}), second.optimizer.state.get(other, {})
        assert mine.keys() == its.keys()
        for name in mine:
            assert torch.equal(mine[name], its[name])
            assert mine[name].dtype == its[name].dtype
    assert all(one is other for one, other in zip(kept, second.alphas, strict=True)), "the parameters stay"
    assert (len(first.optimizer.state) == 11) == (steps == 3)
    for training in (first, second):
        for alpha in training.alphas:
            alpha.grad = torch.arange(float(len(alpha)))
        training.optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(first.alphas, second.alphas, strict=True)), "goes on alike"


def test_a_checkpoint_tells_the_softmax_of_the_alphas_of_each_choice_in_their_order(tmp_path: Path) -> None:
    network, optimizer = trained()
    training = alpha_training(0, 2)
    save(tmp_path / "c", network, optimizer, 7, 70, training)
    read = probabilities_of(load_checkpoint(tmp_path / "c", ABOUT).parts["alphas"])
    assert {one.dtype.name for one in read} == {"float64"}
    for row, alpha in zip(read, training.alphas, strict=True):
        exponentials = alpha.detach().double().exp()
        assert row == pytest.approx((exponentials / exponentials.sum()).numpy(), rel=1e-12)
    save(tmp_path / "without", network, optimizer, 7, 70)
    assert "alphas" not in load_checkpoint(tmp_path / "without", ABOUT).parts
    assert probabilities_of({}) == []


def test_initial_weights_leave_alphas_as_they_are(tmp_path: Path) -> None:
    network, _ = trained()
    save(tmp_path / "c", network, None, 0, 0)
    training, before = alpha_training(0), alpha_training(0)
    restore(load_checkpoint(tmp_path / "c", ABOUT), network, None, training)
    assert all(torch.equal(one, other) for one, other in zip(training.alphas, before.alphas, strict=True))
    assert not training.optimizer.state


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "optimizer.safetensors", "alphas.safetensors", "checkpoint.json", "SHA256SUMS"]
)
@pytest.mark.parametrize("damage", ["cut", "gone", "foreign"])
def test_a_damaged_checkpoint_is_passed_over_and_said(tmp_path: Path, file: str, damage: str) -> None:
    network, optimizer = trained()
    for epochs in (5, 10):
        place = epoch_folder(tmp_path, epochs)
        save(place, network, optimizer, epochs, 10 * epochs, alpha_training(0, 1))
    victim = epoch_folder(tmp_path, 10) / file
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[:-9] if damage == "cut" else b"\x80\x04cposix\nsystem\n.")
    said: list[str] = []
    found = latest_checkpoint(tmp_path, ABOUT, said.append)
    assert found is not None
    assert found.epochs == 5
    (line,) = said
    assert "epoch_00010 is damaged" in line
    assert line.endswith("the checkpoint before it is used")


def test_a_damaged_checkpoint_of_mid_epoch_gives_way_to_the_one_before_and_goes_with_the_next(tmp_path: Path) -> None:
    network, optimizer = trained()
    positions = [(4, 0), (4, 7), (4, 12)]
    for epochs, steps in positions:
        place, sums = epoch_folder(tmp_path, epochs, steps), {"weights": torch.arange(4.0) + steps}
        save(place, network, optimizer, epochs, 80 + steps, None, steps, sums if steps else None)
    victim = epoch_folder(tmp_path, 4, 12) / "sums.safetensors"
    victim.write_bytes(victim.read_bytes()[:-3])
    said: list[str] = []
    found = latest_checkpoint(tmp_path, ABOUT, said.append)
    assert found is not None
    assert (found.epochs, found.steps) == (4, 7)
    assert found.sums["weights"].tolist() == [7, 8, 9, 10]
    assert said[0].startswith(f"{tmp_path}/epoch_00004_step_00012 is damaged")
    again = epoch_folder(tmp_path, 4, 9)
    save(again, network, optimizer, 4, 89, None, 9, {"weights": torch.zeros(4)})
    drop_checkpoints(tmp_path, keep=2, newest=again)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch_00004_step_00007", "epoch_00004_step_00009"]


def test_checkpoints_are_sorted_by_epoch_and_step_whatever_their_names_look_like(tmp_path: Path) -> None:
    names = [
        "epoch_00003",
        "epoch_00003_step_00120",
        "epoch_00003_step_99999",
        "epoch_00003_step_100000",
        "epoch_00004",
    ]
    names += ["epoch_99999_step_00001", "epoch_100000"]
    for name in (*reversed(names), "initial", "epoch_00003_step_", "epoch_3", ".epoch_00005.x", "epoch_00003_old"):
        (tmp_path / name).mkdir()
    assert [path.name for path in checkpoint_folders(tmp_path)] == names
    positions = [(3, 0), (3, 120), (3, 99_999), (3, 100_000), (4, 0), (99_999, 1), (100_000, 0)]
    assert [epoch_folder(tmp_path, *position).name for position in positions] == names
    assert checkpoint_folders(tmp_path / "nowhere") == []


def test_a_checkpoint_from_before_there_were_any_in_mid_epoch_lies_between_two(tmp_path: Path) -> None:
    network, optimizer = trained()
    save(tmp_path / "c", network, optimizer, 7, 70)
    file = tmp_path / "c/checkpoint.json"
    stored = json.loads(file.read_text())
    del stored["steps_of_epoch"]
    file.write_text(json.dumps({**stored, "format": 1}))
    checkpoint = load_checkpoint(tmp_path / "c", ABOUT)
    assert (checkpoint.epochs, checkpoint.steps, checkpoint.sums) == (7, 0, {})


@pytest.mark.parametrize(
    "file", ["weights.safetensors", "optimizer.safetensors", "alphas.safetensors", "checkpoint.json", "SHA256SUMS"]
)
def test_no_flipped_bit_goes_unnoticed(tmp_path: Path, file: str) -> None:
    network, optimizer = trained()
    save(tmp_path / "c", network, optimizer, 5, 50, alpha_training(0, 1))
    whole = (tmp_path / "c" / file).read_bytes()
    chance = random.Random(0)
    for at in [*range(20), *(chance.randrange(len(whole)) for _ in range(100)), len(whole) - 2]:
        flipped = bytearray(whole)
        flipped[at] ^= 1 << chance.randrange(8)
        (tmp_path / "c" / file).write_bytes(flipped)
        with pytest.raises(DamagedCheckpoint, match="c is damaged"):
            load_checkpoint(tmp_path / "c", ABOUT)


def test_checksums_are_those_of_a_well_known_tool_and_older_checkpoints_had_none(tmp_path: Path) -> None:
    network, optimizer = trained()
    save(tmp_path / "c", network, optimizer, 5, 50)
    told = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=tmp_path / "c", capture_output=True, text=True)
    assert (told.returncode, len(told.stdout.splitlines())) == (0, 3)
    stored = json.loads((tmp_path / "c/checkpoint.json").read_text())
    (tmp_path / "c/checkpoint.json").write_text(json.dumps({**stored, "format": 1}))
    (tmp_path / "c/SHA256SUMS").unlink()
    assert load_checkpoint(tmp_path / "c", ABOUT).epochs == 5


def test_weights_of_another_space_are_refused(tmp_path: Path) -> None:
    network, optimizer = trained()
    save(epoch_folder(tmp_path, 5), network, optimizer, 5, 50)
    with pytest.raises(ValueError, match="holds weights of num_classes 3, this run has 4; give this run its own name"):
        latest_checkpoint(tmp_path, {**ABOUT, "num_classes": 4}, print)


def test_old_checkpoints_and_unfinished_ones_go_but_the_initial_weights_stay(tmp_path: Path) -> None:
    network, optimizer = trained()
    save(tmp_path / "initial", network, None, 0, 0)
    for epochs in (5, 10, 15, 99_995, 100_000):
        save(epoch_folder(tmp_path, epochs), network, optimizer, epochs, 10 * epochs)
    (tmp_path / ".epoch_00020.ab_cd012").mkdir()
    for name in (".alphas.npy.ab_cd012", ".keep"):  # of a file that was to be written, and somebody else's
        (tmp_path / name).touch()
    drop_checkpoints(tmp_path, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keep", "epoch_100000", "epoch_99995", "initial"]
    drop_checkpoints(tmp_path, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".keep", "epoch_100000", "initial"]


def test_a_checkpoint_is_readable_without_raynas(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    network, optimizer = trained()
    save(tmp_path / "c", network, optimizer, 7, 70)
    assert json.loads((tmp_path / "c/checkpoint.json").read_text()) == {
        "format": 2,
        "parts": ["weights", "optimizer"],
        "epochs": 7,
        "steps": 70,
        "steps_of_epoch": 0,
        **ABOUT,
    }
    assert set(load_file(tmp_path / "c/weights.safetensors")) == set(network.state_dict())
    assert set(load_file(tmp_path / "c/optimizer.safetensors")) == {"0.weight", "0.bias", "1.weight", "1.bias"}


def test_a_checkpoint_later_than_the_records_is_passed_over_and_said(tmp_path: Path) -> None:
    network, optimizer = trained()
    for epochs, steps in ((4, 0), (6, 0), (6, 3), (8, 0)):
        save(epoch_folder(tmp_path, epochs, steps), network, optimizer, epochs, 0, None, steps)
    said: list[str] = []
    found = latest_checkpoint(tmp_path, ABOUT, said.append, recorded=7)
    assert found is not None
    assert (found.epochs, found.steps) == (6, 3)
    later = "epoch_00008 is later than the records, cut off after epoch 7; the checkpoint before it is used"
    assert said == [f"{tmp_path}/{later}"]
    with pytest.raises(ValueError, match=r"cut off after epoch 3, before its first checkpoint epoch_00004; put"):
        latest_checkpoint(tmp_path, ABOUT, said.append, recorded=3)
