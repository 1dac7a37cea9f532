"""A text as a data set: tokens of a vocabulary, in the three parts that language models are compared on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from raynas.data.dataset import Dataset, ImageSet, TokenSet
from raynas.data.image_source import DataSource, given_path
from raynas.errors import InputError
from raynas.options import Options, Positive

UNKNOWN, END = "<unk>", "<eos>"
"""The word for words that the vocabulary does not have, and the end of a line."""

FILES = ("train.txt", "valid.txt", "test.txt")
"""The parts of a text: one line a sentence or paragraph, words separated by spaces."""


class TextOptions(Options):
    """Further keys of a text.

    Attributes:
        window: Mean number of tokens that gradients go back through. The state is kept beyond it.
        window_varies: Whether the windows of training have random lengths, as in AWD-LSTM: 1 in 20 is half as long, and
            a deviation of a seventh of the mean is added. The learning rate of a step is in proportion to the length.
        vocabulary_size: Number of words that are told apart: the most frequent ones of the training text, and one for
            all others. All words of the training text by default.
        max_tokens: Use only so many tokens of the training text, the first ones, and a tenth of it of the other texts.
    """

    window: Annotated[int, Field(ge=1, le=100_000)] = 35
    window_varies: bool = True
    vocabulary_size: Annotated[int, Field(ge=4, le=10_000_000)] | None = None
    max_tokens: Positive | None = None


@dataclass(frozen=True, eq=False)
class TextArrays:
    """A text that has been read.

    Attributes:
        train: (n,) int64 tokens of the training text.
        valid: (m,) int64 tokens of the text that architectures are compared on.
        test: (k,) int64 tokens of the text that is only tested on.
        vocabulary: the words by token.
    """

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class TextSource(DataSource):
    """A data set of text: `read` returns `TextArrays`."""

    options: type[Options] = TextOptions
    holds: ClassVar[str] = "tokens"


@dataclass(frozen=True, eq=False)
class TextDataset(Dataset):
    """A text as a data set, in which a sample is a position: the input is a token, the class the token after it.

    The train part of the split is train.txt and the search part valid.txt.

    Attributes:
        window: mean number of tokens of a window.
        window_varies: whether the lengths of windows are random in training.
    """

    batched: ClassVar[str] = "streams"

    window: int = 35
    window_varies: bool = True

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words by token."""
        assert self.classes is not None
        return self.classes


def text_dataset(name: str, text: TextArrays, options: TextOptions) -> TextDataset:
    """Returns a text as a data set."""
    inputs = np.concatenate([text.train[:-1], text.valid[:-1]])
    labels = np.concatenate([text.train[1:], text.valid[1:]])
    test = len(text.test) - 1
    return TextDataset(
        name=name,
        train=TokenSet(inputs, labels, np.arange(len(labels)), num_train=len(text.train) - 1),
        test=ImageSet(text.test[:-1], text.test[1:], np.arange(test)),
        num_classes=len(text.vocabulary),
        resolution=1,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        crop_padding=0,
        flip=False,
        classes=text.vocabulary,
        window=options.window,
        window_varies=options.window_varies,
    )


def read_text(path: str | None, options: TextOptions) -> TextArrays:
    """Returns the three parts of a text as tokens.

    The vocabulary has the words of the training text in the order of their frequency, and of their first appearance
    where that is equal. Every line ends with ``<eos>``, also an empty one, as in the codes of AWD-LSTM and DARTS.

    Departs from these codes: they take the words of valid.txt and test.txt into the vocabulary. Here words that the
    training text does not have are ``<unk>``. Penn Treebank and WikiText-2 have no such words.

    Raises:
        InputError: If a file is missing, is not UTF-8, or holds less than two lines.
    """
    folder = given_path(path, "text")
    parts = [_words(folder / name) for name in FILES]
    if options.max_tokens is not None:
        most = options.max_tokens
        parts = [parts[0][:most], *(part[: max(2, most // 10)] for part in parts[1:])]
    vocabulary = _vocabulary(parts[0], options.vocabulary_size)
    numbers = {word: number for number, word in enumerate(vocabulary)}
    unknown = numbers[UNKNOWN]
    tokens = []
    for part in parts:
        tokens.append(np.array([numbers.get(word, unknown) for word in part], dtype=np.int64))
    train, valid, test = tokens
    return TextArrays(train, valid, test, vocabulary)


def _words(file: Path) -> list[str]:
    """Returns the words of a file, each line ended by ``<eos>``.

    Raises:
        InputError: If it is missing, is not UTF-8, or holds less than two lines.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise InputError(
            f"data.path: expected {', '.join(FILES)} in {file.parent}, got no {file.name}; put the text there under "
            "this name"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"data.path: expected {file} as UTF-8, got bytes that are not at position {error.start:,}; convert it, for "
            "example with iconv -t UTF-8"
        ) from error
    if lines[-1] == "":
        lines.pop()
    if sum(1 for line in lines if line.strip()) < 2:
        raise InputError(
            f"data.path: expected {file} as two lines of words or more, got {len(lines)}; put one sentence or "
            "paragraph on a line"
        )
    words: list[str] = []
    for line in lines:
        words += line.split()
        words.append(END)
    return words


def _vocabulary(words: Sequence[str], size: int | None) -> tuple[str, ...]:
    """Returns the words by token: ``<unk>`` and ``<eos>`` first, then the others by their frequency."""
    counts = Counter(words)
    others = [word for word, _ in counts.most_common() if word not in (UNKNOWN, END)]
    kept = others if size is None else others[: size - 2]
    return (UNKNOWN, END, *kept)
