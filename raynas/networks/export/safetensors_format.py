"""Export as safetensors: the weights by name. raynas builds the network from config.json."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from raynas.errors import InputError
from raynas.messages import shortened
from raynas.networks.building import loaded_network
from raynas.networks.export.folder import REMEDY, WEIGHTS, checked_bytes, read_record
from raynas.networks.export.format import ExportFormat, Program
from raynas.networks.found_network import FoundNetwork
from raynas.records.network_record import NetworkRecord


def write_weights(found: FoundNetwork, folder: Path) -> None:
    """Writes the parameters and buffers of a network by their names."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in found.module.state_dict().items():
        tensors[name] = tensor.detach().cpu().contiguous().clone()
    (folder / WEIGHTS).write_bytes(save(tensors, metadata={"format": "pt"}))


def found_network(folder: Path, record: NetworkRecord, *, own: bool = False) -> FoundNetwork:
    """Returns the network of a folder, built from its record.

    Args:
        folder: The folder.
        record: Its record.
        own: Whether the module of a space outside of raynas may be imported.

    Raises:
        InputError: If weights are missing, damaged, or of another network.
    """
    content = checked_bytes(folder, WEIGHTS, record)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise InputError(f"{folder / WEIGHTS} is damaged ({shortened(str(error))}); {REMEDY}") from error
    module = loaded_network(record, tensors, str(folder / WEIGHTS), own=own)
    return FoundNetwork(module, record)


def _open(folder: Path) -> Program:
    module = found_network(folder, read_record(folder), own=True).module
    return torch.no_grad()(module)


def _usage(found: FoundNetwork) -> str:
    return "\n".join(
        [
            "from PIL import Image",
            "from raynas.networks.loading import load_network",
            "from raynas.networks.preprocessing import preprocess",
            "",
            'network = load_network("FOLDER")  # network.module is a plain nn.Module',
            "transform = preprocess(network.record.preprocessing)",
            'logits = network(transform(Image.open("image.png")).unsqueeze(0))',
            "print(network.record.class_names[logits.argmax()])",
        ]
    )


SAFETENSORS = ExportFormat(
    name="safetensors",
    title="safetensors",
    file=WEIGHTS,
    files=(WEIGHTS,),
    write=write_weights,
    open=_open,
    usage=_usage,
    has_modules=True,
)
