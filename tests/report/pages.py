"""Pages taken apart: well-formed or not, what they say, and what they would fetch."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import raynas.report

VOID = {"meta", "wbr"}

SCRIPT = (Path(raynas.report.__file__).with_name("templates") / "page.js").read_text(encoding="utf-8")
"""The only script that a page may have."""


def only_script(page: Page) -> bool:
    """Returns whether a page has no other script than its own, which its policy names by its hash."""
    (policy,) = [value for tag, name, value in page.attributes if tag == "meta" and value.startswith("default-src")]
    (content,) = re.findall(r"<script>(.*?)</script>", page.source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")
    handlers = [name for _, name, value in page.attributes if name.startswith("on") or value.startswith("javascript:")]
    return (
        page.scripts == [f"//\n{SCRIPT}//"]
        and policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
        and not handlers
    )


def _unfolded(element: ElementTree.Element) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        if child.tag != "summary":
            yield from _unfolded(child)
        yield child.tail or ""


class Page(HTMLParser):
    """A page's text, headings, tables, ids and addresses; closing tags must match."""

    def __init__(self, file: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = file.read_text(encoding="utf-8")
        self.root = ElementTree.fromstring(self.source.partition("\n")[2])  # well-formed as XML too
        self.values: list[str] = []  # what is seen under the pointer is no part of the text
        for parent in list(self.root.iter()):
            for child in list(parent):
                if child.get("class") == "values":
                    self.values += ["".join(mark.itertext()) for mark in child]
                    parent.remove(child)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def said_by(self, tag: str) -> list[str]:
        """Returns the text of every element of a tag, its children's included."""
        return ["".join(element.itertext()) for element in self.root.iter() if element.tag.rpartition("}")[2] == tag]

    @property
    def text(self) -> str:
        """All text but the style and the script."""
        return " ".join("".join(text for tag, text in self.texts if tag not in ("style", "script")).split())

    @property
    def scripts(self) -> list[str]:
        """The content of every script of the page."""
        return ["".join(element.itertext()) for element in self.root.iter("script")]

    def section(self, title: str) -> str:
        """Returns the text of the section of a heading."""
        (found,) = (s for s in self.root.iter("section") if "".join(s.find("h2").itertext()) == title)  # type: ignore
        return " ".join("".join(found.itertext()).split())

    def rows(self, table: int) -> list[list[str]]:
        """Returns the cells of a table, a folded text as it is unfolded."""
        rows = list(self.root.iter("table"))[table].iter("tr")
        return [[" ".join("".join(_unfolded(cell)).split()) for cell in row] for row in rows]

    def fetched(self) -> list[str]:
        """Returns what a browser would fetch: addresses that are neither of the page itself nor data."""
        addresses = [
            value
            for tag, name, value in self.attributes
            if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster", "background")
        ]
        styles = [text for tag, text in self.texts if tag == "style"] + [
            v for _, n, v in self.attributes if n == "style"
        ]
        addresses += re.findall(r"url\(([^)]*)\)", " ".join(styles + [v for _, _, v in self.attributes]))
        addresses += re.findall(r"@import[^;]*", " ".join(styles))
        return [address for address in addresses if not address.strip("\"'").startswith(("#", "data:"))]

    def ids(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "id"]

    def referred(self) -> set[str]:
        """Returns the ids that the page's own references name."""
        values = [value for _, _, value in self.attributes]
        urls = [match for value in values for match in re.findall(r"url\(#([^)]*)\)", value)]
        return {*urls, *(v[1:] for _, n, v in self.attributes if n in ("href", "xlink:href") and v.startswith("#"))}
