"""Prediction and export from the command line: what appears, and one line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raynas.cli import main
from raynas.networks.export.exporting import export
from raynas.networks.found_network import FoundNetwork
from raynas.networks.loading import load_network
from raynas.networks.predict import predict
from raynas.networks.preprocessing import preprocess
from tests.networks.networks import found


@pytest.fixture(scope="module")
def network() -> FoundNetwork:
    return found()


@pytest.fixture(scope="module")
def folder(network: FoundNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(network, tmp_path_factory.mktemp("exports") / "net", "safetensors").folder


def images_of(folder: Path, number: int = 3) -> list[str]:
    rng = np.random.default_rng(0)
    files = []
    for index in range(number):
        mode = ("RGB", "L", "RGBA", "1")[index % 4]
        pixels = rng.integers(0, 256, (20 + index, 30, 3), dtype=np.uint8)
        file = folder / f"image{index}.png"
        Image.fromarray(pixels).convert(mode).save(file)
        files.append(str(file))
    return files


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str], list[str]]:
    status = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return status, out.splitlines(), err.splitlines()


def test_predictions_are_softmax_of_the_logits(network: FoundNetwork, tmp_path: Path) -> None:
    files = images_of(tmp_path, 35)
    transform = preprocess(network.record.preprocessing)
    found_all = list(predict(network, files, top=2))
    assert [one.image for one in found_all] == files
    for one, file in zip(found_all, files, strict=True):
        logits = network(transform(Image.open(file)).unsqueeze(0))[0].double()
        shares = logits.exp() / logits.exp().sum()
        order = shares.argsort(descending=True)[:2]
        assert one.classes == tuple(["cat", "dog", "emu"][label] for label in order)
        assert one.probabilities == pytest.approx(shares[order].tolist(), abs=1e-5)


def test_the_verb_prints_a_line_an_image(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], network: FoundNetwork
) -> None:
    files = images_of(tmp_path)
    status, out, err = answer(capsys, "predict", folder, *files)
    assert (status, err) == (0, [])
    assert out == [one.line() for one in predict(network, files)]
    assert all(line.count(" %") == 3 for line in out), "there are only three classes"
    assert answer(capsys, "predict", folder, files[0], "--top", "1")[1][0].count(" %") == 1


def test_classes_without_names_are_numbers_with_a_remark(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(found(classes=None), tmp_path / "net", "safetensors")
    status, out, err = answer(capsys, "predict", tmp_path / "net", *images_of(tmp_path), "--top", "1")
    assert status == 0
    assert err == ["raynas: the network states no names of its 3 classes; classes are shown by number"]
    assert all(line.split(": ")[1].split()[0] in ("0", "1", "2") for line in out)


def test_wrong_input_is_one_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = images_of(tmp_path, 1)
    (tmp_path / "text.png").write_text("no image")
    for arguments, words in (
        (["predict", folder, tmp_path / "text.png"], "to be an image, but it was not read: it is in no image format"),
        (["predict", folder, tmp_path / "none.png"], "but it was not read: No such file or directory"),
        (["predict", folder, file, "--top", "0"], "--top: expected 1 or more, got 0"),
        (["predict", tmp_path, file], "with the file config.json, found none"),
        (["predict", tmp_path / "nothing", file], "expected the folder of an exported network, found none"),
        (
            ["export", folder, "--format", "jpeg", "--out", tmp_path / "new"],
            "--format: expected one of onnx, pt2, python",
        ),
        (
            ["export", folder, "--format", "python", "--out", tmp_path],
            "--out: expected a new folder or an earlier export",
        ),
        (["export", tmp_path, "--format", "python", "--out", tmp_path / "new"], "found none"),
    ):
        status, out, err = answer(capsys, *arguments)
        assert (status, out, len(err)) == (2, [], 1)
        assert words in err[0]
    assert not (tmp_path / "new").exists()


def test_an_export_is_exported_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], network: FoundNetwork
) -> None:
    status, out, err = answer(capsys, "export", folder, "--format", "python", "--out", tmp_path / "plain")
    assert (status, err) == (0, [])
    assert out[0].startswith("largest difference of a logit on 64 images: ")
    assert out[1].startswith("latency of one image: ")
    assert out[2] == f"network folder: {tmp_path / 'plain'}"
    again = load_network(tmp_path / "plain")
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(again(images), network(images))
    assert again.record.classes == ["cat", "dog", "emu"]
    first = load_network(folder).record.provenance
    assert again.record.provenance == first, "an export again is no new network"


def test_a_name_of_a_class_cannot_command_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(found(classes=["\x1b[2J", "dog\nemu", "\u202ecat"]), tmp_path / "net", "safetensors")
    _, out, _ = answer(capsys, "predict", tmp_path / "net", *images_of(tmp_path, 1))
    assert len(out) == 1
    assert "\x1b" not in out[0] and "\u202e" not in out[0]
