"""Finding a space by its name or its dotted path."""

from __future__ import annotations

import sys

import pytest

from raynas.search_space import SearchSpace
from raynas.spaces import SPACES, space_classes


@pytest.mark.parametrize("name", space_classes())
def test_every_built_in_space_is_found_by_its_own_name(name):
    found = SPACES.row(name)
    assert issubclass(found, SearchSpace)
    assert found.name == name
    assert isinstance(found(), found)


def test_a_space_of_your_own_is_found_by_its_dotted_path(tmp_path, monkeypatch):
    source = "from raynas.search_space import SearchSpace\nclass Mine(SearchSpace):\n    name = 'mine'\n"
    (tmp_path / "my_raynas_space.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_raynas_space", raising=False)
    assert SPACES.row("my_raynas_space.Mine").name == "mine"
    monkeypatch.delitem(sys.modules, "my_raynas_space")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nasbench301", r"space.name: expected one of .*nasbench201.* or the dotted path .* got 'nasbench301'"),
        ("no.such.module.Space", r"space.name: cannot import 'no.such.module.Space' \(No module named"),
        ("raynas.spaces.nasbench201.NoSpace", r"space.name: cannot import .*NoSpace"),
        ("collections.OrderedDict", r"space.name: 'collections.OrderedDict' is not a subclass"),
        ("raynas.spaces.nasbench201.OPERATIONS", r"space.name: .*OPERATIONS' is not a subclass"),
    ],
)
def test_a_name_that_is_no_space_is_refused_by_key(name, message):
    with pytest.raises(ValueError, match=message):
        SPACES.row(name)
