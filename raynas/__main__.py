"""`python -m raynas`."""

import os
import sys

if sys.path[0] in ("", os.getcwd()) and not getattr(sys.flags, "safe_path", False):
    # Python put the current folder first, where a file such as queue.py would take the place of Python's own.
    del sys.path[0]
    _home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if _home not in sys.path:  # raynas is not installed, and was found in the current folder
        sys.path.append(_home)

from raynas.cli import main

sys.exit(main())
