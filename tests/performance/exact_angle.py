"""Compares the exact search for the largest angle with evolution, on a trained supernet of the MobileNet space.

The supernet is trained here, for a while, on noise with random labels; then 2.2e17 architectures are searched by the
angle, under RLNAS' limit of 475e6 multiply-adds.

    python tests/performance/exact_angle.py [--steps 150 --resolution 32 --batch 16] [--seeds 5]
"""

import argparse
import resource
import time

import numpy as np
import torch
from torch.nn import functional

from raynas.fitness.angle import Angle, angle_table
from raynas.search import Limits, exact_angle
from raynas.search_space import as_array, sample
from raynas.spaces.mobilenet import MobileNet
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import single_path
from tests.search.searchers import make_evolution, make_exact_angle

CLASSES = 100


def trained(space, options):
    """Returns the weights of a supernet before and after training."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    supernet = space.build_supernet(CLASSES)
    initial = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    images = torch.randn(32 * options.batch, 3, options.resolution, options.resolution)
    labels = torch.randint(CLASSES, (len(images),))
    optimiser = torch.optim.SGD(supernet.parameters(), lr=0.1, momentum=0.9, weight_decay=4e-5)
    for _ in range(options.steps):
        batch = torch.randint(len(images), (options.batch,))
        loss = functional.cross_entropy(supernet(images[batch], single_path(sample(space, rng))), labels[batch])
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_value_(supernet.parameters(), 5.0)
        optimiser.step()
    return initial, supernet.state_dict()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("steps", 150), ("resolution", 32), ("batch", 16), ("seeds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    space = MobileNet()
    began = time.perf_counter()
    initial, after = trained(space, options)
    print(f"{options.steps} steps of training: {time.perf_counter() - began:.0f} s")
    costs = cost_table(space, 224, 1000)
    went = []
    explore = exact_angle.explore

    def counted(relaxation, best, size):
        left, unseen = explore(relaxation, best, size)
        went.append(size - left)
        return left, unseen

    exact_angle.explore = counted
    for definition in ("paper", "official"):
        table = angle_table(space, initial, after, definition)
        angle = Angle(space, table)
        for bounds in ({}, {"max_multiply_adds": 475e6}, {"min_multiply_adds": 470e6, "max_multiply_adds": 475e6}):
            limits = Limits(costs, **bounds) if bounds else None
            went.clear()
            began = time.process_time()
            searcher = make_exact_angle(space, table=table, limits=limits, top=10)
            best = searcher.ask()
            seconds = time.process_time() - began
            angles = angle.angles(as_array(best))
            print(f"{definition}, {bounds or 'no limit'}: angles {angles[0]:.6f} to {angles[-1]:.6f} rad, ", end="")
            print(f"missed {searcher.missed:.1e}, {seconds:.2f} s, {sum(went):,} partial architectures")
            for seed in range(options.seeds):
                sizes = {"population": 50, "select": 10, "mutations": 25, "crossovers": 25, "generations": 20}
                evolution = make_evolution(space, seed=seed, limits=limits, **sizes)
                found = {}
                began = time.process_time()
                while architectures := evolution.ask():
                    fitness = angle(architectures)[:, 0]
                    found.update(zip(architectures, fitness.tolist(), strict=True))
                    evolution.tell(architectures, fitness)
                most = max(found.values())
                print(f"    evolution, seed {seed}: {most:.6f} rad, {angles[0] - most:.1e} short, ", end="")
                print(f"{len(set(found) & set(best))} of the ten best, ", end="")
                print(f"{len(found):,} evaluated, {time.process_time() - began:.2f} s")
    print(f"most memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


if __name__ == "__main__":
    main()
