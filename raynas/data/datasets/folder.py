"""A folder of image files: ``train/<class>/*`` and ``val/<class>/*`` (or ``test``), such as ImageNet."""

from __future__ import annotations

from raynas.data.image_source import ImageFiles, ImageSource, KnownSize, given_path
from raynas.options import Options


def read_folder(path: str | None, options: Options) -> ImageFiles:
    """Returns which files are images of which class."""
    from raynas.data.folders import list_folder  # torchvision is slow to import

    return list_folder(given_path(path, "folder"))


FOLDER = ImageSource(
    "folder",
    "image files",
    read_folder,
    reads_files=True,
    resolution=224,
    known=KnownSize("ImageNet", 1_281_167, 1_000, 224),
    needs_path=True,
    path_can_wait=True,
)
