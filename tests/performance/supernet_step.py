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
from raynas.supernet.gates import single_path
from raynas.supernet.one_shot import Recipe, make_optimizer, uniform_paths


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


def timed(function):
    began = time.process_time()
    function()
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("channels", 16), ("cells", 5), ("resolution", 32), ("batch", 64), ("steps", 24)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
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
    left, right = torch.randn(2, 1024, 1024)
    wide = torch.randn(8, 256, 32, 32).to(memory_format=torch.channels_last)
    kernel = torch.randn(256, 256, 3, 3).to(memory_format=torch.channels_last)
    peaks = {
        "SGEMM": (2 * 1024**3, lambda: left @ right),
        "convolution": (2 * 8 * 32**2 * 9 * 256**2, lambda: F.conv2d(wide, kernel, padding=1)),
    }
    seconds = {name: [] for name in [*steps, *peaks]}
    needed = []
    for number in range(-3, options.steps):  # three steps to warm up
        architecture = uniform_paths(space, 0, number + 3, 1)[0][0]
        paths = space.path_counts(as_array([architecture]))[0]
        live = tuple(k if on_path else NONE for k, on_path in zip(architecture, paths, strict=True))
        multiply_adds = space.costs(options.resolution, 10).total(as_array([live]))[0, 1]
        for name, step in steps.items():
            spent = timed(lambda step=step, architecture=architecture: step(architecture))
            if number >= 0:
                seconds[name].append(spent)
        for name, (_, function) in peaks.items():
            seconds[name].append(timed(function))
        if number >= 0:
            needed.append(3 * 2 * options.batch * int(multiply_adds))
    speed = {name: work / statistics.median(seconds[name]) for name, (work, _) in peaks.items()}
    mean = {name: float(np.mean(seconds[name])) for name in steps}
    result = {
        "needed_gflop": float(np.mean(needed)) / 1e9,
        "peak_gflops": {name: value / 1e9 for name, value in speed.items()},
        "milliseconds": {name: 1e3 * value for name, value in mean.items()},
        "images_per_second": {name: options.batch / value for name, value in mean.items()},
        "multiple_of_limit": {
            name: {peak: value / (float(np.mean(needed)) / speed[peak]) for peak in peaks}
            for name, value in mean.items()
        },
        "ratio_to_plain": {name: mean["plain"] / value for name, value in mean.items()},
    }
    if options.json:
        print(json.dumps(result))
        return
    print(
        f"C={options.channels} N={options.cells} batch {options.batch} at {options.resolution} x {options.resolution}, "
        f"{options.steps} paths, one thread; needed per step {result['needed_gflop']:.2f} GFLOP; peaks "
        + ", ".join(f"{name} {value:.0f} GFLOP/s" for name, value in result["peak_gflops"].items())
    )
    for name in steps:
        multiples = result["multiple_of_limit"][name]
        print(
            f"{name:18} {result['milliseconds'][name]:8.1f} ms  {result['images_per_second'][name]:7.0f} images/s  "
            f"{multiples['SGEMM']:5.2f} x limit by SGEMM  {multiples['convolution']:5.2f} x by convolution  "
            f"{result['ratio_to_plain'][name]:5.2f} times plain"
        )


if __name__ == "__main__":
    main()
