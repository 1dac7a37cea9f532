"""The figures of a page, shown inline and also kept as files."""

from __future__ import annotations

import re

from matplotlib.figure import Figure

from raynas.report.blocks import FigureBlock, Text
from raynas.report.drawing_style import png_of, svg_of
from raynas.report.hover import marks_of


class Gallery:
    """Collects the figures of a page, which are shown inline and saved as files."""

    def __init__(self) -> None:
        """Starts without figures."""
        self._figures: dict[str, tuple[Figure, str]] = {}

    def show(self, name: str, figure: Figure, caption: Text, *, drawing: bool = False) -> FigureBlock:
        """Returns a figure with its caption; the name, of letters, digits and hyphens, also names its files."""
        name = re.sub(r"[^A-Za-z0-9-]+", "-", name)[:80]
        while name in self._figures:
            name += "-2"
        svg = svg_of(figure)
        self._figures[name] = (figure, svg)
        return FigureBlock(name, svg, caption, drawing, marks_of(figure))

    def files(self) -> dict[str, bytes]:
        """Returns the contents of the files by name."""
        files = {}
        for name, (figure, svg) in self._figures.items():
            files[f"{name}.svg"] = svg.encode("utf-8")
            files[f"{name}.png"] = png_of(figure)
        return files
