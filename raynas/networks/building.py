"""From a record to its space and its network, and from a space and an architecture to a record."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from raynas.config.made_space import made_space
from raynas.errors import InputError
from raynas.members import is_own
from raynas.messages import echo, shortened
from raynas.records.network_record import NetworkRecord, Preprocessing
from raynas.search_space import SearchSpace
from raynas.supernet.costs import architecture_costs


def make_space(name: str, arguments: Mapping[str, Any], *, own: bool) -> SearchSpace:
    """Returns a space by its name and arguments.

    Args:
        name: A name that raynas knows, or the dotted path of a class.
        arguments: Arguments of the class.
        own: Whether the module of a dotted path may be imported, which executes it. One that this process has imported
            already needs no permission.

    Raises:
        InputError: If there is no such space, it does not take the arguments, or its module may not be imported.
    """
    if is_own(name) and not own and name.rpartition(".")[0] not in sys.modules:
        raise InputError(
            f"space.name: {echo(name)} is a class outside of raynas, whose module would be executed; if the network is "
            "your own, give --own, or own=True in Python"
        )
    return made_space(name, arguments)


def space_of_values(values: Mapping[str, Any], *, own: bool = True) -> SearchSpace:
    """Returns the space of a name and arguments as a record states them, as `make_space` does."""
    return make_space(values["name"], {key: value for key, value in values.items() if key != "name"}, own=own)


def network_record(
    space: Mapping[str, Any],
    architecture: Sequence[int],
    num_classes: int,
    preprocessing: Preprocessing,
    *,
    weights: str,
    own: bool = True,
    **further: Any,
) -> NetworkRecord:
    """Returns the record of a network, with its text and its costs.

    Args:
        space: Name and arguments of the space.
        architecture: Candidate taken at each choice.
        num_classes: Number of classes.
        preprocessing: What an image becomes before the network sees it.
        weights: ``retrained``, ``inherited`` or ``initial``.
        own: As `make_space` takes it.
        further: Other fields of the record.

    Raises:
        InputError: If the space or the architecture is not as it should be.
    """
    built = space_of_values(space, own=own)
    checked = built.check(architecture)
    num_parameters, multiply_adds = architecture_costs(built, checked, preprocessing.resolution, num_classes)
    return NetworkRecord(
        space=dict(space),
        architecture=list(checked),
        text=built.describe(checked),
        num_classes=num_classes,
        preprocessing=preprocessing,
        num_parameters=num_parameters,
        multiply_adds=multiply_adds,
        weights=weights,
        **further,
    )


def loaded_network(record: NetworkRecord, tensors: Mapping[str, Tensor], where: str, *, own: bool = False) -> nn.Module:
    """Returns the network of a record with weights, in evaluation mode; every tensor must have its place.

    Names and shapes are compared before memory is taken for the network.

    Args:
        record: Space, architecture and number of classes.
        tensors: Parameters and buffers by name.
        where: The file of the weights, for messages.
        own: As `make_space` takes it.

    Raises:
        InputError: If the record does not describe a network, or the weights are of another one.
    """
    space = space_of_values(record.space, own=own)
    architecture = space.check(record.architecture)
    with torch.device("meta"):
        outline = space.build_network(architecture, record.num_classes)
    problem = _mismatch(outline.state_dict(), tensors)
    if problem:
        raise InputError(f"{where}: {problem}; config.json and weights are of different networks, export it again")
    with torch.random.fork_rng(devices=[]):  # loading takes no random numbers from the caller
        network = space.build_network(architecture, record.num_classes)
    network.load_state_dict(dict(tensors), strict=True)
    return network.eval()


def _mismatch(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """Returns the first difference of names, shapes or types; empty if there is none."""
    for name, tensor in wanted.items():
        if name not in given:
            return f"expected the tensor {name}, found none"
        found = given[name]
        if found.shape != tensor.shape:
            return f"expected {name} of shape {tuple(tensor.shape)}, got {tuple(found.shape)}"
        if found.is_floating_point() != tensor.is_floating_point():
            return f"expected {name} of {tensor.dtype}, got {found.dtype}"
    unknown = sorted(set(given) - set(wanted))
    return f"the network has no tensor {shortened(unknown[0])}" if unknown else ""
