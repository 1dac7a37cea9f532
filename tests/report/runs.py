"""Run folders made by hand, file by file as a run leaves them, for the tests of the report."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
EDGES = (("in", "1"), ("in", "2"), ("1", "2"), ("in", "out"), ("1", "out"), ("2", "out"))


def write_config(folder: Path, *, name: str = "example", **sections: Any) -> None:
    """Writes config.json; sections such as ``train={"epochs": 2}`` change single keys."""
    config: dict[str, Any] = {
        "name": name,
        "seed": 0,
        "storage_path": "runs",
        "algorithm": "rlnas",
        "space": {"name": "nasbench201", "channels": 16, "cells": 5},
        "data": {"name": "cifar10", "labels": "random", "train_portion": 0.5, "max_images": None},
        "train": {"epochs": 5, "batch_size": 64, "learning_rate": 0.025, "nesterov": True, "base_seeds": [0]},
        "search": {"name": "evolution", "fitness": "angle", "angle": "paper", "limits": {"max_parameters": None}},
    }
    for section, changes in sections.items():
        is_section = isinstance(changes, dict) and isinstance(config.get(section), dict)
        config[section] = {**config[section], **changes} if is_section else changes
    content = {
        "config": config,
        "versions": {"raynas": "0.2.0", "python": "3.11.7", "torch": "2.15.0"},
        "created": "2026-11-22T00:05:12+0000",
    }
    write_json(folder / "config.json", content)


def write_training(folder: Path, base_seed: int = 0, *, epochs: int = 5, seconds: float = 2.5) -> None:
    """Writes the metrics of one supernet: a loss that falls, an accuracy that grows, a cosine."""
    rng = np.random.default_rng(base_seed)
    lines = []
    for epoch in range(epochs):
        done = (epoch + 1) / epochs
        lines.append(
            {
                "epoch": epoch,
                "step": 10 * (epoch + 1),
                "loss": 2.3 - 0.6 * done + 0.02 * rng.normal(),
                "accuracy": 10 + 25 * done + 0.5 * rng.normal(),
                "learning_rate": 0.001 + 0.012 * (1 + np.cos(np.pi * done)),
                "images_per_second": 900.0 + rng.normal(),
                "seconds": seconds,
            }
        )
    write_lines(folder / f"supernet/seed_{base_seed}/metrics.jsonl", lines)


def write_alphas(
    folder: Path,
    base_seed: int = 0,
    *,
    epochs: int = 5,
    choices: Mapping[str, Sequence[str]] | None = None,
    collapse: float = 2.0,
    correction: float = 0.1,
    architecture: Sequence[int] | None = None,
) -> np.ndarray:
    """Writes a supernet's architecture parameters, with metrics, and returns the parameters.

    Args:
        folder: The run's folder.
        base_seed: The supernet's.
        epochs: How many were trained.
        choices: Candidates of each choice by its name; by default those of NAS-Bench-201.
        collapse: How far skip_connect is ahead after the last epoch.
        correction: How large g2' is beside g1; 0 of searches without one.
        architecture: What is derived after the last epoch, if not the largest weights.
    """
    rng = np.random.default_rng(base_seed)
    if choices is None:
        choices = {f"{target}<-{source}": OPERATIONS for source, target in EDGES}
    place = folder / f"supernet/seed_{base_seed}"
    write_training(folder, base_seed, epochs=epochs)
    values = np.full((epochs + 1, len(choices), max(map(len, choices.values()))), np.nan)
    derived = []
    for epoch in range(epochs + 1):
        for choice, names in enumerate(choices.values()):
            step = rng.normal(0, 0.25, len(names)) if epoch else 1e-3 * rng.normal(size=len(names))
            ahead = collapse / epochs if epoch and "skip_connect" in names else 0.0
            step += [ahead * (name == "skip_connect") for name in names]
            values[epoch, choice, : len(names)] = step + (values[epoch - 1, choice, : len(names)] if epoch else 0)
        taken = np.nanargmax(values[epoch], axis=1).tolist()
        if architecture is not None and epoch == epochs:
            taken = list(architecture)
        words = [names[k] for names, k in zip(choices.values(), taken, strict=True)]
        operations = {word: words.count(word) for word in dict.fromkeys(words)}
        derived.append(
            {"epochs": epoch, "architecture": taken, "description": ",".join(words), "operations": operations}
        )
    np.save(place / "alphas.npy", values)
    write_lines(place / "derived.jsonl", derived)
    named = [{"name": name, "candidates": list(names)} for name, names in choices.items()]
    write_json(place / "alphas.json", {"choices": named})
    lines = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        line |= {
            "search_loss": line["loss"] + 0.1,
            "search_accuracy": line["accuracy"] - 4,
            "first_norm": 0.02 / (1 + line["epoch"]),
            "correction_norm": correction * 0.02 / (1 + line["epoch"]) ** 2,
            "cosine": float(np.cos(line["epoch"])) if correction else 0.0,
            "temperature": None,
            "first_mean_norm": 0.01 / (1 + line["epoch"]),
            "correction_mean_norm": correction * 0.01 / (1 + line["epoch"]) ** 2,
            "cosine_of_means": -0.5 if correction else 0.0,
            "first_agreement": 0.25,
            "correction_agreement": 0.1 if correction else None,
        }
    write_lines(place / "metrics.jsonl", lines)
    return values


def evaluated(architecture: Sequence[int], fitness: float, *, costs: bool = True, **numbers: float) -> dict[str, Any]:
    """Returns what is recorded of one architecture of NAS-Bench-201's space."""
    words = [OPERATIONS[k] for k in architecture]
    return {
        "architecture": list(map(int, architecture)),
        "description": f"|{words[0]}~0|+|{words[1]}~0|{words[2]}~1|+|{words[3]}~0|{words[4]}~1|{words[5]}~2|",
        "fitness": float(fitness),
        **numbers,
        **(costs_of(architecture) if costs else {}),
    }


def costs_of(architecture: Sequence[int]) -> dict[str, int]:
    """Returns parameters and multiply-adds, roughly as in the benchmark."""
    units = sum({2: 1, 3: 9}.get(int(k), 0) for k in architecture)
    return {"num_parameters": 73306 + 26930 * units, "multiply_adds": 7783051 + 3932160 * units}


def cell(architecture: Sequence[int]) -> dict[str, list[list[str]]]:
    """Returns the drawing of an architecture."""
    edges = [[*edge, OPERATIONS[k]] for edge, k in zip(EDGES, architecture, strict=True) if k]
    return {"cell": edges}


def write_search(
    folder: Path,
    *,
    generations: int = 4,
    population: int = 25,
    seed: int = 0,
    result: bool = True,
    drawings: bool = True,
    fitness: str = "angle",
    extra: Sequence[str] = (),
    costs: bool = True,
) -> list[dict[str, Any]]:
    """Writes history and result of a search, and returns the history's lines.

    Args:
        folder: The run's folder.
        generations: How many.
        population: Architectures in each.
        seed: Of what is drawn.
        result: Whether the search has ended.
        drawings: Whether the best are drawn.
        fitness: The fitness' name.
        extra: Which of ``spread``, ``accuracy`` and ``loss`` are recorded.
        costs: Whether the space states costs.
    """
    rng = np.random.default_rng(seed)
    picks = rng.permutation(5**6)[: generations * population]
    lines = []
    for index, pick in enumerate(picks):
        architecture = np.unravel_index(pick, (5,) * 6)
        generation = index // population
        value = 0.3 + 0.05 * generation / generations + 0.02 * rng.normal()
        numbers = {"spread": 0.01, "accuracy": 40 + 100 * value + rng.normal(), "loss": 2 - value}
        line = evaluated(architecture, value, costs=costs, **{key: numbers[key] for key in extra})
        lines.append({"generation": generation, **line, "seconds": 0.1 * generation})
    write_lines(folder / "search/history.jsonl", lines)
    if result:
        best = sorted(lines, key=lambda line: (-line["fitness"], line["architecture"]))[:10]
        write_result(folder, fitness=fitness, lines=lines, best=best, drawings=drawings)
    return lines


def write_result(
    folder: Path,
    *,
    fitness: str,
    lines: Sequence[Mapping[str, Any]],
    best: Sequence[Mapping[str, Any]],
    drawings: bool = True,
) -> None:
    """Writes the result of a search."""
    content = {
        "fitness": fitness,
        "name": "angle (paper)" if fitness == "angle" else fitness.replace("+", " + "),
        "base_seeds": [0],
        "evaluations": len(lines),
        "functions": len(lines) - 3,
        "generations": 1 + max(line["generation"] for line in lines),
        "seconds": 12.5,
        "best": [
            {
                **{key: line[key] for key in line if key not in ("generation", "seconds")},
                **({"drawing": cell(line["architecture"])} if drawings and "drawing" not in line else {}),
            }
            for line in best
        ],
    }
    write_json(folder / "search/result.json", content)


def latency_of(architecture: Sequence[int]) -> float:
    """Returns seconds, roughly: convolutions take longer than poolings, and all take something."""
    return 1e-3 + sum((0.0, 2e-5, 1e-4, 2.5e-4, 1.5e-4)[int(k)] for k in architecture)


def write_pareto(
    folder: Path,
    *,
    objectives: Sequence[str] = ("multiply_adds",),
    result: bool = True,
    seed: int = 0,
    drawings: bool = False,
) -> list[dict[str, Any]]:
    """Writes a search for trade-offs, all with latencies, and returns its history's lines.

    The hypervolumes are 0.5, 0.75, 0.875, 0.9375; the front is what no other line beats.
    """
    lines = [
        {**line, "latency": latency_of(line["architecture"])} for line in write_search(folder, seed=seed, result=False)
    ]
    write_lines(folder / "search/history.jsonl", lines)
    if result:
        best = sorted(lines, key=lambda line: (-line["fitness"], line["architecture"]))[:10]
        write_result(folder, fitness="angle", lines=lines, best=best, drawings=drawings)
        points = [(-line["fitness"], *(line[name] for name in objectives)) for line in lines]
        front = [line for line, p in zip(lines, points, strict=True) if not any(_beats(q, p) for q in points)]
        front.sort(key=lambda line: (*(line[name] for name in objectives), -line["fitness"]))
        add_to_result(folder, objectives=list(objectives), hypervolumes=[0.5, 0.75, 0.875, 0.9375], front=front)
    return lines


def _beats(first: Sequence[float], second: Sequence[float]) -> bool:
    return first != second and all(a <= b for a, b in zip(first, second, strict=True))


def add_to_result(folder: Path, **further: Any) -> None:
    """Adds keys to the result of a search."""
    file = folder / "search/result.json"
    write_json(file, {**json.loads(file.read_text()), **further})


def write_profile(folder: Path, **changes: Any) -> None:
    """Writes what `raynas profile` leaves: three networks, 4, 5 and 8 ms as measured."""
    seconds = ((0.0041, 0.004), (0.0045, 0.005), (0.0082, 0.008))
    content = {
        "device": "AMD EPYC",
        "batch_size": 8,
        "threads": 1,
        "networks": [{"description": f"net {i}", "predicted": p, "measured": m} for i, (p, m) in enumerate(seconds)],
        "correlation": 0.9871,
        "median_error": 0.025,
        "worst_error": -0.1,
    }
    write_json(folder / "profile.json", {**content, **changes})


DARTS = ("sep_conv_3x3", "dil_conv_5x5", "max_pool_3x3", "skip_connect")


def darts_cell(rng: np.random.Generator) -> list[list[str]]:
    """Returns the drawing of a cell of DARTS: four nodes of two inputs each, all of them concatenated."""
    nodes = ["in 1", "in 2", *"2345"]
    edges = [
        [nodes[source], nodes[target], DARTS[rng.integers(len(DARTS))]]
        for target in range(2, 6)
        for source in sorted(rng.permutation(target)[:2].tolist())
    ]
    return edges + [[node, "out", ""] for node in "2345"]


def genotype(normal: Sequence[Sequence[str]], reduction: Sequence[Sequence[str]]) -> str:
    """Returns the text of an architecture of DARTS, of about 400 characters."""
    nodes = ["in 1", "in 2", *"2345"]
    pairs = [str([(o, nodes.index(s)) for s, _, o in cell if o]) for cell in (normal, reduction)]
    ends = "range(2, 6)"
    return f"Genotype(normal={pairs[0]}, normal_concat={ends}, reduce={pairs[1]}, reduce_concat={ends})"


def mobilenet(rng: np.random.Generator) -> tuple[str, list[list[str]]]:
    """Returns text and drawing of a chain of 21 blocks."""
    blocks = [("k3_e3", "k5_e6", "k7_e6", "skip")[rng.integers(4 if b % 4 else 3)] for b in range(21)]
    nodes = ["in", *map(str, range(1, 21)), "out"]
    text = " | ".join(" ".join(blocks[b : b + 4]) for b in range(0, 21, 4))
    return text, [list(edge) for edge in zip(nodes, nodes[1:], blocks, strict=False)]


def rank_row(name: str, tau: float, half: float = 0.01, within: float | None = 0.2) -> dict[str, Any]:
    """Returns one row of a rank file."""
    return {
        "name": name,
        "tau": tau,
        "tau_interval": [tau - half, tau + half],
        "rho": 1.3 * tau,
        "rho_interval": [1.3 * tau - half, 1.3 * tau + half],
        "agreement": 50 * (1 + tau),
        "top": {str(k): {"mean": 92 - 0.1 * k, "best": 92 + 0.01 * k} for k in (1, 10, 100)},
        "tau_in_order": tau - 0.02,
        "tau_within": within,
        "tau_within_live": None if within is None else within / 2,
        "tau_distinct": tau - 0.05,
        "strata": 28,
    }


def write_rank(
    folder: Path,
    label: str = "angle_paper",
    *,
    fitness: str = "angle",
    rows: Sequence[Mapping[str, Any]] | None = None,
    cells: Sequence[Sequence[int]] | None = None,
    values: Sequence[float] | None = None,
    true: Sequence[float] | None = None,
    table: str | None = "nasbench201_cifar10.csv",
    epochs: Sequence[Mapping[str, float]] = (),
    functions: int | None = None,
) -> None:
    """Writes a rank file and its CSV: 200 random architectures, unless they are given."""
    rng = np.random.default_rng(7)
    if cells is None:
        cells = np.stack(np.unravel_index(rng.permutation(5**6)[:200], (5,) * 6), axis=1).tolist()
    if values is None:
        values = (0.3 + 0.05 * rng.normal(size=len(cells))).tolist()
    if true is None:
        true = (94 - np.exp(rng.normal(1, 1, size=len(cells)))).clip(10).tolist()
    if rows is None:
        rows = [
            rank_row("angle (paper)", 0.62),
            rank_row("num_parameters", 0.55, within=None),
            rank_row("multiply_adds", 0.54),
            rank_row("random", 0.0),
        ]
    content = {
        "label": label,
        "fitness": fitness,
        "table": table,
        "column": table and "test_accuracy_200",
        "cells": len(cells),
        "functions": functions,
        "space": 15625,
        "base_seeds": [0],
        "seconds": 3.25,
        "bootstrap": 1000,
        "rows": list(rows),
        **({"epochs": list(epochs)} if epochs else {}),
    }
    write_json(folder / f"rank/{label}.json", content)
    with (folder / f"rank/{label}.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["architecture", "description", "fitness", "num_parameters", "multiply_adds", "true"])
        for architecture, value, accuracy in zip(cells, values, true, strict=True):
            line = evaluated(architecture, value)
            writer.writerow(
                [
                    "-".join(map(str, line["architecture"])),
                    *(line[key] for key in ("description", "fitness", "num_parameters", "multiply_adds")),
                    accuracy if table else "",
                ]
            )


def write_run(folder: Path, **sections: Any) -> Path:
    """Writes a whole run, and returns its folder: two supernets, a search, a rank."""
    write_config(folder, **sections)
    for base_seed in (0, 1):
        write_training(folder, base_seed)
    write_search(folder)
    write_rank(folder)
    return folder


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def darts_choices(kinds: Sequence[str] = ("normal", "reduction")) -> dict[str, Sequence[str]]:
    """Returns the 14 choices of each kind of cell of DARTS."""
    edges = [(source, target) for target in range(2, 6) for source in range(target)]
    candidates = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")
    return {f"{kind} {target}<-{source}": candidates for kind in kinds for source, target in edges}


def quadruple_choices() -> dict[str, Sequence[str]]:
    """Returns the choices of the nodes of SETN: two inputs, of 2 to 5, and a pair of operations, of 21."""
    functions = ("max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "conv_3x1_1x3")
    pairs = [f"{functions[one]}+{functions[other]}" for one in range(6) for other in range(one + 1)]
    choices: dict[str, Sequence[str]] = {}
    for kind in ("normal", "reduction"):
        for node in range(2, 6):
            choices |= {f"{kind} {node} {part}": [str(k) for k in range(node)] for part in ("first", "second")}
            choices[f"{kind} {node} operations"] = pairs
    return choices


def write_lines(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Writes a file of JSON lines."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
