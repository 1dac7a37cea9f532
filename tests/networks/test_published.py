"""Published architectures: their names, and that every one is of the space that it names."""

from __future__ import annotations

import pytest

from raynas.networks.published import PUBLISHED, published
from raynas.spaces import SPACES


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_architecture_is_of_each_space_that_a_paper_built_it_in(name):
    found = PUBLISHED[name]
    assert found.name == name and found.source and found.networks
    for network in found.networks:
        space = SPACES.row(found.space)(**found.arguments, **network.arguments)
        architecture = space.parse(found.text)
        assert space.parse(space.describe(architecture)) == architecture


@pytest.mark.parametrize("name", ["GDAS_V1", "gdas_v1", "gdas-v1", " GDAS-V1 "])
def test_names_are_found_in_any_case_and_with_dashes(name):
    assert published(name) is PUBLISHED["GDAS_V1"]


def test_a_name_that_no_paper_has_is_none():
    assert published("GDAS_V9") is None
