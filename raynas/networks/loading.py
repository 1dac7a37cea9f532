"""Exported networks, loaded again. A folder may be a stranger's, so that reading it executes nothing of it.

- Files have fixed names, and links out of the folder are refused.
- Nothing is unpickled. ``model.py`` is never executed: the network is built from ``config.json`` and the weights.
- Two things would execute code: a space that is a class outside of raynas, and a program of ``torch.export``, whose
  reader unpickles. Both need the permission `own`.
"""

from __future__ import annotations

from pathlib import Path

from raynas.errors import InputError
from raynas.messages import echo
from raynas.networks.export.folder import checked_bytes, read_record
from raynas.networks.export.format import FORMATS, ExportFormat
from raynas.networks.export.safetensors_format import found_network
from raynas.networks.found_network import FoundNetwork
from raynas.networks.predictor import Predictor
from raynas.records.network_record import NetworkRecord


def load_network(folder: str | Path, *, own: bool = False) -> FoundNetwork:
    """Returns an exported network as a module, loaded strictly, in evaluation mode.

    Args:
        folder: A folder that `raynas.networks.export.exporting.export` wrote as ``safetensors`` or ``python``.
        own: Whether the network is your own, so that the module of a space outside of raynas may be imported.

    Raises:
        InputError: If there is no such network, it is damaged or of a later version, its format has no modules, or its
            space may not be imported.

    Example:
        ``network = load_network("my_network")``, then ``network.module`` and ``network.record.class_names``
    """
    place = Path(folder).expanduser()
    record = read_record(place)
    row = _format_of(record, place)
    if not row.has_modules:
        with_modules = " or ".join(name for name, other in FORMATS.rows().items() if other.has_modules)
        raise InputError(
            f"{place}: expected a network with modules ({with_modules}), got {row.name}, which can only be run; use "
            "`raynas predict`, or load_predictor in Python"
        )
    return found_network(place, record, own=own)


def load_predictor(folder: str | Path, *, own: bool = False) -> FoundNetwork | Predictor:
    """Returns an exported network of any format, which is called with preprocessed images and returns logits.

    Args:
        folder: The folder.
        own: Whether the network is your own, so that code of it may be executed.

    Raises:
        InputError: As `load_network`, or if the format would execute code and `own` is not given.
    """
    place = Path(folder).expanduser()
    record = read_record(place)
    row = _format_of(record, place)
    if row.has_modules:
        return found_network(place, record, own=own)
    for name in row.files:
        checked_bytes(place, name, record)
    if row.runs_code and not own:
        raise InputError(
            f"{place}: opening a {row.name} file executes code of it; if the network is your own, give --own, or "
            "own=True in Python"
        )
    row.check_packages()
    try:
        program = row.open(place)
    except InputError:
        raise
    except Exception as error:  # of a file that was made wrong on purpose
        raise InputError(f"{place / row.file} cannot be opened ({type(error).__name__}); export it again") from error
    return Predictor(program, record)


def _format_of(record: NetworkRecord, place: Path) -> ExportFormat:
    """Returns the row of a format; a name in a file never imports anything."""
    assert record.export is not None
    rows = FORMATS.rows()
    name = record.export.format
    if name not in rows:
        raise InputError(f"{place}: expected a format of {', '.join(rows)}, got {echo(name)}; export the network again")
    return rows[name]
