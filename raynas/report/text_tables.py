"""Results as lines of text, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from raynas.records.alpha_rows import last_part, range_in
from raynas.records.retrain_record import Estimate, RetrainRecord
from raynas.report.wording import counted

SHOWN = 20
"""Rows of a table that could be long."""

RowType = TypeVar("RowType")


def result_lines(result: dict[str, Any]) -> list[str]:
    """Returns the best architectures as lines of text."""
    return [
        f"{result['evaluations']:,} architectures, {result['functions']:,} different functions, evaluated by "
        f"{result['name']} in {result['seconds']:.2f} s; the best{_refinement_text(result)}:",
        *aligned_lines(_columns(result, result["best"])),
        *_front_lines(result),
        *_alpha_lines(result),
        *_random_lines(result),
        *_remarks(result),
    ]


def _refinement_text(result: dict[str, Any]) -> str:
    """Returns how the best architectures were evaluated again, and are ordered by; empty if they were not."""
    refinement = result.get("refinement")
    if not refinement:
        return ""
    sizes = ", ".join(f"{key} {value}" for key, value in refinement["space"].items())
    at = f" with space.{sizes}" if sizes else ""
    return f" of {refinement['architectures']:,} that were evaluated again by {refinement['name']}{at}"


SETS = {"all": "", "without_none": " without none", "within_limits": " within the limits"}
"""How lines name the sets of random architectures."""


def _random_lines(result: dict[str, Any]) -> list[str]:
    """Returns a line on each set of random architectures: what one of them is worth, and how many the best exceeds."""
    lines = []
    for random in result.get("random") or ():
        line = (
            f"random architecture{SETS.get(random['of'], ' ' + random['of'])}: {random['mean']:.2f} ± "
            f"{random['deviation']:.2f} % (mean and deviation of {random['architectures']:,})"
        )
        if random.get("below") is not None:
            line += f"; the best one found exceeds {random['below']:.0f} % of them"
        lines.append(line)
    return lines


def _alpha_lines(result: dict[str, Any]) -> list[str]:
    """Returns lines on the alphas of each supernet: how far they have decided, and what they derived on the way."""
    outcomes = result.get("alphas") or ()
    lines = []
    for outcome in outcomes:
        of_seed = f" of base seed {outcome['base_seed']}" if len(outcomes) > 1 else ""
        lines.append(
            f"alphas{of_seed}: largest probability {outcome['largest']:.2f}, of equal candidates "
            f"{outcome['uniform']:.2f}; entropy {outcome['entropy']:.2f} of at most {outcome['most_entropy']:.2f} nats"
        )
        if outcome.get("changes_in_half") is not None:
            lines.append(f"derived architecture{of_seed}: {_trajectory(outcome)}")
    return lines


def _trajectory(outcome: dict[str, Any]) -> str:
    """Returns how often the derived architecture changed in the last half, and between which accuracies."""
    epochs, changes = last_part(outcome["epochs"], 2), outcome["changes_in_half"]
    line = f"{counted(changes, 'change')} in the last {counted(epochs, 'epoch')}"
    between = range_in(outcome.get("benchmark") or (), epochs)
    if between is not None:
        line += f"; benchmark {between[0]:.1f} to {between[1]:.1f} %"
    return line


def _columns(result: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Returns what a result says of architectures as columns of text, by their names."""
    return {
        ("fitness" if "+" in result["fitness"] else result["fitness"]): [_figure(row["fitness"]) for row in rows],
        "spread": [_figure(row["spread"]) for row in rows if "spread" in row],
        **_measured(result, rows),
        "parameters": [f"{row['num_parameters']:,}" for row in rows if "num_parameters" in row],
        "mult-adds": [f"{row['multiply_adds']:,}" for row in rows if "multiply_adds" in row],
        "latency": [f"{1e3 * row['latency']:.3f} ms" for row in rows if row.get("latency") is not None],
        result.get("column", "true"): [
            f"{row['true']:.2f} %" if row["true"] is not None else "?" for row in rows if "true" in row
        ],
        "architecture": [row["description"] for row in rows],
    }


def _front_lines(result: dict[str, Any]) -> list[str]:
    """Returns the front of a search with several objectives as lines of text, the cheapest first."""
    front = result.get("front")
    if not front:
        return []
    objectives = [name.replace("_", " ") for name in result.get("objectives") or ()]
    against = f" against {' and '.join(objectives)}" if objectives else ""
    left_out = len(front) - SHOWN
    lines = [f"the front of {result['name']}{against}: {len(front):,} architectures that none of the others dominates"]
    lines += aligned_lines(_columns(result, _spread_out(front, SHOWN)))
    return [*lines, f"{left_out:,} more in search/result.json"] if left_out > 0 else lines


def _spread_out(rows: Sequence[RowType], most: int) -> list[RowType]:
    """Returns so many rows at most, evenly spread, the first and the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[number * (len(rows) - 1) // (most - 1)] for number in range(most)]


def retraining_lines(result: RetrainRecord) -> list[str]:
    """Returns the test accuracies of networks that were trained from scratch as lines of text."""
    unit = "" if result.is_of_text else " %"
    columns = {
        "network": [network.name for network in result.networks],
        result.tested: [_interval(network.tested, unit) for network in result.networks],
        "parameters": [f"{network.num_parameters:,}" for network in result.networks],
        "mult-adds": [f"{network.multiply_adds:,}" for network in result.networks],
        "architecture": [network.description for network in result.networks],
    }
    if any(network.validated is not None for network in result.networks):
        columns["validation"] = [_interval(one.validated, unit) if one.validated else "" for one in result.networks]
    seeds = len(result.networks[0].seeds)
    recipe = f"recipe {result.recipe}" if result.recipe else "the keys under retrain"
    chance = 100 / result.num_classes
    tested = f"{result.test_images:,} images of {result.num_classes:,} classes (chance {chance:.2f} %)"
    if result.is_of_text:
        tested = f"{result.test_images:,} tokens of {result.num_classes:,} words"
    return [
        f"trained from scratch by {recipe}, {result.epochs:,} epochs on {result.train_images:,} {result.samples}, "
        f"seeds: {seeds}; "
        f"tested on {tested}:",
        *aligned_lines(columns, left=("network", "architecture")),
        *[f"note: {comparison.verdict}" for comparison in result.comparisons],
    ]


def _interval(estimate: Estimate, unit: str = " %") -> str:
    """Returns a mean with the half-width of its 95 % interval where there is one, by default in percent."""
    if estimate.high is None:
        return f"{estimate.mean:.2f}{unit}"
    return f"{estimate.mean:.2f} ± {estimate.high - estimate.mean:.2f}{unit}"


def _measured(result: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Returns the other measured quantities of architectures as text, by name, without the fitness."""
    parts = result["fitness"].split("+")
    # Results of earlier versions do not state their quantities.
    of_classification = [{"name": "accuracy", "unit": "percent", "digits": 2}, {"name": "loss", "digits": 4}]
    columns = {}
    for quantity in result.get("quantities", of_classification):
        name, sign = quantity["name"], " %" if quantity.get("unit") == "percent" else ""
        values = [row[name] for row in rows if name in row]
        if name != "fitness" and name not in parts and values != [row["fitness"] for row in rows]:
            columns[name] = [f"{value:.{quantity['digits']}f}{sign}" for value in values]
    return columns


def _remarks(result: dict[str, Any]) -> list[str]:
    """Returns a line for each reason why numbers of a result are no evidence."""
    return [f"note: {remark}" for remark in result.get("remarks") or ()]


def profile_lines(result: dict[str, Any]) -> list[str]:
    """Returns predicted and measured latencies as lines of text."""
    rows = [
        f"{1e3 * n['predicted']:9.3f} ms  {1e3 * n['measured']:9.3f} ms  {n['description']}" for n in result["networks"]
    ]
    return [
        f"latency of a batch of {result['batch_size']} on {result['device']}, {result['threads']} threads: the sum "
        "over candidates, and whole networks measured",
        f"{'predicted':>12}  {'measured':>12}",
        *rows,
        f"correlation {result['correlation']:.3f}, median error {100 * result['median_error']:.1f} %, worst "
        f"{100 * result['worst_error']:+.1f} %",
    ]


def ranking_lines(result: dict[str, Any]) -> list[str]:
    """Returns the rank correlations of a fitness as lines of text."""
    ranked = f"{result['cells']:,} of {result['space']:,} architectures"
    if result["table"] is None:
        row = result["rows"][0]
        known = [f"{key.removeprefix('tau_')} {_figure(row[key])}" for key in row if key.startswith("tau_")]
        return [
            f"{row['name']}: {ranked} scored. Without a benchmark its rank correlation is unknown: give --set "
            "benchmark.path=FILE to compare it with the benchmark accuracy.",
            f"tau-b with the {' and with the '.join(known)}: a fitness that is nearly 1 there says nothing new.",
            *_remarks(result),
        ]
    rows = result["rows"]
    functions = result.get("functions")
    has_copies = functions is not None and functions < result["cells"]
    columns = {
        "": [row["name"] for row in rows],
        "tau-b": [_with_interval(row, "tau") for row in rows],
        **({"distinct functions": [_figure(row["tau_distinct"]) for row in rows]} if has_copies else {}),
        "ties in order": [_figure(row.get("tau_in_order")) for row in rows],
        "rho": [_with_interval(row, "rho") for row in rows],
        **_further_columns(rows),
        "pairs": ["undefined" if row["agreement"] is None else f"{row['agreement']:.1f} %" for row in rows],
        "top 1": [_top(row, "1") for row in rows],
        "top 10": [_top(row, "10") for row in rows],
        "top 100": [_top(row, "100") for row in rows],
        "tau-b, equal parameters": [_figure(row["tau_within"]) for row in rows],
        "equal live multiply-adds": [_figure(row.get("tau_within_live")) for row in rows],
    }
    return [
        f"{ranked} against {result['column']} of {result['table']}; in brackets 95 % of "
        f"{result['bootstrap']} resamples; ties in order: tau as the code of RLNAS breaks ties; "
        f"{f'distinct functions: tau-b over {functions:,} functions, each once; ' if has_copies else ''}"
        "pairs: the share ordered as by the benchmark accuracy; "
        "top k: mean benchmark accuracy of the k best",
        *aligned_lines(columns),
        *_epoch_lines(result),
        *_remarks(result),
    ]


def _further_columns(rows: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Returns tau-b with each further column of the benchmark, as columns of text."""
    columns = {}
    for name in rows[0].get("tau_columns") or ():
        columns[f"tau-b, {name}"] = [_figure(row["tau_columns"][name]) for row in rows]
    return columns


def _epoch_lines(result: dict[str, Any]) -> list[str]:
    """Returns the rank correlation after epochs of the training as lines of text; none where that was not asked for."""
    epochs = result.get("epochs")
    if not epochs:
        return []
    shown = _spread_out(epochs, SHOWN)
    columns = {
        "epochs": [f"{row['epoch']:,}" for row in shown],
        "tau-b": [_figure(row["tau"]) for row in shown],
        "rho": [_figure(row["rho"]) for row in shown],
        "top 1": [_top(row, "1") for row in shown],
        "top 10": [_top(row, "10") for row in shown],
        "top 100": [_top(row, "100") for row in shown],
    }
    filled = {name: cells for name, cells in columns.items() if any(cells)}
    some = (
        f", {len(shown)} of {len(epochs):,}; all are in rank/{result['label']}.json" if len(shown) < len(epochs) else ""
    )
    return [f"{result['rows'][0]['name']} after epochs of the training{some}:", *aligned_lines(filled)]


def _top(row: dict[str, Any], k: str) -> str:
    """Returns the mean benchmark accuracy of the k best as text; empty if there are fewer architectures."""
    return f"{row['top'][k]['mean']:.2f} %" if k in row["top"] else ""


def _with_interval(row: dict[str, Any], key: str) -> str:
    interval = row[f"{key}_interval"]
    return _figure(row[key]) + (f" [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _figure(value: float | None) -> str:
    """Returns a number with its significant digits."""
    if value is None:
        return "undefined"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}" if abs(value) >= 10 else f"{value:.4f}"


def rows_of(columns: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Returns columns of text as rows, for programs."""
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def aligned_lines(columns: dict[str, list[str]], left: Sequence[str] = ("", "architecture")) -> list[str]:
    """Returns columns of text as aligned lines under their names, without empty columns; those in `left` align left."""
    filled = {name: cells for name, cells in columns.items() if cells}
    widths = {name: max(len(name), *map(len, cells)) for name, cells in filled.items()}
    lines = []
    for row in (tuple(filled), *zip(*filled.values(), strict=True)):
        cells = []
        for (name, width), cell in zip(widths.items(), row, strict=True):
            cells.append(cell.ljust(width) if name in left else cell.rjust(width))
        lines.append("  ".join(cells).rstrip())
    return lines
