"""The forward pass of one module in terms of its children, traced by torch.fx.

Children are not entered: a network becomes a graph a module, so that its code can be written as classes. What a child
gets besides tensors, such as the gates of a choice block, is a constant of its own graph.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx, nn

from raynas.errors import RunError
from raynas.failures import named

TENSOR = object()
"""Stands for a tensor among the arguments of a call."""


@dataclass
class Level:
    """The forward pass of a module.

    Attributes:
        graph: Its graph. The inputs are the tensors among the arguments.
        inputs: Their names in the forward function.
        constants: Numbers that it computes with, by their names in the graph.
        calls: For each child that is called, by its dotted name, its arguments with `TENSOR` for each tensor.
    """

    graph: fx.Graph
    inputs: list[str]
    constants: dict[str, Tensor]
    calls: dict[str, list[Any]] = field(default_factory=dict)


def traced_level(module: nn.Module, arguments: Sequence[Any]) -> Level:
    """Returns the forward pass of a module.

    Args:
        module: The module.
        arguments: Its positional arguments, `TENSOR` for each tensor.

    Raises:
        RunError: If its code decides by the values or sizes of tensors, so that there is no one graph.
    """
    tracer = _OneLevel()
    number = sum(argument is TENSOR for argument in arguments)
    try:
        graph = tracer.trace(_BOUND[number](module, arguments))
    except (TypeError, ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        raise RunError(
            f"--format: the module {type(module).__name__} cannot be written as plain torch ({named(error)}); take "
            "safetensors, pt2 or onnx"
        ) from error
    names = list(inspect.signature(type(module).forward).parameters)[1:]
    inputs = [name for name, argument in zip(names, arguments, strict=False) if argument is TENSOR]
    held = vars(tracer.root)
    constants = {name: value for name, value in held.items() if isinstance(value, Tensor)}
    return Level(graph, inputs, constants, tracer.calls)


class _OneLevel(fx.Tracer):
    """A tracer that enters no child and keeps the constants among the arguments of children."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[str, list[Any]] = {}

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return True

    def call_module(
        self, module: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        path = self.path_of_module(module).removeprefix("module.")
        given = list(inspect.signature(module.forward).bind(*args, **kwargs).arguments.values())
        pattern = [TENSOR if isinstance(value, fx.Proxy) else value for value in given]
        if self.calls.setdefault(path, pattern) != pattern:
            raise ValueError(f"{path} is called with different constants")
        tensors = tuple(value for value in given if isinstance(value, fx.Proxy))
        return self.create_proxy("call_module", path, tensors, {})


class _Bound(nn.Module):
    """A module with the constants among its arguments filled in."""

    def __init__(self, module: nn.Module, arguments: Sequence[Any]) -> None:
        super().__init__()
        self.module = module
        self.arguments = arguments

    def run(self, *tensors: Any) -> Any:
        given = iter(tensors)
        arguments = [next(given) if argument is TENSOR else argument for argument in self.arguments]
        return self.module.forward(*arguments)


class _Bound1(_Bound):
    def forward(self, a: Any) -> Any:
        return self.run(a)


class _Bound2(_Bound):
    def forward(self, a: Any, b: Any) -> Any:
        return self.run(a, b)


class _Bound3(_Bound):
    def forward(self, a: Any, b: Any, c: Any) -> Any:
        return self.run(a, b, c)


_BOUND = {1: _Bound1, 2: _Bound2, 3: _Bound3}
"""By the number of tensors: torch.fx takes the inputs of a graph from the signature."""
