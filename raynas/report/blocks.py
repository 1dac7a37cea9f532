"""What a page is made of: sections of paragraphs, tables and figures, as plain values.

The templates make HTML of them. A text is a string, or a row of pieces of which some are bold, code or links. No value
holds markup but the SVG of a figure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias


@dataclass(frozen=True)
class Piece:
    """A part of a text that looks different.

    Attributes:
        kind: bold, code, link, architecture or swatch.
        text: What it says.
        target: The address of a link, or the colour of a swatch.
    """

    kind: str
    text: str
    target: str = ""

    @property
    def breakable_parts(self) -> Sequence[str]:
        """The text of an architecture in parts: a line may end after a plus, a comma or an operand."""
        return re.split(r"(?<=[+,])|(?<=\d\|)(?=\w)", self.text)


Text: TypeAlias = str | tuple[str | Piece, ...]
"""A text: a string, or pieces one after the other."""


def bold(text: str) -> Piece:
    """Returns a bold piece."""
    return Piece("bold", text)


def code(text: str) -> Text:
    """Returns a text in the letters of code."""
    return (Piece("code", text),)


def architecture_text(text: str) -> Piece:
    """Returns the text of an architecture, which may be broken into several lines."""
    return Piece("architecture", text)


def pieces(text: Text) -> Sequence[str | Piece]:
    """Returns the pieces of a text."""
    return (text,) if isinstance(text, str) else text


def plain_text(text: Text) -> str:
    """Returns a text without its look."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces(text))


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a note is smaller."""

    kind: ClassVar[str] = "paragraph"
    text: Text
    note: bool = False


@dataclass(frozen=True)
class Footer:
    """What ends a page."""

    kind: ClassVar[str] = "footer"
    text: Text


@dataclass(frozen=True)
class Table:
    """A table in a box of its own, which scrolls where the page is narrow.

    Attributes:
        head: The columns' heads.
        rows: Cells; the first of each is the row's head.
        numbers: Columns that hold numbers.
        marked: Rows that stand out.
        caption: What the table shows.
        stacked: Whether the last cell of a row takes a line of its own where the page is narrow.
    """

    kind: ClassVar[str] = "table"
    head: Sequence[Text]
    rows: Sequence[Sequence[Text]]
    numbers: Sequence[int] = ()
    marked: Sequence[int] = ()
    caption: str = ""
    stacked: bool = False

    def cell_class(self, column: int, text: Text) -> str:
        """Returns how a cell is set: as a number, as a text of its own width, or as usual."""
        if column in self.numbers:
            return "number"
        is_code = any(isinstance(piece, Piece) and piece.kind in ("code", "architecture") for piece in pieces(text))
        return "text" if is_code else ""


@dataclass(frozen=True)
class TableColumns:
    """Small tables side by side."""

    kind: ClassVar[str] = "columns"
    tables: Sequence[Table]


@dataclass(frozen=True)
class FigureBlock:
    """A figure with its caption.

    Attributes:
        name: Letters, digits and hyphens, of no other figure on the page.
        svg: The picture.
        caption: What is seen.
        drawing: Whether it is a drawing, which scrolls where the page is narrow instead of shrinking.
    """

    name: str
    svg: str
    caption: Text
    drawing: bool = False

    @property
    def label(self) -> str:
        """The caption for those who cannot see the picture."""
        return plain_text(self.caption)

    @property
    def picture(self) -> str:
        """The SVG without what matplotlib adds for other programs, its ids made its own by the figure's name."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
        return re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", svg).strip()

    @property
    def opening(self) -> str:
        """The attributes of the SVG."""
        return self.picture.removeprefix("<svg").partition(">")[0]

    @property
    def drawn(self) -> str:
        """What follows the first tag of the SVG."""
        return self.picture.partition(">")[2]

    @property
    def natural_width(self) -> str:
        """The width of the SVG, such as ``259.2pt``."""
        found = re.search(r'<svg [^>]*width="([\d.]+pt)"', self.svg)
        assert found is not None
        return found[1]


@dataclass(frozen=True)
class Figures:
    """Figures side by side, as many in a row as there is room for.

    Attributes:
        members: The figures.
        width: The least width of one, in pixels.
    """

    kind: ClassVar[str] = "figures"
    members: Sequence[FigureBlock]
    width: int = 340


Block: TypeAlias = Paragraph | Footer | Table | TableColumns | Figures


@dataclass(frozen=True)
class Section:
    """A section; one without blocks is not shown."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Head:
    """The head of a page: its title, and what it comes to in a few lines, each with a word in bold before it."""

    title: str
    lines: Sequence[tuple[str, Text]] = ()
