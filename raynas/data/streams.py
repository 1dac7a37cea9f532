"""Windows of parallel streams of tokens, which do not depend on world size and resumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from raynas.data.dataset import ImageSet
from raynas.data.hashing import Stream, hash_bits, standard_normals, uniform_integers
from raynas.errors import InputError

_CPU = torch.device("cpu")

SHORTEST = 5
"""Fewest tokens of a window that is drawn, where the mean is larger."""

HALVED = 20
"""One window in so many is half as long."""


class StreamLoader:
    """Yields the windows of an epoch: tokens ``(streams, length)``, and labels ``(streams * length,)``, int64.

    The text is cut into `batch_size` streams of equal length; what is left at its end is not used. A rank gets the
    streams ``rank::world``. Every epoch has the same number of windows, which together cover the streams. Their lengths
    are a function of seed, epoch and window, so that a window is addressed by epoch and step.

    Departs from AWD-LSTM (Merity et al. 2018, section 4.1), which draws lengths until the text is used up, so that
    epochs differ in their number of windows: here the lengths of an epoch are scaled so that they fill it.
    """

    def __init__(
        self,
        text: ImageSet,
        positions: np.ndarray,
        labels: Callable[[int], np.ndarray],
        *,
        batch_size: int,
        window: int,
        seed: int = 0,
        varies: bool = False,
        device: torch.device = _CPU,
        key: str = "train.batch_size",
    ) -> None:
        """Cuts the text into streams.

        Args:
            text: The positions of the text.
            positions: (n,) those to load, one after the other.
            labels: Called with the epoch, returns the labels of all of ``text``, (len(text),) integers.
            batch_size: Number of streams, over all ranks.
            window: Mean number of tokens of a window.
            seed: Seed of the lengths.
            varies: Whether lengths are random; else all windows but the last have the mean.
            device: Where windows are produced.
            key: The key that holds the number of streams, for messages.

        Raises:
            InputError: If a stream is shorter than a window.
        """
        assert isinstance(text.images, np.ndarray)
        length = len(positions) // batch_size
        if length < window:
            raise InputError(
                f"{key}: expected streams of at least {window} tokens (data.window), got {length} from "
                f"{len(positions):,} tokens in {batch_size} streams; lower it, lower data.window, or give a longer text"
            )
        self._positions = np.asarray(positions)[: length * batch_size].reshape(batch_size, length)
        tokens = np.asarray(text.images[self._positions], dtype=np.int64)
        self._tokens = torch.from_numpy(tokens).to(device)
        self._labels, self._streams, self._length = labels, batch_size, length
        self._window, self._varies, self._seed, self._device = window, varies, seed, device
        self._cached: tuple[int, Tensor] | None = None
        self.steps_per_epoch = -(-length // window)

    def boundaries(self, epoch: int) -> np.ndarray:
        """Returns where the windows of an epoch begin, and the end of the last, ``(steps_per_epoch + 1,)`` int64."""
        number, length = self.steps_per_epoch, self._length
        if not self._varies:
            return np.minimum(np.arange(number + 1) * self._window, length)
        index = np.arange(number)
        is_half = uniform_integers(hash_bits(self._seed, Stream.WINDOW_HALF, epoch, index), HALVED) == 0
        means = np.where(is_half, self._window / 2, self._window)
        normals = standard_normals(hash_bits(self._seed, Stream.WINDOW_LENGTH, epoch, index))
        drawn = np.maximum(min(SHORTEST, self._window), means + normals * self._window / 7)
        share = np.concatenate([[0.0], np.cumsum(drawn) / drawn.sum()])
        # Each window has a token, and the others are shared out.
        bounds: np.ndarray = np.arange(number + 1) + np.rint((length - number) * share).astype(np.int64)
        return bounds

    def rate_factor(self, batch: tuple[Tensor, Tensor]) -> float:
        """Returns the length of a window over the mean where lengths are random, else 1."""
        return batch[0].shape[1] / self._window if self._varies else 1.0

    def epoch(self, epoch: int, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields this rank's streams of each window: tokens and labels, on the device.

        Args:
            epoch: counted from 0.
            first_step: the first window to yield.
            rank: index of the share, in [0, world).
            world: number of ranks that share the streams.

        Raises:
            InputError: If there are fewer streams than ranks.
        """
        if self._streams < world:
            raise InputError(
                f"train.batch_size: expected at least 1 stream for each of {world} workers, got {self._streams}; raise "
                "it, or use fewer workers"
            )
        labels = self._labels_of(epoch)[rank::world]
        tokens, bounds = self._tokens[rank::world], self.boundaries(epoch)
        for begin, end in zip(bounds[first_step:-1].tolist(), bounds[first_step + 1 :].tolist(), strict=True):
            yield tokens[:, begin:end].contiguous(), labels[:, begin:end].reshape(-1)

    def _labels_of(self, epoch: int) -> Tensor:
        """Returns the labels of an epoch, ``(streams, length)``, made once an epoch."""
        if self._cached is None or self._cached[0] != epoch:
            labels = np.asarray(self._labels(epoch))[self._positions].astype(np.int64)
            self._cached = epoch, torch.from_numpy(labels).to(self._device)
        return self._cached[1]
