"""The model card: what a network is, what it reaches, what it costs, how it was found, and how it is used.

Its front matter and file name are those that huggingface_hub expects. Texts of a record are shown as they are: none of
them becomes markup.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence

from raynas.capabilities import Drawing, drawing_of
from raynas.networks.building import space_of_values
from raynas.networks.export.format import ExportFormat
from raynas.networks.found_network import FoundNetwork
from raynas.records.cells import markdown_text
from raynas.records.network_record import ExportFacts, NetworkAccuracy, NetworkRecord, mean_and_deviation
from raynas.records.record import Number

LIBRARY, TASK = "raynas", "image-classification"

WEIGHTS_WORDS = {
    "retrained": "trained from scratch with this architecture",
    "inherited": "inherited from the supernet of the search, without a training of their own",
    "initial": "initial: this network is not trained",
}
"""Where weights come from, as a sentence says it."""

MOST_CLASSES = 20
"""Class names that the card lists; of more it states the number."""


def model_card(found: FoundNetwork, row: ExportFormat) -> str:
    """Returns the model card of an exported network, in Markdown with a front matter in YAML."""
    record = found.record
    sections = [
        _front_matter(record, row),
        _heading(record),
        _architecture(record),
        _costs(record),
        _accuracy(record.accuracy, record),
        _training(record),
        _search(record),
        _images(record),
        _usage(found, row),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _front_matter(record: NetworkRecord, row: ExportFormat) -> str:
    """Returns the metadata. A text of JSON is one of YAML, so that no name can add a key."""
    tags = ["neural-architecture-search", LIBRARY, TASK, row.name, *_plain_names([record.space["name"]])]
    lines = ["---", f"library_name: {LIBRARY}", f"pipeline_tag: {TASK}", "tags:"]
    lines += [f"- {json.dumps(tag)}" for tag in tags]
    if record.accuracy is not None and record.provenance.data:
        lines += _model_index(record, record.accuracy)
    return "\n".join([*lines, "---"])


def _plain_names(names: Sequence[str]) -> list[str]:
    return [name for name in names if re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name)]


def _model_index(record: NetworkRecord, accuracy: NetworkAccuracy) -> list[str]:
    """Returns the accuracy in the form that the Hub reads: a share, the mean over seeds."""
    mean, _ = mean_and_deviation(accuracy.top1)
    data = json.dumps(record.provenance.data)
    return [
        "model-index:",
        f"- name: {json.dumps(_title(record))}",
        "  results:",
        "  - task:",
        f"      type: {TASK}",
        "    dataset:",
        f"      name: {data}",
        f"      type: {data}",
        f"      split: {json.dumps(accuracy.images)}",
        "    metrics:",
        "    - type: accuracy",
        f"      value: {mean / 100:.6g}",
    ]


def _title(record: NetworkRecord) -> str:
    found_by = f", found by {record.provenance.algorithm}" if record.provenance.algorithm else ""
    return f"A network of the space {record.space['name']}{found_by}"


def _heading(record: NetworkRecord) -> str:
    data = f" of {markdown_text(record.provenance.data)}" if record.provenance.data else ""
    size = record.preprocessing.resolution
    return (
        f"# {markdown_text(_title(record))}\n\n"
        f"It classifies images{data} into {_classes(record)}. The input is {size} x {size} pixels. The weights are "
        f"{WEIGHTS_WORDS[record.weights]}."
    )


def _classes(record: NetworkRecord) -> str:
    if record.classes is None or len(record.classes) > MOST_CLASSES:
        return f"{record.num_classes:,} classes"
    return f"{record.num_classes:,} classes: {', '.join(markdown_text(name) for name in record.classes)}"


def _architecture(record: NetworkRecord) -> str:
    space = space_of_values(record.space, own=False)
    architecture = space.check(record.architecture)
    arguments = ", ".join(f"{key}: {json.dumps(value)}" for key, value in record.space_arguments.items())
    lines = ["## Architecture", "", "```", space.describe(architecture), "```", ""]
    lines += [
        f"Space: `{_code(record.space['name'])}`" + (f" ({_code_piece(arguments)})" if arguments else "") + ".",
        "",
    ]
    return "\n".join([*lines, *_drawings(drawing_of(space, architecture))]).rstrip()


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


def _code_piece(text: str) -> str:
    return f"`{_code(text)}`"


def _drawings(drawing: Drawing) -> list[str]:
    """Returns each graph as a diagram of mermaid, a chain as a line of text."""
    lines: list[str] = []
    for name, edges in drawing.items():
        if not edges:
            continue
        if _is_chain(edges):
            steps = [markdown_text(operation) for _, _, operation in edges]
            lines += [f"{_title_of(name)}: {' → '.join(['in', *steps, 'out'])}", ""]
        else:
            lines += [f"{_title_of(name)}:", "", "```mermaid", "flowchart LR", *_diagram(edges), "```", ""]
    return lines


def _title_of(graph: str) -> str:
    return f"Graph *{markdown_text(graph)}*"


def _is_chain(edges: Sequence[tuple[str, str, str]]) -> bool:
    """Returns whether each edge begins where the one before it ends."""
    return all(first[1] == second[0] for first, second in itertools.pairwise(edges))


def _diagram(edges: Sequence[tuple[str, str, str]]) -> list[str]:
    """Returns the nodes and the labelled arrows of a diagram."""
    nodes: dict[str, str] = {}
    for source, target, _ in edges:
        for name in (source, target):
            nodes.setdefault(name, f"n{len(nodes)}")
    lines = [f'    {identifier}(["{_label(name)}"])' for name, identifier in nodes.items()]
    for source, target, operation in edges:
        arrow = f'-- "{_label(operation)}" -->' if operation else "-->"
        lines.append(f"    {nodes[source]} {arrow} {nodes[target]}")
    return lines


def _label(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_+.{} -]", " ", text)


def _costs(record: NetworkRecord) -> str:
    lines = ["## Costs", "", "| quantity | value |", "|---|---:|", f"| parameters | {record.num_parameters:,} |"]
    lines.append(f"| multiply-adds for one image | {record.multiply_adds:,} |")
    facts = record.export
    if facts is None or facts.latency_before is None or facts.latency_after is None:
        return "\n".join(lines)
    lines.append(f"| latency of one image in torch | {1000 * facts.latency_before:.3g} ms |")
    lines.append(f"| latency of one image after the export | {1000 * facts.latency_after:.3g} ms |")
    lines += ["", f"Latency is the median on {markdown_text(facts.measured_on)}. {_difference(facts)}"]
    return "\n".join(lines)


def _difference(facts: ExportFacts) -> str:
    compared = f"Network and export were compared on {facts.images} images:"
    if not facts.largest_difference:
        return f"{compared} the logits are equal."
    return f"{compared} the largest difference of a logit is {facts.largest_difference:.2g}."


def _accuracy(accuracy: NetworkAccuracy | None, record: NetworkRecord) -> str:
    if accuracy is None:
        return "## Accuracy\n\nThe accuracy of these weights was not measured."
    lines = [
        "## Accuracy",
        "",
        f"Measured on the images of the split *{markdown_text(accuracy.images)}*, in percent.",
        "",
    ]
    header = ["seed", *map(str, accuracy.seeds), "mean", "deviation"]
    lines += [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    for name, values in (("top-1", accuracy.top1), ("top-5", accuracy.top5)):
        if values is not None:
            lines.append(f"| {' | '.join([name, *_numbers(values)])} |")
    if accuracy.exported_seed is not None:
        lines += ["", f"These weights are those of seed {accuracy.exported_seed}."]
    return "\n".join(lines)


def _numbers(values: Sequence[Number]) -> list[str]:
    """Returns the cells of a row: each number, mean and deviation."""
    mean, deviation = mean_and_deviation(values)
    cells = [f"{value:.2f}" for value in [*values, mean]]
    return [*cells, "" if deviation is None else f"{deviation:.2f}"]


def _training(record: NetworkRecord) -> str:
    if record.recipe is None:
        return ""
    lines = ["## Training", "", "| key | value |", "|---|---|"]
    for key, value in record.recipe.items():
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"| {markdown_text(key)} | {markdown_text(text)} |")
    return "\n".join(lines)


def _search(record: NetworkRecord) -> str:
    provenance = record.provenance
    facts = {
        "run": provenance.run,
        "algorithm": provenance.algorithm,
        "fitness": provenance.fitness,
        "its value": "" if provenance.fitness_value is None else f"{provenance.fitness_value:.6g}",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions.items()),
        "created": provenance.created,
    }
    lines = ["## How it was found", "", "| what | value |", "|---|---|"]
    for name, text in facts.items():
        if text:
            lines.append(f"| {name} | {markdown_text(text)} |")
    return "\n".join(lines)


def _images(record: NetworkRecord) -> str:
    stated = record.preprocessing
    resized = f"resized until the shorter side has {stated.resize} pixels ({stated.interpolation}, antialiased)"
    mean, std = _three(stated.mean), _three(stated.std)
    return (
        "## Images\n\n"
        f"An image is made red, green and blue in 8 bits, {resized}, and cropped to the central {stated.resolution} x "
        f"{stated.resolution}. Then value / 255 is normalised: the mean ({mean}) is subtracted, and the result is "
        f"divided by ({std})."
    )


def _three(values: Sequence[Number]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _usage(found: FoundNetwork, row: ExportFormat) -> str:
    lines = [
        "## Use",
        "",
        "```bash",
        "raynas predict FOLDER image.png",
        "```",
        "",
        "```python",
        row.usage(found),
        "```",
    ]
    return "\n".join(lines)
