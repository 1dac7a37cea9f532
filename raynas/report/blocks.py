"""The parts of a page: sections of paragraphs, tables and figures, as plain values.

The templates turn them into HTML. A text is a string, or a sequence of pieces, some of them bold, code or links. Only
the SVG of a figure contains markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from raynas.report.palette import themed


@dataclass(frozen=True)
class Piece:
    """A part of a text with its own style.

    Attributes:
        kind: bold, code, link, architecture or swatch.
        text: The text of the piece.
        target: The address of a link, or the colour of a swatch as CSS.
    """

    kind: str
    text: str
    target: str = ""

    @property
    def is_long(self) -> bool:
        """Whether the text is folded, behind the drawing that shows the same."""
        return len(self.text) > LONG

    @property
    def breakable_parts(self) -> Sequence[str]:
        """The text of an architecture in parts; a line may break after a plus, a comma or an operand."""
        return re.split(r"(?<=[+,])|(?<=\d\|)(?=\w)", self.text)


LONG = 160
"""Characters of an architecture's text from which on it is folded."""

Text: TypeAlias = str | tuple[str | Piece, ...]
"""A text: a string or a sequence of pieces."""


def bold(text: str) -> Piece:
    """Returns a bold piece."""
    return Piece("bold", text)


def verbatim(text: str) -> Text:
    """Returns a text in the style of code."""
    return (Piece("code", text),)


def with_code(text: str) -> Text:
    """Returns a text with the parts between backticks in the style of code."""
    parts = text.split("`")
    return tuple(Piece("code", part) if number % 2 else part for number, part in enumerate(parts))


def architecture_text(text: str) -> Piece:
    """Returns the text of an architecture, which may break into several lines."""
    return Piece("architecture", text)


def pieces(text: Text) -> Sequence[str | Piece]:
    """Returns the pieces of a text."""
    return (text,) if isinstance(text, str) else text


def plain_text(text: Text) -> str:
    """Returns a text without styles."""
    return "".join(piece if isinstance(piece, str) else piece.text for piece in pieces(text))


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a note has smaller letters."""

    kind: ClassVar[str] = "paragraph"
    text: Text
    note: bool = False


@dataclass(frozen=True)
class Footer:
    """The end of a page."""

    kind: ClassVar[str] = "footer"
    text: Text


@dataclass(frozen=True)
class Table:
    """A table in a box that scrolls on a narrow page.

    Attributes:
        head: The heads of the columns.
        rows: Cells; the first cell is the head of its row.
        numbers: Columns with numbers.
        marked: Highlighted rows.
        caption: Description of the table.
        stacked: Whether the last cell of a row gets a separate line on a narrow page.
        fixed: Whether the order of the rows has a meaning, so that a reader cannot change it.
    """

    kind: ClassVar[str] = "table"
    head: Sequence[Text]
    rows: Sequence[Sequence[Text]]
    numbers: Sequence[int] = ()
    marked: Sequence[int] = ()
    caption: str = ""
    stacked: bool = False
    fixed: bool = False

    @property
    def is_sortable(self) -> bool:
        """Whether a reader can order and filter the rows."""
        return not self.fixed and len(self.rows) > 2 and any(self.head)

    @property
    def classes(self) -> str:
        """The classes of the table."""
        return " ".join(
            [
                *(["stacked"] if self.stacked else []),
                *(["sortable"] if self.is_sortable else []),
                *(["fixed"] if self.fixed else []),
            ]
        )

    def cell_class(self, column: int, text: Text) -> str:
        """Returns the class of a cell: a number, a text with its own width, or a usual text."""
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
        name: Unique name on the page, of letters, digits and hyphens.
        svg: The picture.
        caption: Description of the picture.
        drawing: Whether the figure is a drawing, which scrolls on a narrow page instead of shrinking.
        values: Markup of the values that a reader sees while pointing at them.
    """

    name: str
    svg: str
    caption: Text
    drawing: bool = False
    values: str = ""

    @property
    def label(self) -> str:
        """The caption for readers who cannot see the picture."""
        return plain_text(self.caption)

    @property
    def picture(self) -> str:
        """The SVG without matplotlib's additions for other programs; the name of the figure makes its ids unique."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
        svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", svg).strip()
        return themed(svg.removesuffix("</svg>") + self.values + "</svg>")

    @property
    def opening(self) -> str:
        """The attributes of the SVG."""
        return self.picture.removeprefix("<svg").partition(">")[0]

    @property
    def drawn(self) -> str:
        """The content after the first tag of the SVG."""
        return self.picture.partition(">")[2]

    @property
    def natural_width(self) -> str:
        """The width of the SVG, such as ``259.2pt``."""
        found = re.search(r'<svg [^>]*width="([\d.]+pt)"', self.svg)
        assert found is not None
        return found[1]


@dataclass(frozen=True)
class Figures:
    """Figures side by side, with as many in a row as fit.

    Attributes:
        members: The figures.
        width: Least width of a figure in pixels.
    """

    kind: ClassVar[str] = "figures"
    members: Sequence[FigureBlock]
    width: int = 340


@dataclass(frozen=True)
class Fold:
    """Blocks that a reader unfolds.

    Attributes:
        summary: The line that is shown in both states.
        blocks: What is folded.
    """

    kind: ClassVar[str] = "fold"
    summary: Text
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Beside:
    """Blocks side by side on a wide page, one below the other on a narrow one."""

    kind: ClassVar[str] = "beside"
    blocks: Sequence[Block]


Block: TypeAlias = "Paragraph | Footer | Table | TableColumns | Figures | Fold | Beside"


@dataclass(frozen=True)
class Section:
    """A section; a section without blocks is not shown."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Head:
    """The head of a page: its title and a few lines of results, each after a word in bold."""

    title: str
    lines: Sequence[tuple[str, Text]] = ()
