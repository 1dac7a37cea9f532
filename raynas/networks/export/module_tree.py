"""The modules of a network as a tree of what is to be written: layers of torch, containers, and small classes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from torch import fx, nn

from raynas.errors import RunError
from raynas.networks.export.one_level import TENSOR, Level, traced_level
from raynas.networks.export.statements import statements_of
from raynas.spaces.operations import AvgPool3x3, FactorizedReduce, SubsampledConv2d

Signature: TypeAlias = tuple[Any, ...]
"""What two parts of a network have in common that can be written as one class."""

FACTORIZED_REDUCE = (
    "x = self.relu(x)",
    "odd = F.pad(x, (0, x.shape[3] % 2, 0, x.shape[2] % 2))[:, :, 1:, 1:]",
    "return self.bn(torch.cat([self.conv_1(x), self.conv_2(odd)], dim=1))",
)

HANDWRITTEN: dict[type[nn.Module], tuple[str, ...]] = {FactorizedReduce: FACTORIZED_REDUCE}
"""Forward functions that decide by sizes, in a form without decisions; their input is ``x``."""


def _average_pool(module: nn.Module) -> nn.Module:
    assert isinstance(module, AvgPool3x3)
    return nn.AvgPool2d(3, module.stride, padding=1, count_include_pad=False)


def _strided_convolution(module: nn.Module) -> nn.Module:
    assert isinstance(module, SubsampledConv2d)
    rows, columns = module.stride
    return nn.Conv2d(module.in_channels, module.out_channels, 1, (rows, columns), bias=module.bias is not None)


REPLACED: dict[type[nn.Module], Callable[[nn.Module], nn.Module]] = {
    AvgPool3x3: _average_pool,
    SubsampledConv2d: _strided_convolution,
}
"""Modules that a layer of torch replaces, with the same names of weights."""


@dataclass
class Layer:
    """A layer of torch.nn.

    Attributes:
        kind: Its class.
        arguments: All arguments of its constructor by name.
    """

    kind: type[nn.Module]
    arguments: dict[str, Any]

    @property
    def signature(self) -> Signature:
        """The class and the names of the arguments."""
        return ("layer", self.kind.__name__, *self.arguments)


@dataclass
class Container:
    """A sequence, list or dictionary of modules.

    Attributes:
        kind: Sequential, ModuleList or ModuleDict.
        children: The modules by name.
    """

    kind: str
    children: dict[str, Branch]

    @property
    def signature(self) -> Signature:
        """The kind, and name and signature of each child."""
        return (self.kind, *((name, child.signature) for name, child in self.children.items()))


@dataclass
class Written:
    """A module that becomes a class.

    Attributes:
        name: Name of its class in raynas.
        children: Its modules by name.
        inputs: Names of the arguments of its forward function.
        statements: Lines of that function; none where it is that of Sequential.
        place: Dotted name of the module.
    """

    name: str
    children: dict[str, Branch]
    inputs: list[str]
    statements: tuple[str, ...]
    place: str
    signature: Signature = field(init=False)

    def __post_init__(self) -> None:
        """Computes the signature once."""
        children = tuple((name, child.signature) for name, child in self.children.items())
        self.signature = ("class", self.name, tuple(self.inputs), self.statements, children)


Branch: TypeAlias = Layer | Container | Written


def tree_of(network: nn.Module) -> Written:
    """Returns the tree of a network that takes images.

    Raises:
        RunError: If a module cannot be written as plain torch.
    """
    root = _written(network, [TENSOR], "")
    return root if isinstance(root, Written) else Written("Network", {"layers": root}, ["images"], (), "")


def _branch(module: nn.Module, arguments: Sequence[Any] | None, place: str) -> Branch:
    """Returns the branch of a module; without arguments, of one that is never called."""
    replace = REPLACED.get(type(module))
    if replace is not None:
        module = replace(module)
    if _is_layer(module):
        return Layer(type(module), _constructor_arguments(module))
    if isinstance(module, nn.ModuleList | nn.ModuleDict) or type(module) is nn.Sequential:
        kind = type(module).__name__
        called = [TENSOR] if kind == "Sequential" else None
        return Container(kind, _children(module, dict.fromkeys(_names(module), called), place))
    if arguments is None and type(module).forward is not nn.Sequential.forward:
        return Container("ModuleDict", _children(module, {}, place))
    return _written(module, arguments or [TENSOR], place)


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def _children(module: nn.Module, calls: dict[str, Any], place: str) -> dict[str, Branch]:
    """Returns the branches of a module's children; those without weights that are never called are left out."""
    children: dict[str, Branch] = {}
    for name, child in module.named_children():
        where = f"{place}.{name}".lstrip(".")
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            inner = {path.partition(".")[2]: call for path, call in calls.items() if path.startswith(f"{name}.")}
            children[name] = Container(type(child).__name__, _children(child, inner, where))
        elif name in calls or child.state_dict():
            children[name] = _branch(child, calls.get(name), where)
        elif isinstance(module, nn.ModuleList):  # or the numbers of the others would change
            children[name] = Layer(nn.Identity, {})
    return children


def _written(module: nn.Module, arguments: Sequence[Any], place: str) -> Written | Container:
    """Returns a module of a class of its own; one that only passes on to its one child becomes a sequence."""
    _check_tensors(module)
    name = type(module).__name__
    if type(module).forward is nn.Sequential.forward:
        calls = {child: [TENSOR] for child in _names(module)}
        return Written(name, _children(module, calls, place), ["x"], (), place)
    if type(module) in HANDWRITTEN:
        calls = {child: [TENSOR] for child in _names(module)}
        return Written(name, _children(module, calls, place), ["x"], HANDWRITTEN[type(module)], place)

    level = traced_level(module, arguments)
    children = _children(module, level.calls, place)
    passed = _passed_through(level)
    if passed is not None and passed == list(children):
        if len(passed) == 1:
            return Container("Sequential", children)
        return Written(name, children, ["x"], (), place)
    return Written(name, children, level.inputs, statements_of(level), place)


def _passed_through(level: Level) -> list[str] | None:
    """Returns the children of a module that does nothing but call them one after the other; None of any other."""
    names: list[str] = []
    before: fx.Node | None = None
    for node in level.graph.nodes:
        is_call = node.op == "call_module" and node.args == (before,) and "." not in str(node.target)
        if node.op == "placeholder" and before is None:
            before = node
        elif is_call and before is not None and len(before.users) == 1:
            names.append(str(node.target))
            before = node
        elif node.op != "output" or node.args != (before,):
            return None
    return names


def _check_tensors(module: nn.Module) -> None:
    """Checks that a module has no parameters or buffers of its own, besides those of its layers.

    Raises:
        RunError: If it has.
    """
    own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    if own:
        raise RunError(
            f"--format: the module {type(module).__name__} has the tensor {own[0][0]} of its own, which cannot be "
            "written as plain torch; take safetensors, pt2 or onnx"
        )


def _is_layer(module: nn.Module) -> bool:
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    return type(module).__module__.startswith("torch.nn.modules.") and type(module) not in containers


def _constructor_arguments(layer: nn.Module) -> dict[str, Any]:
    """Returns the arguments of a layer's constructor, read from its attributes of the same names.

    Raises:
        RunError: If one cannot be read.
    """
    arguments: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(layer).__init__).parameters.items():
        if name in ("self", "device", "dtype", "args", "kwargs"):
            continue
        if name == "bias":
            if getattr(layer, "affine", True):
                arguments[name] = layer.bias is not None
            continue
        if not hasattr(layer, name):
            raise RunError(
                f"--format: the argument {name} of a {type(layer).__name__} cannot be read; take safetensors, pt2 or "
                "onnx"
            )
        arguments[name] = _shortest(getattr(layer, name), parameter.default)
    return arguments


def _shortest(value: Any, default: Any) -> Any:
    """Returns a pair of equal numbers as one number, as constructors take it, unless the default is a pair."""
    if isinstance(value, tuple) and len(set(value)) == 1 and not isinstance(default, tuple):
        return value[0]
    return value
