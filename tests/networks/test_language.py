"""What a language model expects behind a text, against a loop over its probabilities written out here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from raynas.networks.language import LanguageNetwork, continue_texts
from raynas.search_space import sample
from raynas.spaces.recurrent import Recurrent

WORDS = ("<unk>", "<eos>", "anna", "sees", "bob")


@pytest.fixture
def network():
    space = Recurrent(nodes=2, embedding=4, hidden=4)
    torch.manual_seed(0)
    module = space.build_network(sample(space, np.random.default_rng(0)), len(WORDS))
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return LanguageNetwork(module.eval(), WORDS)


def test_next_words_are_those_behind_the_whole_text_and_sampled_ones_go_on_from_it(network):
    (found,) = continue_texts(network, ["anna otto sees"], top=3, length=6, seed=4)
    tokens, generator = [1, 2, 0, 3], torch.Generator().manual_seed(4)
    with torch.no_grad():
        first = torch.softmax(network.module(torch.tensor([tokens]))[-1].double(), 0)
        order = first.argsort(descending=True)[:3].tolist()
        assert found.words == tuple(WORDS[token] for token in order)
        assert found.probabilities == pytest.approx(first[order].tolist(), rel=1e-5)
        for _ in range(6):
            last = torch.softmax(network.module(torch.tensor([tokens]))[-1].double(), 0)
            last[0] = 0
            tokens.append(int(torch.multinomial(last, 1, generator=generator)))
    assert found.continued == tuple(WORDS[token] for token in tokens[4:])
    assert found.unknown == ("otto",)
    assert found.line().startswith(f"anna otto sees (unknown: otto): {found.words[0]} ")


@pytest.mark.parametrize(("text", "top", "message"), [(" ", 1, "texts: expected words"), ("anna", 0, "--top")])
def test_what_cannot_be_continued_is_refused(network, text, top, message):
    with pytest.raises(ValueError, match=message):
        list(continue_texts(network, [text], top))
