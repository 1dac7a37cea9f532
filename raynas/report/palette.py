"""All colours of figures and pages: each has a tone for light and a tone for dark pages.

Figures are drawn in the light tones. On a page every tone is a custom property of CSS, so the same figure follows the
theme of the reader. An operation has the same colour in every figure of every page.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class Tone:
    """A colour in both themes.

    Attributes:
        name: Its custom property, without the two hyphens.
        light: Its hexadecimal code on a light page and in the files of figures.
        dark: Its hexadecimal code on a dark page.
    """

    name: str
    light: str
    dark: str


PAPER, INK, MUTED, FAINT, GRID, BAND = "#ffffff", "#1f2933", "#52606d", "#9aa5b1", "#e4e7eb", "#dce1e6"
ACCENT = "#c2410c"

_PLAIN = (
    Tone("paper", PAPER, "#14191f"),
    Tone("ink", INK, "#e6ebf0"),
    Tone("muted", MUTED, "#a7b3bf"),
    Tone("faint", FAINT, "#667380"),
    Tone("grid", GRID, "#2b343e"),
    Tone("band", BAND, "#323c47"),
)
_SERIES = (
    Tone("series-1", "#0b5fa5", "#62b0f5"),
    Tone("series-2", ACCENT, "#ff9154"),
    Tone("series-3", "#0f766e", "#3ec4b4"),
    Tone("series-4", "#7c3aed", "#b79aff"),
    Tone("series-5", "#a16207", "#dcae3c"),
    Tone("series-6", "#be185d", "#f681b5"),
    Tone("series-7", "#4b5563", "#9ba9b8"),
)
_OPERATIONS = (
    Tone("operation-1", "#d9480f", "#ff9a66"),
    Tone("operation-2", "#1c6dd0", "#7db9ff"),
    Tone("operation-3", "#2b8a3e", "#6fd487"),
    Tone("operation-4", "#862e9c", "#d79bea"),
    Tone("operation-5", "#9a6b00", "#e3b94d"),
    Tone("operation-6", "#c2255c", "#ff8fb6"),
    Tone("operation-7", "#0b7285", "#5fcbe0"),
    Tone("operation-8", "#7a4a2a", "#cca27f"),
    Tone("operation-9", "#4338ca", "#aaa6ff"),
    Tone("operation-10", "#5c7a10", "#b3cf5e"),
    Tone("operation-11", "#c92a2a", "#ff8a8a"),
)
TONES = (*_PLAIN, *_SERIES, *_OPERATIONS)

SERIES = tuple(tone.light for tone in _SERIES)
"""Colours of runs, seeds and settings, distinct in grey and for colour-blind readers too, since markers repeat them."""

PALE = ("", "skip")
"""Labels without an operation: concatenation into the output, and a block that is left out."""

_COLORS = tuple(tone.light for tone in _OPERATIONS)
_KNOWN = (
    *("nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
    *("max_pool_3x3", "conv_7x1_1x7", "sep_conv_3x3", "conv_3x1_1x3", "sep_conv_7x7"),
)
"""The operations of raynas' spaces, in the order of their colours."""

FIXED = dict(zip(_KNOWN, _COLORS, strict=True)) | dict.fromkeys(("skip_connect", "identity"), MUTED)
FIXED |= dict.fromkeys((*PALE, "none"), FAINT)


def operation_colors(names: Iterable[str]) -> dict[str, str]:
    """Returns the colour of each operation; a name that raynas does not know gets its colour by its hash.

    If that colour is taken by another name of the same call, the next free one is used.
    """
    wanted = sorted(set(names))
    colors = {name: FIXED[name] for name in wanted if name in FIXED}
    for name in wanted:
        if name not in colors:
            colors[name] = _free_color(name, set(colors.values()))
    return colors


def _free_color(name: str, taken: set[str]) -> str:
    start = zlib.crc32(name.encode("utf-8", "surrogatepass")) % len(_COLORS)
    order = _COLORS[start:] + _COLORS[:start]
    return next((color for color in order if color not in taken), order[0])


Look: TypeAlias = tuple[str, str | tuple[int, tuple[int, ...]]]
"""Colour and dashes of a line."""

DASHES: Sequence[str | tuple[int, tuple[int, ...]]] = ("-", (0, (5, 2)), (0, (1, 1)))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
SHAPES = ("●", "■", "◆", "▲", "▼", "✚", "✖")
"""The markers of the looks in their order, as matplotlib and as text name them."""


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """Returns a look for each name: the colours in order, then the colours with dashes."""
    looks: Sequence[Look] = [(color, dashes) for dashes, color in itertools.product(DASHES, SERIES)]
    return dict(zip(dict.fromkeys(names), itertools.cycle(looks), strict=False))


def marker_of(look: Look) -> str:
    """Returns the marker of a look; every colour has its own."""
    return MARKERS[SERIES.index(look[0])] if look[0] in SERIES else "o"


def shape_of(look: Look) -> str:
    """Returns the character that shows the marker of a look in a text."""
    return SHAPES[SERIES.index(look[0])] if look[0] in SERIES else "●"


def operation_looks(names: Iterable[str]) -> dict[str, Look]:
    """Returns the look of each operation: its colour, and dashes where more operations share it."""
    looks: dict[str, Look] = {}
    for name, color in operation_colors(names).items():
        before = sum(1 for other, _ in looks.values() if other == color)
        looks[name] = (color, DASHES[before % len(DASHES)])
    return looks


_PROPERTIES = {tone.light: f"var(--{tone.name})" for tone in TONES}


def themed(svg: str) -> str:
    """Returns the markup of a figure with its colours as custom properties, which follow the theme of the page."""

    def property_of(found: re.Match[str]) -> str:
        return f"{found[1]}: {_PROPERTIES.get(found[2], found[2])}"

    return re.sub(r"\b(fill|stroke): (#[0-9a-f]{6})\b", property_of, svg)


def color_property(color: str) -> str:
    """Returns the custom property of a colour of the palette, or the colour itself if it is another."""
    return _PROPERTIES.get(color, color)


def declarations(theme: str) -> str:
    """Returns the custom properties of a theme, ``light`` or ``dark``, as declarations of CSS."""
    return " ".join(f"--{tone.name}: {getattr(tone, theme)};" for tone in TONES)
