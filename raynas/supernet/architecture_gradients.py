"""The gradient of the architecture parameters: DARTS first and second order, Amended-DARTS. Pure functions.

All differentiate the search loss at the trained weights, L_val(w*(alpha), alpha) with w*(alpha) = argmin_w
L_train(w, alpha), and differ in what they put for the part that comes through the weights. With
v = dL_val/dw, M = d2 L_train / (d alpha d w) and H = d2 L_train / dw2 that part is, at the optimum,

    g2 = -M H^-1 v             exact (Amended-DARTS, Bi et al. 2020, Eq. 6)
    first order:               nothing
    second order:  -rate M v   with v after one unrolled step of SGD (DARTS, Liu et al. 2019, Eq. 7 and 8)
    amended:       -eta M H v  (Amended-DARTS, Eq. 7)

None of the weights, alphas, buffers or ``.grad`` of the caller is written to, and no weight is copied but for the
one set that an unrolled or shifted point needs while it is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from raynas.errors import RunError
from raynas.members import Family
from raynas.supernet.curvature import Loss, Summed, Weights, curvature_of, gradient_of_alphas, gradients_of
from raynas.supernet.gates import Route
from raynas.training.objective import CROSS_ENTROPY, Objective, Outputs, dropping

BALANCED_ETA = 0.1
"""The amending coefficient at which both terms of the gradient balance (Amended-DARTS, section 4.1.1)."""


class GradientOptions(Protocol):
    """The hyper-parameters of the alphas that a gradient may read.

    Attributes:
        eta: The amending coefficient.
        eta_unit: ``absolute``, or ``relative`` to the length of the first term.
        radius: Radius of finite differences; None for exact derivatives.
    """

    @property
    def eta(self) -> float:
        """The amending coefficient."""

    @property
    def eta_unit(self) -> str:
        """``absolute``, or ``relative`` to the length of the first term."""

    @property
    def radius(self) -> float | None:
        """Radius of finite differences; None for exact derivatives."""


@dataclass(frozen=True)
class GradientProblem:
    """What a gradient of the alphas is computed from.

    Attributes:
        train_loss: L_train on the training batch.
        search_loss: L_val on the search batch.
        weights: w, by name.
        alphas: One vector of architecture parameters per choice.
        options: Hyper-parameters of the alphas.
        step: Returns the step of SGD that the weights would take next.
        summed: Adds up over the workers.
    """

    train_loss: Loss
    search_loss: Loss
    weights: Weights
    alphas: Sequence[Tensor]
    options: GradientOptions
    step: Callable[[], SgdStep]
    summed: Summed = list


@dataclass(frozen=True)
class GradientRule:
    """A gradient that the alphas can follow: a row of `alphas.gradient`.

    Attributes:
        name: The name in run files.
        title: What the gradient is, in a few words.
        gradient: Returns the gradient of a step.
    """

    name: str
    title: str
    gradient: Callable[[GradientProblem], ArchitectureGradient]


GRADIENTS = Family("alphas.gradient", GradientRule, "raynas.supernet")
"""The gradients that the alphas can follow."""


def loss_on(
    supernet: nn.Module,
    images: Any,
    labels: Tensor,
    gates_of: Callable[[Sequence[Tensor]], Route],
    objective: Objective = CROSS_ENTROPY,
    *,
    seeds: Sequence[int] | None = None,
    watch: Callable[[Tensor], None] = lambda logits: None,
    watch_outputs: Callable[[Outputs], None] = lambda outputs: None,
) -> Loss:
    """Returns the objective on a batch, by default the mean cross-entropy in nats, as a function of weights and alphas.

    Batch normalisation is in training mode throughout: it normalises by the statistics of this batch, every derivative
    goes through them, and running statistics are neither read nor moved, however often the loss is evaluated. They move
    where the weights are trained, once a step.

    Args:
        supernet: The weight-sharing network, in training mode; its own weights are not used.
        images: ``(batch, 3, height, width)``, or a window of a text.
        labels: ``(batch,)``.
        gates_of: Makes the gates from the alphas. It must make the same gates each time, since one gradient may
            evaluate the loss several times: where they are sampled, seed a generator inside.
        objective: What is minimised.
        seeds: Seeds of what is dropped, the same whenever the loss is evaluated; None where nothing is.
        watch: Told the logits of each evaluation, ``(batch, labels)``.
        watch_outputs: Told all that the network returns in each evaluation.

    Raises:
        RunError: If the supernet is not in training mode.
    """
    if not supernet.training:
        raise RunError("architecture gradients go through batch statistics: call supernet.train() first")
    buffers = {name: buffer.clone() for name, buffer in supernet.named_buffers()}

    def loss(weights: Weights, alphas: Sequence[Tensor]) -> Tensor:
        given = {**weights, **buffers}
        with nullcontext() if seeds is None else dropping(labels.device, *seeds):
            value, logits = objective.evaluate(
                lambda: functional_call(supernet, given, (images, gates_of(alphas))), labels, watch_outputs
            )
        watch(logits.detach())
        return value

    return loss


@dataclass(frozen=True)
class SgdStep:
    """The step of SGD that the weights are about to take, as `torch.optim.SGD` takes it.

    With d = g + weight_decay * w and b = momentum * buffer + d, w becomes w - learning_rate * b, or under Nesterov's
    momentum w - learning_rate * (d + momentum * b). A weight without a gradient stays as it is.

    Attributes:
        learning_rate: Learning rate, xi in DARTS.
        momentum: Momentum.
        nesterov: Whether the momentum is Nesterov's.
        weight_decay: L2 penalty on each weight, by name; none where there is no entry.
        buffers: Momentum buffer of each weight, by name; none for a weight that has not moved yet.
    """

    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: Mapping[str, float] = field(default_factory=dict)
    buffers: Weights = field(default_factory=dict)

    @classmethod
    def of(cls, optimizer: torch.optim.SGD, weights: Weights) -> SgdStep:
        """Returns the step that `optimizer` would take next with its `weights`, given by name."""
        group_of = {weight: group for group in optimizer.param_groups for weight in group["params"]}
        states = {name: optimizer.state.get(weight, {}) for name, weight in weights.items()}
        return cls(
            learning_rate=optimizer.param_groups[0]["lr"],
            momentum=optimizer.param_groups[0]["momentum"],
            nesterov=optimizer.param_groups[0]["nesterov"],
            weight_decay={name: group_of[weight]["weight_decay"] for name, weight in weights.items()},
            buffers={n: state["momentum_buffer"] for n, state in states.items() if "momentum_buffer" in state},
        )

    @property
    def rate(self) -> float:
        """How far a weight moves against its gradient: -dw/dg."""
        return self.learning_rate * (1.0 + self.momentum if self.nesterov else 1.0)

    def after(self, weights: Weights, gradient: Weights) -> dict[str, Tensor]:
        """Returns the weights after the step."""
        moved = {name: weight.detach() for name, weight in weights.items()}
        for name, g in gradient.items():
            direction = g + self.weight_decay.get(name, 0.0) * moved[name]
            velocity = direction
            if name in self.buffers:
                velocity = direction + self.momentum * self.buffers[name]
            if self.nesterov:
                velocity = direction + self.momentum * velocity
            moved[name] = moved[name] - self.learning_rate * velocity
        return moved


@dataclass(frozen=True)
class ArchitectureGradient:
    """The gradient of each choice's alphas, in two parts. Reading a norm or the cosine waits for the device.

    Attributes:
        first: What comes from the alphas alone: dL_val/dalpha, g1.
        correction: What comes through the weights: the estimate of g2, zeros in first order.
    """

    first: list[Tensor]
    correction: list[Tensor]

    @property
    def total(self) -> list[Tensor]:
        """The gradient: the sum of both parts."""
        return [g1 + g2 for g1, g2 in zip(self.first, self.correction, strict=True)]

    @property
    def figures(self) -> Tensor:
        """The norms of `first` and of `correction`, and `cosine`, ``(3,)``; nothing waits for the device."""
        first, correction = (torch.cat(part).double() for part in (self.first, self.correction))
        cosine = F.cosine_similarity(first, correction, dim=0, eps=torch.finfo(torch.float64).tiny)
        return torch.stack([first.norm(), correction.norm(), cosine])

    @property
    def first_norm(self) -> float:
        """The norm of `first` over all choices."""
        return self.figures[0].item()

    @property
    def correction_norm(self) -> float:
        """The norm of `correction` over all choices."""
        return self.figures[1].item()

    @property
    def cosine(self) -> float:
        """The cosine of the angle between both parts, 0 where one of them is zero."""
        return self.figures[2].item()


def first_order(
    search_loss: Loss, weights: Weights, alphas: Sequence[Tensor], *, summed: Summed = list
) -> ArchitectureGradient:
    """Returns dL_val/dalpha at the weights as they are (DARTS, Liu et al. 2019, Eq. 7 with xi = 0).

    Costs one forward and one backward pass that computes no gradient of a weight.

    Args:
        search_loss: L_val.
        weights: w, by name.
        alphas: One vector of architecture parameters per choice.
        summed: Adds up over the workers; one alone by default.
    """
    first = summed(gradient_of_alphas(search_loss, weights, alphas))
    return ArchitectureGradient(first, [torch.zeros_like(g1) for g1 in first])


def _first(problem: GradientProblem) -> ArchitectureGradient:
    return first_order(problem.search_loss, problem.weights, problem.alphas, summed=problem.summed)


FIRST = GradientRule("first", "first order, the weights held", _first)


def second_order(
    train_loss: Loss,
    search_loss: Loss,
    weights: Weights,
    alphas: Sequence[Tensor],
    step: SgdStep,
    *,
    radius: float | None = None,
    summed: Summed = list,
) -> ArchitectureGradient:
    """Returns the derivative of L_val(w', alpha), w' the weights after one step of SGD on L_train(w, alpha).

    That is dL_val/dalpha - rate * M v, both L_val/dalpha and v = dL_val/dw' taken at w' (DARTS, Liu et al. 2019,
    Eq. 7). Exactly it costs two forward and two backward passes and one backward pass through a backward pass; by
    finite differences four forward and four backward passes, two of which compute no gradient of a weight, and less
    memory.

    Where the network has kinks (ReLU) the two differ by more than rounding: the exact one leaves kinks out, the
    difference counts those between its two points, and on small batches these can be most of it.

    Args:
        train_loss: L_train.
        search_loss: L_val.
        weights: w, by name.
        alphas: One vector of architecture parameters per choice.
        step: The step to unroll. As in the original code, no gradient is clipped in it.
        radius: None for the exact derivative; else M v is the central difference of dL_train/dalpha between
            w +- radius v / |v| (Eq. 8; 0.01 in DARTS).
        summed: Adds up over the workers; one alone by default.
    """
    curvature = curvature_of(train_loss, weights, alphas, radius, summed)
    first, v = gradients_of(search_loss, step.after(weights, curvature.gradient()), alphas, summed)
    return ArchitectureGradient(first, [-step.rate * product for product in curvature.mixed(v)])


def _second(problem: GradientProblem) -> ArchitectureGradient:
    losses = problem.train_loss, problem.search_loss
    radius, summed = problem.options.radius, problem.summed
    return second_order(*losses, problem.weights, problem.alphas, problem.step(), radius=radius, summed=summed)


SECOND = GradientRule("second", "second order, through one step of the weights", _second)


def amended(
    train_loss: Loss,
    search_loss: Loss,
    weights: Weights,
    alphas: Sequence[Tensor],
    *,
    eta: float,
    eta_unit: str = "absolute",
    radius: float | None = None,
    summed: Summed = list,
) -> ArchitectureGradient:
    """Returns dL_val/dalpha - eta * M H v, all at the weights as they are (Amended-DARTS, Bi et al. 2020, Eq. 7).

    The current weights stand for the optimum, and M and H are those of the same batch. Exactly it costs two forward
    and two backward passes and two backward passes through a backward pass; by finite differences five forward and
    five backward passes, two of which compute no gradient of a weight, and less memory.

    The paper concludes from Eq. 8 that <M H v, M H^-1 v> >= 0, so that the correction would never point away from g2.
    That does not follow: H^-1 M'M H is similar to a semi-positive-definite matrix but not symmetric, and its quadratic
    form takes negative values. What holds: the product is never negative where M'M commutes with H, or v is an
    eigenvector of H, nor on average over all directions of v. With fewer alphas than weights there is in general a v
    that makes it negative, and the same is true of the second-order term.

    M H has the unit of a squared curvature, so that what an eta does depends on the network, its width and the epoch.
    The paper describes its values by their effect: 0.01 is ignorable, 0.1 balances both terms, 1 dominates. The unit
    ``relative`` has these meanings everywhere: with g1 = dL_val/dalpha the correction is
    -10 eta |g1| / |M H v| * M H v.

    Args:
        train_loss: L_train. H is its second derivative as it stands, without the weight decay of an optimiser; add the
            penalty to the loss to have it in H.
        search_loss: L_val.
        weights: w, by name.
        alphas: One vector of architecture parameters per choice.
        eta: The amending coefficient, positive; 0.1 in the paper.
        eta_unit: ``absolute`` or ``relative``.
        radius: None for exact products; else both are central differences, H v of dL_train/dw between
            w +- radius v / |v| and M u of dL_train/dalpha between w +- radius u / |u|, u = H v.
        summed: Adds up over the workers; one alone by default.
    """
    first, v = gradients_of(search_loss, weights, alphas, summed)
    curvature = curvature_of(train_loss, weights, alphas, radius, summed)
    products = curvature.mixed(curvature.hessian(v))
    factor: float | Tensor = eta
    if eta_unit == "relative":
        tiny = torch.finfo(products[0].dtype).tiny
        factor = eta / BALANCED_ETA * _length(first) / _length(products).clamp_min(tiny)
    return ArchitectureGradient(first, [-factor * product for product in products])


def _length(vectors: Sequence[Tensor]) -> Tensor:
    """Returns the norm of all vectors together."""
    length: Tensor = torch.linalg.vector_norm(torch.cat(list(vectors)))
    return length


def _amended(problem: GradientProblem) -> ArchitectureGradient:
    losses, options = (problem.train_loss, problem.search_loss), problem.options
    if not options.eta:  # the correction would be 0
        return _first(problem)
    return amended(
        *losses,
        problem.weights,
        problem.alphas,
        eta=options.eta,
        eta_unit=options.eta_unit,
        radius=options.radius,
        summed=problem.summed,
    )


AMENDED = GradientRule("amended", "first order, amended by an estimate of the rest", _amended)
