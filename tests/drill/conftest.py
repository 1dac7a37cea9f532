"""Modules of a user's own: beside the run file, or as one new file of a package of raynas."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from raynas import members

HERE = Path(__file__).parent
Added = Callable[[str], str]


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Added]:
    """Copies a module of this folder to where raynas is started; returns the path of its names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("RAYNAS_IMPORT_PATH", "")
    added = []

    def add(module: str) -> str:
        name = f"users_{module}"
        shutil.copy(HERE / f"{module}.py", tmp_path / f"{name}.py")
        added.append(name)
        importlib.invalidate_caches()
        return f"{name}."

    yield add
    for name in added:
        sys.modules.pop(name, None)


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Adds a module of this folder to a package of raynas, as a new file of the package would be."""
    added = []

    def add(module: str, package: str) -> None:
        folder = tmp_path / package
        folder.mkdir()
        shutil.copy(HERE / f"{module}.py", folder / f"drill_{module}.py")
        path = importlib.import_module(package).__path__
        monkeypatch.setattr(sys.modules[package], "__path__", [*path, str(folder)])
        added.append(f"{package}.drill_{module}")
        importlib.invalidate_caches()
        members._rows_in.cache_clear()

    yield add
    monkeypatch.undo()
    members._rows_in.cache_clear()
    for name in added:
        sys.modules.pop(name, None)
