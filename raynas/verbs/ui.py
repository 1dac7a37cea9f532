"""The verb that serves the pages of a folder of runs to a browser of this machine."""

from __future__ import annotations

import argparse

from raynas.stages import signals


def ui(options: argparse.Namespace) -> int:
    """Serves the pages until an interruption, which is the usual end."""
    from pathlib import Path

    with signals.imports():
        from raynas.config.default_values import default_values
        from raynas.storage.run_list import require_folder
        from raynas.ui.pages import Pages
        from raynas.ui.server import Server

    folder = Path(options.folder).expanduser()
    require_folder(folder)
    server = Server(Pages(folder, default_values), options.port)
    print(f"raynas ui: {server.address}", flush=True)
    print("Open it in a browser of this machine; Ctrl-C ends it.", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:  # Ctrl-C or SIGTERM
        return 0
    finally:
        server.server_close()
    return 0
