"""A package that a light install lacks is named with the command that installs it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from raynas.errors import InputError
from raynas.optional import is_installed, needed


def test_an_installed_package_is_imported() -> None:
    assert needed("xml.dom", "report", "report") is sys.modules["xml.dom"]
    assert is_installed("xml.dom")


def test_a_missing_package_is_answered_with_the_command_that_installs_it() -> None:
    with pytest.raises(InputError) as refused:
        needed("no_such_package.part", "ray", "train.workers")
    assert str(refused.value) == (
        "train.workers: needs the package no_such_package, which is not installed; give `pip install 'raynas[ray]'`"
    )
    assert not is_installed("no_such_package")
    assert not is_installed("no_such_package.part")


def test_a_blocked_package_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "colorsys", None)
    assert not is_installed("colorsys")
    with pytest.raises(InputError, match="x: needs the package colorsys, which is not installed"):
        needed("colorsys", "ray", "x")


def test_a_broken_package_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("from xml import no_such_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"x: needs .* cannot be imported \(cannot import name 'no_such_name'"):
        needed("broken_package", "ray", "x")
