"""Export: written beside, loaded again, compared on images, timed, and only then moved into place."""

from __future__ import annotations

import contextlib
import copy
import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import raynas
from raynas.errors import InputError, RunError
from raynas.failures import described
from raynas.networks.export.card import model_card
from raynas.networks.export.folder import CARD, CONFIG, checksums, replaced_at_once
from raynas.networks.export.format import FORMATS, ExportFormat, example_images
from raynas.networks.found_network import FoundNetwork
from raynas.records.network_record import ExportFacts, NetworkRecord
from raynas.supernet.latency import device_name, measuring, median_seconds

CPU = torch.device("cpu")

IMAGES = 64
"""Images on which an export is compared with the network."""

MOST_DIFFERENCE = 1e-4
"""Largest difference of a logit that an export may have."""

BATCHES = (1, 31, 32)
"""Sizes of the batches of the comparison, so that an export for one size only is found out."""


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        folder: The folder.
        record: The record in it, with what was measured.
    """

    folder: Path
    record: NetworkRecord

    @property
    def facts(self) -> ExportFacts:
        """What was measured at the export."""
        assert self.record.export is not None
        return self.record.export

    def lines(self) -> list[str]:
        """Returns the difference and the latency as lines for people."""
        facts = self.facts
        assert facts.latency_before is not None
        assert facts.latency_after is not None
        return [
            f"largest difference of a logit on {facts.images} images: {facts.largest_difference:.2g}",
            f"latency of one image: {1000 * facts.latency_before:.3g} ms before the export, "
            f"{1000 * facts.latency_after:.3g} ms after it ({facts.measured_on})",
        ]


def export(found: FoundNetwork, folder: str | Path, format: str, images: Tensor | None = None) -> Exported:
    """Writes a network as a folder: weights, ``config.json`` and a model card in ``README.md``.

    The folder is written beside its place, loaded again and compared with the network. It takes its place only if no
    logit differs by more than `MOST_DIFFERENCE`; an earlier export there is replaced.

    Args:
        found: The network and its record. The network itself stays as it is.
        folder: The place: a new folder or an earlier export.
        format: A name of `FORMATS`.
        images: Preprocessed images to compare on, ``(n, 3, resolution, resolution)``; by default 64 random ones.

    Returns:
        The folder, with the largest difference and the latency before and after the export.

    Raises:
        InputError: If the format or a package of it is missing, or something else is at the place.
        RunError: If the network cannot be exported, or the export computes something else. Nothing is left then.

    Example:
        ``export(found, "my_network", "onnx")``
    """
    row = FORMATS.row(format)
    row.check_packages()
    place = Path(folder).expanduser().absolute()
    module = copy.deepcopy(found.module).to("cpu", torch.float32).eval()
    network = FoundNetwork(module, found.record)
    compared = example_images(found.record, IMAGES) if images is None else images.to("cpu", torch.float32)
    if not len(compared):
        raise InputError("images: expected one image or more to compare the export on, got none")

    with replaced_at_once(place) as temporary:
        with _failures_named(row):
            row.write(network, temporary)
            facts = ExportFacts(format=row.name, files=checksums(temporary, row.files), images=len(compared))
            record = _written(temporary, network.record, facts)
            difference = _checked_difference(row, network, temporary, compared)
            before, after = _latencies(module, row, temporary, compared[:1])
        measured = {
            "latency_before": before,
            "latency_after": after,
            "measured_on": f"one thread of {device_name(CPU)}",
        }
        facts = facts.model_copy(update={"largest_difference": difference, **measured})
        record = _written(temporary, network.record, facts)
        card = model_card(FoundNetwork(module, record), row)
        (temporary / CARD).write_text(card, encoding="utf-8")
    return Exported(place, record)


def _written(folder: Path, record: NetworkRecord, facts: ExportFacts) -> NetworkRecord:
    """Writes the record with what was measured, and returns it."""
    versions = {**record.provenance.versions, "raynas": raynas.__version__, "torch": torch.__version__}
    created = record.provenance.created or datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    provenance = record.provenance.model_copy(update={"versions": versions, "created": created})
    written = NetworkRecord(**{**record.stated(), "provenance": provenance, "export": facts})
    text = json.dumps(written.content(), indent=2, ensure_ascii=False)
    (folder / CONFIG).write_text(f"{text}\n", encoding="utf-8")
    return written


@contextlib.contextmanager
def _failures_named(row: ExportFormat) -> Iterator[None]:
    """Turns what the exporters of other packages raise into one line.

    Raises:
        RunError: If the block fails in another way than by our own errors, memory or the operating system.
    """
    try:
        yield
    except (InputError, RunError, MemoryError, OSError):
        raise
    except Exception as error:
        raise RunError(
            f"--format: this network cannot be exported as {row.name}: {described(error)}; take another format"
        ) from error


def _checked_difference(row: ExportFormat, network: FoundNetwork, folder: Path, images: Tensor) -> float:
    """Returns the largest difference of a logit between a network and its export.

    Raises:
        RunError: If it is too large, or not a number.
    """
    program = row.open(folder)
    batches = list(_batches(images))
    expected = torch.cat([network(batch) for batch in batches])
    outputs = [torch.cat([program(batch) for batch in batches])]
    if row.in_fresh_process is not None:
        outputs.append(row.in_fresh_process(folder, images))
    differences = []
    for logits in outputs:
        if logits.shape != expected.shape:
            raise RunError(
                f"--format: the {row.name} export returns logits {tuple(logits.shape)} where the network returns "
                f"{tuple(expected.shape)}; nothing was kept, take another format"
            )
        differences.append((logits - expected).abs().max())
    largest = float(torch.stack(differences).max())
    if not largest <= MOST_DIFFERENCE:
        raise RunError(
            f"--format: the {row.name} export differs from the network by {largest:.2g} on {len(images)} images, at "
            f"most {MOST_DIFFERENCE:g} is allowed; nothing was kept, take another format"
        )
    return largest


def _batches(images: Tensor) -> Iterator[Tensor]:
    start = 0
    while start < len(images):
        for size in BATCHES:
            if start < len(images):
                yield images[start : start + size]
            start += size


def _latencies(module: nn.Module, row: ExportFormat, folder: Path, image: Tensor) -> tuple[float, float]:
    """Returns the median seconds for one image in torch and by the export, on one thread, measured in turns."""
    with measuring(threads=1):
        runs: list[Callable[[], object]] = [_run(module, image), _run(row.open(folder), image)]
        before, after = median_seconds(runs, CPU)
    return before, after


def _run(program: Callable[[Tensor], Tensor], image: Tensor) -> Callable[[], object]:
    return lambda: program(image)
