"""A language model of one LSTM, which recurrent cells are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raynas.search_space import Architecture, Choice, SearchSpace
from raynas.spaces.recurrent_networks import CellForm, LanguageModel, Regularisation
from raynas.supernet.gates import Gate, Gates


class LstmCell(nn.Module):
    """An LSTM of one layer as the cell of a language model: its state is output and cell state side by side.

    Of the shares that are dropped, those of the recurrent weights apply here. Shares of the cell's input and of its
    states within a window (dropoutx, dropouth) do not, since torch runs all tokens of a window in one call.
    """

    def __init__(self, form: CellForm) -> None:
        """Builds the layer with the first weights of torch."""
        super().__init__()
        self._weight_drop = form.regularisation.weight_drop
        self.lstm = nn.LSTM(form.embedding, form.hidden)

    def forward(self, x: Tensor, state: Tensor, gates: Gates) -> tuple[Tensor, Tensor]:
        """Returns the output at each token, ``(length, streams, width)``, and the state, ``(streams, 2 width)``."""
        given = tuple(part.unsqueeze(0).contiguous() for part in state.chunk(2, dim=1))
        weights: list[Tensor] = list(self.lstm.parameters())  # of the input, of the output before, and their biases
        if self._weight_drop and self.training:
            weights[1] = F.dropout(weights[1], self._weight_drop)
        outputs, *last = torch.lstm(x, given, weights, True, 1, 0.0, self.training, False, False)
        return outputs, torch.cat([part.squeeze(0) for part in last], dim=1)


@dataclass(frozen=True)
class Lstm(SearchSpace):
    """The one language model of an LSTM, as a space of a single architecture. Run files do not name it.

    Attributes:
        embedding: Width of the embedding of a word.
        hidden: Width of the output. Where it is that of the embedding, decoder and embedding share their weights.
        dropout: As in the space of recurrent cells, and so are the others.
        dropouti: See there.
        dropoute: See there.
        weight_drop: See there.
        activation: See there.
        temporal: See there.
    """

    embedding: int
    hidden: int
    dropout: float = 0.0
    dropouti: float = 0.0
    dropoute: float = 0.0
    weight_drop: float = 0.0
    activation: float = 0.0
    temporal: float = 0.0

    takes = "tokens"

    @property
    def choices(self) -> tuple[Choice, ...]:
        """One choice of one candidate."""
        return (Choice("cell", ("lstm",)),)

    @property
    def form(self) -> CellForm:
        """The form of the network."""
        regularisation = Regularisation(
            dropout=self.dropout,
            dropouti=self.dropouti,
            dropoute=self.dropoute,
            weight_drop=self.weight_drop,
            activation=self.activation,
            temporal=self.temporal,
        )
        return CellForm(1, self.embedding, self.hidden, "node", "all", False, regularisation)

    def example_inputs(self, number: int, size: int, device: torch.device) -> Tensor:
        """Returns tokens for trying a network, ``(number, size)``."""
        return torch.zeros(number, size, dtype=torch.int64, device=device)

    def build_supernet(self, num_classes: int) -> LanguageModel:
        """Returns the only network."""
        return self.build_network((0,), num_classes)

    def build_network(self, architecture: Architecture, num_classes: int) -> LanguageModel:
        """Returns the network."""
        self.check(architecture)
        form = self.form
        return LanguageModel(form, LstmCell(form), num_classes, (Gate((0,)),), state_width=2 * form.hidden)

    def drawing(self, architecture: Sequence[int]) -> dict[str, list[tuple[str, str, str]]]:
        """Returns one edge."""
        return {"cell": [("in", "out", "lstm")]}

    def num_parameters(self, words: int) -> int:
        """Returns the number of parameters of a network of so many words."""
        decoder = 0 if self.embedding == self.hidden else words * self.hidden
        return words * (self.embedding + 1) + decoder + 4 * self.hidden * (self.embedding + self.hidden + 2)

    def of_size(self, num_parameters: int, words: int) -> Lstm:
        """Returns the model whose equal widths give it as many parameters as possible without exceeding a number."""
        low, high = 1, max(2, num_parameters)
        while high - low > 1:
            middle = (low + high) // 2
            if replace(self, embedding=middle, hidden=middle).num_parameters(words) <= num_parameters:
                low = middle
            else:
                high = middle
        return replace(self, embedding=low, hidden=low)
