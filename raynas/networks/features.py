"""Feature maps of a derived network: the last map at each resolution, in timm's conventions for ``features_only``.

Detection and segmentation take a backbone as a module that returns a list of maps and states their channels and
strides. `FeatureMaps` makes one of any network, without knowing its space: one pass shows the sizes of all maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from raynas.errors import InputError

GLOBAL_POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
"""Modules whose output is no feature map but the input of a classifier."""


@dataclass(frozen=True)
class FeatureMap:
    """A map of a network.

    Attributes:
        module: Dotted name of the module that returns it.
        num_chs: Its channels, under timm's name.
        reduction: Height of the image divided by that of the map.
    """

    module: str
    num_chs: int
    reduction: int


class FeatureInfo:
    """Channels, strides and modules of the maps that a backbone returns, as timm's class of that name states them."""

    def __init__(self, maps: Sequence[FeatureMap], out_indices: Sequence[int]) -> None:
        """Takes all maps of the network, and the indices of those that are returned."""
        self.all_maps = tuple(maps)
        self.out_indices = tuple(out_indices)
        self._returned = [self.all_maps[index] for index in self.out_indices]

    def __len__(self) -> int:
        """Returns the number of maps that are returned."""
        return len(self._returned)

    def channels(self) -> list[int]:
        """Returns the channels of each returned map."""
        return [found.num_chs for found in self._returned]

    def reduction(self) -> list[int]:
        """Returns the stride of each returned map: height of the image divided by that of the map."""
        return [found.reduction for found in self._returned]

    def module_name(self) -> list[str]:
        """Returns the dotted name of the module that each returned map comes from."""
        return [found.module for found in self._returned]


class FeatureMaps(nn.Module):
    """Returns a list with the last feature map at each resolution, the largest first.

    A map counts if the modules around its own have the size of the map too. A layer inside of a block that halves the
    size is therefore no map, unless a resolution has no other, and the head is none.

    Attributes:
        module: The network.
        feature_info: Channels and strides of the maps.
        out_indices: Indices of the maps that are returned.
    """

    def __init__(self, module: nn.Module, resolution: int, out_indices: Sequence[int] | None = None) -> None:
        """Finds the maps by one pass over an image of zeros; the mode and statistics of the network stay.

        Args:
            module: A derived network; it is used, not copied.
            resolution: Height and width of that image. Other images may have other sizes.
            out_indices: Indices of the maps to return, of the largest first; negative ones count from the last. All by
                default.

        Raises:
            InputError: If the network has no map, or not those of the indices.
        """
        super().__init__()
        maps = _last_maps(_traced(module, resolution), resolution)
        if not maps:
            raise InputError(f"the network has no feature maps for images of {resolution} x {resolution}")
        wanted = range(len(maps)) if out_indices is None else out_indices
        for index in wanted:
            if not -len(maps) <= index < len(maps):
                raise InputError(f"out_indices: expected {-len(maps)} to {len(maps) - 1}, got {index}")
        self.module = module
        self.feature_info = FeatureInfo(maps, [index % len(maps) for index in wanted])
        self.out_indices = self.feature_info.out_indices

    def forward(self, images: Tensor) -> list[Tensor]:
        """Returns the maps, each ``(batch, channels, height / reduction, width / reduction)``.

        Args:
            images: ``(batch, 3, height, width)``.
        """
        found: dict[str, Tensor] = {}
        handles = []
        for name in self.feature_info.module_name():
            handles.append(self.module.get_submodule(name).register_forward_hook(_keep(found, name)))
        try:
            self.module(images)
        finally:
            for handle in handles:
                handle.remove()
        return [found[name] for name in self.feature_info.module_name()]


def _keep(found: dict[str, Tensor], name: str) -> Any:
    """Returns a hook that stores the output of a module under a name."""

    def hook(module: nn.Module, arguments: Any, output: Tensor) -> None:
        found[name] = output

    return hook


@dataclass
class _Call:
    """A call of a module in the pass.

    Attributes:
        name: Dotted name of the module; empty for the network.
        around: The calls that it happened in, the network's first.
        shape: Shape of its output; None for what is no tensor.
        is_pool: Whether it pools over the whole image.
    """

    name: str
    around: tuple[_Call, ...]
    shape: tuple[int, ...] | None = None
    is_pool: bool = False

    @property
    def size(self) -> int | None:
        """Height of the map; None for what is no map."""
        return self.shape[2] if self.shape is not None and len(self.shape) == 4 else None


def _traced(module: nn.Module, resolution: int) -> list[_Call]:
    """Returns the calls of all modules in a pass, in the order in which they end."""
    ended: list[_Call] = []
    running: list[_Call] = []
    names = {id(part): name for name, part in module.named_modules()}

    def enter(part: nn.Module, arguments: Any) -> None:
        running.append(_Call(names[id(part)], tuple(running), is_pool=isinstance(part, GLOBAL_POOLS)))

    def leave(part: nn.Module, arguments: Any, output: Any) -> None:
        call = running.pop()
        call.shape = tuple(output.shape) if isinstance(output, Tensor) else None
        ended.append(call)

    handles = []
    for part in module.modules():
        handles += [part.register_forward_pre_hook(enter), part.register_forward_hook(leave)]
    modes = {part: part.training for part in module.modules()}
    parameter = next(module.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(1, 3, resolution, resolution, device=parameter.device))
    except RuntimeError as error:
        size = f"{resolution} x {resolution}"
        raise InputError(f"the network cannot run on an image of {size}: {str(error).splitlines()[0]}") from error
    finally:
        for handle in handles:
            handle.remove()
        for part, mode in modes.items():
            part.training = mode
    return ended


def _last_maps(calls: Sequence[_Call], resolution: int) -> list[FeatureMap]:
    """Returns the last map of each size, the largest first."""
    last: dict[int, _Call] = {}
    inner: dict[int, _Call] = {}
    for call in calls:
        inside = call.around[1:]  # the network itself returns logits
        if call.size is None or call.is_pool or any(outer.size is None for outer in inside):
            continue
        if not call.name:
            continue
        if all(outer.size == call.size for outer in inside):
            last[call.size] = call
        elif call.size not in inner or len(call.around) <= len(inner[call.size].around):
            inner[call.size] = call
    chosen = {**inner, **last}
    maps = []
    for size in sorted(chosen, reverse=True):
        call = chosen[size]
        assert call.shape is not None
        maps.append(FeatureMap(call.name, call.shape[1], round(resolution / size)))
    return maps
