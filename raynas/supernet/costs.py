"""Costs of the candidates of a space, traced on the networks, so that no space needs its own formula.

The union of all derived networks (`union_of`) runs once, without data and weights, with every candidate of every choice
active. The cost of a convolution or linear layer belongs to the candidate that contains it. A layer outside all
candidates belongs to the constant part of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from raynas.capabilities import cost_choices_of, cost_terms_of, path_counts_of, union_of
from raynas.errors import InputError
from raynas.members import Family
from raynas.search_space import AdditiveTable, Architecture, SearchSpace, as_array
from raynas.supernet.choice_block import ChoiceBlock
from raynas.supernet.example_inputs import example_inputs
from raynas.supernet.gates import Gate


@dataclass(frozen=True)
class CostRow:
    """A cost of an architecture with its name in run files: in ``search.objectives`` and in the keys of limits.

    Attributes:
        name: The name.
        title: The name in texts.
        unit: Its unit in files; empty for a count.
        is_measured: Whether it is measured on a device before the search; otherwise it is an exact count.
    """

    name: str
    title: str
    unit: str = ""
    is_measured: bool = False


NUM_PARAMETERS = CostRow("num_parameters", "parameters")
MULTIPLY_ADDS = CostRow("multiply_adds", "multiply-adds")

COUNTED = (NUM_PARAMETERS.name, MULTIPLY_ADDS.name)
"""The quantities of a table as absolute counts, with multiply-adds for one image."""

COSTS = Family("search.objectives", CostRow, "raynas.supernet")
"""The costs."""


@dataclass
class Call:
    """One call of a candidate.

    Attributes:
        choice: Index of its choice in the cost choices of the space.
        candidate: Its index.
        module: The candidate.
        shape: Shape of its input, including the batch.
        multiply_adds: Multiply-adds of its convolutions and linear layers, for the whole batch.
    """

    choice: int
    candidate: int
    module: nn.Module
    shape: tuple[int, ...]
    multiply_adds: int = 0


def cost_table(space: SearchSpace, resolution: int, num_classes: int) -> AdditiveTable:
    """Returns the parameters and multiply-adds of every candidate and of the constant part, int64.

    Convolutions and linear layers count, and each bias of a linear layer counts as one, as in NAS-Bench-201.
    Normalisation, pooling and activation do not count, as in all the papers.

    Args:
        space: The space.
        resolution: Height and width of an image; tokens of a text.
        num_classes: Number of classes.

    Raises:
        InputError: If images of this resolution do not fit the network, or a choice has no choice block.
    """
    with torch.device("meta"):
        union = union_of(space, num_classes)
        images = example_inputs(space, 1, resolution, torch.device("meta"))
    counter = _counter()
    with counter:
        calls = traced_calls(space, union, images, lambda: counter.get_total_flops() // 2)
    choices = cost_choices_of(space)
    most = max(len(choice.candidates) for choice in choices)
    terms = np.zeros((len(choices), most, len(COUNTED)), dtype=np.int64)
    parameters = {id(parameter): parameter.numel() for parameter in union.parameters()}
    for call in calls:
        parameter_count = sum(parameters.pop(id(parameter), 0) for parameter in call.module.parameters())
        terms[call.choice, call.candidate] += (parameter_count, call.multiply_adds)
    always = (sum(parameters.values()), counter.get_total_flops() // 2 - terms[:, :, 1].sum())
    return AdditiveTable(COUNTED, np.array(always, dtype=np.int64), terms, terms_of=cost_terms_of(space))


def architecture_costs(
    space: SearchSpace, architecture: Architecture, resolution: int, num_classes: int
) -> tuple[int, int]:
    """Returns the parameters and multiply-adds of one architecture, as `cost_table` has them.

    Its network runs once, without data and weights, which takes a tenth of the time of a table. What lies on no path of
    a cell has parameters and costs but does not run: such an architecture is looked up in a table.

    Args:
        space: The space.
        architecture: The architecture.
        resolution: Height and width of an image.
        num_classes: Number of classes.

    Raises:
        InputError: If the architecture is not of the space, or images of this resolution do not fit its network.
    """
    architecture = space.check(architecture)
    if _has_dead_parts(space, architecture):
        num_parameters, multiply_adds = cost_table(space, resolution, num_classes).total(as_array([architecture]))[0]
        return int(num_parameters), int(multiply_adds)
    with torch.device("meta"):
        network = space.build_network(architecture, num_classes).eval()
        images = example_inputs(space, 1, resolution, torch.device("meta"))
    counter = _counter()
    with counter, torch.no_grad(), _fitting(space, images):
        network(images)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


def _has_dead_parts(space: SearchSpace, architecture: Architecture) -> bool:
    """Returns whether a candidate that is not ``none`` lies on no path."""
    counts = path_counts_of(space, as_array([architecture]))[0].tolist()
    names = [choice.candidates[k] for choice, k in zip(space.choices, architecture, strict=True)]
    return any(not count and name != "none" for count, name in zip(counts, names, strict=True))


def _counter() -> FlopCounterMode:
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm: _addmm})


@contextmanager
def _fitting(space: SearchSpace, images: Tensor) -> Iterator[None]:
    """Reports a failure inside the block as one of the size of the images.

    Raises:
        InputError: If torch refuses to run.
    """
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        size = "x".join(map(str, images.shape[2:]))
        raise InputError(
            f"data.resolution: the network of {type(space).__name__} cannot run on an image of {size}: "
            f"{str(error).splitlines()[0]}"
        ) from error


def traced_calls(
    space: SearchSpace, union: nn.Module, images: Tensor, multiply_adds: Callable[[], int] = lambda: 0
) -> list[Call]:
    """Returns every call of a candidate, in order, in a pass through the union with all candidates active.

    Args:
        space: The space.
        union: Its network of all candidates, on the device of the images.
        images: ``(batch, 3, height, width)``.
        multiply_adds: Returns the number of multiply-adds so far.

    Raises:
        InputError: If the images do not fit the network, or a choice has no choice block.
    """
    choices = cost_choices_of(space)
    gates = tuple(Gate(tuple(range(len(choice.candidates)))) for choice in choices)
    trace = _Trace({id(gate): choice for choice, gate in enumerate(gates)}, multiply_adds)
    with trace.hooked(union), torch.no_grad(), _fitting(space, images):
        union.eval()(images, gates)
    routed = {call.choice for call in trace.calls}
    for number, choice in enumerate(choices):
        if number not in routed:
            raise InputError(
                f"{type(space).__name__}: no ChoiceBlock is called with the gate of {choice.name}; route every choice "
                "through one, so that its candidates can be told apart"
            )
    return trace.calls


@dataclass
class _Trace:
    """Records the calls of candidates; a choice block belongs to the choice of its gate."""

    choices: dict[int, int]
    multiply_adds: Callable[[], int]
    calls: list[Call] = field(default_factory=list)
    _choice_of: dict[int, int] = field(default_factory=dict)

    @contextmanager
    def hooked(self, union: nn.Module) -> Iterator[None]:
        handles = []
        for block in union.modules():
            if isinstance(block, ChoiceBlock):
                handles.append(block.register_forward_pre_hook(self._enter_block))
                for k in range(block.num_candidates):
                    handles.append(block.candidate(k).register_forward_pre_hook(self._enter(block, k)))
                    handles.append(block.candidate(k).register_forward_hook(self._leave))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter_block(self, block: nn.Module, arguments: tuple[Any, ...]) -> None:
        if id(arguments[1]) not in self.choices:
            raise InputError(
                "a ChoiceBlock is called with a gate of the network's own; pass on that of a choice as it is"
            )
        self._choice_of[id(block)] = self.choices[id(arguments[1])]

    def _enter(self, block: ChoiceBlock, k: int) -> Callable[[nn.Module, tuple[Any, ...]], None]:
        def note(module: nn.Module, arguments: tuple[Any, ...]) -> None:
            shape = tuple(arguments[0].shape)
            self.calls.append(Call(self._choice_of[id(block)], k, module, shape, -self.multiply_adds()))

        return note

    def _leave(self, module: nn.Module, arguments: tuple[Any, ...], output: object) -> None:
        self.calls[-1].multiply_adds += self.multiply_adds()


def _addmm(
    bias: Sequence[int], left: Sequence[int], right: Sequence[int], out_shape: object = None, **_: object
) -> int:
    """Returns twice the multiply-adds of a linear layer with bias, whose additions count as one each."""
    (rows, inner), columns = left, right[1]
    return 2 * rows * columns * (inner + 1)
