"""Other first weights than those that the layers draw for themselves."""

from __future__ import annotations

from typing import Literal

from torch import nn


def draw_kernels(network: nn.Module, distribution: Literal["normal", "uniform"]) -> None:
    """Draws the kernels of all convolutions and linear layers anew, by torch's global generator; all else stays.

    Their mean is 0 and their variance 2 / (inputs of an output), so that ReLUs keep the size of what passes through.

    Reference: He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers", section 2.2.
    """
    draw = {"normal": nn.init.kaiming_normal_, "uniform": nn.init.kaiming_uniform_}[distribution]
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            draw(module.weight, nonlinearity="relu")
