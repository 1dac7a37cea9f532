"""What a space may state beyond its choices and networks, and what holds for one that does not."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from raynas import capabilities, network_capabilities
from raynas.search_space import Choice, SearchSpace, WeightTerm, WeightVector


class Plain(SearchSpace):
    """Two, three and four candidates, and nothing else."""

    name = "plain"
    choices = (
        Choice("first", ("none", "skip")),
        Choice("second", ("none", "conv", "pool")),
        Choice("third", ("none", "conv", "pool", "skip")),
    )

    def build_supernet(self, num_classes):
        return ("supernet", num_classes)

    def build_network(self, architecture, num_classes):
        return ("network", architecture, num_classes)


VECTOR = WeightVector(WeightTerm(("head",)), ())


class Rich(Plain):
    """States everything that a space may state."""

    cost_choices = (Choice("other", ("a", "b")),)

    def weight_vector(self, definition):
        return VECTOR

    def path_counts(self, architectures):
        return 2 * architectures

    def build_union(self, num_classes):
        return ("union", num_classes)

    def cost_terms(self, architectures):
        yield 0, architectures[:, 0]

    def drawing(self, architecture):
        return {"cell": [("in", "out", "conv")]}

    def derived_space(self, rule):
        return Plain()

    def canonical(self, architecture):
        return architecture[::-1]

    def live_forms(self, architectures):
        return architectures * 0

    def widened(self, factor):
        return ("widened", factor)

    def build_network_with_auxiliary(self, architecture, num_classes, second_norm=True):
        return ("towered", architecture, num_classes, second_norm)

    def repair_path(self, path, rng):
        return (1, *path[1:])


class Silenced(Rich):
    """Gives the weight vector and the paths of its parent up."""

    weight_vector = None
    path_counts = None


class Raising(Plain):
    """A property with a mistake in it."""

    @property
    def cost_choices(self):
        raise AttributeError("a slip in the user's property")


ROWS = np.array([[1, 2, 3], [0, 0, 0]])


def test_a_space_of_three_members_is_a_chain_with_a_default_for_all_but_the_weight_vector():
    space = Plain()
    rng = np.random.default_rng(0)
    assert capabilities.is_chain(space)
    assert capabilities.path_counts_of(space, ROWS).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert capabilities.union_of(space, 7) == ("supernet", 7)
    assert capabilities.cost_choices_of(space) is Plain.choices
    assert capabilities.cost_terms_of(space) is None
    assert capabilities.derived_space_of(space, "with_none") is space
    assert capabilities.canonical_of(space, (1, 2, 3)) == (1, 2, 3)
    assert capabilities.path_to_train(space, (0, 0, 0), rng) == (0, 0, 0)
    assert not capabilities.has_live_forms(space)
    assert capabilities.live_forms_of(space, ROWS) is ROWS


def test_by_default_the_drawing_is_a_chain_of_the_choices():
    (edges,) = capabilities.drawing_of(Plain(), (1, 0, 2)).values()
    assert edges == [("in", "1", "skip"), ("1", "2", "none"), ("2", "out", "pool")]


def test_a_space_whose_paths_have_no_other_ends_is_refused_by_name():
    with pytest.raises(ValueError, match="^search.angle_ends: expected a space of cells .* got Plain, which states no"):
        capabilities.path_counts_of(Plain(), ROWS, "all")


def test_a_space_without_a_weight_vector_is_refused_by_name():
    assert not capabilities.has_weight_vector(Plain())
    with pytest.raises(ValueError, match="^Plain states no weight vector: override `weight_vector` to rank by angle$"):
        capabilities.weight_vector_of(Plain(), "paper")


def test_what_a_space_states_is_asked_of_it():
    space = Rich()
    rng = np.random.default_rng(0)
    assert capabilities.has_weight_vector(space)
    assert capabilities.weight_vector_of(space, "paper") is VECTOR
    assert not capabilities.is_chain(space)
    assert capabilities.path_counts_of(space, ROWS).tolist() == [[2, 4, 6], [0, 0, 0]]
    assert capabilities.union_of(space, 7) == ("union", 7)
    assert capabilities.cost_choices_of(space) is Rich.cost_choices
    ((choice, candidates),) = capabilities.cost_terms_of(space)(ROWS)
    assert (choice, candidates.tolist()) == (0, [1, 0])
    assert capabilities.drawing_of(space, (1, 0, 2)) == {"cell": [("in", "out", "conv")]}
    assert network_capabilities.widened_of(space, 0.5) == ("widened", 0.5)
    assert capabilities.has_live_forms(space)
    assert capabilities.live_forms_of(space, ROWS).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert network_capabilities.network_with_auxiliary_of(space, (1, 0, 2), 7, False) == (
        "towered",
        (1, 0, 2),
        7,
        False,
    )
    assert type(capabilities.derived_space_of(space, "pairs")) is Plain
    assert capabilities.canonical_of(space, (1, 2, 3)) == (3, 2, 1)
    assert capabilities.path_to_train(space, (0, 2, 3), rng) == (1, 2, 3)


def test_the_first_architecture_of_each_function_stands_for_it():
    class Symmetric(Plain):
        def canonical(self, architecture):
            return tuple(sorted(architecture))

    architectures = [(2, 0, 1), (1, 2, 3), (3, 2, 1), (1, 0, 2), (0, 0, 0)]
    assert capabilities.distinct_functions(Symmetric(), architectures).tolist() == [0, 1, 4]
    assert capabilities.distinct_functions(Plain(), architectures).tolist() == [0, 1, 2, 3, 4]


def test_a_space_that_repairs_is_no_chain():
    class Repaired(Plain):
        def repair(self, architecture, rng):
            return architecture

    assert not capabilities.is_chain(Repaired())


def test_a_subclass_gives_a_capability_up_by_setting_it_to_none():
    assert not capabilities.has_weight_vector(Silenced())
    assert capabilities.is_chain(Silenced())
    assert capabilities.union_of(Silenced(), 7) == ("union", 7)


def test_a_mistake_in_a_stated_property_is_not_taken_for_a_missing_one():
    with pytest.raises(AttributeError, match="a slip in the user's property"):
        capabilities.cost_choices_of(Raising())


def test_terms_of_costs_cross_processes():
    copy = pickle.loads(pickle.dumps(capabilities.cost_terms_of(Rich())))
    assert next(copy(ROWS))[1].tolist() == [1, 0]
