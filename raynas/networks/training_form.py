"""The form in which a network is trained: with what its recipe adds to it in training mode."""

from __future__ import annotations

from torch import nn

from raynas.network_capabilities import network_with_auxiliary_of
from raynas.search_space import Architecture, SearchSpace
from raynas.training.classifier import add_dropout
from raynas.training.initial_weights import draw_kernels
from raynas.training.network_recipe import NetworkRecipe


def network_to_train(
    space: SearchSpace, architecture: Architecture, num_classes: int, recipe: NetworkRecipe
) -> nn.Module:
    """Returns a network with an auxiliary tower, dropout and initial weights as a recipe says.

    Its weights have the names that they have in the plain network, so that this one takes them over.

    Raises:
        InputError: If the recipe asks for a tower and the space has none.
    """
    if recipe.auxiliary == "none":
        network = space.build_network(architecture, num_classes)
    else:
        second_norm = recipe.auxiliary == "tower"
        network = network_with_auxiliary_of(space, architecture, num_classes, second_norm=second_norm)
    if recipe.initialisation is not None:
        draw_kernels(network, recipe.initialisation)
    if recipe.dropout:
        add_dropout(network, recipe.dropout)
    return network
