"""Members are found in the modules of a package, or by their dotted paths."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from raynas.members import Family


@dataclass(frozen=True)
class Taste:
    name: str


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family[Taste]:
    package = tmp_path / "kitchen"
    package.mkdir()
    (package / "__init__.py").touch()
    line = f"from {__name__} import Taste\n" if __name__ in sys.modules else ""
    (package / "sour.py").write_text(f"{line}LEMON = Taste('lemon')\nLIME = Taste('lime')\n")
    (package / "bitter.py").write_text(f"{line}from kitchen.sour import LIME\nGENTIAN = Taste('gentian')\n")
    (tmp_path / "pantry.py").write_text(f"{line}HONEY = Taste('honey')\nJAR = 'honey'\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("RAYNAS_IMPORT_PATH", "")
    yield Family("dinner.taste", Taste, "kitchen")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("kitchen", "pantry", "broken")]:
        del sys.modules[name]


def test_the_rows_of_a_package_are_found_in_its_modules(
    family: Family[Taste], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert family.names() == ("gentian", "lemon", "lime")
    assert family.row("lime").name == "lime"
    assert family.path_of(family.row("lemon")) == "lemon"


def test_a_dotted_path_names_a_row_of_the_users_own(
    family: Family[Taste], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    row = family.row("pantry.HONEY")
    assert row.name == "honey"
    assert family.path_of(row) == "pantry.HONEY"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lemmon", "dinner.taste: expected one of gentian, lemon, lime, got 'lemmon'; did you mean lemon?"),
        ("x", "dinner.taste: expected one of gentian, lemon, lime, got 'x'; or give the dotted path of your own"),
        ("pantry.SALT", "dinner.taste: cannot import 'pantry.SALT'"),
        ("cellar.SALT", "dinner.taste: cannot import 'cellar.SALT'"),
        ("broken.SALT", "dinner.taste: importing 'broken.SALT' ends in ZeroDivisionError: division by zero"),
        ("pantry.JAR", "got str; name the row, not what it makes"),
    ],
)
def test_what_is_no_member_is_refused(
    family: Family[Taste], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError) as refused:
        family.row(name)
    assert message in str(refused.value)


def test_a_row_that_no_module_states_has_no_path(
    family: Family[Taste], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="assign it in a module"):
        family.path_of(Taste("nothing"))


def test_two_keys_can_share_one_kind_of_rows(
    family: Family[Taste], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    sour = Family("dinner.sour", Taste, family.package, lambda taste: taste.name.startswith("l"))
    assert sour.names() == ("lemon", "lime")
    with pytest.raises(ValueError, match=r"^dinner.sour: expected one of lemon, lime, got 'gentian'"):
        sour.row("gentian")
    with pytest.raises(ValueError, match=r"^dinner.sour: 'pantry.HONEY' does not serve this key; name another row"):
        sour.row("pantry.HONEY")


def test_a_row_that_several_modules_state_is_named_by_the_one_that_is_looked_in_first(
    family: Family[Taste], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "attic.py").write_text("from pantry import HONEY\n")
    row = family.row("pantry.HONEY")
    importlib.import_module("attic")
    try:
        assert family.path_of(row) == "attic.HONEY", "the first by name, whatever was imported first"
        assert family.path_of(row, "pantry") == "pantry.HONEY"
    finally:
        del sys.modules["attic"]
    monkeypatch.setattr(sys.modules["__main__"], "ALONE", alone := Taste("alone"), raising=False)
    with pytest.raises(ValueError, match="assign it in a module"):
        family.path_of(alone)
