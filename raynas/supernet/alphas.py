"""Architecture parameters: a vector of alphas per choice, outside the network, and their steps on the search split."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raynas.errors import RunError
from raynas.search_space import SearchSpace
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.architecture_gradients import (
    FIRST,
    GRADIENTS,
    ArchitectureGradient,
    GradientProblem,
    SgdStep,
    loss_on,
)
from raynas.supernet.curvature import Loss, Summed, Weights
from raynas.supernet.gates import Route
from raynas.supernet.gradient_sums import GradientFigures, GradientSums
from raynas.training.objective import Objective, Outputs
from raynas.training.window import Memory, NoMemory, WindowOutput
from raynas.training.workers import Batches, Workers


def initial_alphas(
    space: SearchSpace, seed: int, dtype: torch.dtype = torch.float32, initial: str = "normal"
) -> list[nn.Parameter]:
    """Returns the first alphas, one vector per choice, a function of the seed alone.

    Args:
        space: The space.
        seed: Seed of normal numbers.
        dtype: Their dtype.
        initial: ``normal``: 0.001 times normal numbers. ``equal``: zeros, so that all candidates weigh the same.
    """
    generator = torch.Generator().manual_seed(seed)
    samples = [torch.randn(len(choice.candidates), generator=generator) for choice in space.choices]
    if initial == "equal":
        return [nn.Parameter(torch.zeros_like(sample, dtype=dtype)) for sample in samples]
    return [nn.Parameter(1e-3 * sample.to(dtype)) for sample in samples]


def gradient_of(
    recipe: AlphaRecipe,
    train_loss: Loss,
    search_loss: Loss,
    weights: Weights,
    alphas: Sequence[Tensor],
    step: Callable[[], SgdStep],
    summed: Summed = list,
) -> ArchitectureGradient:
    """Returns the gradient that a recipe names; `step` says which step of SGD the weights would take."""
    rule = GRADIENTS.row(recipe.gradient) if recipe.gradient is not None else FIRST
    return rule.gradient(GradientProblem(train_loss, search_loss, weights, alphas, recipe, step, summed))


def virtual_step(kind: str, sgd: torch.optim.SGD, weights: Weights) -> SgdStep:
    """Returns the step of the weights that a second-order gradient unrolls.

    With rate xi, momentum mu, buffer b and d = g + weight_decay * w, the weights become

        optimizer:  what `sgd` takes next: under Nesterov's momentum w - xi (d + mu (mu b + d))
        momentum:   w - xi (mu b + d)            the codes of DARTS and of NAS-Bench-201, whatever `sgd` is
        plain:      w - xi g                     DARTS, Liu et al. 2019, Eq. 7

    Args:
        kind: Which of the three.
        sgd: The optimiser of the weights.
        weights: The weights by name.
    """
    step = SgdStep.of(sgd, weights)
    if kind == "momentum":
        return replace(step, nesterov=False)
    if kind == "plain":
        return SgdStep(step.learning_rate)
    return step


def mean_gradient(gradients: Sequence[ArchitectureGradient]) -> ArchitectureGradient:
    """Returns the mean of gradients, part by part; a single one as it is."""
    if len(gradients) == 1:
        return gradients[0]
    return ArchitectureGradient(
        first=_means([gradient.first for gradient in gradients]),
        correction=_means([gradient.correction for gradient in gradients]),
    )


def _means(vectors: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Returns the mean of the vectors of each choice."""
    return [torch.stack(of_choice).mean(dim=0) for of_choice in zip(*vectors, strict=True)]


@dataclass(frozen=True)
class _Draw:
    """One sampled route of a step of the alphas.

    Attributes:
        train_loss: L_train on the route.
        search_loss: L_val on the same route.
        seen: Logits of each evaluation of `search_loss`.
        windows: What the network returned in the first of them for a window of a text; empty elsewhere.
    """

    train_loss: Loss
    search_loss: Loss
    seen: list[Tensor]
    windows: list[WindowOutput]


@dataclass(frozen=True)
class AlphaMetrics:
    """What the alphas' steps of an epoch report, each a mean over the steps, all workers together.

    Attributes:
        search_loss: Cross-entropy on the search split under the alphas' routes, in nats.
        search_accuracy: Right predictions there, in percent.
        gradient: Both parts of the gradient.
        temperature: Temperature of the last step's samples; None where nothing is sampled.
        search_loss_after: The cross-entropy on the same batches and routes after each step of the alphas, in nats; None
            where it is not measured. Below `search_loss` where the steps descend.
    """

    search_loss: float
    search_accuracy: float
    gradient: GradientFigures
    temperature: float | None
    search_loss_after: float | None = None

    def by_name(self) -> dict[str, float | None]:
        """Returns all figures by their names in records."""
        figures = asdict(self)
        of_gradient = figures.pop("gradient")
        return {**figures, **of_gradient}


class AlphaTraining:
    """The alphas, their optimiser, and the images of the search split that they follow.

    Attributes:
        alphas: One vector per choice.
        optimizer: Adam over them.
        before_weights: Whether a step comes before the weights' step.
        memory: What the network remembers of the streams of the search split.
    """

    def __init__(
        self,
        alphas: Sequence[nn.Parameter],
        batches: Batches,
        route: Callable[..., Route],
        recipe: AlphaRecipe,
        *,
        objective: Objective,
        seeds: Callable[[int], Sequence[int]] | None = None,
        temperature: Callable[[int], float] | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Sets up the training; the alphas are changed in place.

        Args:
            alphas: One vector per choice, on the supernet's device.
            batches: Batches of the search split.
            route: The route of a step, a function of step and alphas, and of ``draw`` where a step averages several;
                the same whenever it is asked.
            recipe: Hyper-parameters.
            objective: What the weights are trained on. The alphas follow it without label smoothing and without an
                auxiliary tower, but for what is differentiated by the weights.
            seeds: Seeds of what a step drops; None where nothing is dropped.
            temperature: Temperature of a step, to be reported.
            memory: What the network remembers of the streams of the search split; None for nothing.
        """
        self.memory = memory or NoMemory()
        self.alphas = list(alphas)
        self.before_weights = bool(recipe.before_weights)
        beta1, beta2 = recipe.betas
        self.optimizer = torch.optim.Adam(
            self.alphas, lr=recipe.learning_rate, betas=(beta1, beta2), weight_decay=recipe.weight_decay
        )
        self._batches, self._route, self._recipe = batches, route, recipe
        self._train_objective = objective
        self._search_objective = Objective(objective.batch_size, bfloat16=objective.bfloat16)
        self._seeds, self._temperature = seeds, temperature
        self._images: Iterator[tuple[Tensor, Tensor]] | None = None
        self._last_step = self._last_epoch = 0
        # Losses, right predictions, images, and where they are measured the losses after the steps.
        self._sums = torch.zeros(4 if recipe.measures_descent else 3, dtype=torch.float64)
        self._gradients = GradientSums(sum(len(alpha) for alpha in self.alphas))

    def step(
        self,
        supernet: nn.Module,
        sgd: torch.optim.SGD,
        images: Any,
        labels: Tensor,
        step: int,
        epoch: int,
        workers: Workers,
    ) -> None:
        """Takes a step of the alphas; weights, statistics and the optimiser of the weights stay as they are.

        Args:
            supernet: The weight-sharing network, in training mode.
            sgd: Its optimiser, whose next step a second-order gradient unrolls.
            images: This rank's part of the training batch.
            labels: Its labels.
            step: Step of the training, from 0.
            epoch: Epoch of the step.
            workers: Who trains together.
        """
        if self._images is None or step != self._last_step + 1:
            self._images = _endless(self._batches, step, workers)
            self._sums = self._sums.to(labels.device)
            self._gradients.to(labels.device)
        self._last_step, self._last_epoch = step, epoch
        search_images, search_labels = next(self._images)
        if epoch < self._recipe.first_epoch:
            return
        recalled = self.memory.recall(search_images, step // self._batches.steps_per_epoch)
        weights = dict(supernet.named_parameters())
        batches = (images, labels), (recalled, search_labels)
        draws = [self._draw(supernet, *batches, step, number) for number in range(self._recipe.draws)]
        gradients = []
        for draw in draws:
            unrolled = functools.partial(virtual_step, self._recipe.virtual_step, sgd, weights)
            losses = draw.train_loss, draw.search_loss
            gradients.append(gradient_of(self._recipe, *losses, weights, self.alphas, unrolled, workers.summed))
        gradient = mean_gradient(gradients)
        for alpha, total in zip(self.alphas, gradient.total, strict=True):
            alpha.grad = total
        if self._recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.alphas, self._recipe.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for window in draws[-1].windows:
            self.memory.keep(window)
        for draw in draws:
            self._sums += self._measured(draw, weights, search_labels)
        self._gradients.add(gradient)

    def _draw(
        self,
        supernet: nn.Module,
        train_batch: tuple[Any, Tensor],
        search_batch: tuple[Any, Tensor],
        step: int,
        number: int,
    ) -> _Draw:
        """Returns the losses of one sampled route of a step, both on the same route."""
        seeds = None if self._seeds is None else (*self._seeds(step), 1, *([number] if number else []))
        gates_of = functools.partial(self._route, step, draw=number) if number else functools.partial(self._route, step)
        seen: list[Tensor] = []
        windows: list[WindowOutput] = []

        def keep_first(output: Outputs) -> None:
            if isinstance(output, WindowOutput) and not windows:
                windows.append(WindowOutput(*(tensor.detach() for tensor in output)))

        loss_of = functools.partial(loss_on, supernet, gates_of=gates_of, seeds=seeds)
        return _Draw(
            train_loss=loss_of(*train_batch, objective=self._train_objective),
            search_loss=loss_of(
                *search_batch, objective=self._search_objective, watch=seen.append, watch_outputs=keep_first
            ),
            seen=seen,
            windows=windows,
        )

    def _measured(self, draw: _Draw, weights: Weights, labels: Tensor) -> Tensor:
        """Returns what is added up of a draw after the step: loss, right predictions, images, and loss after it."""
        logits = draw.seen[0]
        right = (logits.argmax(dim=1) == labels).sum()
        sums = [_losses(logits, labels), right.double(), right.new_tensor(len(labels)).double()]
        if self._recipe.measures_descent:
            with torch.no_grad():
                draw.search_loss(weights, self.alphas)
            sums.append(_losses(draw.seen[-1], labels))
        return torch.stack(sums)

    def state(self) -> dict[str, Tensor]:
        """Returns the alphas and the state of their optimiser, by ``choice.name``."""
        found: dict[str, Tensor] = {}
        for number, alpha in enumerate(self.alphas):
            found[f"{number}.alpha"] = alpha
            for name, tensor in self.optimizer.state.get(alpha, {}).items():
                found[f"{number}.{name}"] = tensor
        return found

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` returned; from the alphas as they are where it is empty."""
        for full_name, tensor in state.items():
            number, _, name = full_name.partition(".")
            alpha = self.alphas[int(number)]
            if name == "alpha":
                with torch.no_grad():
                    alpha.copy_(tensor)
            else:  # the count of steps stays where Adam keeps it: on the CPU
                self.optimizer.state[alpha][name] = tensor if name == "step" else tensor.to(alpha)

    def sums(self, workers: Workers) -> Tensor:
        """Returns what `take_metrics` would be made of now, for `restore_sums`.

        Losses, right predictions and images of all workers, losses after the steps where they are measured, and the
        sums of `GradientSums`, float64.
        """
        seen = self._sums.clone()
        workers.add_up(seen)
        return torch.cat([seen, self._gradients.state()])

    def restore_sums(self, sums: Tensor, workers: Workers) -> None:
        """Goes on from sums: worker 0 holds those that are added up over the workers, the others zeros."""
        number = len(self._sums)
        self._sums = sums[:number].clone() if workers.rank == 0 else torch.zeros(number, dtype=torch.float64)
        self._gradients.restore(sums[number:])

    def take_metrics(self, workers: Workers) -> AlphaMetrics | None:
        """Returns what the steps since the last call come to; None if there were none.

        Raises:
            RunError: If a gradient was too large for its square, or not a number: Adam would stand still from then.
        """
        if not all(state["exp_avg_sq"].isfinite().all() for state in self.optimizer.state.values()):
            raise RunError(
                f"training diverged: the gradient of the alphas overflows in epoch "
                f"{self._last_epoch}; lower alphas.eta, or raise alphas.first_epoch"
            )
        workers.add_up(self._sums)
        loss, right, images, *after = self._sums.tolist()
        gradient = self._gradients.take()
        self._sums.zero_()
        if gradient is None:
            return None
        temperature = None if self._temperature is None else self._temperature(self._last_step)
        return AlphaMetrics(
            loss / images,
            100.0 * right / images,
            gradient,
            temperature,
            after[0] / images if after else None,
        )


def _losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the sum of the cross-entropies of a batch."""
    return nn.functional.cross_entropy(logits, labels, reduction="sum").double()


def _endless(batches: Batches, step: int, workers: Workers) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields this rank's share of the batch of one step after another, epoch after epoch."""
    epoch, first_step = divmod(step, batches.steps_per_epoch)
    while True:
        yield from batches.epoch(epoch, first_step, workers.rank, workers.world)
        epoch, first_step = epoch + 1, 0


def probabilities_of(state: Mapping[str, Tensor]) -> list[np.ndarray]:
    """Returns softmax(alpha) of each choice, float64, of what `AlphaTraining.state` returned; none of nothing."""
    numbers = sorted(int(name.partition(".")[0]) for name in state if name.endswith(".alpha"))
    return [torch.softmax(state[f"{number}.alpha"].double(), dim=0).numpy() for number in numbers]
