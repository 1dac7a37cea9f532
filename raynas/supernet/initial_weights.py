"""Other first weights than the layers' own. Imports torch only where it samples them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

DISTRIBUTIONS = {"normal": "kaiming_normal_", "uniform": "kaiming_uniform_"}
"""Functions of ``torch.nn.init`` by the name that run files use."""


def draw_kernels(network: nn.Module, distribution: str) -> None:
    """Samples the kernels of all convolutions and linear layers anew, by torch's global generator.

    Their mean is 0 and their variance 2 / (inputs of an output), so that ReLUs keep the size of what passes through.

    Reference: He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers", section 2.2.
    """
    from torch import nn

    sample = getattr(nn.init, DISTRIBUTIONS[distribution])
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            sample(module.weight, nonlinearity="relu")
