"""The head of a run's page with its results, and the end with its configuration and provenance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raynas.config.locations import left_out
from raynas.records.retrain_record import RetrainRecord
from raynas.records.run_record import DataRecord
from raynas.report.best_sections import numbers_of, trade_offs
from raynas.report.blocks import Fold, Footer, Head, Section, Table, TableColumns, Text, architecture_text
from raynas.report.quantities import duration
from raynas.report.run_values import Run
from raynas.report.verdict import Verdict
from raynas.report.verdict_sections import verdict_line
from raynas.report.wording import counted, flatten, plain


def summary(run: Run, verdict: Verdict | None, links: Sequence[tuple[str, Text]] = ()) -> Head:
    """Returns the head of the page: the run's name, a few lines on the search and its result, links to other pages."""
    lines: list[tuple[str, Text]] = []
    if run.training or run.history is not None or run.result is not None or not run.retrained:
        lines += [("Searched", searched(run)), ("Evaluated", evaluated(run)), ("Found", found(run))]
    if line := verdict_line(run, verdict):
        lines.append(("Verdict", line))
    lines += [("Trained", trained_from_scratch(result)) for result in run.retrained.values()]
    return Head(run.name, [*lines, *links])


def trained_from_scratch(result: RetrainRecord) -> Text:
    """Returns the test accuracies or perplexities of a retraining in one line."""
    best, *controls = [(network.name, f"{network.tested.mean:.2f}") for network in result.networks]
    others = ", ".join(f"{name} {accuracy}" for name, accuracy in controls)
    accuracy = f"{result.tested} {best[1]}" if result.is_of_text else f"{best[1]} percent test accuracy"
    return f"{best[0]} from scratch on {result.data}: {accuracy}{f' ({others})' if others else ''}."


def searched(run: Run) -> str:
    """Returns space, data, labels and algorithm in one line."""
    space, data = run.section("space"), run.section("data")
    further = [f"{key} {plain(value)}" for key, value in space.items() if key != "name" and value is not None]
    sizes = dict.fromkeys(rank.space for rank in run.ranks)
    further += [f"{size:,} architectures" for size in sizes]
    parts = [f"{space.get('name', 'a space')}{' (' + ', '.join(further) + ')' if further else ''}"]
    if run.training or data.get("name"):
        parts.append(f"on {data.get('name', 'its data')}")
    if data.get("labels"):
        parts.append(f"with {str(data['labels']).replace('_', ' ')} labels")
    parts.append(f"by {run.config.get('algorithm', 'raynas')}")
    return " ".join(parts) + "."


def evaluated(run: Run) -> str:
    """Returns one line: the number of evaluated architectures, the fitness and the times."""
    seconds = run.seconds
    after = ""
    if "training" in seconds:
        after = f", after {duration(seconds['training'])} of training {counted(len(run.training), 'supernet')}"
    by_fitness = f"by {run.quantity.name}"
    if run.result is not None:
        functions, evaluations = run.result.functions, run.result.evaluations
        different = f", {functions:,} different functions," if functions is not None and evaluations > 1 else ""
        return (
            f"{counted(evaluations, 'architecture')}{different} {by_fitness} in "
            f"{counted(run.result.generations, 'generation')} ({duration(run.result.seconds)}){after}."
        )
    if run.history is not None:
        return f"{len(run.history.columns['fitness']):,} architectures so far {by_fitness}; the search goes on{after}."
    return f"nothing was searched yet{after}."


def found(run: Run) -> Text:
    """Returns the best architecture with its numbers in one line."""
    if not run.best:
        return "nothing yet."
    best = run.best[0]
    front = f"a front of {len(trade_offs(run)):,}; the fittest is " if run.front else ""
    return front, architecture_text(best.description), " with ", ", ".join(numbers_of(run, best)), "."


def configuration(run: Run, defaults: Mapping[str, object]) -> Section:
    """Returns every key of the configuration; with known defaults those that differ come first, the rest is folded.

    Args:
        run: The run.
        defaults: Default values by dotted keys; empty if they are not known.
    """
    sections: dict[str, dict[str, object]] = {"run": {}}
    for key, value in run.config.items():
        if isinstance(value, Mapping):
            sections[key] = flatten(value)
        else:
            sections["run"][key] = value
    tables = []
    for name, values in sections.items():
        if values:
            rows = [[key, plain(value)] for key, value in values.items()]
            tables.append(Table(["", ""], rows, caption=name))
    every = TableColumns(tables)
    if not defaults:
        return Section("Configuration", [every])
    count = sum(len(values) for values in sections.values())
    return Section("Configuration", [_changed_keys(run, defaults), Fold(f"All {count:,} keys", [every])])


def _changed_keys(run: Run, defaults: Mapping[str, object]) -> Table:
    """Returns the keys whose values are not the defaults of the algorithm; of those without a default what is given."""
    rows: list[list[Text]] = []
    for key, value in flatten(run.config).items():
        if key not in defaults:
            if value is not None and value != {}:
                rows.append([key, plain(value), "–"])
        elif value != defaults[key]:
            rows.append([key, plain(value), plain(defaults[key])])
    return Table(["key", "value", "default"], rows, caption="Keys that differ from the defaults")


def provenance(run: Run) -> Section:
    """Returns times, seeds and versions."""
    seconds = run.seconds
    stages = [[stage, duration(value)] for stage, value in seconds.items()]
    if len(stages) > 1:
        stages.append(["together", duration(sum(seconds.values()))])
    seeds = [["seed", plain(run.config.get("seed"))], ["base seeds", ", ".join(map(str, run.base_seeds))]]
    versions = [[name, version] for name, version in run.about.versions.items()]
    tables = [
        Table(["", ""], stages, caption="Time"),
        Table(["", ""], seeds, caption="Seeds"),
        Table(["", ""], versions, caption="Versions"),
    ]
    if run.data is not None:
        tables.append(Table(["", ""], _rows_of_images(run.data), caption="Images"))

    footer = f"Begun {run.about.created}. " if run.about.created else ""
    footer += f"Left out: {left_out(run.left_out)}. " if run.left_out else ""
    footer += (
        "Made from the files of the run's folder: config.json, data.json, supernet/, search/, rank/, profile.json."
    )
    return Section("Time, seeds, versions", [TableColumns(tables), Footer(footer)])


def _rows_of_images(data: DataRecord) -> list[list[str]]:
    """Returns counts and normalisation of a run's images, and the number of skipped files."""
    rows = [[f"{split} images", f"{count:,}"] for split, count in data.images.items()]
    rows += [
        ["classes", f"{data.num_classes:,}"],
        ["pixels", f"{data.resolution} x {data.resolution}"],
        ["mean", ", ".join(f"{value:.4f}" for value in data.mean)],
        ["deviation", ", ".join(f"{value:.4f}" for value in data.std)],
    ]
    if data.skipped:
        rows.append(["files skipped", f"{len(data.skipped):,}"])
    return rows
