r"""Scores of the gradient of an untrained network: its norm, SNIP, GraSP and SynFlow.

With w_l the weights of layer l on the path, and L the cross-entropy of a batch:

    grad_norm(a) = sum_l | dL/dw_l |                                     (Abdelfattah et al. 2021, section 3.1)
    snip(a)      = sum_l sum | w_l * dL/dw_l |                           (Lee, Ajanthan, Torr 2019, "SNIP", ICLR, Eq. 4)
    grasp(a)     = - sum_l sum w_l * (H g)_l                             (Wang, Zhang, Grosse 2020, "GraSP", ICLR)
    synflow(a)   = log ( 1 + sum_l sum | w_l * dR/dw_l | )               (Tanaka et al. 2020, "SynFlow", NeurIPS, Eq. 1)

g is the gradient of L by all these weights, and H g its product with the Hessian of L. R is the sum of the outputs for
an image of ones, of the network whose weights are their absolute values and whose normalisations are left out. No
image and no label is needed for it. The labels of the others are those of the run (`data.labels`), random ones in
RLNAS. Weights that no path reaches count as zeros. A network without a path has the score 0, which is the lowest but
for GraSP, whose scores may be negative.

Departs from the papers: GraSP divides logits by a temperature of 200 and takes as many images of each class. Here, as
in the code of Abdelfattah et al., the temperature is 1, and the sign is that for which larger is better. The images are
a sample. SynFlow grows with the product over the layers, so that its logarithm is taken, which leaves the order as it
is. A ReLU6 counts as a ReLU. As in the code of Abdelfattah et al., weights are those of convolutions and linear layers.
"""

from __future__ import annotations

import math

import torch

from raynas.fitness.probe import Probe
from raynas.fitness.row import FitnessRow, ScoreOptions


def grad_norm(probe: Probe, options: ScoreOptions) -> float:
    """Returns the sum over the layers of the norm of the gradient."""
    total = 0.0
    for _, gradient in probe.gradients(probe.loss()):
        total += gradient.double().norm().item()
    return total


def snip(probe: Probe, options: ScoreOptions) -> float:
    """Returns the sum over all weights of weight times derivative, without signs."""
    total = 0.0
    for weight, gradient in probe.gradients(probe.loss()):
        total += (weight.double() * gradient.double()).abs().sum().item()
    return total


def grasp(probe: Probe, options: ScoreOptions) -> float:
    """Returns minus the sum over all weights of weight times the product of the Hessian and the gradient."""
    first = probe.gradients(probe.loss(), create_graph=True)
    product = torch.stack([(gradient * gradient.detach()).sum() for _, gradient in first]).sum()
    total = 0.0
    for weight, derivative in probe.gradients(product):
        total -= (weight.double() * derivative.double()).sum().item()
    return total


def synflow(probe: Probe, options: ScoreOptions) -> float:
    """Returns the logarithm of the flow through the weights."""
    probe = probe.linear()
    total = 0.0
    for weight, gradient in probe.gradients(probe.logits().sum()):
        total += (weight * gradient).abs().sum().item()
    return math.log1p(total)


GRAD_NORM = FitnessRow(
    name="grad_norm", title="norm of the first gradient", digits=3, options=ScoreOptions, score=grad_norm
)
SNIP = FitnessRow(name="snip", title="SNIP", digits=3, options=ScoreOptions, score=snip)
GRASP = FitnessRow(name="grasp", title="GraSP", digits=3, options=ScoreOptions, score=grasp)
SYNFLOW = FitnessRow(name="synflow", title="SynFlow", digits=3, options=ScoreOptions, score=synflow)
