"""Modules of the user's own, such as a space beside the run file: found behind everything that is installed.

The folder that a command is given in is no place to import from, as long as nothing names a module in it: a file there
that is called as a module of Python or of a package would be executed in the place of that module. Where a run file
names a class by its dotted path, that folder becomes the last entry of the search path, here and in all processes of
the run, which learn it from the environment.
"""

from __future__ import annotations

import os
import sys

IMPORT_PATH = "RAYNAS_IMPORT_PATH"
"""The environment variable of the folders with modules of the user's own, separated as in PATH."""


def extend_search_path() -> None:
    """Appends the current folder, and those of `IMPORT_PATH`, to the search path of this process and its children."""
    given = os.environ.get(IMPORT_PATH, "").split(os.pathsep)
    folders = [folder for folder in dict.fromkeys([os.getcwd(), *given]) if folder]
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)
    os.environ[IMPORT_PATH] = os.pathsep.join(folders)
