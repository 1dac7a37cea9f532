"""Latency of the candidates of a space on this device, as a table of measured costs.

Every candidate is timed alone on an input with its shape in the network, in evaluation mode and without gradients. The
predicted latency of a network is a constant plus one term for each choice. The constant covers the modules around the
choices, and is the difference between whole networks and the sums of their terms. Operations outside all live paths do
not run but have terms, so the prediction is too large for cells with such operations. `check_latency` measures the
accuracy.
"""

from __future__ import annotations

import functools
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from raynas.capabilities import cost_choices_of, cost_terms_of, path_counts_of, union_of
from raynas.search_space import AdditiveTable, Architecture, SearchSpace, as_array, sample
from raynas.supernet.costs import CostRow, traced_calls
from raynas.supernet.example_inputs import example_inputs
from raynas.supernet.folding import folded

LATENCY = CostRow("latency", "latency", unit="s", is_measured=True)

ROUNDS, WARM_UP = 25, 5
"""Timed and untimed rounds; each round runs all candidates, as a network runs all its layers."""

WHOLE = 8
"""Number of whole networks that determine the constant."""


def _shapes(module: nn.Module) -> tuple[torch.Size, ...]:
    """Returns the shapes of a module's parameters."""
    return tuple(parameter.shape for parameter in module.parameters())


def latency_table(
    space: SearchSpace,
    resolution: int,
    num_classes: int,
    *,
    device: torch.device,
    batch_size: int = 1,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> AdditiveTable:
    """Returns ``latency``, seconds for a batch, of every candidate and of the modules around the choices, float64.

    Args:
        space: The space.
        resolution: Height and width of an image.
        num_classes: Number of classes.
        device: The device, which should be idle otherwise.
        batch_size: Images in a batch.
        threads: Threads of torch, on a CPU.
        report: Receives the number of complete rounds and their total.

    Raises:
        InputError: If images of this resolution do not fit the network, or a choice has no choice block.
    """
    with measuring(threads) as folding:
        images = _inputs(space, batch_size, resolution, device)
        calls = traced_calls(space, _ready(union_of(space, num_classes), device, folding), images)
        keys = [(repr(call.module), _shapes(call.module), call.shape) for call in calls]
        alike = dict(zip(keys, calls, strict=True))  # timed once, since cells of the same kind repeat a candidate
        runs = {key: _run(call.module, call.shape, device) for key, call in alike.items()}
        rng = np.random.default_rng(0)
        whole = [sample(space, rng) for _ in range(WHOLE)]
        built = [_ready(space.build_network(a, num_classes), device, folding) for a in whole]
        networks = [_run_network(network, images, device) for network in built]
        seconds = median_seconds([*runs.values(), *networks], device, report)
    by_key = dict(zip(runs, seconds[: len(runs)], strict=True))
    choices = cost_choices_of(space)
    terms = np.zeros((len(choices), max(len(choice.candidates) for choice in choices), 1))
    for key, call in zip(keys, calls, strict=True):
        terms[call.choice, call.candidate, 0] += by_key[key]
    table = AdditiveTable((LATENCY.name,), np.zeros(1), terms, terms_of=cost_terms_of(space))
    live = (path_counts_of(space, as_array(whole)) > 0).astype(np.int64)
    remains = np.array(seconds[len(runs) :]) - table.total(as_array(whole), live)[:, 0]
    return AdditiveTable((LATENCY.name,), np.array([np.median(remains)]), terms, terms_of=cost_terms_of(space))


def check_latency(
    space: SearchSpace,
    architectures: Sequence[Architecture],
    resolution: int,
    num_classes: int,
    *,
    device: torch.device,
    batch_size: int = 1,
    threads: int = 1,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Returns the measured seconds for a batch of each architecture's own network, ``(n,)``; arguments as above."""
    with measuring(threads) as folding:
        images = _inputs(space, batch_size, resolution, device)
        networks = [_ready(space.build_network(a, num_classes), device, folding) for a in architectures]
        runs = [_run_network(network, images, device) for network in networks]
        return np.array(median_seconds(runs, device, report))


def _inputs(space: SearchSpace, number: int, size: int, device: torch.device) -> Tensor:
    """Returns inputs of the networks of a space: random images, or tokens."""
    example = example_inputs(space, number, size, device)
    return _random(example.shape, device) if example.is_floating_point() else example


def _random(shape: Sequence[int], device: torch.device) -> Tensor:
    x = torch.randn(tuple(shape), generator=torch.Generator().manual_seed(0))
    return (x.to(memory_format=torch.channels_last) if x.dim() == 4 else x).to(device)


def _ready(network: nn.Module, device: torch.device, folding: ExitStack) -> nn.Module:
    """Returns the network in evaluation mode, its normalisations folded until `folding` closes."""
    folding.enter_context(folded(network))
    return network.eval().to(device).to(memory_format=torch.channels_last)


def _run(module: nn.Module, shape: Sequence[int], device: torch.device) -> Callable[[], object]:
    x = _random(shape, device)
    return lambda: module(x)


def _run_network(network: nn.Module, inputs: Tensor, device: torch.device) -> Callable[[], object]:
    """Returns what runs a whole network: on random images, or on tokens as they are."""
    if inputs.is_floating_point():
        return _run(network, inputs.shape, device)
    return functools.partial(network, inputs)


@contextmanager
def measuring(threads: int) -> Iterator[ExitStack]:
    """Sets the threads and preserves the state of random numbers; yields the stack that keeps networks folded."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]), torch.inference_mode(), ExitStack() as folding:
            yield folding
    finally:
        torch.set_num_threads(before)


def median_seconds(
    runs: Sequence[Callable[[], object]],
    device: torch.device,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> list[float]:
    """Returns the median time of each run; the rounds are interleaved, so a slow moment affects all runs."""
    taken: list[list[float]] = [[] for _ in runs]
    for number in range(WARM_UP + ROUNDS):
        for run, times in zip(runs, taken, strict=True):
            _wait(device)
            began = time.perf_counter()
            run()
            _wait(device)
            times.append(time.perf_counter() - began)
        report(number + 1, WARM_UP + ROUNDS)
    return [statistics.median(times[WARM_UP:]) for times in taken]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """Returns the name of the device of a measurement."""
    if device.type == "cuda":
        return torch.cuda.get_device_name()
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
