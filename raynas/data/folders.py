"""Folders of class folders with images: the images of each class, and the files that are left out with reasons."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

import numpy as np
from torchvision.datasets import ImageFolder
from torchvision.datasets.folder import IMG_EXTENSIONS

from raynas.data.image_source import FilePart, ImageFiles
from raynas.data.messages import one_line, some_of
from raynas.errors import InputError

_OF_THE_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")
HIDDEN = "hidden or of the operating system"
_NAMED = 10  # files that are named for each reason


def list_folder(root: Path) -> ImageFiles:
    """Returns the images of ``root/train/<class>/`` and ``root/val/<class>/`` (or ``test``).

    Images lie at any depth below the folder of their class. Links to files and folders are followed. These are
    left out: hidden files and folders, those of operating systems, files next to the class folders, and files with an
    extension that torchvision does not read as an image (in upper or lower case), such as GIF.

    Raises:
        InputError: If the folder has another layout, a class has no image, the two parts have different
            classes, or links lead to one folder twice.
    """
    ignored = _Ignored(root)
    train, classes = _list_part(root / "train", ignored)
    test, test_classes = _list_part(root / "val" if (root / "val").is_dir() else root / "test", ignored)
    if classes != test_classes:
        odd = some_of(sorted(set(classes) ^ set(test_classes)), 5)
        raise InputError(
            f"data.path: expected the same classes for training and for testing in {root}, but only one of the two has "
            f"{odd}; add the missing folders"
        )
    return ImageFiles(root, train, test, classes, ignored.by_reason())


class _Ignored:
    """Counts the files that are left out, and records the first ones of each reason."""

    def __init__(self, root: Path) -> None:
        """Stores the folder to which the paths are relative."""
        self._root = root
        self._count: dict[str, int] = defaultdict(int)
        self._first: dict[str, list[str]] = defaultdict(list)

    def add(self, file: str, reason: str) -> None:
        """Counts a file or folder."""
        self._count[reason] += 1
        if len(self._first[reason]) < _NAMED:
            self._first[reason].append(os.path.relpath(file, self._root))

    def by_reason(self) -> dict[str, tuple[int, tuple[str, ...]]]:
        """Returns the number of files and the first ten paths, by reason."""
        return {reason: (count, tuple(sorted(self._first[reason]))) for reason, count in sorted(self._count.items())}


class _ClassFolders(ImageFolder):  # type: ignore[misc]
    """torchvision's folder of class folders, without hidden folders as classes."""

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        classes = [name for name in super().find_classes(directory)[0] if not _is_hidden(name)]
        if not classes:
            raise FileNotFoundError(f"there is no class folder in {directory}")
        return classes, {name: number for number, name in enumerate(classes)}


class _IsImage:
    """Decides whether a path below a part is an image to read, and counts the other files."""

    def __init__(self, part: Path, ignored: _Ignored) -> None:
        """Stores the folder of the part and the counter."""
        self._part, self._ignored = part, ignored
        self._hidden: dict[str, bool] = {}  # by folder
        self._seen: dict[str, str] = {}  # folders by their target after links

    def __call__(self, path: str) -> bool:
        """Returns whether the file is an image to read.

        Raises:
            InputError: If links lead to its folder twice.
        """
        folder, name = os.path.split(path)
        if folder not in self._hidden:
            self._hidden[folder] = any(map(_is_hidden, Path(os.path.relpath(folder, self._part)).parts))
            self._check_new(folder)
        if self._hidden[folder] or _is_hidden(name):
            self._ignored.add(path, HIDDEN)
            return False
        if not name.lower().endswith(IMG_EXTENSIONS):
            extension = os.path.splitext(name)[1].lower()
            self._ignored.add(path, f"{extension or 'no extension'}, not read as an image")
            return False
        return True

    def _check_new(self, folder: str) -> None:
        real = os.path.realpath(folder)
        if real in self._seen:
            raise InputError(
                f"data.path: expected each folder once in {self._part}, but links lead to {real} as "
                f"{self._seen[real]} and as {folder}; remove one of them"
            )
        self._seen[real] = folder


def _is_hidden(name: str) -> bool:
    return (name.startswith(".") and name not in (".", "..")) or name.lower() in _OF_THE_SYSTEM


def _list_part(part: Path, ignored: _Ignored) -> tuple[FilePart, tuple[str, ...]]:
    """Returns the image files below ``part/<class>/`` and the names of the classes, sorted.

    Raises:
        InputError: If there are no class folders, or a class folder has no image.
    """
    try:
        found = _ClassFolders(str(part), is_valid_file=_IsImage(part, ignored), allow_empty=True)
        beside = [entry for entry in os.scandir(part) if not entry.is_dir() or _is_hidden(entry.name)]
    except OSError as error:
        raise InputError(
            f"data.path: expected one folder of images a class in {part}, but {one_line(error)}; "
            "lay the images out as train/<class>/* and val/<class>/*"
        ) from error
    for entry in beside:
        ignored.add(entry.path, HIDDEN if _is_hidden(entry.name) else "not in a class folder")
    labels = np.array(found.targets, np.int64)
    counts = np.bincount(labels, minlength=len(found.classes))
    if empty := [name for name, count in zip(found.classes, counts, strict=True) if not count]:
        raise InputError(
            f"data.path: expected images in every class folder of {part}, but there are none in {some_of(empty, 5)}; "
            "add images, or remove the folders; lay the images out as train/<class>/* and val/<class>/*"
        )
    return FilePart(tuple(file for file, _ in found.samples), labels), tuple(found.classes)
