"""GDAS' own derivation: the two most probable pairs of edge and operation of a node, both of one edge maybe."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from raynas.spaces.darts import Darts
from raynas.spaces.quadruples import Quadruples
from raynas.supernet.gates import single_path

SPACE = Darts(channels=4, cells=3, operations=("none", "avg_pool_3x3", "skip_connect", "dil_conv_3x3"))
FRC = Darts(channels=4, cells=3, operations=("none", "max_pool_3x3", "dil_conv_3x3"), reduction="fixed")


def random_probabilities(space, seed):
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.ones(len(choice.candidates))) for choice in space.choices]


@pytest.mark.parametrize("space", [SPACE, FRC], ids=["both cells", "fixed reduction"])
@pytest.mark.parametrize("seed", range(5))
def test_a_node_takes_its_two_most_probable_pairs(space, seed):
    probabilities = random_probabilities(space, seed)
    pairs_space = space.derived_space("pairs")
    drawing = pairs_space.drawing(space.derive(probabilities, "pairs"))
    assert list(drawing) == list(space.skeleton.kinds)
    rows = dict(zip((choice.name for choice in space.choices), probabilities, strict=True))
    for kind, node in itertools.product(space.skeleton.kinds, range(2, 6)):
        pairs = [
            (-rows[f"{kind} {node}<-{source}"][k], ("in 1", "in 2", "2", "3", "4")[source], operation)
            for source in range(node)
            for k, operation in enumerate(space.operations)
            if operation != "none"
        ]
        expected = sorted((source, operation) for _, source, operation in sorted(pairs)[:2])
        taken = [(source, operation) for source, target, operation in drawing[kind] if target == str(node)]
        assert sorted(taken) == expected


def test_both_pairs_of_a_node_may_come_from_one_predecessor_which_the_other_rules_never_take():
    probabilities = [np.array([0.7, 0.1, 0.1, 0.1]) for _ in SPACE.choices]
    probabilities[1] = np.array([0.0, 0.02, 0.5, 0.48])  # normal 2<-1
    text = SPACE.derived_space("pairs").describe(SPACE.derive(probabilities, "pairs"))
    assert "normal=[('dil_conv_3x3', 1), ('skip_connect', 1)" in text
    for rule in ("with_none", "without_none"):
        assert "normal=[('avg_pool_3x3', 0), ('skip_connect', 1)" in SPACE.describe(SPACE.derive(probabilities, rule))


def test_what_is_derived_stands_on_the_weights_that_were_trained():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        supernet = SPACE.build_supernet(5)
        images = torch.randn(2, 3, 8, 8)
    pairs_space = SPACE.derived_space("pairs")
    other = pairs_space.build_supernet(5)
    other.load_state_dict(supernet.state_dict())
    distinct = next(  # an architecture that both spaces know
        probabilities
        for probabilities in (random_probabilities(SPACE, seed) for seed in itertools.count())
        if pairs_space.describe(SPACE.derive(probabilities, "pairs"))
        == SPACE.describe(SPACE.derive(probabilities, "without_none"))
    )
    routes = [single_path(SPACE.derive(distinct, rule)) for rule in ("without_none", "pairs")]
    with torch.no_grad():
        ours, theirs = supernet.train()(images, routes[0]), other.train()(images, routes[1])
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"edges": "fixed", "operations": ("skip_connect", "dil_conv_3x3")},
        {"share_cells": False},
        {"auxiliary": True},
    ],
    ids=["fixed edges", "own choices", "auxiliary tower"],
)
def test_where_pairs_have_no_words_they_are_refused(changes):
    space = Darts(channels=4, cells=3, **changes)
    with pytest.raises(ValueError, match=r"^search.derivation: pairs is for space.edges: all, .*; take without_none$"):
        space.derive(random_probabilities(space, 0), "pairs")


def test_the_other_rules_stay_in_the_space_that_was_trained():
    assert SPACE.derived_space("with_none") is SPACE is SPACE.derived_space("without_none")
    assert isinstance(SPACE.derived_space("pairs"), Quadruples)
