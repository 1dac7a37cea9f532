"""raynas searches neural architectures at scale: one YAML file in, the best architectures and their evidence out.

    import raynas

    run = raynas.run("jobs/quickstart.yaml")
    network = run.network(0)

The names of `__all__` are loaded when they are first used, so that the import is fast.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what type checkers and editors see of the names below
    from raynas.api import check, open_run, rank, retrain, run
    from raynas.errors import InputError
    from raynas.fitness import FitnessRow
    from raynas.networks.loading import load_network
    from raynas.opened_run import Run
    from raynas.search import Searcher
    from raynas.search_space import Choice, SearchSpace

__version__ = "0.1.0"

_PLACES = {
    "run": "raynas.api",
    "check": "raynas.api",
    "rank": "raynas.api",
    "retrain": "raynas.api",
    "open_run": "raynas.api",
    "Run": "raynas.opened_run",
    "load_network": "raynas.networks.loading",
    "SearchSpace": "raynas.search_space",
    "Choice": "raynas.search_space",
    "Searcher": "raynas.search",
    "FitnessRow": "raynas.fitness",
    "InputError": "raynas.errors",
}
"""The names of the package, and the module that each is from."""

__all__ = [
    "Choice",
    "FitnessRow",
    "InputError",
    "Run",
    "SearchSpace",
    "Searcher",
    "check",
    "load_network",
    "open_run",
    "rank",
    "retrain",
    "run",
]


def __getattr__(name: str) -> object:
    """Returns a name of the package."""
    if name not in _PLACES:
        raise AttributeError(f"module 'raynas' has no attribute '{name}'; it has {', '.join(_PLACES)}")
    return getattr(importlib.import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Returns the names of the package, for completion."""
    return [*globals(), *_PLACES]
