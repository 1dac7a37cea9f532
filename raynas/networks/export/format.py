"""The row by which a format of exports states itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from raynas.errors import InputError
from raynas.members import Family
from raynas.networks.found_network import FoundNetwork
from raynas.records.network_record import NetworkRecord

Program: TypeAlias = Callable[[Tensor], Tensor]
"""Returns the logits of preprocessed images."""


@dataclass(frozen=True)
class ExportFormat:
    """A format of exported networks.

    Attributes:
        name: The name on the command line.
        title: The name in texts.
        file: The main file.
        files: All files with weights or code, of which config.json states the SHA-256.
        write: Writes these files into a folder, given a network in evaluation mode on the CPU.
        open: Returns the exported program of a folder.
        usage: Lines of Python that load and run the network, for the model card.
        has_modules: Whether raynas can build the network again from the folder, to train it or to export it anew.
        runs_code: Whether opening a file of a stranger could execute code of that stranger.
        packages: Packages that raynas does not bring along.
        in_fresh_process: Returns logits as a process without raynas computes them, for a format that promises that.
    """

    name: str
    title: str
    file: str
    files: tuple[str, ...]
    write: Callable[[FoundNetwork, Path], None]
    open: Callable[[Path], Program]
    usage: Callable[[FoundNetwork], str]
    has_modules: bool = False
    runs_code: bool = False
    packages: tuple[str, ...] = ()
    in_fresh_process: Callable[[Path, Tensor], Tensor] | None = None

    def check_packages(self) -> None:
        """Checks that the packages of the format are installed.

        Raises:
            InputError: If one is not.
        """
        for package in self.packages:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise InputError(
                    f"--format: {self.name} needs the package {package}, which is not installed; give "
                    "`pip install 'raynas[export]'`, or take another format"
                ) from error


FORMATS = Family("--format", ExportFormat, "raynas.networks.export")
"""The formats of exported networks."""


def example_images(record: NetworkRecord, number: int = 2) -> Tensor:
    """Returns random images of a network's size, always the same, ``(number, 3, resolution, resolution)``."""
    size = record.preprocessing.resolution
    return torch.randn((number, 3, size, size), generator=torch.Generator().manual_seed(0))
