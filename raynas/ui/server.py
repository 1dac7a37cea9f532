"""The server of `raynas ui`: an address of this machine, with a secret in its path.

It answers requests from a browser on this machine only. The `Host` header has to name this machine, so that a page of
another site cannot read through a name that it points here. The path begins with a secret that is printed at the
start. Only `GET` and `HEAD` are answered, and only pages of runs directly below the folder and their comparisons. No
file is sent.
"""

from __future__ import annotations

import hmac
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from raynas.errors import InputError
from raynas.ui.pages import Pages, Place

ADDRESS = "127.0.0.1"
LIST = ([""], ["version"])
"""The address of the list of runs, and that of its version, below the secret."""

POLICY = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""What a page may not do besides what its own policy forbids."""


class Server(ThreadingHTTPServer):
    """Serves the pages of a folder of runs."""

    daemon_threads = True

    def __init__(self, pages: Pages, port: int) -> None:
        """Binds the port of this machine; 0 takes a free one.

        Raises:
            InputError: If the port cannot be had.
        """
        self.pages = pages
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__((ADDRESS, port), Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"--port: {port} cannot be used ({error}); give another one, or 0 for any") from error

    @property
    def address(self) -> str:
        """The address of the list of runs, with the secret."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, ...]:
        """What the Host header may be."""
        return f"{ADDRESS}:{self.server_port}", f"localhost:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    server_version = "raynas"
    sys_version = ""

    def do_GET(self) -> None:
        """Sends a page, or why not."""
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._send(HTTPStatus.FORBIDDEN, "expected a request to this machine\n")
            return
        token, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode("ascii")):
            self._send(HTTPStatus.FORBIDDEN, "expected the address that `raynas ui` printed\n")
            return
        try:
            answer = self._answer(unquote(rest, errors="strict").split("/"))
        except UnicodeDecodeError:
            answer = None
        if answer is None:
            self._send(HTTPStatus.NOT_FOUND, "there is no such page\n")
        else:
            self._send(HTTPStatus.OK, *answer)

    do_HEAD = do_GET

    def _answer(self, parts: list[str]) -> tuple[str, str] | None:
        """Returns content and type of an address below the secret; None if there is none."""
        pages = self.server.pages
        place: Place = None
        if parts not in LIST:
            place = _place(pages, parts)
            if place is None:
                return None
        if parts[-1] == "version":
            return pages.version(place), "text/plain"
        return pages.page(place), "text/html"

    def _send(self, status: HTTPStatus, content: str, kind: str = "text/plain") -> None:
        body = content.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Prints nothing: the path holds the secret."""


def _place(pages: Pages, parts: list[str]) -> Place:
    """Returns what the page at an address shows; None if there is none."""
    if parts[0] == "compare" and parts[-1] in ("index.html", "version"):
        return pages.chosen(parts[1:-1])
    if parts[0] == "runs" and parts[-2:] in (["report", "index.html"], ["report", "version"]):
        return pages.place(parts[1:-2])
    return None
