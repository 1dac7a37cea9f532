"""Times whole differentiable steps, of the weights and of the alphas, against their limits, on one thread.

The limit of a step is what must be computed, 2 x multiply-adds of the operations on live paths once for each pass over
them (`passes`), at the speeds of the dense kernels that `supernet_step.py` measures. `plain` is the same step in the
same network as public codes take it: NCHW, every operation of a mixture called by itself and multiplied by its weight,
weights of idle candidates added one by one, alphas followed by a whole backward pass that differentiates by the weights
too, second derivatives by finite differences on a copy of the network. Before anything is timed, both must give the
same logits and gradients of the alphas in float64. Steps are interleaved in rounds, on the same draws; times are
process time, and ratios those of one round to the same draw, medians over the rounds.

    python tests/performance/differentiable_step.py [--channels 16 --cells 5 --resolution 32 --batch 64 --rounds 3]
        [--only GDAS ...] [--json]
"""

import argparse
import copy
import functools
import json
import statistics
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from supernet_step import live_multiply_adds, peak_kernels, timed

from raynas.spaces.nasbench201 import GRAPH, NONE, POOL, SKIP, NasBench201
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.alphas import AlphaTraining, initial_alphas
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import hard_samples, mixture, single_path
from raynas.supernet.routes import uniform_paths
from raynas.training.objective import Objective
from raynas.training.optimizers import make_optimizer
from raynas.training.recipe import Recipe
from raynas.training.workers import ALONE

FORWARD, WITHOUT_WEIGHTS, WHOLE = 1, 2, 3
"""Passes over the multiply-adds: forward; forward and backward to the inputs alone; forward and backward."""


@dataclass(frozen=True)
class Row:
    """A step.

    Attributes:
        weights: What the weights are trained on: ``path``, ``sample`` or ``mixture``.
        alphas: What the alphas are trained on, ``sample`` or ``mixture``; None without alphas.
        cells: Whether each cell draws for itself.
        gradient: Of the alphas.
        radius: Of finite differences.
        passes: Of the alphas' step.
        goals: Multiples of the limit by SGEMM at C16 N5: of the reference implementation, and aimed at.
    """

    weights: str
    alphas: str | None = None
    cells: bool = False
    gradient: str = "first"
    radius: float | None = None
    passes: int = WITHOUT_WEIGHTS
    goals: tuple[float, float] | None = None

    @property
    def plain(self):
        """What public codes do for it."""
        return (self.weights, self.alphas, self.cells, self.gradient)


ROWS = {
    "single path": Row("path", goals=(6.4, 3.1)),
    "GDAS": Row("sample", "sample", goals=(9.5, 3.0)),
    "GDAS, a draw per cell": Row("sample", "sample", cells=True, goals=(9.5, 3.0)),
    "SETN": Row("path", "mixture", goals=(8.9, 3.0)),
    "DARTS first": Row("mixture", "mixture", goals=(8.0, 2.9)),
    # Two whole passes; then the differences' two without weights, or exactly as many through the backward pass.
    "DARTS second, differences": Row("mixture", "mixture", False, "second", 0.01, 2 * WHOLE + 2 * 2, (7.0, 2.7)),
    "DARTS second, exact": Row("mixture", "mixture", False, "second", None, 2 * WHOLE + 4, (7.0, 2.7)),
    # v, H v between two points, M u between two points; or v, dL/dw, and through its backward pass H v (6) and M u (4).
    "Amended, differences": Row("mixture", "mixture", False, "amended", 0.01, 3 * WHOLE + 2 * 2),
    "Amended, exact": Row("mixture", "mixture", False, "amended", None, 2 * WHOLE + 6 + 4),
}

TEMPERATURE, ETA = 5.0, 0.1

RECIPE = Recipe(nesterov=False)
"""DARTS' code unrolls a step without Nesterov's momentum, and so does `plain`."""


class Batch:
    """One batch of images, the same for ever."""

    steps_per_epoch = 1

    def __init__(self, options, dtype, memory_format):
        generator = torch.Generator().manual_seed(3)
        size = (options.batch, 3, options.resolution, options.resolution)
        images = torch.randn(2, *size, generator=generator, dtype=dtype)
        labels = torch.randint(10, (2, options.batch), generator=generator)
        self.train, self.search = (
            (x.contiguous(memory_format=memory_format), y) for x, y in zip(images, labels, strict=True)
        )

    def epoch(self, *_):
        yield self.search


# What is needed


def drawn(row, alphas, number, turn, num_cells, idle=False):
    """Returns the gates of a sample for each cell, all alike unless each draws for itself."""
    generator = torch.Generator().manual_seed(2 * number + turn)
    found = hard_samples(alphas, TEMPERATURE, generator, cells=num_cells if row.cells else 1, idle=idle)
    return found if row.cells else found * num_cells


def path_of(space, number):
    return uniform_paths(space, 0, number, 1)[0][0]


def needed(space, row, alphas, number, options):
    """Returns the floating-point operations of a step."""
    costs = cost_table(space, options.resolution, 10)
    everything = int(costs.fixed[1] + costs.terms[:, :, 1].sum())

    def forward(kind, turn):
        if kind == "mixture":
            return everything
        if kind == "path":
            return live_multiply_adds(space, path_of(space, number), options.resolution)
        sample = drawn(row, alphas, number, turn, 3 * space.cells)
        of_cells = [tuple(gate.active[0] for gate in gates) for gates in sample]
        costs_of = {a: live_multiply_adds(space, a, options.resolution) for a in set(of_cells)}
        return statistics.fmean(costs_of[a] for a in of_cells)  # a searched cell costs the same in every stage

    total = WHOLE * forward(row.weights, 0)
    if row.alphas is not None:
        total += row.passes * forward(row.alphas, 1)
    return 2.0 * options.batch * total


# raynas


def raynas_step(space, row, options, dtype):
    """Returns both parts of a step, functions of its number, and the optimiser of the alphas."""
    supernet = network(space, dtype).to(memory_format=torch.channels_last)
    sgd, batch = make_optimizer(supernet, RECIPE), Batch(options, dtype, torch.channels_last)
    alphas = [torch.nn.Parameter(alpha) for alpha in initial_alphas(space, 0, dtype)]
    objective = Objective(options.batch)
    images, labels = batch.train

    def sampled(number, turn, held, idle):
        found = drawn(row, held, number, turn, supernet.num_cells, idle)
        return found if row.cells else found[0]

    def of_weights(number):
        held = [alpha.detach() for alpha in alphas]
        if row.weights == "mixture":
            return mixture(held)
        if row.weights == "path":
            return single_path(path_of(space, number))
        cells = sampled(number, 0, held, False)
        if row.cells:
            return [single_path(tuple(gate.active[0] for gate in gates)) for gates in cells]
        return single_path(tuple(gate.active[0] for gate in cells))

    def of_alphas(number, held):
        return mixture(held) if row.alphas == "mixture" else sampled(number, 1, held, True)

    training = AlphaTraining(
        alphas,
        batch,
        of_alphas,
        AlphaRecipe(gradient=row.gradient, eta=ETA, radius=row.radius, weight_decay=0.0),
        objective=objective,
    )

    def step_alphas(number):
        training.step(supernet, sgd, images, labels, number, 0, ALONE)

    def step_weights(number):
        loss, logits = objective.evaluate(functools.partial(supernet, images, of_weights(number)), labels)
        loss.backward()
        sgd.step()
        sgd.zero_grad(set_to_none=True)
        return logits

    return step_weights, step_alphas if row.alphas else None, training.optimizer


def network(space, dtype):
    torch.manual_seed(0)
    return space.build_supernet(10).to(dtype)


# Plain


def plain_operation(block, k, x):
    if k == NONE:
        return x.mul(0.0)
    if k == POOL:
        return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    if k == SKIP:
        return x
    relu, conv, bn = block.candidate(k)
    return bn(conv(relu(x)))


def plain_edge(block, x, taken, weights):
    """Returns the sum over the candidates, weights of those that are not taken added as they are."""
    if weights is None:
        return plain_operation(block, taken[0], x)
    return sum(w * plain_operation(block, k, x) if k in taken else w for k, w in enumerate(weights))


def plain_logits(supernet, images, cells):
    """Returns logits; ``cells[cell][edge]`` holds the candidates taken and a weight for each of them all, or None."""
    x = supernet.stem(images)
    per_stage = supernet.num_cells // 3
    for index, (cell, edges) in enumerate(zip(supernet.cells, cells, strict=True)):
        if index in (per_stage, 2 * per_stage):
            x = supernet.reductions[index // per_stage - 1](x)
        nodes = [x, None, None, None]
        for (source, target), block, (taken, weights) in zip(GRAPH.edges, cell.edges, edges, strict=True):
            out = plain_edge(block, nodes[source], taken, weights)
            nodes[target] = out if nodes[target] is None else nodes[target] + out
        x = nodes[3]
    return supernet.classifier(torch.relu(supernet.last_bn(x)).mean(dim=(2, 3)))


def gumbel_edges(alphas, number, turn, draws):
    """Returns, for each draw, the candidate of every edge and its straight-through weights, as GDAS' code does."""
    logits = torch.stack(alphas)
    generator = torch.Generator().manual_seed(2 * number + turn)
    gumbels = -torch.empty(draws, *logits.shape, dtype=logits.dtype).exponential_(generator=generator).log()
    soft = ((logits.log_softmax(dim=1) + gumbels) / TEMPERATURE).softmax(dim=2)
    index = soft.max(dim=2, keepdim=True)[1]
    hard = torch.zeros_like(soft).scatter_(2, index, 1.0)
    hard = hard - soft.detach() + soft
    return [[((int(k),), w) for k, w in zip(ks, ws, strict=True)] for ks, ws in zip(index, hard, strict=True)]


def plain_step(space, row, options, dtype):
    """Returns both parts of a step, functions of its number, and the optimiser of the alphas."""
    supernet = network(space, dtype)
    sgd, batch = make_optimizer(supernet, RECIPE), Batch(options, dtype, torch.contiguous_format)
    alphas = [torch.nn.Parameter(alpha) for alpha in initial_alphas(space, 0, dtype)]
    adam = torch.optim.Adam(alphas, lr=3e-4, betas=(0.5, 0.999))
    weights = list(supernet.parameters())

    def cells(kind, number, turn):
        if kind == "path":
            return [[((k,), None) for k in path_of(space, number)]] * supernet.num_cells
        if kind == "mixture":
            return [[(range(5), row) for row in torch.stack(alphas).softmax(dim=1)]] * supernet.num_cells
        draws = supernet.num_cells if row.cells else 1
        return gumbel_edges(alphas, number, turn, draws) * (supernet.num_cells // draws)

    def loss_of(model, images, labels, kind, number, turn):
        return F.cross_entropy(plain_logits(model, images, cells(kind, number, turn)), labels)

    def step_weights(number):
        logits = plain_logits(supernet, batch.train[0], cells(row.weights, number, 0))
        F.cross_entropy(logits, batch.train[1]).backward()
        sgd.step()
        sgd.zero_grad()
        adam.zero_grad()
        return logits

    def moved(vector, by):
        for weight, v in zip(weights, vector, strict=True):
            weight.data.add_(v, alpha=by)

    def difference(loss, inputs, vector):
        """Returns the central difference, along a vector of the weights, of the loss's gradient."""
        epsilon = 0.01 / float(torch.cat([v.flatten() for v in vector]).norm())
        moved(vector, epsilon)
        ahead = torch.autograd.grad(loss(), inputs)
        moved(vector, -2 * epsilon)
        behind = torch.autograd.grad(loss(), inputs)
        moved(vector, epsilon)
        return [(a - b) / (2 * epsilon) for a, b in zip(ahead, behind, strict=True)]

    def unrolled(loss):
        """Returns a copy of the network after a step of SGD on the loss."""
        model, group = copy.deepcopy(supernet), sgd.param_groups[0]
        gradients = torch.autograd.grad(loss(), weights)
        with torch.no_grad():
            for after, weight, g in zip(model.parameters(), weights, gradients, strict=True):
                velocity = g + group["weight_decay"] * weight
                if weight in sgd.state:
                    velocity += group["momentum"] * sgd.state[weight]["momentum_buffer"]
                after.copy_(weight - group["lr"] * velocity)
        return model

    def step_alphas(number):
        train_loss = functools.partial(loss_of, supernet, *batch.train, row.alphas, number, 1)
        model = unrolled(train_loss) if row.gradient == "second" else supernet
        loss_of(model, *batch.search, row.alphas, number, 1).backward()
        if row.gradient != "first":
            vector = [p.grad for p in model.parameters()]
            if row.gradient == "amended":
                vector = difference(train_loss, weights, vector)
            factor = ETA if row.gradient == "amended" else sgd.param_groups[0]["lr"]
            for alpha, product in zip(alphas, difference(train_loss, alphas, vector), strict=True):
                alpha.grad -= factor * product
        adam.step()
        adam.zero_grad()
        sgd.zero_grad()

    return step_weights, step_alphas if row.alphas else None, adam


# Both


def check_equal(rows, numbers=range(4)):
    """Checks that both give the same logits and gradients of the alphas; exact second derivatives are not compared."""
    options, space = argparse.Namespace(batch=8, resolution=8), NasBench201(4, 1)
    for name, row in rows.items():
        for number in numbers:
            found = []
            for make in (raynas_step, plain_step):
                step_weights, step_alphas, adam = make(space, row, options, torch.float64)
                if step_alphas:
                    step_alphas(number)
                # Adam's first average is half of the first gradient: of all alphas, and of none before a step.
                gradients = [2 * state["exp_avg"] for state in adam.state.values()]
                found.append((step_weights(number), *gradients))
            if row.gradient == "first" or row.radius is not None:
                for ours, theirs in zip(*found, strict=True):
                    difference = float((ours - theirs).detach().abs().max())
                    assert difference < 1e-10, f"{name}: raynas and plain code differ by {difference}"


def race(makers, kernels, rounds):
    """Returns the seconds of both parts of each step by number, and the speeds of the kernels, all interleaved."""
    steps = {key: make()[:2] for key, make in makers.items()}
    seconds, spent = {key: [] for key in steps}, {name: [] for name in kernels}
    for number in (0, *range(rounds)):  # the first to warm up
        for key, parts in steps.items():
            seconds[key].append([timed(functools.partial(part, number)) if part else 0.0 for part in parts])
        for name, (_, function) in kernels.items():
            spent[name] += [timed(function) for _ in range(5)]
    speeds = {name: work / statistics.median(spent[name]) for name, (work, _) in kernels.items()}
    return {key: taken[1:] for key, taken in seconds.items()}, speeds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in {"channels": 16, "cells": 5, "resolution": 32, "batch": 64, "rounds": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", nargs="*", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = {name: ROWS[name] for name in options.only}
    check_equal(rows)
    space = NasBench201(options.channels, options.cells)
    makers = {}
    for name, row in rows.items():
        makers[name] = functools.partial(raynas_step, space, row, options, torch.float32)
        makers[row.plain] = functools.partial(plain_step, space, row, options, torch.float32)
    seconds, speeds = race(makers, peak_kernels(), options.rounds)
    alphas = initial_alphas(space, 0)
    results = {}
    for name, row in rows.items():
        work = [needed(space, row, alphas, number, options) for number in range(options.rounds)]
        ours, plain = ([sum(parts) for parts in seconds[key]] for key in (name, row.plain))
        flops = [w / second for w, second in zip(work, ours, strict=True)]
        of_weights, of_alphas = (1e3 * statistics.median(part) for part in zip(*seconds[name], strict=True))
        results[name] = {
            "needed_gflop": statistics.fmean(work) / 1e9,
            "milliseconds": 1e3 * statistics.median(ours),
            "milliseconds_weights": of_weights,
            "milliseconds_alphas": of_alphas,
            "multiple_of_limit": {kernel: speed / statistics.median(flops) for kernel, speed in speeds.items()},
            "plain_milliseconds": 1e3 * statistics.median(plain),
            "ratio_to_plain": statistics.median(p / o for p, o in zip(plain, ours, strict=True)),
            "goals": row.goals,
        }
    show(results, speeds, options)


def show(results, speeds, options):
    if options.json:
        print(json.dumps({"peak_gflops": {k: v / 1e9 for k, v in speeds.items()}, "steps": results}))
        return
    print(
        f"C={options.channels} N={options.cells} batch {options.batch} at {options.resolution} x {options.resolution}, "
        f"{options.rounds} rounds, one thread; peaks "
        + ", ".join(f"{name} {speed / 1e9:.0f} GFLOP/s" for name, speed in speeds.items())
    )
    print(f"{'':26}  needed        step = weights + alphas         x limit by              plain   times")
    print(f"{'':26}   GFLOP          ms                         SGEMM (goal) convolution      ms   plain")
    for name, found in results.items():
        goal = f"({found['goals'][1]:.1f})" if found["goals"] else ""
        parts = f"{found['milliseconds_weights']:7.1f} + {found['milliseconds_alphas']:8.1f}"
        limits = found["multiple_of_limit"]
        print(
            f"{name:26} {found['needed_gflop']:7.2f} {found['milliseconds']:11.1f} = {parts} {limits['SGEMM']:8.2f} "
            f"{goal:6} {limits['convolution']:10.2f} {found['plain_milliseconds']:9.1f} {found['ratio_to_plain']:7.2f}"
        )


if __name__ == "__main__":
    main()
