"""Export as a program of torch.export: one file with operators and weights, which needs torch only."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from raynas.networks.export.folder import PROGRAM
from raynas.networks.export.format import ExportFormat, Program, example_images
from raynas.networks.found_network import FoundNetwork


def _write(found: FoundNetwork, folder: Path) -> None:
    batch = torch.export.Dim("batch", min=1)
    images = example_images(found.record)
    with torch.no_grad():
        program = torch.export.export(found.module, (images,), dynamic_shapes=({0: batch},))
    torch.export.save(program, folder / PROGRAM)


def _open(folder: Path) -> Program:
    module = torch.export.load(folder / PROGRAM).module()

    def run(images: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module(images)
        return logits

    return run


def _usage(found: FoundNetwork) -> str:
    size = found.record.preprocessing.resolution
    return "\n".join(
        [
            "import torch",
            "",
            f'network = torch.export.load("FOLDER/{PROGRAM}").module()',
            f"logits = network(torch.zeros(1, 3, {size}, {size}))  # preprocessed images, any number of them",
        ]
    )


PT2 = ExportFormat(
    name="pt2",
    title="torch.export",
    file=PROGRAM,
    files=(PROGRAM,),
    write=_write,
    open=_open,
    usage=_usage,
    runs_code=True,  # torch.export.load unpickles, and evaluates texts of the file
)
