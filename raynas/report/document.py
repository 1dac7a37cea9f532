"""A page in one file, rendered from its blocks by the templates, and written with the files of its figures.

The templates escape all text. A page loads nothing from outside, and its content security policy forbids it. Its one
script adds comfort (theme, order of tables, copies, values under the pointer); without it all is readable.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence, Set
from pathlib import Path

import jinja2

from raynas.config.locations import inside
from raynas.errors import InputError
from raynas.records.figures_record import FiguresRecord
from raynas.report.blocks import Head, Section, pieces
from raynas.report.palette import declarations

FIGURES = "figures.json"
"""The file next to a page that lists the names of its figures."""

TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("raynas.report", "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
TEMPLATES.filters["pieces"] = pieces


def _script(file: str) -> str:
    """Returns a script of the templates as the content of an element, in a form that is HTML and XML."""
    source = Path(__file__).with_name("templates").joinpath(file).read_text(encoding="utf-8")
    return f"//<![CDATA[\n{source}//]]>"


def _policy(scripts: Sequence[str]) -> str:
    """Returns the content security policy of a page: it fetches nothing, and executes these scripts only."""
    digests = [hashlib.sha256(script.encode("utf-8")).digest() for script in scripts]
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"


def document(title: str, head: Head, sections: Sequence[Section], *, live: bool = False) -> str:
    """Returns a whole page.

    Args:
        title: The title of the window.
        head: The head of the page.
        sections: Its sections; those without blocks are left out.
        live: Whether a server shows it, which the page then asks for changes.
    """
    shown = [section for section in sections if section.blocks]
    scripts = [_script(file) for file in (["page.js", "live.js"] if live else ["page.js"])]
    return TEMPLATES.get_template("page.html").render(
        title=title,
        head=head,
        sections=shown,
        scripts=scripts,
        policy=_policy(scripts) + ("; connect-src 'self'" if live else ""),
        themes={theme: declarations(theme) for theme in ("light", "dark")},
    )


def write_page(place: Path, page: str, figures: Mapping[str, bytes]) -> Path:
    """Writes a page and the files of its figures into a folder and returns the page, ``index.html``.

    Figures of an earlier page, listed in its ``figures.json``, are removed if this page lacks them. Other files stay.
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
    """Returns the figures that the page in a folder lists; none without a list."""
    file = place / FIGURES
    try:
        return set(FiguresRecord.read(file).figures)
    except (OSError, InputError):
        return set()


def _list(place: Path, names: Set[str]) -> None:
    record = FiguresRecord(figures=sorted(names))
    write_at_once(place / FIGURES, (json.dumps(record.content(), indent=1) + "\n").encode("utf-8"))


def write_at_once(file: Path, content: bytes) -> None:
    """Writes a file atomically: a killed process leaves the old or the new content."""
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
