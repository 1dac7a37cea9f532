"""What every algorithm promises on every space: the same seed gives the same bits, and what must move moves."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from raynas.algorithms import ALGORITHMS
from raynas.capabilities import takes_of
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.quadruples import Quadruples
from raynas.spaces.recurrent import Recurrent
from raynas.supernet.alpha_recipe import AlphaRecipe
from raynas.supernet.alphas import AlphaTraining, initial_alphas
from raynas.supernet.one_shot import OneShot
from raynas.supernet.routes import GATES, SAMPLINGS, Routing
from raynas.training.loop import train
from raynas.training.objective import Objective
from raynas.training.optimizers import make_optimizer
from raynas.training.plan import Plan
from raynas.training.recipe import Recipe
from raynas.training.window import memory_of

SPACES = {
    "nasbench201": NasBench201(channels=2, cells=1),
    "darts": Darts(channels=4, cells=3, operations=("none", "avg_pool_3x3", "skip_connect", "dil_conv_3x3")),
    "S2": Darts(
        channels=4, cells=3, operations=("skip_connect", "dil_conv_3x3"), edges="fixed", share_cells=False, affine=False
    ),
    "FRC": Darts(channels=4, cells=3, operations=("none", "max_pool_3x3", "dil_conv_3x3"), reduction="fixed"),
    "quadruples": Quadruples(channels=4, cells=3, operations=("avg_pool_3x3", "skip_connect", "dil_conv_3x3")),
    "mobilenet": MobileNet(width=0.1, depth=3),
    "recurrent": Recurrent(nodes=3, embedding=4, hidden=4, dropout=0.2, temporal=1e-3),
}
TRAINED = list(  # of rows that train alike the first
    {
        (row.sampling, row.path_per_cell, row.gates, row.gradient, row.before_weights): name
        for name, row in reversed(ALGORITHMS.rows().items())
    }.values()
)
STEPS = 3


class Batches:
    """Three batches of four random images of 16 x 16."""

    steps_per_epoch = STEPS

    def __init__(self, seed, takes="images"):
        generator = torch.Generator().manual_seed(seed)
        if takes == "tokens":  # windows of five tokens of four streams, each token with a label
            self.images, labels = torch.randint(0, 3, (2, STEPS, 4, 5), generator=generator)
            self.labels = labels.flatten(1)
            return
        self.images = torch.randn(STEPS, 4, 3, 16, 16, generator=generator)
        self.labels = torch.randint(0, 3, (STEPS, 4), generator=generator)

    def epoch(self, epoch, first_step=0, rank=0, world=1):
        for images, labels in list(zip(self.images, self.labels, strict=True))[first_step:]:
            yield images[rank::world], labels[rank::world]


def trained(name, space, eta=1e-6):
    """Returns weights before and after an epoch, and the alphas after it, None for an algorithm without."""
    row = ALGORITHMS.row(name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = space.build_supernet(3)
    before = {key: value.clone() for key, value in supernet.state_dict().items()}
    recipe = Recipe(epochs=1, batch_size=4)
    cells = supernet.num_cells if row.path_per_cell else 1
    routing = Routing(space, 0, SAMPLINGS.row(row.sampling), cells, GATES.row(row.gates or "mixture"))
    alphas = None
    if row.gates is not None:
        alphas = AlphaTraining(
            initial_alphas(space, 0),
            Batches(1, takes_of(space)),
            routing.of_alphas,
            AlphaRecipe(gradient=row.gradient, eta=eta, before_weights=row.before_weights),
            objective=Objective.of(recipe),
            seeds=(lambda step: (step,)) if getattr(supernet, "drops", False) else None,
            memory=memory_of(supernet, 4),
        )
    optimizer = make_optimizer(supernet, recipe)
    batches = Batches(0, takes_of(space))
    train(OneShot(supernet, optimizer, batches, routing.of_weights, recipe, alphas=alphas), Plan("-", "-", recipe))
    return before, supernet.state_dict(), None if alphas is None else [alpha.detach() for alpha in alphas.alphas]


CASES = [
    pytest.param(
        *(name, space),
        id=f"{name}-{space}",
        marks=[] if space == "nasbench201" or name in ("gdas", "setn") else pytest.mark.slow,
    )
    for name in TRAINED
    for space in SPACES
]


@pytest.mark.parametrize(("name", "space"), CASES)
def test_the_same_seed_gives_the_same_bits_and_what_must_move_moves(name, space):
    space = SPACES[space]
    before, after, alphas = trained(name, space)
    again = trained(name, space)
    assert all(torch.equal(value, again[1][key]) for key, value in after.items())
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert any(key.endswith(".weight") for key in moved)
    assert all(torch.isfinite(value).all() for value in after.values())
    statistics = [key for key in after if key.endswith("num_batches_tracked")]
    sampling = SAMPLINGS.row(ALGORITHMS.row(name).sampling)
    most = STEPS * len(Routing(space, 0, sampling).of_weights(0, initial_alphas(space, 0)))
    moves = max((int(after[key]) for key in statistics), default=most)
    assert moves == most, "statistics move in the weights' steps alone"
    row = ALGORITHMS.row(name)
    assert (alphas is None) == (row.gates is None)
    if alphas is not None:
        assert all(torch.equal(one, other) for one, other in zip(alphas, again[2], strict=True))
        changed = [not torch.equal(one, first) for one, first in zip(alphas, initial_alphas(space, 0), strict=True)]
        assert all(changed), "weight decay alone moves every alpha"
        probabilities = [torch.softmax(alpha.double(), 0).numpy() for alpha in alphas]
        derived = space.derive(probabilities, row.derivation)
        assert space.check(derived) == derived


def test_a_mixture_in_the_weights_step_trains_every_candidate_and_a_path_only_its_own():
    space = SPACES["darts"]
    idle = {}
    for name in ("darts", "gdas"):
        before, after, _ = trained(name, space)
        kernels = [key for key in after if ".dil_conv_3x3." in key and key.endswith("weight")]
        idle[name] = sum(torch.equal(before[key], after[key]) for key in kernels)
    assert idle["darts"] == 0 < idle["gdas"]


@functools.cache
def _epoch_of_alphas(name):
    return trained(name, SPACES["nasbench201"])[2]


def test_a_gradient_of_the_alphas_that_overflows_is_an_error_that_names_the_cure():
    with pytest.raises(RuntimeError, match=r"^training diverged: .* in epoch 0; lower alphas.eta"):
        trained("amended_darts", SPACES["nasbench201"], eta=1e30)


def test_rows_of_different_gradients_lead_alphas_apart():
    names = ("darts", "darts_second_order", "amended_darts", "gdas", "proxyless", "setn")
    ends = {name: np.concatenate([alpha.numpy() for alpha in _epoch_of_alphas(name)]).tobytes() for name in names}
    assert len(set(ends.values())) == len(names)
