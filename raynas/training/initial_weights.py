"""Other first weights than the layers' own. Imports torch only where it samples them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class Distribution(NamedTuple):
    """A distribution of first kernels.

    Attributes:
        function: The name of a function of ``torch.nn.init``.
        mode: ``fan_in``: the variance is 2 / (inputs of an output). ``fan_out``: 2 / (outputs of an input).
    """

    function: str
    mode: str


DISTRIBUTIONS = {
    "normal": Distribution("kaiming_normal_", "fan_in"),
    "uniform": Distribution("kaiming_uniform_", "fan_in"),
    "normal_fan_out": Distribution("kaiming_normal_", "fan_out"),
    "uniform_fan_out": Distribution("kaiming_uniform_", "fan_out"),
}
"""Distributions by the name that run files use."""

LINEAR_DEVIATION = 0.01
"""Deviation of the weights of linear layers, where kernels are sampled by their outputs."""

LINEAR_DISTRIBUTIONS = ("small",)
"""Distributions of linear layers alone: normal with `LINEAR_DEVIATION`, and no first bias."""


def draw_kernels(network: nn.Module, distribution: str | None, linear: str | None = None) -> None:
    """Samples the kernels of all convolutions and linear layers anew, by torch's global generator.

    Their mean is 0. Their variance is 2 / (inputs of an output), so that ReLUs keep the size of what passes through, or
    2 / (outputs of an input), so that they keep the size of gradients. Outputs count over all groups of a convolution.
    With the latter, linear layers have weights of deviation 0.01 and no first bias, as in the code of ResNet and
    MobileNetV2 in torchvision.

    The code of RLNAS has ``normal_fan_out`` in the MobileNet space. In the DARTS space on ImageNet it has ``uniform``
    with ``small`` linear layers: its supernet samples inserted cells by their outputs, and then all kernels by their
    inputs.

    Args:
        network: The network, changed in place.
        distribution: A key of `DISTRIBUTIONS`; None leaves convolutions as they are.
        linear: One of `LINEAR_DISTRIBUTIONS`; None samples linear layers by `distribution` too.

    Reference: He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers", section 2.2.
    """
    from torch import nn

    for module in network.modules():
        if isinstance(module, nn.Linear) and _are_small(distribution, linear):
            nn.init.normal_(module.weight, std=LINEAR_DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif distribution is not None and isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            function, mode = DISTRIBUTIONS[distribution]
            getattr(nn.init, function)(module.weight, mode=mode, nonlinearity="relu")


def _are_small(distribution: str | None, linear: str | None) -> bool:
    """Returns whether linear layers have weights of deviation 0.01 and no first bias."""
    by_outputs = distribution is not None and DISTRIBUTIONS[distribution].mode == "fan_out"
    return by_outputs or linear == "small"
