"""Text for the evaluation of every architecture: in order, in windows of equal length."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raynas.data.dataset import ImageSet
from raynas.data.streams import StreamLoader
from raynas.data.text import TextDataset


@dataclass(frozen=True, eq=False)
class FixedText:
    """Positions of a text with their labels, as plain arrays.

    Attributes:
        tokens: (n,) int64, the token at each position.
        labels: (n,) int64, what is to be predicted there.
        window: number of tokens of a window.
        change: None, as a text stays as it is.
    """

    tokens: np.ndarray
    labels: np.ndarray
    window: int
    change: Callable[[Tensor, Tensor], Tensor] | None = None

    def __len__(self) -> int:
        """Returns the number of positions."""
        return len(self.labels)

    def batches(self, batch_size: int, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the windows of parallel streams: tokens (streams, length), and labels (streams * length,).

        Positions that do not fill the streams are left out at the end.

        Args:
            batch_size: number of streams.
            device: where windows are produced.
        """
        index = np.arange(len(self))
        text = ImageSet(self.tokens, self.labels, index)
        window = min(self.window, len(self) // batch_size)
        loader = StreamLoader(
            text,
            index,
            lambda epoch: self.labels,
            batch_size=batch_size,
            window=window,
            device=device,
            key="search.evaluation_batch_size",
        )
        yield from loader.epoch(0)


def fix_text(dataset: TextDataset, text: ImageSet, positions: np.ndarray, labels: np.ndarray) -> FixedText:
    """Returns the text at ``positions`` with its labels.

    Args:
        dataset: length of a window.
        text: the part to take from.
        positions: (n,) positions in ``text``, one after the other.
        labels: (len(text),) the labels of all of ``text``.
    """
    assert isinstance(text.images, np.ndarray)
    return FixedText(text.images[positions], np.asarray(labels)[positions].astype(np.int64), dataset.window)
