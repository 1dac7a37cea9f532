"""Supernets that stand on arrays: the arrays are read where they lie, and nothing ever writes into them."""

from __future__ import annotations

import warnings
import zlib

import numpy as np
import pytest
import torch
from torch import nn

from raynas.search_space import sample
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.gates import single_path
from raynas.supernet.shared_weights import as_arrays, supernet_on
from tests.stages.chain_space import ChainSpace
from tests.supernet.toys import Toy

CPU = torch.device("cpu")
SPACES = {
    "nasbench201": NasBench201(channels=4, cells=1),
    "nasbench201, affine": NasBench201(channels=4, cells=1, affine=True),
    "nasbench201, untracked": NasBench201(channels=4, cells=1, track_running_stats=False),
    "chain without normalisation": ChainSpace(),
    "only matrices and vectors": Toy(),
}


class Furnished(nn.Module):
    """A supernet with all that a constructor can leave beside parameters."""

    num_cells = 1

    def __init__(self, num_classes):
        super().__init__()
        self.block = ChoiceBlock({name: nn.Conv2d(3, 6, 3, padding=1) for name in ("a", "b")})
        self.first = self.second = nn.BatchNorm2d(6)  # one module in two places
        self.head = nn.Linear(6, num_classes)
        self.register_buffer("kept", torch.linspace(0.5, 1.5, 6))
        self.register_buffer("forgotten", torch.arange(6.0) + 1, persistent=False)
        self.register_buffer("kernels", torch.ones(6, 1, 3, 3) / 9)
        self.plain = torch.arange(6.0) / 10
        self.rates = [rate.item() for rate in torch.linspace(0.1, 0.3, 2)]

    def forward(self, images, gates):
        x = self.first(self.block(images, gates[0])) * self.kept[:, None, None]
        x = torch.conv2d(x, self.kernels, padding=1, groups=6)
        x = self.second(torch.relu(x)) * self.forgotten[:, None, None] + self.plain[:, None, None]
        return self.head(x.mean(dim=(2, 3)) * self.rates[0])


class FurnishedSpace(ChainSpace):
    """One choice between two convolutions in a `Furnished` supernet."""

    choices = property(lambda self: super().choices[:1])

    def build_supernet(self, num_classes):
        return Furnished(num_classes)


SPACES["furnished"] = FurnishedSpace()


@pytest.fixture(params=SPACES)
def space(request):
    return SPACES[request.param]


def trained(space, num_classes=5):
    """Returns a supernet with every weight and statistic random."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        supernet = space.build_supernet(num_classes)
        with torch.no_grad():
            for tensor in supernet.state_dict().values():
                if tensor.is_floating_point():
                    tensor.add_(torch.rand_like(tensor) / 4)
    return supernet.to(memory_format=torch.channels_last).eval()


def read_only(arrays):
    for array in arrays.values():
        array.setflags(write=False)
    return arrays


def copies(weights):
    return read_only({name: array.copy() for name, array in as_arrays(weights).items()})


def checksums(arrays):
    return {name: zlib.crc32(array.tobytes()) for name, array in arrays.items()}


def images_of(space):
    generator = torch.Generator().manual_seed(2)
    size = 2 if isinstance(space, Toy) else 8
    return torch.randn(4, 3, size, size, generator=generator).to(memory_format=torch.channels_last)


def logits(supernet, space, number=6):
    rng = np.random.default_rng(3)
    images = images_of(space)
    return torch.stack([supernet(images, single_path(sample(space, rng))) for _ in range(number)])


def calibrate(supernet, space):
    """Runs the supernet as training would see it, so that batch normalisation writes its statistics."""
    supernet.train()
    logits(supernet, space, number=2)
    supernet.eval()


# Arrays


def test_arrays_hold_the_weights_with_kernels_channels_last(space):
    weights = trained(space).state_dict()
    arrays = as_arrays(weights)
    assert list(arrays) == list(weights)
    for name, tensor in weights.items():
        expected = np.array(tensor.tolist(), dtype=arrays[name].dtype)
        if expected.ndim == 4:
            expected = np.einsum("oihw->ohwi", expected)
        assert torch.from_numpy(arrays[name]).dtype == tensor.dtype
        assert arrays[name].shape == expected.shape
        assert np.array_equal(arrays[name], expected)
        assert arrays[name].flags.c_contiguous


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=["nchw", "nhwc"])
def test_arrays_are_the_same_whatever_the_layout_of_the_weights(memory_format):
    space = SPACES["nasbench201"]
    supernet = trained(space)
    weights = {
        name: tensor.contiguous(memory_format=memory_format) if tensor.dim() == 4 else tensor
        for name, tensor in supernet.state_dict().items()
    }
    arrays = as_arrays(weights)
    assert checksums(arrays) == checksums(as_arrays(supernet.state_dict()))
    assert all(array.flags.c_contiguous for array in arrays.values())


def test_weights_that_require_gradients_become_arrays():
    leaf = torch.ones(2, 3, 1, 1, requires_grad=True)
    assert as_arrays({"w": leaf})["w"].shape == (2, 1, 1, 3)


# Supernets on them


def test_every_parameter_is_its_array_and_every_buffer_is_a_copy(space):
    arrays = copies(trained(space).state_dict())
    supernet = supernet_on(space, 5, arrays, CPU)
    names = {array.ctypes.data: name for name, array in arrays.items()}
    for name, parameter in supernet.named_parameters():
        assert parameter.data_ptr() in names
        assert names[parameter.data_ptr()] == name or name.startswith("first")  # one module under two names
    for buffer in supernet.buffers():
        assert not any(np.shares_memory(buffer.numpy(), array) for array in arrays.values())
    assert set(arrays) == set(supernet.state_dict())
    assert sum(parameter.numel() for parameter in supernet.parameters()) > 100


def test_kernels_are_channels_last_in_memory_and_every_value_is_in_its_place(space):
    weights = trained(space).state_dict()
    stored = supernet_on(space, 5, copies(weights), CPU).state_dict()
    assert list(stored) == list(weights)
    for name, tensor in stored.items():
        assert torch.equal(tensor, weights[name]) and tensor.shape == weights[name].shape
        if tensor.dim() == 4:
            assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_the_logits_are_those_of_a_supernet_that_loaded_the_weights(space):
    weights = trained(space).state_dict()
    loaded = space.build_supernet(5)
    loaded.load_state_dict(weights)
    loaded = loaded.to(memory_format=torch.channels_last).eval()
    ours = supernet_on(space, 5, copies(weights), CPU)
    with torch.no_grad():
        expected = logits(loaded, space)
        assert torch.equal(logits(ours, space), expected)
    assert len(expected.flatten(1).unique(dim=0)) > 1


def test_evaluating_and_calibrating_change_no_byte_of_the_arrays(space):
    arrays = copies(trained(space).state_dict())
    before = checksums(arrays)
    supernet = supernet_on(space, 5, arrays, CPU)
    statistics = {name: buffer.clone() for name, buffer in supernet.named_buffers()}
    with torch.inference_mode():
        logits(supernet, space)
        calibrate(supernet, space)
        for module in supernet.modules():
            if isinstance(module, nn.BatchNorm2d) and module.track_running_stats:
                module.reset_running_stats()
    assert checksums(arrays) == before
    written = {name for name, buffer in supernet.named_buffers() if not torch.equal(buffer, statistics[name])}
    assert {name for name in statistics if "running" in name} == {name for name in written if "running" in name}


def test_two_supernets_on_the_same_arrays_have_statistics_of_their_own(space):
    arrays = copies(trained(space).state_dict())
    one, other = (supernet_on(space, 5, arrays, CPU) for _ in range(2))
    with torch.no_grad():
        before = logits(other, space)
        calibrate(one, space)
        assert torch.equal(logits(other, space), before)


def test_a_supernet_is_in_evaluation_mode_and_has_no_gradients(space):
    supernet = supernet_on(space, 5, copies(trained(space).state_dict()), CPU)
    assert not any(module.training for module in supernet.modules())
    assert not any(parameter.requires_grad for parameter in supernet.parameters())
    assert logits(supernet, space).grad_fn is None


def test_what_the_constructor_made_beside_the_weights_is_there():
    space = SPACES["furnished"]
    weights = trained(space).state_dict()
    assert "forgotten" not in weights
    supernet = supernet_on(space, 5, copies(weights), CPU)
    assert supernet.forgotten.tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert supernet.plain.device == CPU and supernet.plain[1] == np.float32(0.1)
    assert supernet.rates == pytest.approx([0.1, 0.3])
    assert torch.equal(supernet.kept, weights["kept"]) and not torch.equal(supernet.kept, torch.linspace(0.5, 1.5, 6))


def test_the_global_generator_is_left_alone(space):
    arrays = copies(trained(space).state_dict())
    before = torch.get_rng_state()
    supernet_on(space, 5, arrays, CPU)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture
def always_warned():
    """Lets torch repeat the warnings that it gives once a process."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


def test_read_only_arrays_are_taken_without_a_warning(space, always_warned):
    arrays = copies(trained(space).state_dict())
    with pytest.warns(UserWarning, match="not writable"):
        torch.from_numpy(next(iter(arrays.values())))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        supernet_on(space, 5, arrays, CPU)


# Arrays of something else

KERNEL = "cells.1.edges.3.nor_conv_3x3.conv.weight"


@pytest.mark.parametrize("name", [KERNEL, "stem.bn.running_mean", "classifier.bias"])
def test_missing_arrays_are_an_error_that_names_them(name):
    space = SPACES["nasbench201"]
    arrays = as_arrays(trained(space).state_dict())
    del arrays[name]
    with pytest.raises(RuntimeError, match=rf'Missing key\(s\) in state_dict: "{name}"'):
        supernet_on(space, 5, arrays, CPU)


def test_arrays_that_belong_to_nothing_are_an_error_that_names_them():
    space = SPACES["nasbench201"]
    arrays = {**as_arrays(trained(space).state_dict()), "alphas": np.zeros((6, 5), np.float32)}
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "alphas"'):
        supernet_on(space, 5, arrays, CPU)


def test_arrays_of_another_size_are_an_error_that_names_them():
    arrays = as_arrays(trained(NasBench201(channels=8, cells=1)).state_dict())
    with pytest.raises(RuntimeError, match=f"size mismatch for {KERNEL}"):
        supernet_on(SPACES["nasbench201"], 5, arrays, CPU)
    with pytest.raises(RuntimeError, match="size mismatch for classifier"):
        supernet_on(NasBench201(channels=8, cells=1), 6, arrays, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_all_of_it_is_there():
    space = SPACES["nasbench201"]
    arrays = copies(trained(space).state_dict())
    supernet = supernet_on(space, 5, arrays, torch.device("cuda"))
    assert {tensor.device.type for tensor in supernet.state_dict().values()} == {"cuda"}
    kernel = supernet.state_dict()[KERNEL]
    assert kernel.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(kernel.cpu(), torch.from_numpy(arrays[KERNEL].copy()).permute(0, 3, 1, 2))
