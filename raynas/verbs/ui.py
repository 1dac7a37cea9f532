"""The verb that serves the pages of a folder of runs to a browser of this machine."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from raynas.stages import signals

if TYPE_CHECKING:
    from pathlib import Path


def ui(options: argparse.Namespace) -> int:
    """Serves the pages until an interruption, which is the usual end."""
    from pathlib import Path

    with signals.imports():
        from raynas.config.locations import is_url
        from raynas.storage.run_list import require_folder

    if is_url(options.folder):
        from raynas.storage.remote_runs import runs_at

        with runs_at(options.folder, lambda line: print(f"raynas ui: {line}", file=sys.stderr, flush=True)) as folder:
            return _serve(folder, options.port)
    folder = Path(options.folder).expanduser()
    require_folder(folder)
    return _serve(folder, options.port)


def _serve(folder: Path, port: int) -> int:
    """Serves the pages of a folder of runs."""
    with signals.imports():
        from raynas.config.default_values import default_values
        from raynas.ui.pages import Pages
        from raynas.ui.server import Server

    server = Server(Pages(folder, default_values), port)
    print(f"raynas ui: {server.address}", flush=True)
    print("Open it in a browser of this machine; Ctrl-C ends it.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:  # Ctrl-C or SIGTERM
        return 0
    finally:
        server.server_close()
    return 0
