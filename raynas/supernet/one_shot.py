"""One-shot training: the step that trains the shared weights on the routes of each step, and the alphas beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from raynas.errors import RunError
from raynas.supernet.alphas import AlphaTraining
from raynas.supernet.choice_block import EpochDropPath
from raynas.supernet.gates import Route
from raynas.supernet.routes import actives
from raynas.training.averaging import StalledAverage
from raynas.training.learner import Figures, Learner, Position, State, Sums
from raynas.training.objective import Objective, classification_sums, dropping
from raynas.training.recipe import Recipe
from raynas.training.window import memory_of, with_prefixes, without_prefixes
from raynas.training.workers import ALONE, Batches, Workers

CHECKED = 50
"""Steps between two checks that all workers train the same routes."""


def drops(network: nn.Module, recipe: Recipe) -> bool:
    """Returns whether anything is dropped at random: paths, or what a network drops itself."""
    return bool(recipe.drop_path or getattr(network, "drops", False))


class OneShot(Learner):
    """Trains the shared weights: min_W E_a L(a, W) (RLNAS, Zhang et al. 2021, Eq. 5 and 7).

    Where there are alphas, every step of the weights on a training batch goes with one of the alphas on a batch of the
    search split: min_alpha L_val(W, alpha) (DARTS, Liu et al. 2019, Algorithm 1; GDAS, Algorithm 1; SETN, Algorithm 1).

    The loss is the sum over this worker's images divided by the global batch size, and gradients are added up over the
    workers. So an update does not depend on how many workers there are. Two things do: batch normalisation, which sees
    a worker's own images, and what is dropped. Only gradients of the active path are exchanged.

    A network of a text remembers the state of each stream from a step to the next, whatever path the next step trains.
    Of several routes of a step, each begins with the state before the step, and the state after the last is kept.
    """

    optimizer: torch.optim.SGD

    def __init__(
        self,
        supernet: nn.Module,
        optimizer: torch.optim.SGD,
        batches: Batches,
        routes: Callable[[int, Sequence[Tensor]], Sequence[Route]],
        recipe: Recipe,
        *,
        alphas: AlphaTraining | None = None,
        seed: int = 0,
        workers: Workers = ALONE,
        measure: Callable[[Tensor, Tensor], Tensor] = classification_sums,
    ) -> None:
        """Sets up the training.

        Args:
            supernet: The weight-sharing network, on its device.
            optimizer: Its optimiser, as `make_optimizer` makes it.
            batches: Training batches of images and labels.
            routes: The routes of a step of the weights, given the alphas.
            recipe: Hyper-parameters.
            alphas: The alphas and their training; None to train weights alone.
            seed: Seed of what is dropped.
            workers: Who trains together.
            measure: Returns the sums of the metrics, ``(2,)``, of logits and labels.
        """
        super().__init__(supernet, optimizer, batches, workers)
        self.alphas = alphas
        self._routes, self._recipe, self._objective, self._seed = routes, recipe, Objective.of(recipe), seed
        self._drop_path = EpochDropPath(supernet, recipe.drop_path_at)
        self._drops = drops(supernet, recipe)
        self._measure = measure
        self._memory = memory_of(supernet, recipe.batch_size, workers)
        self._average = StalledAverage(supernet, recipe.average_when_stalled)

    def step(self, batch: tuple[Tensor, Tensor], position: Position, update: Callable[[], None]) -> Sums:
        """Trains the weights on a batch, and the alphas before or after them.

        Raises:
            RunError: If workers train different routes.
        """
        images, labels = self._memory.recall(batch[0], position.epoch), batch[1]
        self._drop_path.begin(position.epoch)
        if self.alphas is not None and self.alphas.before_weights:
            self._step_alphas(images, labels, position)
        routes = self._routes(position.step, self.alphas.alphas if self.alphas else [])
        if position.step % CHECKED == 0:
            self._check_same_routes(routes, position.step)

        sums = torch.zeros(2, dtype=torch.float64, device=labels.device)
        for turn, route in enumerate(routes):
            sums += self._learn(images, labels, route, (self._seed, position.step, self.workers.rank, 0, turn))
        update()
        self._average.update()

        if self.alphas is not None and not self.alphas.before_weights:
            self._step_alphas(images, labels, position)
        return Sums(sums, len(labels) * len(routes))

    def _learn(self, images: Any, labels: Tensor, route: Route, seeds: Sequence[int]) -> Tensor:
        """Adds the gradient of the loss on a route, and returns the sums of its metrics."""
        with dropping(labels.device, *seeds) if self._drops else nullcontext():
            network = functools.partial(self.module, images, route)
            loss, logits = self._objective.evaluate(network, labels, self._memory.keep)
        loss.backward()  # type: ignore[no-untyped-call]
        return self._measure(logits, labels)

    def _step_alphas(self, images: Any, labels: Tensor, position: Position) -> None:
        assert self.alphas is not None
        self.alphas.step(self.module, self.optimizer, images, labels, position.step, position.epoch, self.workers)

    def _check_same_routes(self, routes: Sequence[Route], step: int) -> None:
        """Checks that all workers are about to train the same routes at the same step, and hold the same alphas.

        Raises:
            RunError: If they are not.
        """
        if self.workers.world == 1:
            return
        values = [alpha.tolist() for alpha in self.alphas.alphas] if self.alphas else []
        content = repr((step, [actives(route) for route in routes], values))
        if not self.workers.agree(content, self.device):
            raise RunError(f"the workers train different paths at step {step}: are they of one version and one seed?")

    def state(self) -> State:
        """Returns weights, momentum, and the alphas with the state of their optimiser."""
        of_alphas = {} if self.alphas is None else {"alphas": self.alphas.state()}
        memories = with_prefixes({"train": self._memory.state(), "search": self._search_memory()})
        further = {"memory": memories, "stalled": self._average.state()}
        return {**super().state(), **of_alphas, **{name: part for name, part in further.items() if part}}

    def _search_memory(self) -> dict[str, Tensor]:
        return {} if self.alphas is None else self.alphas.memory.state()

    def restore(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Goes on from what `state` returned."""
        super().restore(state)
        memories = without_prefixes(state.get("memory", {}))
        self._memory.restore(memories.get("train", {}))
        self._average.restore(state.get("stalled", {}))
        if self.alphas is not None:
            self.alphas.memory.restore(memories.get("search", {}))
            self.alphas.restore(state.get("alphas", {}))
            if "sums" in state:
                self.alphas.restore_sums(state["sums"]["alphas"], self.workers)

    def sums(self) -> dict[str, Tensor]:
        """Returns the sums of the alphas' steps."""
        return {} if self.alphas is None else {"alphas": self.alphas.sums(self.workers)}

    def finish_epoch(self, epoch: int) -> Figures:
        """Returns what the alphas' steps report; nothing of an epoch in which they rest.

        Raises:
            RunError: If an alpha or its gradient is not finite.
        """
        if self.alphas is None:
            return {}
        if not all(bool(torch.isfinite(alpha).all()) for alpha in self.alphas.alphas):
            raise RunError(f"the alphas diverged in epoch {epoch}; lower alphas.learning_rate or set alphas.clip_norm")
        metrics = self.alphas.take_metrics(self.workers)
        if metrics is None:
            return {}
        self._average.note(metrics.search_loss)
        if epoch + 1 == self._recipe.epochs:
            self._average.apply()  # the supernet that architectures are evaluated with
        averaged = {} if self._recipe.average_when_stalled is None else {"averaged_steps": self._average.steps}
        return {"alphas": {**metrics.by_name(), **averaged}}
