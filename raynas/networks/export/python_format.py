"""Export as Python: a module of plain torch that holds the network's classes, with the weights beside it.

The names of parameters are those of the network in raynas, so that one weights file serves both.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import raynas
from raynas.errors import RunError
from raynas.messages import shortened
from raynas.networks.building import space_of_values
from raynas.networks.export.folder import CODE, WEIGHTS
from raynas.networks.export.format import ExportFormat, Program
from raynas.networks.export.module_tree import tree_of
from raynas.networks.export.plain_source import source_of
from raynas.networks.export.safetensors_format import write_weights
from raynas.networks.found_network import FoundNetwork

SECONDS = 600
"""Time after which the fresh process of the comparison is stopped."""

HEADER = '''\
"""An image classifier in plain torch, made by raynas {version} from an architecture that it holds in ARCHITECTURE.

    from model import load, normalise

    network = load()  # with the weights of model.safetensors beside this file
    logits = network(normalise(pixels))  # uint8, (batch, {size}, {size}, 3)

Only torch and safetensors are needed. The names of the parameters are those of the weights file.{remark}
"""

from __future__ import annotations

{imports}

ARCHITECTURE = {text}
CLASSES = {classes}
RESOLUTION = {size}
MEAN, STD = {mean}, {std}
'''

FOOTER = '''\
def normalise(pixels: Tensor) -> Tensor:
    """Returns the network's input, given pixels, (batch, height, width, 3) uint8."""
    scaled = pixels.permute(0, 3, 1, 2).float() / 255
    return (scaled - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def load(folder: str | Path = Path(__file__).parent) -> {network}:
    """Returns the network with the weights of a folder, in evaluation mode."""
    network = {network}()
    network.load_state_dict(load_file(Path(folder) / "model.safetensors"), strict=True)
    return network.eval()
'''

UNUSED = """
A ModuleDict is never called: it holds weights of the file that lie on no path to the logits."""

FRESH = """\
import sys
sys.modules["raynas"] = None  # so that an import of it fails
folder, images, logits = sys.argv[1:]
sys.path.insert(0, folder)
import torch
from safetensors.torch import load_file, save_file
from model import load
network = load()
with torch.no_grad():
    batches = [network(batch) for batch in load_file(images)["images"].split(16)]
save_file({"logits": torch.cat(batches)}, logits)
"""
"""What the fresh process runs: it takes nothing from this environment but the installed packages."""


def source_code(found: FoundNetwork) -> str:
    """Returns the source of a network in plain torch.

    Args:
        found: The network in evaluation mode, and its record.

    Raises:
        RunError: If a module of it cannot be written so.
    """
    classes, network = source_of(tree_of(found.module))
    footer = FOOTER.format(network=network)
    record = found.record
    # Only the values of the record that are checked numbers, or become quoted literals, enter the source.
    header = HEADER.format(
        version=raynas.__version__,
        imports=_imports(classes),
        remark=UNUSED if "nn.ModuleDict" in classes else "",
        text=_literal(space_of_values(record.space, own=False).describe(tuple(record.architecture))),
        classes=_literal(record.class_names),
        size=record.preprocessing.resolution,
        mean=_numbers(record.preprocessing.mean),
        std=_numbers(record.preprocessing.std),
    )
    return f"{header}\n\n{classes}\n\n\n{footer}"


def _imports(classes: str) -> str:
    """Returns the import statements that the classes need."""
    standard = ["from pathlib import Path"]
    if "OrderedDict" in classes:
        standard.insert(0, "from collections import OrderedDict")
    others = ["import torch"]
    if "F." in classes:
        others.append("import torch.nn.functional as F")
    others += ["from safetensors.torch import load_file", "from torch import Tensor, nn"]
    return "\n".join([*standard, "", *others])


def _literal(value: str | list[str]) -> str:
    """Returns text as literals of ASCII, whatever it holds; a list has several lines if it is long."""
    if isinstance(value, str):
        return ascii(value)
    items = [ascii(text) for text in value]
    flat = f"[{', '.join(items)}]"
    return flat if len(flat) < 100 else "[\n" + "".join(f"    {item},\n" for item in items) + "]"


def _numbers(values: list[float] | list[int | float]) -> str:
    return repr(tuple(float(value) for value in values))


def _write(found: FoundNetwork, folder: Path) -> None:
    write_weights(found, folder)
    (folder / CODE).write_text(source_code(found), encoding="utf-8")


def _open(folder: Path) -> Program:
    """Returns the network of a file that this process has just written; nobody else's is ever executed."""
    file = folder / CODE
    names = {"__name__": "raynas_exported_model", "__file__": str(file)}
    exec(compile(file.read_text(encoding="utf-8"), str(file), "exec"), names)  # unlike an import, leaves no cache
    return torch.no_grad()(names["load"](folder))  # type: ignore[no-any-return, operator]


def _in_fresh_process(folder: Path, images: Tensor) -> Tensor:
    """Returns the logits that a new process without raynas computes.

    Raises:
        RunError: If it fails.
    """
    with tempfile.TemporaryDirectory() as temporary:
        given, returned = Path(temporary) / "images.safetensors", Path(temporary) / "logits.safetensors"
        save_file({"images": images.contiguous()}, given)
        command = [sys.executable, "-I", "-B", "-c", FRESH, str(folder), str(given), str(returned)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
            raise RunError(
                f"--format: {CODE} cannot be run without raynas ({shortened(reason, 300)}); take another format"
            )
        return load_file(returned)["logits"]


def _usage(found: FoundNetwork) -> str:
    size = found.record.preprocessing.resolution
    return "\n".join(
        [
            "from model import CLASSES, load, normalise  # model.py of this folder needs torch and safetensors only",
            "",
            "network = load()",
            f"logits = network(normalise(pixels))  # uint8, (batch, {size}, {size}, 3)",
        ]
    )


PYTHON = ExportFormat(
    name="python",
    title="Python",
    file=CODE,
    files=(CODE, WEIGHTS),
    write=_write,
    open=_open,
    usage=_usage,
    has_modules=True,
    in_fresh_process=_in_fresh_process,
)
