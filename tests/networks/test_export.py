"""Exports: every format computes what the network computes, and nothing else is left on the disk."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raynas.errors import InputError, RunError
from raynas.networks.export import exporting
from raynas.networks.export.exporting import Exported, export
from raynas.networks.export.format import FORMATS
from raynas.networks.found_network import FoundNetwork
from raynas.networks.loading import load_network, load_predictor
from raynas.records.network_record import NetworkAccuracy, NetworkRecord, Provenance
from tests.networks.networks import SPACES, found


@pytest.fixture(scope="module")
def network() -> FoundNetwork:
    return found()


SLOW = ("onnx", "pt2")
"""Formats whose exporters take more than a few seconds."""

PARAMETERS = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in FORMATS.names()]


@pytest.fixture(scope="module", params=PARAMETERS)
def exported(request: pytest.FixtureRequest, network: FoundNetwork, tmp_path_factory: Any) -> Iterator[Exported]:
    """The network in every format, each written once."""
    yield export(network, tmp_path_factory.mktemp(request.param) / "net", request.param)


def test_every_format_is_loaded_again_and_computes_the_same(exported: Exported, network: FoundNetwork) -> None:
    loaded = load_predictor(exported.folder, own=True)
    assert loaded.record == exported.record.model_copy(update={"version": 1})
    for size in (1, 5):
        images = torch.randn(size, 3, 16, 16, generator=torch.Generator().manual_seed(size))
        logits = loaded(images)
        assert logits.shape == (size, 3)
        assert float((logits - network(images)).abs().max()) <= 1e-4
    assert float(network(images).std()) > 0.1, "or any network would do"


def test_what_was_measured_is_stated(exported: Exported) -> None:
    facts = exported.facts
    assert facts.images == 64
    assert 0 <= facts.largest_difference <= 1e-4
    assert facts.latency_before is not None and facts.latency_after is not None
    assert 1e-6 < min(facts.latency_before, facts.latency_after) < max(facts.latency_before, facts.latency_after) < 60
    row = FORMATS.row(facts.format)
    assert sorted(file.name for file in exported.folder.iterdir()) == sorted(["README.md", "config.json", *row.files])
    assert NetworkRecord.read(exported.folder / "config.json").export == facts
    assert exported.lines()[0].startswith("largest difference of a logit on 64 images: ")


def test_nothing_is_left_beside_an_export(exported: Exported) -> None:
    assert [entry.name for entry in exported.folder.parent.iterdir()] == ["net"]


def test_the_network_itself_stays_as_it_is(tmp_path: Path, network: FoundNetwork) -> None:
    state = {name: tensor.clone() for name, tensor in network.module.state_dict().items()}
    network.module.train()
    try:
        export(network, tmp_path / "net", "safetensors")
        assert network.module.training
    finally:
        network.module.eval()
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.module.state_dict().items())


def changed(row: Any, **changes: Any) -> Any:
    return lambda family, name: dataclasses.replace(row, **changes)


@pytest.mark.parametrize("offset", [2e-4, float("nan")])
def test_an_export_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: FoundNetwork, offset: float
) -> None:
    row = FORMATS.row("safetensors")
    wrong = changed(row, open=lambda folder: lambda images: row.open(folder)(images) + offset)
    monkeypatch.setattr(type(FORMATS), "row", wrong)
    with pytest.raises(RunError, match="export differs from the network by (0.0002|nan) on 64 images, at most 0.0001"):
        export(network, tmp_path / "net", "safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_difference_of_the_allowed_size_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: FoundNetwork
) -> None:
    row = FORMATS.row("safetensors")
    near = changed(row, open=lambda folder: lambda images: row.open(folder)(images) + 5e-5)
    monkeypatch.setattr(type(FORMATS), "row", near)
    assert export(network, tmp_path / "net", "safetensors").facts.largest_difference == pytest.approx(5e-5, rel=0.1)


def test_an_exporter_that_fails_leaves_the_earlier_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: FoundNetwork
) -> None:
    folder = tmp_path / "net"
    export(network, folder, "safetensors")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def fail(found: FoundNetwork, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyError("operator")

    monkeypatch.setattr(type(FORMATS), "row", changed(FORMATS.row("safetensors"), write=fail))
    with pytest.raises(RunError, match="this network cannot be exported as safetensors: KeyError: 'operator'"):
        export(network, folder, "safetensors")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["net"]


def test_an_earlier_export_is_replaced(tmp_path: Path, network: FoundNetwork) -> None:
    folder = tmp_path / "net"
    export(network, folder, "safetensors")
    (folder / "model.onnx").write_bytes(b"old")
    other = found("mobilenet")
    export(other, folder, "safetensors")
    assert load_network(folder).record.space["name"] == "mobilenet"
    assert not (folder / "model.onnx").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda place: place.write_text("mine"), "is a file or a link"),
        (lambda place: place.symlink_to(place.parent), "is a file or a link"),
        (lambda place: (place.mkdir(), (place / "thesis.tex").write_text("mine")), "has thesis.tex"),
        (lambda place: (place.mkdir(), (place / "README.md").write_text("mine")), "has no config.json"),
        (lambda place: (place.mkdir(), (place / "config.json").write_text('{"a": 1}')), "is none"),
    ],
    ids=["file", "link", "other files", "no config", "another config"],
)
def test_what_is_no_export_is_not_replaced(tmp_path: Path, network: FoundNetwork, make: Any, words: str) -> None:
    place = tmp_path / "net"
    make(place)
    with pytest.raises(InputError, match="--out: expected a new folder or an earlier export") as refused:
        export(network, place, "safetensors")
    assert words in str(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["net"]


def test_an_empty_folder_is_taken(tmp_path: Path, network: FoundNetwork) -> None:
    assert load_network(export(network, tmp_path, "safetensors").folder).record.num_classes == 3


def test_the_images_of_the_caller_are_compared(tmp_path: Path, network: FoundNetwork) -> None:
    assert export(network, tmp_path / "net", "safetensors", torch.zeros(3, 3, 16, 16)).facts.images == 3
    with pytest.raises(InputError, match="images: expected one image or more"):
        export(network, tmp_path / "none", "safetensors", torch.zeros(0, 3, 16, 16))


def test_unknown_formats_and_missing_packages_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: FoundNetwork
) -> None:
    with pytest.raises(InputError, match="--format: expected one of onnx, .*, got 'onx'; did you mean onnx?"):
        export(network, tmp_path / "net", "onx")
    row = dataclasses.replace(FORMATS.row("safetensors"), packages=("raynas_has_no_such_package",))
    monkeypatch.setattr(type(FORMATS), "row", lambda family, name: row)
    with pytest.raises(InputError, match="needs the package raynas_has_no_such_package, which is not installed"):
        export(network, tmp_path / "net", "safetensors")


@pytest.mark.parametrize("name", SPACES)
def test_costs_of_a_record_are_those_of_the_network(name: str) -> None:
    network = found(name)
    assert network.record.num_parameters == sum(parameter.numel() for parameter in network.module.parameters())
    assert network.record.multiply_adds > 0


def test_a_record_keeps_what_it_says_through_an_export(tmp_path: Path) -> None:
    accuracy = NetworkAccuracy(seeds=[0, 1, 2], top1=[91.0, 92.0, 93.0], exported_seed=1)
    provenance = Provenance(run="digits", algorithm="rlnas", data="digits", fitness="angle", fitness_value=0.14)
    network = found(accuracy=accuracy, provenance=provenance, recipe={"epochs": 12})
    record = load_network(export(network, tmp_path / "net", "safetensors").folder).record
    assert (record.accuracy, record.recipe) == (accuracy, {"epochs": 12})
    assert (record.provenance.run, record.provenance.fitness_value) == ("digits", 0.14)
    assert set(record.provenance.versions) == {"raynas", "torch"}
    assert record.provenance.created
    assert json.loads((tmp_path / "net/config.json").read_text())["version"] == 1


def test_the_comparison_takes_batches_of_several_sizes() -> None:
    sizes = [len(batch) for batch in exporting._batches(torch.zeros(70, 1))]
    assert sizes == [1, 31, 32, 1, 5]
