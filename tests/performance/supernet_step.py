"""Times a single-path training step (forward, backward, optimiser) against its limit, on one thread.

The limit of a step is what must be computed, 3 x 2 x multiply-adds of the operations on live paths, at the speed of the
fastest dense kernel at hand. Two such speeds are measured in the same run, since libraries differ by machine: a matrix
product (SGEMM) and a wide 3 x 3 convolution. `plain` is the same supernet run as public codes run it: NCHW, every edge
whether it is live or not, `none` as a product with zero, pooling by avg_pool2d. Steps of both are interleaved, on the
same paths; times are process time.

    python tests/performance/supernet_step.py [--channels 16 --cells 5 --resolution 32 --batch 64 --steps 24] [--json]
"""

import argparse
import json
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

from raynas.search_space import as_array
from raynas.spaces.nasbench201 import GRAPH, NONE, NasBench201
from raynas.spaces.operations import AvgPool3x3
from raynas.supernet.choice_block import Zero
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import single_path
from raynas.supernet.routes import uniform_paths
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe


def plain_forward(supernet, images, architecture):
    x = supernet.stem(images)
    per_stage = supernet.num_cells // 3
    for index, cell in enumerate(supernet.cells):
        if index in (per_stage, 2 * per_stage):
            x = supernet.reductions[index // per_stage - 1](x)
        nodes = [x, None, None, None]
        for (source, target), block, k in zip(GRAPH.edges, cell.edges, architecture, strict=True):
            operation = block.candidate(k)
            if isinstance(operation, Zero):
                out = nodes[source].mul(0.0)
            elif isinstance(operation, AvgPool3x3):
                out = F.avg_pool2d(nodes[source], 3, stride=1, padding=1, count_include_pad=False)
            else:
                out = operation(nodes[source])
            nodes[target] = out if nodes[target] is None else nodes[target] + out
        x = nodes[3]
    return supernet.classifier(torch.relu(supernet.last_bn(x)).mean(dim=(2, 3)))


def live_multiply_adds(space, architecture, resolution):
    """Returns what an image needs: the multiply-adds of the operations on live paths."""
    paths = space.path_counts(as_array([architecture]))[0]
    live = tuple(k if on_path else NONE for k, on_path in zip(architecture, paths, strict=True))
    return int(cost_table(space, resolution, 10).total(as_array([live]))[0, 1])


def peak_kernels():
    """Returns the fastest dense kernels at hand: floating-point operations and a call, by name."""
    left, right = torch.randn(2, 1024, 1024)
    wide = torch.randn(8, 256, 32, 32).to(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3).to(memory_format=torch.channels_last)
    return {
        "SGEMM": (2 * 1024**3, lambda: left @ right),
        "convolution": (2 * 8 * 32**2 * 9 * 256**2, lambda: F.conv2d(wide, kernel, padding=1)),
    }


def race(steps, architectures, kernels, warm_up=3):
    """Returns the process times of each step on each architecture, and the speeds of the kernels, all interleaved."""
    seconds = {name: [] for name in (*steps, *kernels)}
    for number, architecture in enumerate([*architectures[:warm_up], *architectures]):
        for name, step in steps.items():
            spent = timed(lambda step=step, architecture=architecture: step(architecture))
            if number >= warm_up:
                seconds[name].append(spent)
        for name, (_, function) in kernels.items():
            seconds[name].append(timed(function))
    peaks = {name: work / statistics.median(seconds.pop(name)) for name, (work, _) in kernels.items()}
    return seconds, peaks


def timed(function):
    began = time.process_time()
    function()
    return time.process_time() - began


def summary(needed, typical, peaks, batch):
    """Returns what is printed, of the operations that a step needs, its seconds by name, and the peaks."""
    return {
        "needed_gflop": needed / 1e9,
        "peak_gflops": {name: value / 1e9 for name, value in peaks.items()},
        "milliseconds": {name: 1e3 * value for name, value in typical.items()},
        "images_per_second": {name: batch / value for name, value in typical.items()},
        "multiple_of_limit": {
            name: {peak: value / (needed / speed) for peak, speed in peaks.items()} for name, value in typical.items()
        },
        "ratio_to_plain": {name: typical["plain"] / value for name, value in typical.items()},
    }


def show(result, setting, as_json):
    if as_json:
        print(json.dumps(result))
        return
    print(
        f"{setting}; needed per step {result['needed_gflop']:.2f} GFLOP; peaks "
        + ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in result["peak_gflops"].items())
    )
    width = max(map(len, result["milliseconds"])) + 2
    for name, milliseconds in result["milliseconds"].items():
        multiples = result["multiple_of_limit"][name]
        print(
            f"{name:{width}} {milliseconds:8.1f} ms  {result['images_per_second'][name]:7.0f} images/s  "
            f"{multiples['SGEMM']:5.2f} x limit by SGEMM  {multiples['convolution']:5.2f} x by convolution  "
            f"{result['ratio_to_plain'][name]:5.2f} times plain"
        )


def options_of(description, **counts):
    """Returns the options of the command line, the sizes of the supernet among them."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    for name, default in {"channels": 16, "cells": 5, "resolution": 32, "batch": 64, **counts}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main():
    options = options_of(__doc__, steps=24)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space = NasBench201(options.channels, options.cells)
    images = torch.randn(options.batch, 3, options.resolution, options.resolution)
    labels = torch.randint(10, (options.batch,))

    def stepper(forward, memory_format, bfloat16=False):
        supernet = space.build_supernet(10).to(memory_format=memory_format)
        optimizer = make_optimizer(supernet, Recipe())
        inputs = images.contiguous(memory_format=memory_format)

        def step(architecture):
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = forward(supernet, inputs, architecture)
            (F.cross_entropy(logits.float(), labels, reduction="sum") / len(labels)).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return step

    def routed(supernet, inputs, architecture):
        return supernet(inputs, single_path(architecture))

    steps = {
        "plain": stepper(plain_forward, torch.contiguous_format),
        "raynas": stepper(routed, torch.channels_last),
        "raynas, bfloat16": stepper(routed, torch.channels_last, bfloat16=True),
    }
    architectures = [uniform_paths(space, 0, number, 1)[0][0] for number in range(options.steps)]
    seconds, peaks = race(steps, architectures, peak_kernels())
    multiply_adds = np.mean([live_multiply_adds(space, a, options.resolution) for a in architectures])
    needed = 3 * 2 * options.batch * float(multiply_adds)
    typical = {name: float(np.mean(values)) for name, values in seconds.items()}
    setting = (
        f"C={options.channels} N={options.cells} batch {options.batch} at {options.resolution} x {options.resolution}, "
        f"{options.steps} paths, one thread"
    )
    show(summary(needed, typical, peaks, options.batch), setting, options.json)


if __name__ == "__main__":
    main()
