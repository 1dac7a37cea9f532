"""Image files of every kind become 8-bit red, green and blue; what cannot be read is found and named."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raynas.data.image_files import examine, pillow_quiet, read_rgb

GREY = np.array([[0, 4112, 32896], [61680, 65535, 257]], np.uint16)  # multiples of 257 are exact in 8 bits
GREY_8 = np.array([[0, 16, 128], [240, 255, 1]], np.uint8)
COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 8, 7]]], np.uint8)


def pixels(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.asarray(read_rgb(str(path)))


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_deep_grey_is_scaled_by_its_depth_and_not_cut_off(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"deep.{suffix}"
    Image.fromarray(GREY).save(file)
    for channel in range(3):
        np.testing.assert_array_equal(pixels(file)[..., channel], GREY_8)
    assert examine(str(file)).conversions == "more than 8 bits, scaled to 8"


def test_a_depth_of_12_bits_has_its_own_white(tmp_path: Path) -> None:
    """Pillow reads such files and writes none: two values of 12 bits in three bytes, put together by hand."""
    tags = [(256, 2), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 3)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    content = b"II*\0" + struct.pack("<I", 12) + bytes([0x80, 0x8F, 0xFF, 0])
    (tmp_path / "twelve.tiff").write_bytes(content + struct.pack("<H", len(tags)) + entries + bytes(4))
    np.testing.assert_array_equal(pixels(tmp_path / "twelve.tiff")[0, :, 0], [128, 255])


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGBA", "png"), ("LA", "png"), ("P", "png"), ("1", "png"), ("L", "png"), ("RGB", "png"), ("CMYK", "jpg")],
)
def test_every_kind_of_8_bit_pixels_is_read_as_torchvision_reads_it(tmp_path: Path, mode: str, suffix: str) -> None:
    from torchvision.datasets.folder import default_loader

    file = tmp_path / f"x.{suffix}"
    image = Image.fromarray(COLOURS).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(77)
    image.save(file)
    np.testing.assert_array_equal(pixels(file), np.asarray(default_loader(file)))


def test_a_palette_with_transparency_keeps_its_colours_and_warns_nobody(tmp_path: Path) -> None:
    image = Image.fromarray(COLOURS).convert("P", palette=Image.Palette.ADAPTIVE)
    image.save(tmp_path / "palette.png", transparency=bytes([0, 128, 255, 7]))
    np.testing.assert_array_equal(pixels(tmp_path / "palette.png"), COLOURS)
    assert examine(str(tmp_path / "palette.png")).conversions == "transparency, left out"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright(tmp_path: Path, orientation: int) -> None:
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(
        tmp_path / "photo.jpg", exif=exif
    )
    with Image.open(tmp_path / "photo.jpg") as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    np.testing.assert_array_equal(pixels(tmp_path / "photo.jpg"), expected)
    assert ("upright" in examine(str(tmp_path / "photo.jpg")).conversions) == (orientation > 1)


@pytest.mark.parametrize(
    ("name", "values"),
    [("float.tiff", np.ones((2, 2), np.float32)), ("integer.tiff", np.full((2, 2), 70_000, np.int32))],
)
def test_pixels_without_a_known_white_are_refused(tmp_path: Path, name: str, values: np.ndarray) -> None:
    Image.fromarray(values).save(tmp_path / name)
    with pytest.raises(ValueError, match=rf"^data\.path: expected .*{name} .*no value is known to be white.*8 or 16"):
        read_rgb(str(tmp_path / name))
    assert "known to be white" in examine(str(tmp_path / name)).error


def test_of_several_frames_the_first_is_taken(tmp_path: Path) -> None:
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    for name, options in (("two.tiff", {}), ("two.webp", {"lossless": True}), ("two.png", {})):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
        np.testing.assert_array_equal(pixels(tmp_path / name), COLOURS)
        assert examine(str(tmp_path / name)).conversions == "several frames, the first taken"


def damage(folder: Path) -> dict[str, Path]:
    """Writes a file for each way in which files are damaged, and returns them by that way."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    files = {}
    for suffix in ("jpg", "png", "tiff", "webp", "bmp"):
        photo.save(folder / f"whole.{suffix}")
        content = (folder / f"whole.{suffix}").read_bytes()
        for share in (0.1, 0.5, 0.95):
            files[f"{suffix} {share}"] = folder / f"cut-{share}.{suffix}"
            files[f"{suffix} {share}"].write_bytes(content[: int(share * len(content))])
    files["html"] = folder / "page.jpg"
    files["html"].write_text("<html>404</html>")
    files["empty"] = folder / "empty.png"
    files["empty"].touch()
    files["link"] = folder / "link.jpg"
    files["link"].symlink_to(folder / "nowhere.jpg")
    files["folder"] = folder / "folder.jpg"
    files["folder"].mkdir()
    return files


def test_examining_finds_every_damage_that_reading_finds(tmp_path: Path) -> None:
    for way, file in damage(tmp_path).items():
        with pytest.raises(ValueError, match=rf"^data\.path: expected .*{file.name} .*replace or remove"):
            read_rgb(str(file))
        error = examine(str(file)).error
        assert error and "\n" not in error and str(tmp_path) not in error, way


def test_a_whole_file_is_examined_without_an_error_and_with_its_size(tmp_path: Path) -> None:
    damage(tmp_path)
    for file in tmp_path.glob("whole.*"):
        found = examine(str(file))
        assert (found.width, found.height, found.mode, found.error) == (64, 64, "RGB", "")


def test_odd_files_warn_nobody_while_pillow_is_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    Image.fromarray(COLOURS).save(tmp_path / "large.png")
    with pytest.warns(Image.DecompressionBombWarning):
        read_rgb(str(tmp_path / "large.png"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pillow_quiet():
            read_rgb(str(tmp_path / "large.png"))
