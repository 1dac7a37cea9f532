"""What every built-in space promises."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from raynas.capabilities import canonical_of, path_counts_of, path_to_train, takes_of, weight_vector_of
from raynas.search_space import SearchSpace, as_array, crossover, mutate, sample
from raynas.spaces import space_classes
from raynas.spaces.darts import Darts
from raynas.spaces.mobilenet import MobileNet
from raynas.spaces.nasbench201 import NasBench201
from raynas.spaces.quadruples import Quadruples
from raynas.spaces.recurrent import Recurrent
from raynas.supernet.costs import cost_table
from raynas.supernet.gates import single_path

cost_table = functools.cache(cost_table)

EXACT = {"rtol": 1e-10, "atol": 1e-10}


@dataclass(frozen=True)
class Case:
    """A space small enough to run.

    Attributes:
        space: The space.
        resolution: Of its images.
        definitions: Of the angle, all that it knows; none where the space states no weight vector.
        alike: What differs between the names of the weights of one candidate at different choices of a cell; None where
            no two architectures compute the same function.
        modes: Whether a supernet and a derived network agree in training mode, in evaluation mode.
        never_none: In the names of choices that ``none`` is a candidate of but no architecture takes it at.
        shares: Whether the candidates of a choice share their weights.


        fits: Whether weights of the supernet fit derived networks, which may have more channels.
    """

    space: SearchSpace
    resolution: int = 8
    definitions: tuple[str, ...] = ("paper", "official")
    alike: str | None = r"edges\.\d+"
    modes: tuple[bool, ...] = (True, False)
    never_none: str | None = None
    shares: bool = False

    fits: bool = True


FEW = {"channels": 4, "operations": ("none", "avg_pool_3x3", "skip_connect", "dil_conv_3x3"), "pool_bn": False}
SKIP_OR_SEP = ("skip_connect", "sep_conv_3x3")
PAIRS = {
    "channels": 4,
    "cells": 3,
    "operations": ("max_pool_3x3", "skip_connect", "sep_conv_3x3"),
    "pool_bn": False,
}
CELL = {"nodes": 3, "embedding": 5, "hidden": 5}
OF_CELL = {"alike": None, "never_none": "1<-0"}
SHARING = {**OF_CELL, "shares": True}
NO_ANGLE = {"definitions": (), "alike": None}

CASES = {
    "nasbench201": Case(NasBench201(channels=4, cells=1)),
    "nasbench201, two cells": Case(NasBench201(channels=2, cells=2), resolution=12),
    "nasbench201, affine": Case(NasBench201(channels=4, cells=1, affine=True)),
    # without running statistics a supernet evaluates by batch statistics, which a derived network does not
    "nasbench201, untracked": Case(NasBench201(channels=4, cells=1, track_running_stats=False), modes=(True,)),
    "mobilenet": Case(MobileNet(width=0.1, depth=3), resolution=9, alike=r"blocks\.\d+"),
    # a derived network does not normalise after a pooling; but for that the two are one
    "darts": Case(Darts(channels=2, cells=3), alike=None, never_none=r"2<-", modes=()),
    "darts, few operations": Case(Darts(**FEW, cells=3, affine=False), alike=None, never_none=r"2<-"),
    "darts, imagenet": Case(Darts(**FEW, cells=3, stem="imagenet"), resolution=33, alike=None, never_none=r"2<-"),
    "darts, partial channels": Case(
        Darts(**FEW, cells=3, partial_channels=2), alike=None, modes=(), fits=False, never_none=r"2<-"
    ),
    "darts, fixed reduction": Case(Darts(**FEW, cells=3, reduction="fixed"), alike=None, never_none=r"2<-"),
    "darts, S1": Case(Darts(channels=2, cells=4, edges="fixed", operations=SKIP_OR_SEP), alike=None),
    "darts, S2": Case(Darts(channels=2, cells=3, edges="fixed", operations=SKIP_OR_SEP, share_cells=False), alike=None),
    "darts, edges kept": Case(Darts(channels=2, cells=3, edges="kept", operations=SKIP_OR_SEP), alike=None),
    "quadruples": Case(Quadruples(channels=2, cells=3), modes=(), **NO_ANGLE),
    "quadruples, few operations": Case(Quadruples(**PAIRS, affine=False), **NO_ANGLE),
    "quadruples, imagenet": Case(Quadruples(**PAIRS, stem="imagenet"), resolution=33, **NO_ANGLE),
    "quadruples, fixed reduction": Case(Quadruples(**PAIRS, reduction="fixed"), **NO_ANGLE),
    # derived cells are not normalised
    "recurrent": Case(Recurrent(**CELL), modes=(), **SHARING),
    "recurrent, not normalised": Case(Recurrent(**CELL, normalise=False), **SHARING),
    "recurrent, own matrices": Case(Recurrent(**CELL, normalise=False, weights="candidate"), **OF_CELL),
    "recurrent, leaves": Case(Recurrent(nodes=3, embedding=4, hidden=5, outputs="leaves"), modes=(), **SHARING),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


@pytest.fixture
def space(case):
    return case.space


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def images_of(case, number=5):
    """Returns inputs of five samples: images, or two tokens of a text each, which have outputs of their own."""
    generator = torch.Generator().manual_seed(3)
    if takes_of(case.space) == "tokens":
        return torch.randint(0, 2, (number, 2), generator=generator)
    return torch.randn(number, 3, case.resolution, case.resolution, generator=generator, dtype=torch.float64)


def outputs_of(case):
    """Returns how many rows of logits the inputs have."""
    return 10 if takes_of(case.space) == "tokens" else 5


def of_dtype(inputs, dtype):
    """Returns images in a dtype, and tokens as they are."""
    return inputs.to(dtype) if inputs.is_floating_point() else inputs


def supernet_of(space, num_classes=6):
    """Returns a float64 supernet with every weight and running statistic random."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        supernet = space.build_supernet(num_classes).double()
        for module in supernet.modules():
            if isinstance(module, nn.BatchNorm2d):
                for tensor, mean in ((module.weight, 1), (module.bias, 0), (module.running_mean, 0)):
                    if tensor is not None:
                        nn.init.normal_(tensor, mean, 0.3)
                if module.running_var is not None:
                    nn.init.uniform_(module.running_var, 0.5, 2.0)
    return supernet


def test_every_built_in_space_is_tested_here():
    assert {case.space.name for case in CASES.values()} == set(space_classes())


# Architectures


def test_samples_mutants_and_children_are_legal_and_fixed_points_of_repair(space, rng):
    for _ in range(60):
        first, second = sample(space, rng), sample(space, rng)
        mutants = [mutate(space, first, p, rng, excluded) for p in (0.1, 1.0) for excluded in ((), ("none",))]
        for architecture in (first, second, *mutants, crossover(space, first, second, rng)):
            assert space.check(architecture) == architecture
            assert all(type(candidate) is int for candidate in architecture)
            assert space.repair(architecture, rng) == architecture


def test_a_path_to_train_is_legal_and_repaired_once_and_for_all(space, rng):
    for _ in range(100):
        path = path_to_train(space, sample(space, rng), rng)
        assert space.check(path) == path
        assert path_to_train(space, path, rng) == path


def test_no_more_architectures_are_counted_than_combinations(space, rng):
    repaired = any(space.repair(a, rng) != a for a in map(tuple, combinations(space, rng, 50).tolist()))
    assert 1 < space.num_architectures <= space.size
    assert (space.num_architectures < space.size) == repaired


def combinations(space, rng, number):
    return rng.integers(0, [len(choice.candidates) for choice in space.choices], (number, len(space.choices)))


def test_describe_and_parse_are_inverse(space, rng):
    for _ in range(100):
        architecture = sample(space, rng)
        assert space.parse(space.describe(architecture)) == architecture


def test_different_architectures_have_different_descriptions(space, rng):
    architectures = {sample(space, rng) for _ in range(200)}
    assert len({space.describe(architecture) for architecture in architectures}) == len(architectures)


@pytest.mark.parametrize("text", ["", "nonsense", "1", "a=b"])
def test_text_that_describes_nothing_is_refused(space, text):
    with pytest.raises(ValueError, match=r"expected|architecture has"):
        space.parse(text)


def test_choices_and_their_candidates_have_names_of_their_own(space):
    assert len({choice.name for choice in space.choices}) == len(space.choices)
    for choice in space.choices:
        assert len(set(choice.candidates)) == len(choice.candidates) > 1
    assert space.choices == space.choices


def test_every_candidate_of_every_choice_is_sampled(case, space, rng):
    drawn = as_array([sample(space, rng) for _ in range(400)])
    for column, choice in zip(drawn.T, space.choices, strict=True):
        never = ("none",) if case.never_none and re.search(case.never_none, choice.name) else ()
        assert {choice.candidates[k] for k in column.tolist()} == set(choice.candidates).difference(never)


def test_the_canonical_architecture_is_legal_and_its_own_canonical_one(space, rng):
    for _ in range(60):
        canonical = canonical_of(space, sample(space, rng))
        assert space.check(canonical) == canonical == canonical_of(space, canonical)
        assert space.repair(canonical, rng) == canonical


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_canonical_architecture_computes_the_same_function(case, space, rng, training):
    architectures = [sample(space, rng) for _ in range(200)]
    changed = [architecture for architecture in architectures if canonical_of(space, architecture) != architecture]
    if case.alike is None:
        assert not changed
        return
    assert len(changed) >= 8
    supernet = supernet_of(space).train(training)
    with torch.no_grad():  # a candidate has the same weights at every choice, so that none needs to be exchanged
        first = {}
        for name, value in supernet.state_dict().items():
            value.copy_(first.setdefault((re.sub(case.alike, "", name), value.shape), value.clone()))
    x = images_of(case)
    for architecture in changed[:8]:
        same = (supernet(x, single_path(a)) for a in (architecture, canonical_of(space, architecture)))
        torch.testing.assert_close(*same, **EXACT)


def test_path_counts_are_positive_or_zero_one_row_an_architecture(space, rng):
    architectures = as_array([sample(space, rng) for _ in range(30)])
    counts = path_counts_of(space, architectures)
    assert counts.shape == architectures.shape and counts.dtype == np.int64
    assert counts.min() >= 0 and counts.any(axis=1).sum() > 20


# Description


def test_a_space_is_a_frozen_hashable_description_that_pickles(space):
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space and hash(copy) == hash(space) and copy is not space
    assert repr(copy) == repr(space)
    field = dataclasses.fields(space)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(space, field, 1)


# Networks


def test_a_supernet_says_how_many_cells_it_has_and_takes_a_path_for_each(case, space, rng):
    supernet = supernet_of(space)
    assert type(supernet.num_cells) is int and supernet.num_cells >= 1
    path = [single_path(path_to_train(space, sample(space, rng), rng)) for _ in range(supernet.num_cells)]
    assert supernet(images_of(case), path).shape == (outputs_of(case), 6)
    assert supernet(images_of(case), path[0]).shape == (outputs_of(case), 6)


def transferred(space, supernet, architecture):
    """Returns the derived network with the supernet's weights and statistics, and the names it has on its own."""
    network = space.build_network(architecture, 6).double()
    shared = supernet.state_dict()
    state = network.state_dict()
    own = set(state) - set(shared)
    network.load_state_dict({name: shared.get(name, value) for name, value in state.items()})
    return network, own


def test_a_supernet_on_a_path_is_the_derived_network_with_the_same_weights(case, space, rng):
    supernet = supernet_of(space)
    x = images_of(case)
    for training in case.modes:
        for _ in range(12):
            architecture = sample(space, rng)
            network, _ = transferred(space, supernet, architecture)
            supernet.train(training), network.train(training)
            outputs = [net(x, *gates) for net, gates in ((supernet, [single_path(architecture)]), (network, []))]
            torch.testing.assert_close(*outputs, **EXACT)
            gradients = []
            for net, out in zip((supernet, network), outputs, strict=True):
                net.zero_grad(set_to_none=True)
                out.square().mean().backward()
                gradients.append({n: p.grad for n, p in net.named_parameters() if p.grad is not None})
            for name in gradients[0].keys() | (gradients[1].keys() & dict(supernet.named_parameters()).keys()):
                torch.testing.assert_close(gradients[0][name], gradients[1][name], **EXACT)


def test_a_derived_network_holds_a_part_of_the_supernet_by_name_but_for_normalisation(case, space, rng):
    supernet = supernet_of(space)
    if not case.fits:
        network = space.build_network(sample(space, rng), 6)
        assert {name for name, _ in network.named_parameters()} <= set(supernet.state_dict())
        return
    for _ in range(5):
        network, own = transferred(space, supernet, sample(space, rng))
        normalisations = {n for n, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)}
        assert {name.rpartition(".")[0] for name in own} <= normalisations
        assert {name for name, _ in network.named_parameters()} & own == {
            name for name in own if name.endswith(("weight", "bias"))
        }
        part = set(network.state_dict()) - own
        assert part <= set(supernet.state_dict()) and (case.shares or part != set(supernet.state_dict()))
        for name, value in network.named_parameters():
            if name in own:
                assert (value == (1.0 if name.endswith("weight") else 0.0)).all()


def test_networks_of_one_seed_have_the_same_weights(space, rng):
    architecture = sample(space, rng)
    for build in (lambda: space.build_supernet(6), lambda: space.build_network(architecture, 6)):
        states = []
        for _ in range(2):
            with torch.random.fork_rng():
                torch.manual_seed(4)
                states.append(build().state_dict())
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("num_classes", [2, 17])
def test_networks_have_as_many_outputs_as_classes(case, space, rng, num_classes):
    architecture = sample(space, rng)
    x = of_dtype(images_of(case), torch.float32)
    assert space.build_supernet(num_classes)(x, single_path(architecture)).shape == (outputs_of(case), num_classes)
    assert space.build_network(architecture, num_classes)(x).shape == (outputs_of(case), num_classes)


def test_a_derived_network_of_no_architecture_of_the_space_is_refused(space):
    first = (0,) * len(space.choices)
    for wrong in (first[1:], (*first, 0), (99, *first[1:])):
        with pytest.raises(ValueError, match="^architecture "):
            space.build_network(wrong, 6)


def test_networks_pickle(case, space, rng):
    architecture = sample(space, rng)
    for net, gates in ((supernet_of(space), [single_path(architecture)]), (space.build_network(architecture, 6), [])):
        x = of_dtype(images_of(case), next(net.parameters()).dtype)
        copy = pickle.loads(pickle.dumps(net))
        assert torch.equal(net.eval()(x, *gates), copy.eval()(x, *gates))


# Costs and weights


def test_costs_are_whole_positive_numbers_and_the_parameters_those_of_the_network(case, space, rng):
    table = cost_table(space, case.resolution, 6)
    assert table.quantities == ("num_parameters", "multiply_adds")
    architectures = [sample(space, rng) for _ in range(6)]
    costs = table.total(as_array(architectures))
    assert costs.dtype == np.int64 and costs.min() > 0
    for architecture, (num_parameters, _) in zip(architectures, costs.tolist(), strict=True):
        assert num_parameters == sum(p.numel() for p in space.build_network(architecture, 6).parameters())


def test_larger_images_cost_more_multiply_adds_and_no_parameters(case, space, rng):
    rows = as_array([sample(space, rng) for _ in range(6)])
    small, large = (cost_table(space, case.resolution * scale, 6).total(rows) for scale in (1, 2))
    assert np.array_equal(small[:, 0], large[:, 0])
    assert (small[:, 1] < large[:, 1]).all()
    more_classes = cost_table(space, case.resolution, 7).total(rows) - small
    assert (more_classes > 0).all() and len(np.unique(more_classes, axis=0)) == 1


def test_every_definition_of_the_angle_names_weights_that_the_supernet_has(case, space):
    state = space.build_supernet(6).state_dict()
    for definition in case.definitions:
        vector = weight_vector_of(space, definition)
        assert [len(terms) for terms in vector.candidates] == [len(choice.candidates) for choice in space.choices]
        terms = [vector.always, *(term for terms in vector.candidates for term in terms)]
        named = [name for term in terms for name in term.parameters]
        assert set(named) <= set(state)
        assert case.shares or len(set(named)) == len(named)
        assert all(term.fixed_squared_norm >= 0 for term in terms)
        assert any(term.parameters for terms in vector.candidates for term in terms)


def test_a_definition_of_the_angle_that_is_not_there_is_refused_by_key(case, space):
    unstated = f"{type(space).__name__} states no weight vector"
    with pytest.raises(
        ValueError, match="search.angle: expected .*got 'none of these'" if case.definitions else unstated
    ):
        weight_vector_of(space, "none of these")
