"""MiLeNAS as a user would write it: alphas that follow the training loss beside the search loss, in one file.

The gradient of a choice's alphas is dL_val/dalpha + LEVEL dL_train/dalpha, both at the weights as they are.

Reference: He, Ye, Shen, Zhang 2020, "MiLeNAS: Efficient Neural Architecture Search via Mixed-Level Reformulation",
CVPR, Eq. 9, first order.
"""

from raynas.algorithms import Algorithm
from raynas.supernet.architecture_gradients import ArchitectureGradient, GradientProblem, GradientRule
from raynas.supernet.curvature import gradient_of_alphas

LEVEL = 0.5
"""How much the training loss counts beside the search loss."""


def mixed_level(problem: GradientProblem) -> ArchitectureGradient:
    """Returns the gradient of a step: that of the search loss, and what the training loss adds."""
    of_search = gradient_of_alphas(problem.search_loss, problem.weights, problem.alphas)
    of_training = gradient_of_alphas(problem.train_loss, problem.weights, problem.alphas)
    added = [LEVEL * gradient for gradient in of_training]
    return ArchitectureGradient(problem.summed(of_search), problem.summed(added))


MIXED_LEVEL = GradientRule("mixed_level", "of search loss and training loss, the weights held", mixed_level)

MILENAS = Algorithm(
    name="milenas",
    sampling="mixture",
    gates="mixture",
    gradient=MIXED_LEVEL,
    labels="true",
    search="derive",
    fitness="one_shot_accuracy",
)
