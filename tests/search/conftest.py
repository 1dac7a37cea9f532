"""Spaces for the tests of the searchers; a searcher needs no more of a space than its choices."""

from __future__ import annotations

import pytest

from raynas.search_space import Choice, SearchSpace


class Chain(SearchSpace):
    """Independent choices with the same candidates."""

    name = "chain"

    def __init__(self, length, candidates):
        self._choices = tuple(Choice(f"layer{i}", candidates) for i in range(length))

    @property
    def choices(self):
        return self._choices

    def build_supernet(self, num_classes):
        raise AssertionError("a searcher builds no network")

    def build_network(self, architecture, num_classes):
        raise AssertionError("a searcher builds no network")


@pytest.fixture(scope="session")
def chain():
    """Builds a chain of `length` choices of the candidates named."""

    def build(length, candidates=("none", "a", "b", "c", "d")):
        return Chain(length, candidates)

    return build
