"""What a step of an ImageNet supernet needs: one real step on this machine, and what it means at scale.

    python tests/performance/imagenet_step.py

Activations are the tensors that a backward pass keeps, parameters aside, each storage once, per image: they do not
depend on the device. Bytes exchanged are those of the gradients, float32: raynas exchanges the active path's, a trainer
that does not know about paths all of them.
"""

from __future__ import annotations

import time

import numpy as np
import torch
import torch.nn.functional as F

from raynas.search_space import as_array, sample
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import single_path

RESOLUTION, CLASSES, BATCH, PATHS = 224, 1000, 2, 5
GIB, MIB = 2**30, 2**20

SPACES = {
    "DARTS, C 48, 14 cells": (Darts(channels=48, cells=14, stem="imagenet"), 512),
    "MobileNet": (MobileNet(), 512),
}


def measure(space, batch_size):
    supernet = space.build_supernet(CLASSES).to(memory_format=torch.channels_last)
    parameters = {p.data_ptr(): p for p in supernet.parameters()}
    total = sum(p.numel() for p in parameters.values())
    table = cost_table(space, RESOLUTION, CLASSES)
    rng = np.random.default_rng(0)
    rows = []
    for number in range(PATHS + 1):
        architecture = sample(space, rng)
        images = torch.randn(BATCH, 3, RESOLUTION, RESOLUTION).to(memory_format=torch.channels_last)
        kept: dict[int, int] = {}

        def keep(tensor, kept=kept):
            storage = tensor.untyped_storage()
            if tensor.data_ptr() not in parameters:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        began = time.perf_counter()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = F.cross_entropy(supernet(images, single_path(architecture)), torch.zeros(BATCH, dtype=torch.long))
            held = sum(kept.values())
        loss.backward()
        seconds = time.perf_counter() - began
        active = sum(p.numel() for p in parameters.values() if p.grad is not None)
        supernet.zero_grad(set_to_none=True)
        multiply_adds = int(table.total(as_array([architecture]))[0, 1])
        if number:  # the first warms up
            rows.append((multiply_adds, held / BATCH, active, seconds / BATCH))
    multiply_adds, activations, active, seconds = np.median(np.array(rows, dtype=float), axis=0)
    per_gpu = batch_size // 8
    return {
        "parameters, M": f"{total / 1e6:.1f}",
        "multiply-adds of a path, M per image": f"{multiply_adds / 1e6:.0f}",
        "activations kept, MiB per image": f"{activations / MIB:.0f}",
        f"memory of one of 8 GPUs at {batch_size} images, GiB": f"{(per_gpu * activations + 12 * total) / GIB:.1f}",
        "gradients of all parameters, MB": f"{4 * total / 1e6:.0f}",
        "gradients of the active path, MB": f"{4 * active / 1e6:.1f}",
        "multiply-adds of a step, T": f"{3 * batch_size * multiply_adds / 1e12:.2f}",
        "forward and backward here, s per image": f"{seconds:.2f}",
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    columns = {name: measure(space, batch_size) for name, (space, batch_size) in SPACES.items()}
    print(f"torch {torch.__version__}, one thread, batch {BATCH}, median of {PATHS} paths")
    for row in next(iter(columns.values())):
        print("| " + row + " | " + " | ".join(column.get(row, "") for column in columns.values()) + " |")
