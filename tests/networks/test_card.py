"""Model cards: huggingface_hub reads them, they say what the record says, and no name in them becomes markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard, PyTorchModelHubMixin, constants
from torch import nn

from raynas.networks.export.exporting import export
from raynas.networks.loading import load_network
from raynas.records.network_record import NetworkAccuracy, Provenance
from tests.networks.networks import SPACES, found


def written(folder: Path, name: str = "nasbench201", **further: Any) -> str:
    export(found(name, **further), folder, "safetensors")
    return (folder / "README.md").read_text(encoding="utf-8")


ACCURACY = NetworkAccuracy(seeds=[0, 1, 2], top1=[91.0, 92.0, 93.5], top5=[99.0, 99.5, 100.0], exported_seed=1)
PROVENANCE = Provenance(run="digits", algorithm="rlnas", data="digits", fitness="angle", fitness_value=0.1411)


def test_a_card_says_what_the_record_says(tmp_path: Path) -> None:
    card = written(tmp_path / "net", accuracy=ACCURACY, provenance=PROVENANCE, recipe={"epochs": 12, "ema": None})
    record = load_network(tmp_path / "net").record
    for part in (
        "# A network of the space nasbench201, found by rlnas",
        "It classifies images of digits into 3 classes: cat, dog, emu. The input is 16 x 16 pixels.",
        f"```\n{record.text}\n```",
        f"| parameters | {record.num_parameters:,} |",
        "| seed | 0 | 1 | 2 | mean | deviation |",
        "| top-1 | 91.00 | 92.00 | 93.50 | 92.17 | 1.26 |",
        "| top-5 | 99.00 | 99.50 | 100.00 | 99.50 | 0.50 |",
        "These weights are those of seed 1.",
        "| epochs | 12 |",
        "| ema | null |",
        "| fitness | angle |",
        "| its value | 0.1411 |",
        "the logits are equal.",
        "raynas predict FOLDER image.png",
    ):
        assert part in card
    assert card.count("```") % 2 == 0


@pytest.mark.parametrize(("name", "diagrams"), [("nasbench201", 1), ("darts", 2), ("quadruples", 1), ("mobilenet", 0)])
def test_cells_are_diagrams_and_chains_are_lines(tmp_path: Path, name: str, diagrams: int) -> None:
    card = written(tmp_path / "net", name)
    assert card.count("```mermaid\nflowchart LR\n") == diagrams
    if name == "mobilenet":
        assert "Graph *chain*: in → k" in card
    else:
        assert card.count('(["out"])') == diagrams


def test_weights_without_a_training_say_so(tmp_path: Path) -> None:
    card = written(tmp_path / "net", weights="inherited", classes=None)
    assert "inherited from the supernet of the search, without a training of their own" in card
    assert "The accuracy of these weights was not measured." in card
    assert "into 3 classes." in card
    assert "## Training" not in card


@pytest.mark.parametrize("name", SPACES)
def test_huggingface_hub_reads_the_card(tmp_path: Path, name: str) -> None:
    written(tmp_path / "net", name, accuracy=ACCURACY, provenance=PROVENANCE)
    data = ModelCard.load(tmp_path / "net" / "README.md").data
    assert (data.library_name, data.pipeline_tag) == ("raynas", "image-classification")
    assert {"neural-architecture-search", "raynas"} <= set(data.tags)
    (result,) = data.eval_results
    assert (result.task_type, result.metric_type) == ("image-classification", "accuracy")
    assert result.metric_value == pytest.approx(0.921667)


def test_huggingface_hub_loads_config_and_weights(tmp_path: Path) -> None:
    network = found()
    export(network, tmp_path / "net", "safetensors")
    assert (constants.CONFIG_NAME, constants.SAFETENSORS_SINGLE_FILE) == ("config.json", "model.safetensors")

    class Wrapped(nn.Module, PyTorchModelHubMixin):
        """A class as the Hub's users write it: the keys of config.json are the arguments of its constructor."""

        def __init__(self, **config: Any) -> None:
            super().__init__()
            self.architecture = config["architecture"]
            for part, module in network.module.named_children():
                self.add_module(part, type(module)() if isinstance(module, nn.Identity) else module)

    with torch.no_grad():
        expected = network.module.classifier.weight.clone()  # type: ignore[union-attr, operator]
        network.module.classifier.weight.zero_()  # type: ignore[union-attr, operator]
    loaded = Wrapped.from_pretrained(str(tmp_path / "net"), strict=True)
    assert loaded.architecture == list(network.record.architecture)
    assert torch.equal(loaded.classifier.weight, expected)  # type: ignore[union-attr, arg-type]


HOSTILE = '</td><script>alert(1)</script>| [x](javascript:alert) ![p](http://e.vil/p)\n# head "a" `b`\n---\nnew: key'


def test_no_name_becomes_markup_or_a_key(tmp_path: Path) -> None:
    provenance = Provenance(run=HOSTILE, algorithm=HOSTILE, data=HOSTILE, fitness=HOSTILE, versions={HOSTILE: HOSTILE})
    accuracy = NetworkAccuracy(images=HOSTILE, seeds=[0], top1=[90.0])
    names = [HOSTILE, "dog", "emu"]
    card = written(tmp_path / "net", accuracy=accuracy, provenance=provenance, recipe={HOSTILE: HOSTILE}, classes=names)
    front, body = card.split("\n---\n", maxsplit=1)
    assert set(yaml.safe_load(front.removeprefix("---\n"))) == {"library_name", "pipeline_tag", "tags", "model-index"}
    without_code = "".join(body.split("```")[::2])
    assert "<script>" not in without_code.replace("\\<script>", "")
    assert "](" not in without_code.replace("\\](", "")
    assert "\n# head" not in body
    assert ModelCard(card).data.library_name == "raynas"
    assert json.loads((tmp_path / "net/config.json").read_text())["provenance"]["run"] == HOSTILE
