"""Bytes and time of exchanging gradients: the active path's as one tensor, as raynas does, against torch's DDP.

    python tests/performance/gradient_exchange.py [--world 2] [--steps 20] [--rounds 3] [--json]

Every rank is a process with one thread, gloo on loopback. Each way trains the same supernet from the same weights on
the same paths and images; after that the weights have to be the same to the bit. Ways take turns, seconds are medians
over all steps. `none` exchanges nothing, so what a way takes more than it is the exchange.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import statistics
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.supernet.routes import Routing
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe
from raynas.training.workers import Workers, add_up_gradients

SPACES = {
    "nasbench201, C 16, N 5, 32 x 32, 16 images a rank": (NasBench201(channels=16, cells=5), 32, 16, 10),
    "mobilenet, width 1, 64 x 64, 4 images a rank": (MobileNet(), 64, 4, 1000),
}
WAYS = ("none", "raynas", "DDP")


class Counted:
    """An all-reduce that counts the bytes of a rank."""

    def __init__(self):
        self.bytes = 0

    def __call__(self, tensor):
        self.bytes += tensor.numel() * tensor.element_size()
        dist.all_reduce(tensor)


def counting_hook(counted, bucket):
    """What DDP does by default, counted: the mean of each bucket."""
    tensor = bucket.buffer()
    counted.bytes += tensor.numel() * tensor.element_size()
    tensor.div_(dist.get_world_size())
    return dist.all_reduce(tensor, async_op=True).get_future().then(lambda future: future.value()[0])


def train(way, space, resolution, batch, classes, steps):
    """Returns the seconds of each step, the bytes of a step, and a digest of the weights."""
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    supernet = space.build_supernet(classes).to(memory_format=torch.channels_last)
    optimizer = make_optimizer(supernet, Recipe(epochs=1))
    routing = Routing(space, 0)
    counted = Counted()
    called = supernet
    if way == "DDP":  # without find_unused_parameters it fails in its second step: most are unused
        called = DistributedDataParallel(supernet, find_unused_parameters=True, forward_sync_buffers=False)
        called.register_comm_hook(counted, counting_hook)
    images = torch.randn(batch * world, 3, resolution, resolution, generator=torch.Generator().manual_seed(1))
    images = images[rank::world].to(memory_format=torch.channels_last)
    labels = torch.arange(batch * world)[rank::world] % classes
    seconds = []
    for step in range(steps):
        (route,) = routing.of_weights(step, [])
        dist.barrier()
        began = time.perf_counter()
        loss = F.cross_entropy(called(images, route), labels, reduction="sum")
        # DDP takes the mean over the ranks, raynas the sum of what is divided by all images.
        (loss / (batch if way == "DDP" else batch * world)).backward()
        if way == "raynas":
            add_up_gradients(list(supernet.parameters()), Workers(rank, world, counted))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - began)
    digest = hashlib.sha256()
    for parameter in supernet.parameters():
        digest.update(parameter.detach().contiguous().numpy().tobytes())
    return seconds, counted.bytes / steps, digest.hexdigest()


def on_rank(rank, world, port, options, answers):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    rows = {}
    for name, case in SPACES.items():
        measured = {way: ([], [], set()) for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                seconds, sent, digest = train(way, *case, options.steps)
                for kept, new in zip(measured[way][:2], (seconds[2:], [sent]), strict=True):
                    kept.extend(new)
                measured[way][2].add(digest)
        digests = {way: sorted(digests) for way, (_, _, digests) in measured.items()}
        rows[name] = {
            "parameters": sum(p.numel() for p in case[0].build_supernet(case[3]).parameters()),
            "same weights": digests["raynas"] == digests["DDP"] and len(digests["DDP"]) == 1,
            **{
                way: {"milliseconds": 1e3 * statistics.median(seconds), "megabytes": statistics.fmean(sent) / 1e6}
                for way, (seconds, sent, _) in measured.items()
            },
        }
    if rank == 0:
        answers.put(rows)
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--world", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answers = mp.get_context("spawn").SimpleQueue()
    mp.spawn(on_rank, (options.world, port, options, answers), nprocs=options.world)
    rows = answers.get()
    if options.json:
        print(json.dumps(rows))
        return
    for name, row in rows.items():
        same = "the same to the bit" if row["same weights"] else "DIFFERENT"
        print(f"{name}; {row['parameters'] / 1e6:.1f} M parameters; weights of raynas and DDP are {same}")
        for way in WAYS:
            extra = row[way]["milliseconds"] - row["none"]["milliseconds"]
            print(
                f"  {way:8} {row[way]['megabytes']:8.2f} MB a step  {row[way]['milliseconds']:8.1f} ms a step"
                f"  {extra:+8.1f} ms for the exchange"
            )


if __name__ == "__main__":
    main()
