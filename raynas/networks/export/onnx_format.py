"""Export as ONNX, by torch's exporter on torch.export, with weights inside the file and a batch of any size."""

from __future__ import annotations

import contextlib
import io
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raynas.errors import InputError
from raynas.networks.export.folder import GRAPH, REMEDY
from raynas.networks.export.format import ExportFormat, Program, example_images
from raynas.networks.found_network import FoundNetwork

INPUT, OUTPUT = "images", "logits"
"""Names of the input and the output."""

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def _write(found: FoundNetwork, folder: Path) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):  # the exporter says its steps
        torch.onnx.export(
            found.module,
            (example_images(found.record),),
            folder / GRAPH,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        )


def opened(content: bytes, where: str) -> Program:
    """Returns the program of an ONNX file, run by onnxruntime on the CPU with torch's number of threads.

    Args:
        content: The file.
        where: Its name, for messages.

    Raises:
        InputError: If it is no ONNX file, or refers to weights outside of itself.
    """
    import onnxruntime

    _check_graph(content, where)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        raise InputError(f"{where}: onnxruntime cannot read it ({_first_line(error)}); {REMEDY}") from error

    def run(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])

    return run


def _check_graph(content: bytes, where: str) -> None:
    """Checks that an ONNX file holds its own weights.

    Raises:
        InputError: If it is no ONNX file, or a tensor of it lies in another file.
    """
    import onnx
    from onnx.external_data_helper import _get_all_tensors, uses_external_data

    try:
        model: Any = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors have no common class
        raise InputError(f"{where} is damaged ({_first_line(error)}); {REMEDY}") from error
    for tensor in _get_all_tensors(model):
        if uses_external_data(tensor):
            raise InputError(f"{where}: expected weights inside of the file, got some in another file; {REMEDY}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _open(folder: Path) -> Program:
    return opened((folder / GRAPH).read_bytes(), str(folder / GRAPH))


def _usage(found: FoundNetwork) -> str:
    size = found.record.preprocessing.resolution
    return "\n".join(
        [
            "import numpy",
            "import onnxruntime",
            "",
            f'session = onnxruntime.InferenceSession("FOLDER/{GRAPH}")',
            f'images = numpy.zeros((1, 3, {size}, {size}), "float32")  # preprocessed images, any number of them',
            f'(logits,) = session.run(["{OUTPUT}"], {{"{INPUT}": images}})',
        ]
    )


ONNX = ExportFormat(
    name="onnx",
    title="ONNX",
    file=GRAPH,
    files=(GRAPH,),
    write=_write,
    open=_open,
    usage=_usage,
    packages=PACKAGES,
)
