"""The defaults of a stored configuration: what its run file left open has the value that it has without the file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from raynas.config.default_values import default_values
from raynas.config.nested import flatten
from raynas.config.run_config import parse_config


def stored(**keys: Any) -> dict[str, Any]:
    values = {"name": "x", "space": {"name": "nasbench201"}, "data": {"name": "digits"}, **keys}
    return parse_config(values).model_dump(mode="json")


@pytest.mark.parametrize("algorithm", ["rlnas", "gdas", "spos"])
def test_a_file_that_gives_nothing_has_only_defaults(algorithm: str) -> None:
    config = stored(algorithm=algorithm, seed=7)
    defaults = default_values(config)
    assert len(defaults) > 60
    changed = {key for key, value in flatten(config).items() if key in defaults and value != defaults[key]}
    assert changed == {"seed"}


def test_the_keys_of_a_file_differ_from_the_defaults() -> None:
    config = stored(train={"epochs": 3}, search={"population": 12, "limits": {"max_parameters": 1e6}})
    defaults = default_values(config)
    changed = {key for key, value in flatten(config).items() if key in defaults and value != defaults[key]}
    assert changed == {"train.epochs", "search.population", "search.limits.max_parameters"}
    assert not {"name", "algorithm", "space.name", "data.name"} & set(defaults)


@pytest.mark.parametrize(
    "changes",
    [{"algorithm": "gone_with_a_version"}, {"space": {"name": "nasbench201"}, "data": {"name": 3}}, {"algorithm": 1}],
)
def test_a_configuration_that_this_version_refuses_has_no_known_defaults(changes: dict[str, Any]) -> None:
    assert default_values({**stored(), **changes}) == {}


def test_nothing_of_the_users_own_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for key in ("algorithm", "space.name", "data.name", "search.name", "search.fitness"):
        config = stored()
        section, _, name = key.rpartition(".")
        (config[section] if section else config)[name] = "evil_module.Thing"
        assert default_values(config) == {}, key
    assert "evil_module" not in sys.modules
