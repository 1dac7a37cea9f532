"""Tokens per second of a training step: search by samples, a derived cell, and torch's LSTM, one after the other.

Each step runs a window forward and backward and takes a step of SGD. The three networks have one vocabulary and, within
a percent, equal numbers of parameters. Rounds are interleaved, so that a slow moment affects all of them. The time
is that of the process.

    python -m tests.performance.recurrent_step [--hidden 300] [--streams 64] [--words 2000] [--rounds 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from raynas.networks.published import PUBLISHED
from raynas.search_space import sample
from raynas.spaces.lstm import Lstm
from raynas.spaces.recurrent import Recurrent
from raynas.supernet.gates import hard_samples, mixture, single_path
from raynas.training.objective import Objective
from raynas.training.window import Memory

DEFAULTS = {"hidden": 300, "streams": 64, "length": 35, "words": 2000, "rounds": 5, "threads": 1}


def step_of(
    network: nn.Module, streams: int, length: int, words: int, gates: Callable[[], tuple]
) -> Callable[[], None]:
    """Returns what trains a network on one window, its state carried."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, words, (streams, length), generator=generator)
    labels = torch.randint(0, words, (streams * length,), generator=generator)
    optimizer, objective = torch.optim.SGD(network.parameters(), lr=1e-3), Objective(streams)
    memory = Memory(streams, network.state_width, torch.device("cpu"))

    def step() -> None:
        window = memory.recall(tokens, 0)
        loss, _ = objective.evaluate(lambda: network(window, *gates()), labels, memory.keep)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 0.25)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def main() -> None:
    """Prints a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in DEFAULTS.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    space = Recurrent(embedding=options.hidden, hidden=options.hidden)
    derived = space.build_network(space.parse(PUBLISHED["RNN_GDAS"].text), options.words)
    parameters = sum(parameter.numel() for parameter in derived.parameters())
    lstm_space = Lstm(options.hidden, options.hidden).of_size(parameters, options.words)
    rng = np.random.default_rng(0)
    alphas = [torch.zeros(5) for _ in space.choices]
    networks = {
        "LSTM of torch": (lstm_space.build_network((0,), options.words), lambda: ()),
        "derived cell": (derived, lambda: ()),
        "search by samples": (space.build_supernet(options.words), lambda: (single_path(sample(space, rng)),)),
        "samples of GDAS": (space.build_supernet(options.words), lambda: (hard_samples(alphas, 1.0)[0],)),
        "search by mixtures": (space.build_supernet(options.words), lambda: (mixture(alphas),)),
    }
    size = options.streams, options.length, options.words
    steps = {name: step_of(network.train(), *size, gates) for name, (network, gates) in networks.items()}
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(options.rounds + 1):
        for name, step in steps.items():
            began = time.process_time()
            step()
            if round_:
                seconds[name].append(time.process_time() - began)
    tokens = options.streams * options.length
    reference = statistics.median(seconds["LSTM of torch"])
    for name, (network, _) in networks.items():
        median = statistics.median(seconds[name])
        count = sum(parameter.numel() for parameter in network.parameters())
        speed = f"{tokens / median:10,.0f} tokens/s  {reference / median:5.2f} of the LSTM"
        print(f"{name:20s} {speed}  {count / 1e6:.3f} M")


if __name__ == "__main__":
    main()
