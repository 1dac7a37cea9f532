"""A folder of train.txt, valid.txt and test.txt, such as Penn Treebank or WikiText-2."""

from __future__ import annotations

from raynas.data.image_source import KnownSize
from raynas.data.text import TextSource, read_text

TEXT = TextSource(
    "text",
    "the text",
    read_text,
    known=KnownSize("Penn Treebank", 929_588, 10_000, 1),
    needs_path=True,
    path_can_wait=True,
)
