r"""The angle by which training turned an architecture's weights, in closed form.

    angle(a) = arccos( <V(a, W0), V(a, Wt)> / (|V(a, W0)| |V(a, Wt)|) )

V(a, W) concatenates the weights along every live path of `a` (RLNAS, Zhang et al. 2021, Eq. 9). An operation's weights
stand in V once for each path through it, so that V need not be built: with m_e(a) the number of live paths through
choice e, a sum over V is a sum over operations,

    <V(a, W0), V(a, Wt)> = c + sum_e m_e(a) T[e, a_e],    T[e, k] = <w0, wt> of candidate k of choice e, all cells,

and likewise for both squared norms. The table T is made once, and an architecture then costs a few additions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
from torch import Tensor

from raynas.capabilities import path_counts_of, weight_vector_of
from raynas.errors import InputError
from raynas.fitness.mean import mean_of
from raynas.fitness.row import Fitness, FitnessContext, FitnessRow
from raynas.members import Need
from raynas.options import OneOf, Options, Positive
from raynas.search_space import (
    ANGLE_PARTS,
    ANGLES,
    PATH_ENDS,
    AdditiveTable,
    Architecture,
    SearchSpace,
    WeightTerm,
    as_array,
)

SUMS = ("dot", "initial", "trained")
"""The quantities of a table: <w0, wt>, |w0|^2 and |wt|^2."""


class AngleOptions(Options):
    """Options of the fitnesses that compare weights before and after training.

    Attributes:
        angle: Weights that the angle counts: those on the paths of the architecture (paper); those and stem, fixed
            blocks and head, as the authors' code was meant (official); or exactly as their code does (published).
        angle_epoch: Number of epochs of training after which the angle and the displacement are measured; the last
            epoch by default.
        angle_extras: Whether stem, fixed blocks and head count in the angle. The key angle decides by default.
        angle_pool: Shape of the constant kernel that stands for a pooling in the angle: (O, C, k, k) (full) or (C, k,
            k) (per_channel). The key angle decides by default.
        angle_skip: What stands for a skip connection in the angle: an identity matrix (identity) or nothing (empty).
            The key angle decides by default.
        angle_norms: Whether normalisations on the paths count in the angle: not (none), yes (counted), or as for the
            cells that were published (published), where the weight of a dilated convolution counts twice. The key angle
            decides by default.
        angle_ends: Node at which a path of a cell may end, in the angle: every node behind the inputs (all), or the
            last node only (last). By default every node in the DARTS space, and the last node in NAS-Bench-201.
    """

    angle: Annotated[str, OneOf(ANGLES)] = "paper"
    angle_epoch: Positive | None = None
    angle_extras: Annotated[str, OneOf(ANGLE_PARTS["extras"])] | None = None
    angle_pool: Annotated[str, OneOf(ANGLE_PARTS["pool"])] | None = None
    angle_skip: Annotated[str, OneOf(ANGLE_PARTS["skip"])] | None = None
    angle_norms: Annotated[str, OneOf(ANGLE_PARTS["norms"])] | None = None
    angle_ends: Annotated[str, OneOf(PATH_ENDS)] | None = None

    @property
    def angle_definition(self) -> str:
        """The angle with the parts that are set, as a space's `weight_vector` takes it."""
        words = [self.angle]
        for part in ANGLE_PARTS:
            value = getattr(self, f"angle_{part}")
            if value is not None:
                words.append(f"{part} {value}")
        return ", ".join(words)


def angle_table(
    space: SearchSpace, initial: Mapping[str, Tensor], trained: Mapping[str, Tensor], definition: str
) -> AdditiveTable:
    """Returns the three sums (<w0, wt>, |w0|^2, |wt|^2) of every candidate and of what is always there, float64.

    Args:
        space: The space that the weights belong to.
        initial: W0, the supernet's weights by name before training.
        trained: Wt, after.
        definition: Which weights count, as `raynas.search_space.angle_parts` reads it.

    Raises:
        InputError: If weights are missing or not finite, or have another shape before than after.
    """
    vector = weight_vector_of(space, definition)
    terms = np.zeros((len(vector.candidates), max(map(len, vector.candidates)), 3))
    for choice, candidates in enumerate(vector.candidates):
        for k, term in enumerate(candidates):
            terms[choice, k] = _sums(term, initial, trained)
    return AdditiveTable(SUMS, _sums(vector.always, initial, trained), terms)


def _sums(term: WeightTerm, initial: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> np.ndarray:
    sums = np.full(3, term.fixed_squared_norm)
    for name in term.parameters:
        if name not in initial or name not in trained:
            raise InputError(f"the weights hold no {name!r}: they are not of this space's supernet")
        before, after = (weights[name].detach().double().cpu().flatten() for weights in (initial, trained))
        if before.shape != after.shape:
            raise InputError(f"{name!r} has {before.numel()} weights before training and {after.numel()} after")
        sums += (float(before @ after), float(before @ before), float(after @ after))
        if not np.isfinite(sums).all():
            raise InputError(f"{name!r} holds weights that are not finite: the training diverged")
    return sums


class Angle:
    """The fitness of RLNAS: the angle between initial and trained weights, in radians in [0, pi].

    An architecture without a live path has angle 0, as in the code of RLNAS.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, space: SearchSpace, table: AdditiveTable, ends: str | None = None) -> None:
        """Takes the space, the table of a supernet, as `angle_table` makes it, and where paths end."""
        self._space = space
        self._table = table
        self._ends = ends

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the angle of each architecture, ``(n, 1)`` float64 radians."""
        return self.angles(as_array(architectures))[:, None]

    def angles(self, architectures: np.ndarray) -> np.ndarray:
        """Returns the angle of each architecture, ``(n,)`` float64 radians.

        Args:
            architectures: ``(n, num_choices)`` int64.
        """
        angles = np.zeros(len(architectures))
        if not len(architectures):
            return angles
        counts = path_counts_of(self._space, architectures, self._ends)
        alive = counts.any(axis=1)
        dot, initial, trained = self._table.total(architectures[alive], counts[alive]).T
        norm = np.sqrt(initial * trained)
        cosine = np.divide(dot, norm, out=np.ones_like(dot), where=norm > 0)
        angles[alive] = np.arccos(np.clip(cosine, -1.0, 1.0))
        return angles


class Displacement:
    """How far training moved the weights that an architecture uses: a length, in the units of the weights.

        displacement(a) = sqrt( sum_{e on a live path of a} |wt - w0|^2 of candidate a_e )

    Unlike the angle it is no ratio: an operation that moved adds to it, whatever stands beside it, and counts once, on
    however many paths it lies. Fixed tensors do not move.
    """

    quantities: tuple[str, ...] = ("fitness",)

    def __init__(self, space: SearchSpace, table: AdditiveTable, ends: str | None = None) -> None:
        """Takes the space, the table of a supernet, as `angle_table` makes it, and where paths end."""
        self._space = space
        self._table = table
        self._ends = ends

    def __call__(self, architectures: Sequence[Architecture]) -> np.ndarray:
        """Returns the displacement of each architecture, ``(n, 1)`` float64."""
        if not len(architectures):
            return np.empty((0, 1))
        every = as_array(architectures)
        live = (path_counts_of(self._space, every, self._ends) > 0).astype(np.int64)
        dot, initial, trained = self._table.total(every, live).T
        squared = np.maximum(initial + trained - 2 * dot, 0.0)  # rounding may leave less than nothing of nothing
        lengths: np.ndarray = np.sqrt(squared)[:, None]
        return lengths


def sums_under_angle(context: FitnessContext, options: AngleOptions, base_seed: int) -> AdditiveTable:
    """Returns the sums under the angle of a supernet, at the epoch that the options ask for.

    Raises:
        InputError: If the supernet is not trained, or the sums of that epoch were not recorded.
    """
    trained = context.trained_weights(base_seed)
    if options.angle_epoch is None:
        return angle_table(context.space, context.initial_weights(base_seed), trained, options.angle_definition)
    recorded = context.recorded_sums(base_seed, options.angle_definition)
    if options.angle_epoch not in recorded:
        raise InputError(
            f"search.angle_epoch: the training of base seed {base_seed} recorded no angle "
            f"({options.angle_definition}) after {options.angle_epoch} epochs; leave it out, or train this run anew"
        )
    return recorded[options.angle_epoch]


def _angle(context: FitnessContext, options: AngleOptions) -> Fitness:
    """Returns the angle, the mean over the supernets."""
    tables = [sums_under_angle(context, options, base_seed) for base_seed in context.base_seeds]
    return mean_of([Angle(context.space, table, options.angle_ends) for table in tables])


def _displacement(context: FitnessContext, options: AngleOptions) -> Fitness:
    """Returns the displacement, the mean over the supernets."""
    tables = [sums_under_angle(context, options, base_seed) for base_seed in context.base_seeds]
    return mean_of([Displacement(context.space, table, options.angle_ends) for table in tables])


def _initial_angle(context: FitnessContext, options: AngleOptions) -> Fitness:
    """Returns the angle between two initialisations, the second of a seed that follows from the first."""
    parts = []
    for base_seed in context.base_seeds:
        other = int(np.random.SeedSequence([base_seed, 1]).generate_state(1)[0])
        before, after = context.untrained_weights(base_seed), context.untrained_weights(other)
        table = angle_table(context.space, before, after, options.angle_definition)
        parts.append(Angle(context.space, table, options.angle_ends))
    return mean_of(parts)


def _epoch(options: AngleOptions) -> str:
    """Returns after how many epochs the weights are taken; empty after the last."""
    return f"after {options.angle_epoch} epochs" if options.angle_epoch else ""


def _weights(options: AngleOptions) -> str:
    """Returns which weights the angle counts, and where paths end if a key says so."""
    ends = "" if options.angle_ends is None else f", ends {options.angle_ends}"
    return f"{options.angle_definition}{ends}"


ANGLE = FitnessRow(
    name="angle",
    title="angle",
    unit="rad",
    needs=frozenset({Need.SUPERNETS, Need.WEIGHT_VECTOR}),
    options=AngleOptions,
    definition=lambda options: f"{_weights(options)} {_epoch(options)}".strip(),
    make=_angle,
    of_sums=lambda space, table, options: Angle(space, table, options.angle_ends),
)
DISPLACEMENT = FitnessRow(
    name="displacement",
    title="displacement",
    needs=frozenset({Need.SUPERNETS, Need.WEIGHT_VECTOR}),
    options=AngleOptions,
    definition=_epoch,
    make=_displacement,
    of_sums=lambda space, table, options: Displacement(space, table, options.angle_ends),
)
INITIAL_ANGLE = FitnessRow(
    name="initial_angle",
    title="angle between initialisations",
    unit="rad",
    needs=frozenset({Need.WEIGHT_VECTOR}),
    options=AngleOptions,
    definition=_weights,
    make=_initial_angle,
)
