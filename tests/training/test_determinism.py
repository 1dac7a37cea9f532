"""What a run rules out on a GPU: set inside the block, as before after it."""

from __future__ import annotations

import os

import pytest
import torch

from raynas.training.determinism import deterministic_algorithms

NAME = "CUBLAS_WORKSPACE_CONFIG"


def settings() -> tuple[object, ...]:
    cudnn = torch.backends.cudnn
    enabled = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    return (*enabled, cudnn.deterministic, cudnn.benchmark, os.environ.get(NAME))


@pytest.mark.parametrize("workspace", [None, ":16:8"])
def test_the_settings_hold_in_the_block_and_are_as_before_after_it(
    monkeypatch: pytest.MonkeyPatch, workspace: str | None
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    if workspace is not None:
        monkeypatch.setenv(NAME, workspace)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = settings()
    with pytest.raises(KeyError), deterministic_algorithms(True):
        assert settings() == (True, False, True, False, workspace or ":4096:8")
        raise KeyError
    assert settings() == before
    with deterministic_algorithms(False):
        assert settings() == before
