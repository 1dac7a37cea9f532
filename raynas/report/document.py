"""One page in one file: elements whose text is always escaped, tables, figures as inline SVG, and the look of it all.

Nothing on a page asks for anything outside it, and its content security policy would not let it.
"""

from __future__ import annotations

import contextlib
import html
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from raynas.config.locations import inside

FIGURES = "figures.json"
"""The file beside a page that lists the names of its figures."""

CSS = """
:root { --ink: #1f2933; --muted: #52606d; --line: #d9dee4; --accent: #c2410c; color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.5 "Helvetica Neue", Helvetica, Arial,
  "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main { max-width: 1112px; margin: 0 auto; padding: 40px 16px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 12px; letter-spacing: -0.01em; }
h2 { font-size: 20px; line-height: 1.3; margin: 48px 0 4px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 16px; margin: 28px 0 4px; }
p { max-width: 46em; margin: 8px 0; }
.lead { margin: 0; padding: 0; list-style: none; max-width: 62em; }
.lead li { margin: 4px 0; }
.note, footer { color: var(--muted); font-size: 14px; }
code { font: 0.86em/1.5 ui-monospace, "SF Mac Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.figures { display: grid; gap: 28px 24px; margin: 20px 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--figure)), 1fr)); }
figure { margin: 0; min-width: 0; }
figure svg { display: block; max-width: 100%; height: auto; overflow: visible; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: inherit !important; }
figcaption { color: var(--muted); font-size: 14px; line-height: 1.4; margin-top: 6px; max-width: 46em; }
figcaption b { color: var(--ink); }
.drawing { overflow-x: auto; }
.drawing svg { width: 100%; min-width: calc(0.8 * var(--natural)); max-width: var(--natural); margin: 8px 0; }
.table { margin: 16px 0; }
.box { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; line-height: 1.4; overflow-wrap: normal; }
th, td { padding: 5px 20px 5px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
thead th { vertical-align: bottom; border-bottom: 1.5px solid var(--ink); }
tbody th { font-weight: 400; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.text { min-width: 16em; }
tr.marked td, tr.marked th { font-weight: 600; color: var(--accent); }
.columns { columns: 240px; column-gap: 40px; margin-top: 16px; }
.columns .table { break-inside: avoid; margin: 0; padding-bottom: 24px; }
.columns table { width: 100%; }
.columns td, .columns tbody th { white-space: normal; padding: 3px 8px 3px 0; }
.columns td { overflow-wrap: anywhere; text-align: right; padding-right: 0; }
.columns .note { font-weight: 600; color: var(--ink); border-bottom: 1.5px solid var(--ink); margin: 0; }
@media (max-width: 480px) {
  main { padding-top: 24px; }
  h1 { font-size: 25px; }
}
@media screen and (max-width: 640px) {
  .stacked { display: grid; grid-template-columns: max-content repeat(var(--numbers), auto); }
  .stacked thead, .stacked tbody, .stacked tr { display: contents; }
  .stacked th:not(:last-child), .stacked td:not(:last-child) { border: 0; padding-right: 12px; }
  .stacked th.number { white-space: normal; }
  .stacked tr > :last-child { grid-column: 1 / -1; width: 0; min-width: 100%; padding-top: 0; }
}
@page { size: A4; margin: 15mm; }
@media print {
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h2, h3, section > p { break-after: avoid; }
  h2 { margin-top: 22pt; }
  figure, tr { break-inside: avoid; }
  .figures { gap: 12pt; grid-template-columns: repeat(auto-fill, minmax(min(100%, 82mm), 1fr)); }
  .drawing, .box { overflow: visible; }
  .table .note { break-after: avoid; }
  .columns { columns: 3; column-gap: 8mm; }
  .drawing svg { min-width: 0; max-width: min(100%, var(--natural)); }
  figcaption, table, .note, footer { font-size: 8pt; }
  th, td { padding-right: 8pt; }
  td.text { min-width: 0; }
}
"""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Markup(str):
    """Text that is HTML already."""


def element(tag: str, /, *children: str, **attributes: str) -> Markup:
    """Returns an element. Children and attributes are escaped; those children that are `Markup` are not.

    Args:
        tag: The element's name.
        children: What it holds.
        attributes: By name; ``class_`` stands for class, an underscore within a name for a hyphen.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"' for key, value in attributes.items()
    )
    inner = together(*children)
    return Markup(f"<{tag}{written} />" if tag in ("meta", "wbr") else f"<{tag}{written}>{inner}</{tag}>")


def together(*parts: str) -> Markup:
    """Returns parts one after the other, those escaped that are not `Markup`."""
    return Markup("".join(part if isinstance(part, Markup) else html.escape(part) for part in parts))


def document(title: str, *body: str) -> str:
    """Returns a whole page."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(CSS)),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', element('main', *body)), lang='en')}\n"


def breakable(text: str) -> Markup:
    """Returns the text of an architecture as code, which may break after a plus, a comma or an operand."""
    parts = re.split(r"(?<=[+,])|(?<=\d\|)(?=\w)", text)
    children = [piece for part in parts for piece in (element("wbr"), part)][1:]
    return element("code", *children)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    numbers: Sequence[int] = (),
    marked: Sequence[int] = (),
    caption: str = "",
    stacked: bool = False,
) -> Markup:
    """Returns a table in a box of its own, which scrolls where the page is narrow.

    Args:
        head: The columns' heads.
        rows: Cells; the first of each is the row's head.
        numbers: Which columns hold numbers.
        marked: Which rows stand out.
        caption: What the table shows.
        stacked: Whether the last cell of a row takes a line of its own where the page is narrow.
    """

    def cell(name: str, column: int, content: str, **scope: str) -> Markup:
        kind = {"class_": "number"} if column in numbers else {"class_": "text"} if "<code>" in content else {}
        return element(name, content, **kind, **scope)

    body = [
        element(
            "tr",
            *(
                cell("td", column, content) if column else cell("th", column, content, scope="row")
                for column, content in enumerate(row)
            ),
            **({"class_": "marked"} if index in marked else {}),
        )
        for index, row in enumerate(rows)
    ]
    heads = [cell("th", column, content, scope="col") for column, content in enumerate(head)]
    parts = [element("thead", element("tr", *heads))] if any(head) else []
    box = element(
        "div",
        element(
            "table",
            *parts,
            element("tbody", *body),
            **({"class_": "stacked", "style": f"--numbers: {len(head) - 2}"} if stacked else {}),
        ),
        class_="box",
        tabindex="0",
        role="region",
        aria_label=caption or "table",
    )
    return element("div", *([element("p", caption, class_="note")] if caption else []), box, class_="table")


def figure(name: str, svg: str, caption: str, *, drawing: bool = False) -> Markup:
    """Returns a figure with its SVG inline.

    Args:
        name: Of letters, digits and hyphens, of no other figure on the page: it makes the SVG's ids its own.
        svg: The SVG as matplotlib wrote it.
        caption: What is seen; a part in ``Markup`` may be bold.
        drawing: Whether it is a drawing, which scrolls where the page is narrow instead of shrinking.
    """
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    plain = re.sub("<[^>]*>", "", caption) if isinstance(caption, Markup) else html.escape(caption)
    picture = Markup(svg.strip().replace("<svg ", f'<svg role="img" aria-label="{plain}" ', 1))
    if drawing:
        natural = re.search(r'<svg [^>]*width="([\d.]+pt)"', picture)
        assert natural is not None
        picture = element("div", picture, class_="drawing", style=f"--natural: {natural[1]}")
    return element("figure", picture, element("figcaption", caption))


def figures(*members: Markup, width: int = 340) -> Markup:
    """Returns figures side by side, as many in a row as there is room for.

    Args:
        members: The figures.
        width: The least width of one, in pixels.
    """
    return element("div", *members, class_="figures", style=f"--figure: {width}px")


def write_page(place: Path, page: str, figures: Mapping[str, bytes]) -> Path:
    """Writes a page and the files of its figures into a folder and returns the page, ``index.html``.

    Figures that an earlier page listed as its own in ``figures.json``, and that this one has not, are removed. Any
    other file stays.
    """
    listed = _listed(place)
    _list(place, listed | set(figures))  # before they are there: a killed process leaves no figure that nobody removes
    for name, content in figures.items():
        write_at_once(place / "figures" / name, content)
    for stale in listed - set(figures):
        inside(place / "figures", stale).unlink(missing_ok=True)
    write_at_once(place / "index.html", page.encode("utf-8"))
    _list(place, set(figures))
    return place / "index.html"


def _listed(place: Path) -> set[str]:
    """Returns the figures that the page in a folder lists as its own; none of a page that lists none."""
    try:
        names = json.loads((place / FIGURES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    known = names if isinstance(names, list) else []
    return {name for name in known if isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9-]+\.(svg|png)", name)}


def _list(place: Path, names: Set[str]) -> None:
    write_at_once(place / FIGURES, (json.dumps(sorted(names), indent=1) + "\n").encode("utf-8"))


def write_at_once(file: Path, content: bytes) -> None:
    """Writes a file so that a killed process leaves the old one or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def flatten(values: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Returns nested values under dotted keys."""
    flat: dict[str, object] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else {f"{prefix}{key}": value}
    return flat
