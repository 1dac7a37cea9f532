"""The verb of architectures by themselves: network."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.capabilities import takes_of
from raynas.errors import InputError
from raynas.messages import echo, shortened
from raynas.optional import needed
from raynas.report.text_tables import aligned_lines, rows_of
from raynas.stages import signals

if TYPE_CHECKING:
    from raynas.networks.description import Description, NetworkSize


def network(options: argparse.Namespace) -> int:
    """Prints what an architecture is and costs; without one, the published ones."""
    with signals.imports():
        from raynas.networks.description import Wishes, describe_architecture

    if options.architecture is None:
        columns = _published_columns()
        left = ("name", "space", "for", "source")
        print(json.dumps(rows_of(columns), indent=2) if options.json else "\n".join(aligned_lines(columns, left)))
        return 0
    _check_drawing(options.draw)
    _check_number("--resolution", options.resolution, 4_096)
    _check_number("--classes", options.classes, 1_000_000)
    wishes = Wishes(
        options.space, _arguments(options.overrides), options.resolution, options.classes, latency=options.latency
    )
    found = describe_architecture(options.architecture, wishes)
    print(json.dumps(_values(found), indent=2) if options.json else "\n".join(_lines(found)))
    if options.draw is not None:
        _draw(found, Path(options.draw))
        if not options.json:
            print(f"drawing: {options.draw}")
    return 0


def _values(found: Description) -> dict[str, Any]:
    """Returns what an architecture is as plain values; costs of networks are in units, latencies in seconds."""
    sizes = []
    for size in found.sizes:
        printed = size.printed
        values = {
            "title": size.title,
            "resolution": size.resolution,
            "num_classes": size.num_classes,
            "num_parameters": size.num_parameters,
            "multiply_adds": size.multiply_adds,
            "latency": size.seconds,
            "printed": None if printed is None else vars(printed),
        }
        sizes.append(values)
    return {
        "space": found.space_name,
        "architecture": list(found.architecture),
        "text": found.text,
        "equal_function": found.representative,
        "source": found.source,
        "networks": sizes,
    }


def _check_number(option: str, value: int | None, most: int) -> None:
    """Checks that a number is at least 1 and not too large.

    Raises:
        InputError: If it is not.
    """
    if value is not None and not 1 <= value <= most:
        raise InputError(f"{option}: expected 1 to {most:,}, got {value}")


def _arguments(overrides: list[str]) -> dict[str, Any]:
    """Returns the arguments of a space that options such as ``space.channels=36`` set.

    Raises:
        InputError: If one is none, or of another section.
    """
    from raynas.config.yaml_text import read_yaml

    arguments: dict[str, Any] = {}
    for override in overrides:
        key, equals, text = override.partition("=")
        section, _, name = key.partition(".")
        if not equals or section != "space" or not name:
            raise InputError(f"--set: expected space.KEY=VALUE such as space.channels=36, got {echo(override)}")
        if name == "name":
            raise InputError(f"--set {shortened(override)}: the space is named by --space; give that")
        arguments[name] = read_yaml(text, f"--set {shortened(override)}")
    return arguments


def _published_columns() -> dict[str, list[str]]:
    """Returns the published architectures as columns, in the sizes that papers print."""
    from raynas.networks.published import PUBLISHED

    columns: dict[str, list[str]] = {name: [] for name in ("name", "space", "for", "parameters", "mult-adds", "source")}
    for name, architecture in PUBLISHED.items():
        for made in architecture.networks:
            printed = made.printed
            cells = (
                name,
                architecture.space,
                made.title,
                "" if printed is None else f"{printed.num_parameters} M",
                "" if printed is None or printed.multiply_adds is None else f"{printed.multiply_adds:g} M",
                architecture.source,
            )
            for column, cell in zip(columns.values(), cells, strict=True):
                column.append(cell)
    return columns


def _lines(found: Description) -> list[str]:
    """Returns what is printed of an architecture."""
    lines = [f"space: {found.space_name}", f"architecture: {found.text}"]
    if found.representative is not None:
        lines.append(f"equal function: {found.representative}")
    lines.append(f"integers: {', '.join(map(str, found.architecture))}")
    if found.source is not None:
        lines.append(f"source: {found.source}")
    return lines + _size_lines(found.sizes)


def _size_lines(sizes: tuple[NetworkSize, ...]) -> list[str]:
    """Returns the sizes of networks as a table, what papers print beside what is counted."""
    columns: dict[str, list[str]] = {"": [], "parameters": [], "mult-adds": []}
    if any(size.printed is not None for size in sizes):
        columns |= {"paper": [], "paper's mult-adds": []}
    if any(size.seconds is not None for size in sizes):
        columns["latency"] = []
    for size in sizes:
        data = f"{size.resolution} px, {size.num_classes} classes"
        if takes_of(size.space) == "tokens":
            data = f"{size.num_classes:,} words"
        columns[""].append(f"{size.title}, {_width(size)}{data}")
        columns["parameters"].append(f"{size.num_parameters:,}")
        columns["mult-adds"].append(f"{size.multiply_adds:,}")
        if "paper" in columns:
            printed = size.printed
            columns["paper"].append("-" if printed is None else f"{printed.num_parameters} M")
            operations = None if printed is None else printed.multiply_adds
            columns["paper's mult-adds"].append("-" if operations is None else f"{operations:g} M")
        if "latency" in columns:
            columns["latency"].append("-" if size.seconds is None else f"{1000 * size.seconds:.2f} ms")
    return aligned_lines(columns)


def _width(size: NetworkSize) -> str:
    """Returns the width and depth of a network where its space has them, such as ``C 36, 20 cells, ``."""
    parts = []
    for key, text in (("channels", "C {}"), ("cells", "{} cells"), ("width", "width {}")):
        value = getattr(size.space, key, None)
        if isinstance(value, int | float):
            parts.append(text.format(value))
    return "".join(f"{part}, " for part in parts)


def _check_drawing(file: str | None) -> None:
    """Checks that a drawing can be written.

    Raises:
        InputError: If the file is no SVG, or its folder is missing.
    """
    if file is None:
        return
    if not file.endswith(".svg"):
        raise InputError(f"--draw: expected the name of an .svg file, got {echo(file)}")
    if not Path(file).absolute().parent.is_dir():
        raise InputError(f"--draw: there is no folder {echo(str(Path(file).parent))}; make it, or name another one")


def _draw(found: Description, file: Path) -> None:
    """Writes the drawing of an architecture."""
    with signals.imports():
        needed("matplotlib", "report", "--draw")
        from raynas.capabilities import drawing_of
        from raynas.report.architecture_figures import architecture_figure, colors_of
        from raynas.report.drawing_style import svg_of

    drawing = drawing_of(found.space, found.architecture)
    figure = architecture_figure(drawing, colors_of([drawing]))
    try:
        file.write_text(svg_of(figure), encoding="utf-8")
    except OSError as error:
        raise InputError(f"--draw: {shortened(str(file))} cannot be written: {error.strerror}") from error
