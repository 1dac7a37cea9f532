"""The training of one network from scratch, and the figures of the finished network."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from raynas.supernet.choice_block import EpochDropPath
from raynas.training.averaging import StalledAverage, WeightAverage
from raynas.training.batch_norm import estimate_batch_norm
from raynas.training.learner import Figures, Learner, Position, State, Sums
from raynas.training.metrics import perplexity
from raynas.training.network_recipe import NetworkRecipe
from raynas.training.objective import Objective, classification_sums, dropping
from raynas.training.optimizers import make_optimizer
from raynas.training.window import NoMemory, Remembering, memory_of
from raynas.training.workers import ALONE, Batches, Workers, average_buffers

TOP = 5
"""Of how many classes the likeliest count for the second accuracy."""


VALIDATION = "validation"
"""The name of what was held out to follow a training by."""


class NetworkLearner(Learner):
    """Trains a network as a recipe says, and measures it once it is finished.

    An update does not depend on the number of workers, but for batch normalisation, which sees a worker's own images,
    and for what is dropped.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: NetworkRecipe,
        batches: Batches,
        *,
        held_out: Mapping[str, Batches] | None = None,
        seed: int = 0,
        workers: Workers = ALONE,
        measure: Callable[[Tensor, Tensor], Tensor] = classification_sums,
    ) -> None:
        """Sets up the training.

        Args:
            network: The network with its initial weights, on its device.
            recipe: Hyper-parameters.
            batches: Training batches of images and labels.
            held_out: Images that the finished network is measured on, by a name such as ``test``.
            seed: Seed of what is dropped.
            workers: Who trains together.
            measure: Returns the sums of the training's metrics, ``(2,)``, of logits and labels.
        """
        super().__init__(network, make_optimizer(network, recipe), batches, workers)
        self._recipe, self._objective, self._seed = recipe, Objective.of(recipe), seed
        self._held_out = held_out or {}
        self._average = None if recipe.ema is None else WeightAverage(network, recipe.ema)
        self._is_finished = False
        self._drop_path = EpochDropPath(network, recipe.drop_path_at)
        self._drops = bool(recipe.drop_path or recipe.dropout or getattr(network, "drops", False))
        self._measure, self._memory = measure, memory_of(network, recipe.batch_size, workers)
        self._reads_text = not isinstance(self._memory, NoMemory)
        self._stalled = StalledAverage(network, recipe.average_when_stalled)

    def step(self, batch: tuple[Tensor, Tensor], position: Position, update: Callable[[], None]) -> Sums:
        """Trains the network on a batch."""
        images, labels = self._memory.recall(batch[0], position.epoch), batch[1]
        self._drop_path.begin(position.epoch)
        seeds = (self._seed, position.step, self.workers.rank)
        with dropping(labels.device, *seeds) if self._drops else nullcontext():
            network = functools.partial(self.module, images)
            loss, logits = self._objective.evaluate(network, labels, self._memory.keep)
        loss.backward()  # type: ignore[no-untyped-call]
        update()
        self._stalled.update()
        if self._average is not None:
            self._average.update()
        return Sums(self._measure(logits, labels), len(labels))

    @property
    def finished(self) -> nn.Module:
        """The network that the training comes to: that of the averaged weights, where the recipe averages."""
        return self.module if self._average is None else self._average.network

    def modules(self) -> dict[str, nn.Module]:
        """Returns the network, and that of the averaged weights."""
        of_average = {} if self._average is None else {"average": self._average.network}
        return {**super().modules(), **of_average}

    def state(self) -> State:
        """Returns weights and optimiser, the average, and in the end the finished network if it has other weights."""
        further = {"memory": self._memory.state(), "stalled": self._stalled.state()}
        state = {**super().state(), **{name: part for name, part in further.items() if part}}
        if self._average is not None:
            state["average"] = self._average.state()
            if self._is_finished:
                state["final"] = dict(self.finished.state_dict())
        return state

    def restore(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Goes on from what `state` returned."""
        super().restore(state)
        self._memory.restore(state.get("memory", {}))
        self._stalled.restore(state.get("stalled", {}))
        if self._average is not None and "average" in state:
            self._average.restore(state["average"])

    def finish_epoch(self, epoch: int) -> Figures:
        """Returns, after the last epoch, the figures of the finished network on the images that were held out.

        Of a text there are figures of the validation text after every epoch, and where stalled training averages.
        """
        figures = self._validated() if self._reads_text or self._recipe.average_when_stalled else {}
        if epoch + 1 < self._recipe.epochs:
            return figures
        self._is_finished = True
        self._stalled.apply()
        average_buffers(self.finished, self.workers)
        if self._recipe.estimate_batch_norm:
            shares = self.batches.epoch(epoch, 0, self.workers.rank, self.workers.world)
            estimate_batch_norm(self.finished, (images for images, _ in shares), self.workers)
        return {name: self._measured(name, batches) for name, batches in self._held_out.items()}

    def _validated(self) -> Figures:
        """Returns the figures on what was held out for validation, of the averaged weights where there are any."""
        if VALIDATION not in self._held_out:
            return {}
        with self._stalled.applied():
            measured = self._measured(VALIDATION, self._held_out[VALIDATION])
        loss = measured[f"{VALIDATION}_loss"]
        assert loss is not None
        self._stalled.note(loss)
        return {VALIDATION: measured}

    def _measured(self, name: str, batches: Batches) -> dict[str, float | None]:
        """Returns loss and accuracies in percent over the images of all workers."""
        sums = torch.zeros(4, dtype=torch.float64, device=self.device)
        with _evaluating(self.finished) as network:
            run = Remembering(network)
            for images, labels in batches.epoch(0, 0, self.workers.rank, self.workers.world):
                if len(labels):
                    sums += _sums(run(images), labels)
        self.workers.add_up(sums)
        loss, right, among_top, count = sums.tolist()
        of_text = {f"{name}_perplexity": perplexity(loss, count)} if self._reads_text else {}
        return {
            **of_text,
            f"{name}_loss": loss / count,
            f"{name}_accuracy": 100 * right / count,
            f"{name}_top{TOP}_accuracy": 100 * among_top / count if among_top >= 0 else None,
        }


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Yields a network in evaluation mode, without gradients."""
    network.eval()
    with torch.inference_mode():
        yield network
    network.train()


def _sums(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns loss, right predictions, labels among the likeliest and their number, ``(4,)`` float64.

    With no more classes than `TOP`, the third is negative.
    """
    if logits.shape[1] > TOP:
        among_top = (logits.topk(TOP).indices == labels[:, None]).sum()
    else:
        among_top = labels.new_tensor(-len(labels))
    of_batch = classification_sums(logits, labels)
    return torch.cat([of_batch, torch.stack([among_top, labels.new_tensor(len(labels))]).double()])
