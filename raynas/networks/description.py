"""What one architecture is: its space, its spellings, and the size and speed of the networks that are made of it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from raynas.capabilities import canonical_of
from raynas.errors import InputError
from raynas.messages import echo
from raynas.networks.building import make_space
from raynas.networks.published import PUBLISHED, PublishedArchitecture, Size, published
from raynas.search_space import Architecture, SearchSpace
from raynas.spaces import SPACES
from raynas.supernet.costs import architecture_costs
from raynas.supernet.latency import check_latency

RESOLUTION, CLASSES = 32, 10
"""Height and width of an image, and number of classes, where none are given: those of CIFAR-10."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
"""What looks like the name of a published architecture."""


@dataclass(frozen=True)
class NetworkSize:
    """The size of a network that is made of an architecture.

    Attributes:
        title: What the network is made for.
        space: The space, at the size of the network.
        resolution: Height and width of an image.
        num_classes: Number of classes.
        num_parameters: Number of parameters.
        multiply_adds: Multiply-adds for one image.
        printed: The size that a paper prints.
        seconds: Latency of one image here; None where it is not measured.
    """

    title: str
    space: SearchSpace
    resolution: int
    num_classes: int
    num_parameters: int
    multiply_adds: int
    printed: Size | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Description:
    """What one architecture is.

    Attributes:
        space_name: The name of its space.
        space: Its space.
        architecture: The architecture.
        sizes: The networks that are made of it.
        source: Paper of a published architecture; None for others.
    """

    space_name: str
    space: SearchSpace
    architecture: Architecture
    sizes: tuple[NetworkSize, ...]
    source: str | None = None

    @property
    def text(self) -> str:
        """The architecture as its space writes it."""
        return self.space.describe(self.architecture)

    @property
    def representative(self) -> str | None:
        """The representative of all architectures of equal function, as text; None if it is the architecture."""
        canonical = canonical_of(self.space, self.architecture)
        return None if canonical == self.architecture else self.space.describe(canonical)


@dataclass(frozen=True)
class Wishes:
    """What a network is to be made with.

    Attributes:
        space_name: The name of the space; None to try all.
        arguments: Arguments of the space.
        resolution: Height and width of an image.
        num_classes: Number of classes.
        latency: Whether the latency is measured on this machine.
    """

    space_name: str | None = None
    arguments: Mapping[str, Any] | None = None
    resolution: int | None = None
    num_classes: int | None = None
    latency: bool = False

    @property
    def has_own_size(self) -> bool:
        """Whether a size is wished for, in the place of the sizes that papers have."""
        return bool(self.arguments) or self.resolution is not None or self.num_classes is not None


def describe_architecture(text: str, wishes: Wishes) -> Description:
    """Returns what an architecture is.

    Args:
        text: The architecture in any spelling that its space reads, or the name of a published one.
        wishes: Space and size of its network.

    Raises:
        InputError: If the text is no architecture of the space, or of no or several spaces where none is given.
    """
    known = published(text)
    if known is not None:
        return _describe_published(known, wishes)
    if _NAME.fullmatch(text.strip()):
        close = difflib.get_close_matches(text.upper().replace("-", "_"), PUBLISHED, n=1)
        raise InputError(
            f"architecture: expected the text of an architecture or one of {', '.join(PUBLISHED)}, got {echo(text)}"
            + (f"; did you mean {close[0]}?" if close else "")
        )
    arguments = wishes.arguments or {}
    if wishes.space_name is None:
        name, space, architecture = _only_reading(text, arguments)
    else:
        name, space = wishes.space_name, make_space(wishes.space_name, arguments, own=True)
        architecture = _parsed(space, name, text)
    return Description(name, space, architecture, (_size("network", space, architecture, wishes),))


def _describe_published(known: PublishedArchitecture, wishes: Wishes) -> Description:
    """Returns what a published architecture is: in the sizes of its papers, or in that which is wished for.

    Raises:
        InputError: If another space is wished for, or it does not take the arguments.
    """
    if wishes.space_name not in (None, known.space):
        raise InputError(
            f"--space: {known.name} is an architecture of {known.space}, got {echo(wishes.space_name)}; leave it out"
        )
    space = make_space(known.space, {**known.arguments, **(wishes.arguments or {})}, own=False)
    architecture = _parsed(space, known.space, known.text)
    if wishes.has_own_size:
        sizes = [_size("network", space, architecture, wishes)]
    else:
        sizes = []
        for network in known.networks:
            of_paper = make_space(known.space, {**known.arguments, **network.arguments}, own=False)
            paper = Wishes(resolution=network.resolution, num_classes=network.num_classes, latency=wishes.latency)
            sizes.append(_size(network.title, of_paper, architecture, paper, network.printed))
    return Description(known.space, space, architecture, tuple(sizes), known.source)


def _size(
    title: str, space: SearchSpace, architecture: Architecture, wishes: Wishes, printed: Size | None = None
) -> NetworkSize:
    """Returns the size of a network, counted, and its latency where that is wished for."""
    resolution = RESOLUTION if wishes.resolution is None else wishes.resolution
    num_classes = CLASSES if wishes.num_classes is None else wishes.num_classes
    num_parameters, multiply_adds = architecture_costs(space, architecture, resolution, num_classes)
    seconds = None
    if wishes.latency:
        (measured,) = check_latency(space, [architecture], resolution, num_classes, device=torch.device("cpu"))
        seconds = float(measured)
    return NetworkSize(
        title, space, resolution, num_classes, num_parameters, multiply_adds, printed=printed, seconds=seconds
    )


def _parsed(space: SearchSpace, name: str, text: str) -> Architecture:
    """Returns the architecture of a text.

    Raises:
        InputError: If the text is none of the space.
    """
    try:
        return space.check(space.parse(text))
    except InputError as error:
        raise InputError(f"--space {name}: {error}") from error


def _only_reading(text: str, arguments: Mapping[str, Any]) -> tuple[str, SearchSpace, Architecture]:
    """Returns the only known space that reads a text: its name, the space, and the architecture.

    Raises:
        InputError: If none or several do.
    """
    readings = []
    tried = _spaces(arguments)
    for name, space in tried:
        try:
            readings.append((name, space, space.check(space.parse(text))))
        except InputError:
            continue  # the text is of another space, or of none
    if len(readings) == 1:
        return readings[0]
    names = [name for name, _, _ in readings]
    if names:
        raise InputError(f"--space: {echo(text)} is an architecture of {' and of '.join(names)}; give one of them")
    raise InputError(
        f"architecture: expected one of the space {' or '.join(name for name, _ in tried)}, got {echo(text)}; give "
        "--space to see why it is none of that space"
    )


def _spaces(arguments: Mapping[str, Any]) -> Sequence[tuple[str, SearchSpace]]:
    """Returns the known spaces that take the arguments, by name.

    Raises:
        InputError: If none does.
    """
    spaces, reasons = [], []
    for name in SPACES.rows():
        try:
            spaces.append((name, make_space(name, arguments, own=False)))
        except InputError as error:
            reasons.append(str(error))
    if not spaces:
        raise InputError(f"{reasons[0].splitlines()[0]}; give --space")
    return spaces
