"""Language models in use: the likeliest next words of a text, and its continuation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raynas.data.text import END, UNKNOWN
from raynas.errors import InputError
from raynas.messages import printable_text
from raynas.training.window import Remembering


@dataclass(frozen=True, eq=False)
class LanguageNetwork:
    """A network that predicts the next word, with the words that it knows.

    Attributes:
        module: The network, in evaluation mode on the CPU.
        vocabulary: The words by token.
    """

    module: nn.Module
    vocabulary: tuple[str, ...]


@dataclass(frozen=True)
class Continuation:
    """What a network expects behind a text.

    Attributes:
        text: The text.
        words: The likeliest next words, the most probable first.
        probabilities: The probability of each.
        continued: Words that are sampled one after the other.
        unknown: Words of the text that the network does not know.
    """

    text: str
    words: tuple[str, ...]
    probabilities: tuple[float, ...]
    continued: tuple[str, ...]
    unknown: tuple[str, ...]

    def line(self) -> str:
        """Returns the continuation as a line for people."""
        parts = []
        for word, probability in zip(self.words, self.probabilities, strict=True):
            parts.append(f"{word} {100 * probability:.1f} %")
        unknown = f" (unknown: {', '.join(self.unknown)})" if self.unknown else ""
        return printable_text(f"{self.text}{unknown}: {', '.join(parts)}; continued: {' '.join(self.continued)}")


def continue_texts(
    network: LanguageNetwork, texts: Sequence[str], top: int = 5, length: int = 20, seed: int = 0
) -> Iterator[Continuation]:
    """Yields what a network expects behind texts, in their order.

    A text begins behind the end of a line. Its words are separated by spaces, as in the training text. Continued words
    are sampled by their probabilities, ``<unk>`` left out.

    Args:
        network: The network.
        texts: The texts.
        top: Number of likeliest next words.
        length: Number of continued words.
        seed: Seed of the sampling.

    Raises:
        InputError: If a text has no word, or a number is not positive.
    """
    if top < 1:
        raise InputError(f"--top: expected 1 or more, got {top}")
    numbers = {word: number for number, word in enumerate(network.vocabulary)}
    for text in texts:
        words = text.split()
        if not words:
            raise InputError(f"texts: expected words separated by spaces, got {text!r}")
        tokens = [numbers[END], *(numbers.get(word, numbers[UNKNOWN]) for word in words)]
        yield _continued(network, text, tokens, min(top, len(numbers)), length, seed)


@torch.no_grad()
def _continued(
    network: LanguageNetwork, text: str, tokens: Sequence[int], top: int, length: int, seed: int
) -> Continuation:
    """Returns what a network expects behind the tokens of a text."""
    generator, run = torch.Generator().manual_seed(seed), Remembering(network.module)
    names = network.vocabulary
    probabilities = _probabilities(run(torch.tensor([tokens])))
    best = probabilities.topk(top)
    continued: list[str] = []
    for _ in range(length):
        candidates = probabilities.clone()
        candidates[names.index(UNKNOWN)] = 0.0
        token = int(torch.multinomial(candidates, 1, generator=generator))
        continued.append(names[token])
        probabilities = _probabilities(run(torch.tensor([[token]])))
    return Continuation(
        text=text,
        words=tuple(names[token] for token in best.indices.tolist()),
        probabilities=tuple(best.values.tolist()),
        continued=tuple(continued),
        unknown=tuple(word for word in text.split() if word not in names),
    )


def _probabilities(logits: Tensor) -> Tensor:
    """Returns the probabilities of the word behind the last token, ``(words,)``."""
    return torch.softmax(logits[-1].double(), dim=0)
