r"""Short training: how small the loss of a network becomes in a few hundred steps.

    s(a) = - mean over the steps t of the last epoch of L_t

L_t is the cross-entropy of batch t before its step. The path is trained from its initial weights, in a copy of the
supernet, so that architectures do not see each other. With `data.labels: rotation` no label of an image is needed.

Reference: Ru et al. 2021, "Speedy Performance Estimation for Neural Architecture Search", NeurIPS: their TSE-E sums the
training losses of the last E epochs.

The recipe is fixed: SGD with Nesterov's momentum 0.9, batches of 64 images, a rate from 0.1 to 0 by a cosine over the
steps, and the L2 penalty 5e-4. Images are not augmented, and the last batch of an epoch is left out if it is smaller.
"""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from raynas.fitness.probe import Probe
from raynas.fitness.row import FitnessRow
from raynas.options import Images, Options, Positive
from raynas.supernet.gates import single_path

BATCH, RATE, MOMENTUM, DECAY = 64, 0.1, 0.9, 5e-4
"""Images in a batch, learning rate at the start, momentum, and coefficient of the L2 penalty."""


class ShortTrainingOptions(Options):
    """Options of a short training.

    Attributes:
        training_images: Number of training images on which short_training trains each architecture.
        training_epochs: Number of passes over them.
    """

    training_images: Images = 8192
    training_epochs: Positive = 2


def short_training(probe: Probe, options: ShortTrainingOptions) -> float:
    """Returns minus the mean training loss of the last epoch, in nats."""
    network = copy.deepcopy(probe.supernet)
    optimizer = torch.optim.SGD(network.parameters(), RATE, MOMENTUM, nesterov=True, weight_decay=DECAY)
    gates = single_path(probe.architecture)
    generator = torch.Generator().manual_seed(0)
    batch = min(BATCH, len(probe.labels))
    steps = len(probe.labels) // batch
    step = 0
    losses: list[Tensor] = []
    for _ in range(options.training_epochs):
        order = torch.randperm(len(probe.labels), generator=generator).to(probe.labels.device)
        losses = []
        for positions in order[: steps * batch].reshape(steps, batch):
            optimizer.param_groups[0]["lr"] = _rate(step / (steps * options.training_epochs))
            loss = F.cross_entropy(network(probe.images[positions], gates), probe.labels[positions])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
            step += 1
    return -torch.stack(losses).double().mean().item()


def _rate(done: float) -> float:
    """Returns the learning rate after a share of the steps."""
    return RATE * 0.5 * (1 + math.cos(math.pi * done))


SHORT_TRAINING = FitnessRow(
    name="short_training",
    title="negative loss of a short training",
    unit="nats",
    options=ShortTrainingOptions,
    definition=lambda options: f"{options.training_images:,} images, {options.training_epochs} epochs",
    score=short_training,
    batch="training_images",
)
