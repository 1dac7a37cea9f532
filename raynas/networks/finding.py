"""Networks by what a command names: the folder of an export.

Verbs ask here, so that another kind of place, such as the folder of a run, is added in this file alone.
"""

from __future__ import annotations

from raynas.networks.found_network import FoundNetwork
from raynas.networks.loading import load_network, load_predictor
from raynas.networks.predictor import Predictor


def find_network(where: str, *, own: bool = False) -> FoundNetwork:
    """Returns the network that a command names, as a module that can be exported.

    Args:
        where: The folder of an export with modules.
        own: Whether the network is the user's own, so that code that it names may be executed.

    Raises:
        InputError: If there is no such network.
    """
    return load_network(where, own=own)


def find_predictor(where: str, *, own: bool = False) -> FoundNetwork | Predictor:
    """Returns the network that a command names, in whatever form it can be run; arguments as `find_network`.

    Raises:
        InputError: If there is no such network.
    """
    return load_predictor(where, own=own)
