"""NAS-Bench-201: one cell of 6 edges x 5 operations, repeated; 15,625 architectures with known accuracies.

Reference: Dong and Yang 2020, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search".
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from raynas.errors import InputError
from raynas.search_space import Architecture, Choice, SearchSpace, WeightTerm, WeightVector, angle_parts
from raynas.search_space import all_architectures as every_architecture
from raynas.spaces.cell_graph import CellGraph
from raynas.spaces.operations import AvgPool3x3, ReluConvBn, ResNetReduction
from raynas.supernet.choice_block import ChoiceBlock, Zero, with_idle
from raynas.supernet.gates import Gate, Gates, per_cell

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
"""The candidates of every edge, in the benchmark's order. The code of RLNAS writes them as 0 to 4."""

ALIASES = {
    "conv_1x1": "nor_conv_1x1",
    "conv_3x3": "nor_conv_3x3",
    "Zero": "none",
    "Identity": "skip_connect",
    "ReLUConvBN1x1": "nor_conv_1x1",
    "ReLUConvBN3x3": "nor_conv_3x3",
    "AvgPool1x1": "avg_pool_3x3",
    "AvgPool3x3": "avg_pool_3x3",
}
"""Spellings of NNI and NASLib, which `NasBench201.parse` reads too."""

GRAPH = CellGraph(num_inputs=1, edges=((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), ends=(3,))

INTEGERS = re.compile(r"(\d(\s*,\s*\d)*)|\[\s*\d(\s*,\s*\d)*\s*\]|\(\s*\d(\s*,\s*\d)*\s*\)")
"""A row of integers, bare or in one pair of brackets."""

PAIR = re.compile(r"([A-Za-z]\w*)['\"]?\s*[~,]\s*(\d)")
"""An operation and the node that it comes from, in any spelling."""

BARS = r"\|P\|\+\|P\|P\|\+\|P\|P\|P\|"
TUPLES = r"\(\(P\),?\),\(\(P\),\(P\),?\),\(\(P\),\(P\),\(P\),?\),?"
SKELETONS = tuple(re.compile(text) for text in (BARS, rf"Structure\(4nodeswith{BARS}\)", TUPLES, rf"\({TUPLES}\)"))
"""An architecture's text without its pairs, each written P, and without spaces, quotes and kinds of brackets."""

CHOICES = tuple(Choice(f"{target}<-{source}", OPERATIONS) for source, target in GRAPH.edges)

NONE, SKIP, CONV_1X1, CONV_3X3, POOL = range(5)


@dataclass(frozen=True)
class NasBench201(SearchSpace):
    """The space. An architecture holds the operations of the edges 1<-0, 2<-0, 2<-1, 3<-0, 3<-1, 3<-2.

    Attributes:
        channels: Channels C of the first stage; the second and third have 2 C and 4 C.
        cells: Searched cells N per stage; 3 N in all, with a fixed reduction block between stages.
        affine: Whether the batch normalisations inside the supernet's cells have weight and bias.
        track_running_stats: Whether those normalisations keep running statistics.
    """

    channels: int = 16
    cells: int = 5
    affine: bool = False
    track_running_stats: bool = True

    name: ClassVar[str] = "nasbench201"

    def __post_init__(self) -> None:
        """Checks the sizes.

        Raises:
            InputError: If one is out of range.
        """
        for key, most in (("channels", 10_000), ("cells", 1_000)):
            if not 1 <= getattr(self, key) <= most:
                raise InputError(f"space.{key}: expected 1 to {most:,}, got {getattr(self, key)}")

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice per edge."""
        return CHOICES

    # Text

    def describe(self, architecture: Architecture) -> str:
        """Returns the benchmark's string, ``|op~0|+|op~0|op~1|+|op~0|op~1|op~2|``."""
        parts = [f"{OPERATIONS[k]}~{source}" for (source, _), k in zip(GRAPH.edges, architecture, strict=True)]
        return f"|{parts[0]}|+|{'|'.join(parts[1:3])}|+|{'|'.join(parts[3:6])}|"

    def parse(self, text: str) -> Architecture:
        """Returns the architecture of a benchmark string, of AutoDL's structures as text, or of six integers.

        Six integers are read as RLNAS' code writes them: indices of `OPERATIONS` in the order of the edges here.

        Raises:
            InputError: If the text has none of these forms.
        """
        form = "expected |op~0|+|op~0|op~1|+|op~0|op~1|op~2| or six integers"
        if INTEGERS.fullmatch(text.strip()):
            return self.check([int(digit) for digit in re.findall(r"\d", text)])
        pairs = PAIR.findall(text)
        skeleton = re.sub(r"[\s'\"]", "", PAIR.sub("P", text)).replace("[", "(").replace("]", ")")
        if not any(known.fullmatch(skeleton) for known in SKELETONS):
            raise InputError(f"{form}, got {text!r}")
        architecture = []
        for node, found in zip((1, 2, 3), (pairs[:1], pairs[1:3], pairs[3:]), strict=True):
            operations = {int(source): ALIASES.get(operation, operation) for operation, source in found}
            if sorted(operations) != list(range(node)):
                raise InputError(f"{form}; node {node} takes inputs {sorted(operations)} in {text!r}")
            for source in range(node):
                if operations[source] not in OPERATIONS:
                    raise InputError(f"an operation is one of {', '.join(OPERATIONS)}, got {operations[source]!r}")
                architecture.append(OPERATIONS.index(operations[source]))
        return tuple(architecture)

    # Structure

    def drawing(self, architecture: Architecture) -> dict[str, list[tuple[str, str, str]]]:
        """Returns the cell with its edges other than ``none``."""
        nodes = ("in", "1", "2", "out")
        edges = []
        for (source, target), k in zip(GRAPH.edges, architecture, strict=True):
            if k != NONE:
                edges.append((nodes[source], nodes[target], OPERATIONS[k]))
        return {"cell": edges}

    def repair_path(self, path: Architecture, rng: np.random.Generator) -> Architecture:
        """Returns the path with every node sampled again until one of its inputs is not ``none``.

        The code of RLNAS does so. Without it, 1 path in 5 has a node that receives nothing.
        """
        repaired = list(path)
        for node in (1, 2, 3):
            edges = [edge for edge, (_, target) in enumerate(GRAPH.edges) if target == node]
            while all(repaired[edge] == NONE for edge in edges):
                for edge in edges:
                    repaired[edge] = int(rng.integers(len(OPERATIONS)))
        return tuple(repaired)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Returns the first architecture, in lexicographic order, whose cell computes the same sum of terms.

        A cell is written as the multiset of terms of its output. ``none`` adds nothing. A skip connection adds its
        source's terms. Any other operation adds itself applied to its source's terms. Cells of equal terms are equal
        functions up to an exchange of weights.
        """
        return _canonical_architectures()[_terms(architecture)]

    def path_counts(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the number of none-free paths from input to output through each edge, ``(n, 6)`` int64."""
        return GRAPH.path_counts(architectures != NONE)

    def path_counts_to(self, architectures: np.ndarray, ends: str) -> np.ndarray:
        """Returns the number of none-free paths that end at ``all`` nodes or the ``last`` one, ``(n, 6)`` int64."""
        return GRAPH.ending(ends).path_counts(architectures != NONE)

    def live_forms(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the architectures with ``none`` on every edge without a live path, ``(n, 6)``: 9,445 of 15,625."""
        return np.where(self.path_counts(architectures) > 0, architectures, NONE)

    # Weights

    @property
    def _stages(self) -> list[tuple[int, int]]:
        """Channels and halvings of the resolution of the three stages."""
        return [(self.channels, 0), (2 * self.channels, 1), (4 * self.channels, 2)]

    def weight_vector(self, definition: str) -> WeightVector:
        """Returns the weights on the paths of the cells, and those outside the cells where extras count.

        A convolution counts with its kernel. By default a skip connection counts with nothing in this space, and
        normalisations do not count (RLNAS, Zhang et al. 2021, section 3.2.2, and its code). The extras are the stem,
        the two reduction blocks and the head. Only a supernet with `affine` has normalisations that could count.

        Raises:
            InputError: If there is no such definition.
        """
        parts = angle_parts(definition, skip="empty", norms="none")
        channels_of_cell = np.repeat([channels for channels, _ in self._stages], self.cells).tolist()
        pool = sum(c**2 / 9 if parts.pool == "full" else c / 9 for c in channels_of_cell)
        weights = ["conv.weight"]
        if self.affine and parts.norms != "none":
            weights += ["bn.weight", "bn.bias"]

        candidates = []
        for edge in range(len(GRAPH.edges)):
            terms = {POOL: WeightTerm(fixed_squared_norm=pool)}
            if parts.skip == "identity":
                terms[SKIP] = WeightTerm(fixed_squared_norm=float(sum(channels_of_cell)))
            for operation in (CONV_1X1, CONV_3X3):
                names = []
                for cell in range(len(channels_of_cell)):
                    layer = f"cells.{cell}.edges.{edge}.{OPERATIONS[operation]}"
                    names += [f"{layer}.{weight}" for weight in weights]
                terms[operation] = WeightTerm(tuple(names))
            candidates.append(tuple(terms.get(operation, WeightTerm()) for operation in range(len(OPERATIONS))))
        always = _outside_cells() if parts.extras == "counted" else ()
        return WeightVector(WeightTerm(always), tuple(candidates))

    # Networks

    def build_supernet(self, num_classes: int) -> NasBench201Network:
        """Returns the weight-sharing network of the space."""
        every = (OPERATIONS,) * len(GRAPH.edges)
        return NasBench201Network(self, every, num_classes, self.affine, self.track_running_stats)

    def build_union(self, num_classes: int) -> NasBench201Network:
        """Returns the network of all candidates with affine normalisation everywhere, as derived networks have it."""
        every = (OPERATIONS,) * len(GRAPH.edges)
        return NasBench201Network(self, every, num_classes, affine=True, track_running_stats=True)

    def build_network(self, architecture: Architecture, num_classes: int) -> NasBench201Network:
        """Returns the network of one architecture, with affine normalisation everywhere as in the benchmark."""
        taken = tuple((OPERATIONS[k],) for k in self.check(architecture))
        return NasBench201Network(self, taken, num_classes, affine=True, track_running_stats=True)

    def widened(self, factor: float) -> NasBench201:
        """Returns the space with the channels C multiplied and rounded."""
        return replace(self, channels=max(1, int(factor * self.channels + 0.5)))


def _outside_cells() -> tuple[str, ...]:
    """Returns the names of the weights outside the cells: stem, reduction blocks and head."""
    layers = [
        "stem",
        *(f"reductions.{block}.{layer}" for block, layer in itertools.product("01", ("conv_a", "conv_b"))),
    ]
    names = []
    for layer in layers:
        names += [f"{layer}.conv.weight", f"{layer}.bn.weight", f"{layer}.bn.bias"]
    names += ["reductions.0.downsample.1.weight", "reductions.1.downsample.1.weight"]
    return (*names, "last_bn.weight", "last_bn.bias", "classifier.weight", "classifier.bias")


def _terms(architecture: Architecture) -> tuple[object, ...]:
    """Returns the terms of the output node: pairs (operation, terms of its source), sorted."""
    nodes: list[list[object]] = [[("input",)], [], [], []]
    for (source, target), operation in zip(GRAPH.edges, architecture, strict=True):
        if operation == NONE or not nodes[source]:
            continue
        if operation == SKIP:
            nodes[target] += nodes[source]
        else:
            nodes[target].append((OPERATIONS[operation], tuple(sorted(nodes[source], key=repr))))
    return tuple(sorted(nodes[3], key=repr))


@functools.cache
def _canonical_architectures() -> dict[tuple[object, ...], Architecture]:
    """Returns the first architecture of each class of equal terms."""
    first: dict[tuple[object, ...], Architecture] = {}
    for architecture in every_architecture(NasBench201()).tolist():
        first.setdefault(_terms(tuple(architecture)), tuple(architecture))
    return first


@functools.cache
def _live_edges(passes: tuple[bool, ...], idle: bool) -> tuple[int, ...]:
    """Returns the edges that lie on a live path. The others change nothing and are not run.

    Where idle candidates add their weights, paths begin at every node.
    """
    graph = CellGraph(num_inputs=3 if idle else 1, edges=GRAPH.edges, ends=GRAPH.ends)
    return tuple(np.flatnonzero(graph.path_counts(np.array([passes]))[0]).tolist())


class Cell(nn.Module):
    """Four nodes, each the sum of its live edges. The last node is the output.

    Departs from the benchmark's code: an operation on a node that receives nothing is not run, unless idle candidates
    add their weights to the node. In that case its output is that of normalised zeros, a constant per channel.
    """

    def __init__(self, channels: int, candidates: Sequence[Sequence[str]], affine: bool, track: bool) -> None:
        """Builds a choice block of the named candidates on every edge."""
        super().__init__()
        build: dict[str, Callable[[], nn.Module]] = {
            "none": Zero,
            "skip_connect": nn.Identity,
            "nor_conv_1x1": lambda: ReluConvBn(channels, channels, 1, affine=affine, track_running_stats=track),
            "nor_conv_3x3": lambda: ReluConvBn(channels, channels, 3, affine=affine, track_running_stats=track),
            "avg_pool_3x3": AvgPool3x3,
        }
        self.edges = nn.ModuleList()
        for names in candidates:
            self.edges.append(ChoiceBlock({name: build[name]() for name in names}))

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Returns the output node, ``(batch, channels, height, width)``; zeros where no path is live."""
        blocks: Sequence[ChoiceBlock] = list(self.edges)  # type: ignore[arg-type]
        nodes: list[Tensor | None] = [x, None, None, None]
        passes = tuple(block.is_live(gate) for block, gate in zip(blocks, gates, strict=True))
        for edge in _live_edges(passes, any(gate.idle for gate in gates)):
            source, target = GRAPH.edges[edge]
            if nodes[source] is None:
                nodes[source] = with_idle(torch.zeros_like(x), GRAPH.into(gates, source))
            out = blocks[edge](nodes[source], gates[edge])
            node = nodes[target]
            nodes[target] = with_idle(out, GRAPH.into(gates, target)) if node is None else node + out
        return with_idle(torch.zeros_like(x), GRAPH.into(gates, 3)) if nodes[3] is None else nodes[3]


class Stem(nn.Module):
    """3 x 3 convolution and batch normalisation."""

    def __init__(self, channels: int) -> None:
        """Builds both layers for images of three channels."""
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Returns ``(batch, channels, height, width)``."""
        out: Tensor = self.bn(self.conv(images))
        return out


class NasBench201Network(nn.Module):
    """The skeleton with its cells: a supernet, or, with one candidate left at every choice, a derived network."""

    def __init__(
        self,
        space: NasBench201,
        candidates: Sequence[Sequence[str]],
        num_classes: int,
        affine: bool,
        track_running_stats: bool,
    ) -> None:
        """Builds stem, three stages of cells with a reduction block between them, and head."""
        super().__init__()
        c, n = space.channels, space.cells
        self.num_cells = 3 * n
        self.stem = Stem(c)
        self.cells = nn.ModuleList()
        for channels in (c, 2 * c, 4 * c):
            self.cells.extend(Cell(channels, candidates, affine, track_running_stats) for _ in range(n))
        self.reductions = nn.ModuleList([ResNetReduction(c, 2 * c), ResNetReduction(2 * c, 4 * c)])
        self.last_bn = nn.BatchNorm2d(4 * c)
        self.last_relu = nn.ReLU()
        self.classifier = nn.Linear(4 * c, num_classes)
        is_supernet = any(len(names) > 1 for names in candidates)
        self._only_route = None if is_supernet else tuple(Gate((0,)) for _ in candidates)

    def forward(self, images: Tensor, gates: Gates | Sequence[Gates] | None = None) -> Tensor:
        """Returns logits, ``(batch, num_classes)``.

        Args:
            images: ``(batch, 3, height, width)``.
            gates: One gate per edge for all cells, or such gates for each cell; not needed by a derived network.
        """
        route = gates if gates is not None else self._only_route
        assert route is not None, "a supernet needs gates"
        x = self.stem(images)
        per_stage = self.num_cells // 3
        for index, (cell, cell_gates) in enumerate(zip(self.cells, per_cell(route, self.num_cells), strict=True)):
            if index in (per_stage, 2 * per_stage):
                x = self.reductions[index // per_stage - 1](x)
            x = cell(x, cell_gates)
        x = self.last_relu(self.last_bn(x)).mean(dim=(2, 3))
        logits: Tensor = self.classifier(x)
        return logits
