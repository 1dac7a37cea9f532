"""Loading of exports: damage is one line, and a stranger's folder executes nothing."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from raynas.errors import InputError
from raynas.networks.export.exporting import export
from raynas.networks.export.folder import checksums
from raynas.networks.found_network import FoundNetwork
from raynas.networks.loading import load_network, load_predictor
from tests.networks.networks import found


@pytest.fixture(scope="module")
def network() -> FoundNetwork:
    return found()


@pytest.fixture
def folder(tmp_path: Path, network: FoundNetwork) -> Path:
    return export(network, tmp_path / "net", "safetensors").folder


def change(folder: Path, **values: Any) -> None:
    """Changes keys of the record, given with two underscores between the parts of a place."""
    content = json.loads((folder / "config.json").read_text())
    for place, value in values.items():
        *way, key = place.split("__")
        inner = content
        for part in way:
            inner = inner[part]
        inner[key] = value
    (folder / "config.json").write_text(json.dumps(content))


def signed(folder: Path, *names: str) -> None:
    """States the present files in the record, as a stranger can."""
    change(folder, export__files=checksums(folder, names))


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def flip(folder: Path) -> None:
    file = folder / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-5] ^= 255
    file.write_bytes(bytes(content))


def other_shape(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "classifier.bias": torch.zeros(7)}, folder / "model.safetensors")
    signed(folder, "model.safetensors")


def one_more(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "strange": torch.zeros(7)}, folder / "model.safetensors")
    signed(folder, "model.safetensors")


def one_less(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("stem.conv.weight")
    save_file(tensors, folder / "model.safetensors")
    signed(folder, "model.safetensors")


def no_safetensors(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps({"stem.conv.weight": 1}))
    signed(folder, "model.safetensors")


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut": (cut, "model.safetensors is damaged: its SHA-256 is not that in config.json; export the network again"),
    "flipped": (flip, "model.safetensors is damaged"),
    "another shape": (other_shape, "expected classifier.bias of shape (3,), got (7,)"),
    "one more": (one_more, "the network has no tensor strange"),
    "one less": (one_less, "expected the tensor stem.conv.weight, found none"),
    "a pickle": (no_safetensors, "model.safetensors is damaged"),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "with the file model.safetensors, found none",
    ),
    "no config": (lambda folder: (folder / "config.json").unlink(), "with the file config.json, found none"),
    "no JSON": (lambda folder: (folder / "config.json").write_text("{"), "config.json is damaged at line 1"),
    "later version": (lambda folder: change(folder, version=2), "expected version 1 or earlier, got 2; update raynas"),
    "another config": (lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'), "expected"),
    "no export": (lambda folder: change(folder, export=None), "expected what was measured under export"),
    "unknown space": (lambda folder: change(folder, space__name="nasbench999"), "space.name: expected one of"),
    "wrong argument": (lambda folder: change(folder, space__channels="many"), "space.channels"),
    "wrong architecture": (lambda folder: change(folder, architecture=[0, 1]), "architecture has 2 choices"),
    "other classes": (
        lambda folder: change(folder, num_classes=4, classes=None),
        "expected classifier.weight of shape",
    ),
    "huge": (lambda folder: change(folder, num_classes=10**6, classes=None), "of shape (1000000, 16), got (3, 16)"),
    "unknown format": (lambda folder: change(folder, export__format="pickle"), "expected a format of onnx, pt2"),
    "own format": (lambda folder: change(folder, export__format="os.path"), "expected a format of onnx, pt2"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line(folder: Path, name: str) -> None:
    damage, words = DAMAGE[name]
    damage(folder)
    for load in (load_network, load_predictor):
        with pytest.raises(InputError) as refused:
            load(str(folder))
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_links_out_of_the_folder_are_refused(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match="got a link out of"):
        load_network(folder)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(InputError, match="expected the folder of an exported network, found none"):
            load_network(place)


def test_a_space_of_a_stranger_is_not_imported(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strangers_space.py").write_text("from pathlib import Path\nPath('executed').touch()\n")
    change(folder, space={"name": "strangers_space.Space"})
    for load in (load_network, load_predictor):
        with pytest.raises(InputError, match="is a class outside of raynas, whose module would be executed"):
            load(folder)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(InputError, match="cannot import 'strangers_space.Space'"):
        load_network(folder, own=True)
    assert (tmp_path / "executed").exists()
    sys.modules.pop("strangers_space", None)


def test_a_space_of_ones_own_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(tmp_path)
    source = "from raynas.spaces.nasbench201 import NasBench201\nclass Mine(NasBench201):\n    name = 'mine'\n"
    (tmp_path / "my_own_space_of_networks.py").write_text(source)
    change(folder, space__name="my_own_space_of_networks.Mine")
    with pytest.raises(InputError, match="give --own, or own=True"):
        load_network(folder)
    assert load_network(folder, own=True).record.num_classes == 3
    assert load_network(folder).record.num_classes == 3, "its module is imported by now"
    sys.modules.pop("my_own_space_of_networks", None)


def test_a_file_of_code_is_never_executed(tmp_path: Path, network: FoundNetwork) -> None:
    folder = export(network, tmp_path / "net", "python").folder
    (folder / "model.py").write_text(f"from pathlib import Path\nPath({str(tmp_path / 'executed')!r}).touch()\n")
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(load_network(folder)(images), network(images))
    assert torch.equal(load_predictor(folder)(images), network(images))
    assert not (tmp_path / "executed").exists()


class Executes:
    """A pickle that leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.touch, (self.mark,))


def test_a_program_of_a_stranger_is_not_opened(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    torch.save(Executes(mark), folder / "model.pt2")
    signed(folder, "model.pt2")
    change(folder, export__format="pt2")
    with pytest.raises(
        InputError, match="opening a pt2 file executes code of it; if the network is your own, give --own"
    ):
        load_predictor(folder)
    with pytest.raises(InputError, match="expected a network with modules .python or safetensors., got pt2"):
        load_network(folder, own=True)
    assert not mark.exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x0a"])
def test_a_graph_that_is_none_is_one_line(folder: Path, content: bytes) -> None:
    (folder / "model.onnx").write_bytes(content)
    signed(folder, "model.onnx")
    change(folder, export__format="onnx")
    with pytest.raises(InputError, match="model.onnx") as refused:
        load_predictor(folder)
    assert "\n" not in str(refused.value)


def test_a_graph_with_weights_in_another_file_is_refused(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../etc/passwd")
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1])
    node = helper.make_node("Identity", ["w"], ["logits"])
    model = helper.make_model(helper.make_graph([node], "g", [], [output], initializer=[tensor]))
    (folder / "model.onnx").write_bytes(onnx.ModelProto.SerializeToString(model))
    signed(folder, "model.onnx")
    change(folder, export__format="onnx")
    with pytest.raises(InputError, match="expected weights inside of the file, got some in another file"):
        load_predictor(folder)


def test_loading_takes_no_random_numbers_and_evaluates(folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    assert not load_network(folder).module.training
    assert torch.equal(torch.rand(1), expected)
