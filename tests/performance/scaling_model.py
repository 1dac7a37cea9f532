"""RLNAS on ImageNet on 8, 64 and 512 GPUs, on paper: what is measured here, what is assumed, and what follows.

    python tests/performance/scaling_model.py [--images-per-second 1500] [--launch-us 6] [--json]

Measured here, of the MobileNet supernet at width 1: bytes of the active path's gradients, operations that a step
launches, multiply-adds of a path, processor seconds to read and crop an image file of ImageNet's mean size. Assumed,
since there is no GPU here: how many images a GPU trains on in a second where it is busy, how long a launch takes, and
the bandwidths. A step on n GPUs of 8 a node, of B images in all, takes

    t = max(B / n / rate, launches x launch) + exchange(n)
    exchange(n) = 2 (7/8) S / inner + 2 (m - 1)/m S / outer + 2 log2(n) latency       m = n / 8 nodes, S bytes

(a sum inside each node, one over the nodes, nothing hidden under the backward pass), and an epoch has 1,281,167 / B.
Efficiency is against one GPU that is always busy.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

from raynas.search_space import as_array, sample
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import single_path
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe

IMAGES, EPOCHS, RESOLUTION, CLASSES = 1_281_167, 120, 224, 1000
INNER = 300e9  # bytes a second between the GPUs of a node
OUTER = {"100 Gb/s Ethernet": 12.5e9, "3,200 Gb/s EFA or InfiniBand": 400e9}  # bytes a second of a node
LATENCY = 20e-6  # seconds a hop
CORES = 12  # processor cores a GPU
CANDIDATES, POPULATION, CALIBRATION, EVALUATION = 1_000, 50, 20_000, 50_000


class Launches(TorchDispatchMode):
    """Counts the operations that compute something."""

    VIEWS = ("view", "t", "transpose", "permute", "expand", "detach", "alias", "as_strided", "unsqueeze", "squeeze")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function.overloadpacket.__name__ not in self.VIEWS
        return function(*args, **(kwargs or {}))


def measured():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    space, rng = MobileNet(), np.random.default_rng(0)
    supernet = space.build_supernet(CLASSES)
    optimizer = make_optimizer(supernet, Recipe(epochs=1))
    parameters = list(supernet.parameters())
    table = cost_table(space, RESOLUTION, CLASSES)
    rows = []
    for _ in range(6):
        path = sample(space, rng)
        images = torch.randn(2, 3, 64, 64)
        with Launches() as launches:
            F.cross_entropy(supernet(images, single_path(path)), torch.zeros(2, dtype=torch.long)).backward()
            optimizer.step()
        active = sum(p.numel() for p in parameters if p.grad is not None)
        optimizer.zero_grad(set_to_none=True)
        rows.append((4 * active, launches.count, int(table.total(as_array([path]))[0, 1])))
    size, launches, multiply_adds = np.median(np.array(rows[1:], dtype=float), axis=0)
    return {
        "bytes": size,
        "bytes_of_all": 4 * sum(p.numel() for p in parameters),
        "launches": launches,
        "multiply_adds": multiply_adds,
        "read_seconds": read_seconds(),
    }


def read_seconds():
    """Returns the processor seconds of decoding a file of 500 x 375 pixels and 110 kB and cropping it to 224 x 224."""
    rng = np.random.default_rng(0)
    noise = rng.normal(128, 60, (375, 500, 3)).clip(0, 255).astype(np.uint8)
    smooth = Image.fromarray(noise).resize((125, 94)).resize((500, 375), Image.Resampling.BICUBIC)
    picture = Image.blend(smooth, Image.fromarray(noise), 0.15)
    for quality in range(60, 100):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality)
        if file.tell() > 110_000:
            break
    times = []
    for _ in range(60):
        began = time.process_time()
        image = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
        cropped = image.resize((RESOLUTION, RESOLUTION), Image.Resampling.BILINEAR, box=(50, 30, 350, 330))
        torch.from_numpy(np.asarray(cropped).copy())
        times.append(time.process_time() - began)
    return float(np.median(times))


def exchange(size, gpus, outer):
    """Returns the seconds of adding up so many bytes over the GPUs."""
    nodes = max(1, gpus // 8)
    inside = 2 * (7 / 8) * size / INNER
    return inside + 2 * (nodes - 1) / nodes * size / outer + 2 * math.log2(gpus) * LATENCY


def row(known, gpus, batch, outer, options, size):
    rate = options.images_per_second
    busy, launched = batch / gpus / rate, known["launches"] * options.launch_us * 1e-6
    sent = exchange(size, gpus, outer)
    step = max(busy, launched) + sent
    wanted = batch / step  # images a second, which the loaders have to bring
    return {
        "GPUs": gpus,
        "batch": batch,
        "step, ms": 1e3 * step,
        "busy, ms": 1e3 * busy,
        "launching, ms": 1e3 * launched,
        "exchange, ms": 1e3 * sent,
        "hours": EPOCHS * IMAGES / wanted / 3600,
        "efficiency, %": 100 * busy / step,
        "cores a GPU to read files": wanted * known["read_seconds"] / gpus,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images-per-second", type=float, default=1500, help="trained on by one busy GPU")
    parser.add_argument("--launch-us", type=float, default=6, help="microseconds to launch an operation")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    known = measured()
    rows = {}
    for link, outer in OUTER.items():
        for gpus, batch in ((8, 512), (64, 512), (64, 4096), (512, 512), (512, 32768)):
            one = row(known, gpus, batch, outer, options, known["bytes"])
            whole = row(known, gpus, batch, outer, options, known["bytes_of_all"])
            rows[f"{link}, {gpus} GPUs, batch {batch}"] = one | {"all gradients: exchange, ms": whole["exchange, ms"]}
    forward = 3 * options.images_per_second
    candidate = (CALIBRATION + EVALUATION) / forward
    search = {gpus: CANDIDATES // POPULATION * math.ceil(POPULATION / gpus) * candidate / 3600 for gpus in (8, 64, 512)}
    if options.json:
        print(json.dumps({"measured": known, "rows": rows, "search_hours": search}))
        return
    print(
        f"measured: {known['multiply_adds'] / 1e6:.0f} M multiply-adds of a path, {known['launches']:.0f} operations a "
        f"step, gradients {known['bytes'] / 1e6:.1f} MB of {known['bytes_of_all'] / 1e6:.0f} MB, "
        f"{1 / known['read_seconds']:.0f} image files a second and core"
    )
    effective = 6 * known["multiply_adds"] * options.images_per_second / 1e12
    print(f"assumed: {options.images_per_second:.0f} images/s on a busy GPU ({effective:.1f} TFLOP/s)")
    columns = list(next(iter(rows.values())))
    print("| " + " | ".join(["network between nodes", *columns]) + " |")
    for name, one in rows.items():
        link = name.rpartition(", batch")[0].rpartition(",")[0]
        print("| " + " | ".join([link, *(f"{value:,.3g}" for value in one.values())]) + " |")
    print(
        f"search by one-shot accuracy, {CANDIDATES:,} candidates of {candidate:.0f} s: "
        + ", ".join(f"{hours:.2f} h on {gpus}" for gpus, hours in search.items())
        + "; by the angle: none to speak of"
    )


if __name__ == "__main__":
    main()
