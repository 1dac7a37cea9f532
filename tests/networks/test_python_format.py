"""A network as Python: classes of plain torch, of the same parameters, which a process without raynas can run."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raynas.errors import RunError
from raynas.networks.export.exporting import export
from raynas.networks.export.module_tree import tree_of
from raynas.networks.export.plain_source import source_of
from raynas.networks.export.python_format import source_code
from raynas.networks.found_network import FoundNetwork
from raynas.networks.loading import load_network
from raynas.networks.preprocessing import preprocess
from tests.networks.networks import SPACES, found


def executed(source: str, folder: Path) -> dict[str, Any]:
    names: dict[str, Any] = {"__file__": str(folder / "model.py"), "__name__": "model"}
    exec(compile(source, "model.py", "exec"), names)
    return names


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", SPACES)
def test_the_code_computes_the_same_with_the_same_parameters(tmp_path: Path, name: str, seed: int) -> None:
    network = found(name, seed=seed)
    source = source_code(network)
    classes, root = source_of(tree_of(network.module))
    written = executed(source, tmp_path)[root]().eval()
    assert list(written.state_dict()) == list(network.module.state_dict())
    written.load_state_dict(network.module.state_dict(), strict=True)
    size = SPACES[name][1]
    for height in (size, size + 8):
        images = torch.randn(3, 3, height, height)
        torch.testing.assert_close(written(images).detach(), network(images), rtol=1e-4, atol=1e-5)
    assert not any(type(module).__module__.startswith("raynas") for module in written.modules())


@pytest.mark.parametrize("name", SPACES)
def test_the_code_is_of_classes_that_a_person_would_write(name: str) -> None:
    source = source_code(found(name))
    tree = ast.parse(source)
    roots = {
        name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in [node.module]
    }
    assert roots <= {"__future__", "collections", "pathlib", "safetensors", "torch"}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert 3 <= len(classes) <= 25
    assert len({one.name for one in classes}) == len(classes)
    assert all(ast.get_docstring(one) for one in classes)
    lines = [line for line in source.splitlines() if not line.startswith("ARCHITECTURE = ")]
    assert max(map(len, lines)) <= 120
    forwards = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    assert max(len(forward.body) for forward in forwards) <= 30


def test_cells_of_one_form_are_one_class() -> None:
    source = source_code(found("nasbench201"))
    assert source.count("class Cell(") == 1
    assert "def __init__(self, channels: int) -> None:" in source
    assert source.count("Cell(4)") == source.count("Cell(16)") == 2


def test_a_deep_network_calls_its_cells_in_loops() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = nn.ModuleList(nn.Conv2d(3, 3, 1) for _ in range(5))
            self.end = nn.Linear(3, 2)

        def forward(self, images: Tensor) -> Tensor:
            for block in self.blocks:
                images = block(images)
            return self.end(images.mean(dim=(2, 3)))

    source, name = source_of(tree_of(Deep().eval()))
    assert "nn.ModuleList([*(nn.Conv2d(3, 3, 1) for _ in range(5))])" in source
    assert "for block in self.blocks[1:5]:\n            x = block(x)" in source
    names: dict[str, Any] = {}
    exec(f"from __future__ import annotations\nimport torch\nfrom torch import Tensor, nn\n{source}", names)
    torch.manual_seed(0)
    deep, images = Deep(), torch.randn(2, 3, 4, 4)
    written = names[name]()
    written.load_state_dict(deep.state_dict(), strict=True)
    assert torch.equal(written(images), deep(images))


def test_an_export_runs_without_raynas_and_serves_raynas_too(tmp_path: Path) -> None:
    network = found()
    exported = export(network, tmp_path / "net", "python")
    assert exported.facts.largest_difference <= 1e-4
    images = torch.randn(3, 3, 16, 16)
    assert torch.equal(load_network(tmp_path / "net")(images), network(images))
    names = executed((tmp_path / "net/model.py").read_text(), tmp_path / "net")
    pixels = torch.randint(0, 256, (2, 16, 16, 3), dtype=torch.uint8)
    transform = preprocess(network.record.preprocessing)
    expected = torch.stack([transform(one.numpy()) for one in pixels])
    torch.testing.assert_close(names["normalise"](pixels), expected)
    assert names["CLASSES"] == ["cat", "dog", "emu"]


def test_no_name_becomes_code(tmp_path: Path) -> None:
    hostile = "\"\"\"\nimport os; os.abort()\n'''\u2028{0}"
    network = found(classes=[hostile, "dog", "emu"])
    record = network.record.model_copy(update={"text": hostile})
    names = executed(source_code(FoundNetwork(network.module, record)), tmp_path)
    assert names["CLASSES"][0] == hostile
    assert names["ARCHITECTURE"] != hostile


class Decides(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, images: Tensor) -> Tensor:
        x = images.mean(dim=(2, 3))
        logits: Tensor = self.layer(x if x.sum() > 0 else -x)
        return logits


class OwnTensor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3)) * self.scale


@pytest.mark.parametrize(("module", "words"), [(Decides(), "Decides"), (OwnTensor(), "OwnTensor has the tensor scale")])
def test_what_cannot_be_written_is_refused_in_one_line(module: nn.Module, words: str) -> None:
    with pytest.raises(RunError, match=words) as refused:
        tree_of(module.eval())
    assert "\n" not in str(refused.value)
    assert "take safetensors, pt2 or onnx" in str(refused.value)
