"""Sentences in the generator's sequence: a sentence about the next item follows a history as one soft token.

The token is the vector that the text encoder gives the sentence, projected as an item's content is. Histories with a
sentence are read by a decoder of its own, which begins as a copy of the one for histories alone: that one stays as it
is, and so does every list without a sentence. Both score the same item tokens; with a sentence, what it asks for is
also scored against each item's content directly, which tokens that were learned for histories say too little of.
"""

# Axes: N items, C content dimensions, W width of what is asked, B users, T history positions, D dimensions of a
# sentence's vector, H hidden width, L inputs of a training step

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmrec.generator.semantic_id_head import EncodedHistory
from mmrec.generator.small_decoder import Order, SmallDecoder

_ASKED = 64
_LEAST_SPREAD = 1e-3


class SentenceReader(nn.Module):
    """Reads histories that a sentence follows.

    Args:
        dimension: Of a sentence's vector.
        content: Dimensions of an item's content.
        decoder: Of histories alone; copied.
        state_norm: Applied to its states; copied.
        dropout: Of inputs and states, in training.
    """

    mean_C: Tensor
    spread_C: Tensor

    def __init__(
        self, dimension: int, content: int, decoder: SmallDecoder, state_norm: nn.LayerNorm, dropout: float
    ) -> None:
        super().__init__()
        hidden = decoder.config.hidden
        self.project = nn.Linear(dimension, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.decoder = copy.deepcopy(decoder)
        self.state_norm = copy.deepcopy(state_norm)
        self.drop = nn.Dropout(dropout)
        self.ask = nn.Sequential(nn.Linear(dimension, _ASKED), nn.GELU(), nn.Linear(_ASKED, _ASKED))
        self.answer = nn.Linear(content, _ASKED)
        self.register_buffer("mean_C", torch.zeros(content))
        self.register_buffer("spread_C", torch.ones(content))

    def keep_spread(self, content_NC: Tensor) -> None:
        """Keep mean and spread of the content of the catalogue that this is trained on. Shape: (N, C), float32."""
        self.mean_C = content_NC.mean(0)
        self.spread_C = content_NC.std(0, correction=0).clamp(min=_LEAST_SPREAD)

    def forward(self, inputs_BTH: Tensor, valid_BT: Tensor, sentences_BD: Tensor) -> EncodedHistory:
        """Read one sentence behind each history.

        Args:
            inputs_BTH: Item tokens, padded on the right. Shape: (B, T, H).
            valid_BT: False where padded; a history may be empty. Shape: (B, T), bool.
            sentences_BD: Unit vectors. Shape: (B, D).

        Returns:
            The last valid position of each user is that of the sentence. Shape of the states: (B, T + 1, H).
        """
        batch = torch.arange(len(valid_BT), device=valid_BT.device)
        lengths_B = valid_BT.sum(1)
        padded_BTH = F.pad(inputs_BTH, (0, 0, 0, 1))
        padded_BTH[batch, lengths_B] = self._tokens(sentences_BD).to(padded_BTH.dtype)
        now_valid_BT = F.pad(valid_BT, (0, 1))
        now_valid_BT[batch, lengths_B] = True
        states_BTH = self.state_norm(self.decoder(padded_BTH))
        return EncodedHistory(states_BTH, states_BTH + padded_BTH, now_valid_BT)

    def at_every_position(self, inputs_BTH: Tensor, sentences_BLD: Tensor) -> Tensor:
        """States of sentences that follow each beginning of each history, the empty one first.

        All are computed in one pass: a sentence is seen by itself alone, and sees the history before its position, as
        in `forward`.

        Args:
            inputs_BTH: Item tokens. Shape: (B, T, H).
            sentences_BLD: A sentence for each beginning. Shape: (B, T + 1, D).
        """
        places, device = inputs_BTH.shape[1], inputs_BTH.device
        history_T, sentence_L = torch.arange(places, device=device), torch.arange(places + 1, device=device)
        positions_L = torch.cat([history_T, sentence_L])
        is_history_L = torch.arange(len(positions_L), device=device) < places
        before_LL = is_history_L & (positions_L < positions_L[:, None])
        order = Order(positions_L, before_LL | torch.eye(len(positions_L), dtype=torch.bool, device=device))
        inputs_BLH = self.drop(torch.cat([inputs_BTH, self._tokens(sentences_BLD)], dim=1))
        states_BLH = self.decoder(inputs_BLH, order)[:, places:]
        return self.state_norm(self.drop(states_BLH))  # type: ignore[no-any-return]

    def asked(self, sentences_BD: Tensor) -> Tensor:
        """What sentences ask for, to be scored against `answers`. Shape: (B, W)."""
        return self.ask(self._scaled(sentences_BD))  # type: ignore[no-any-return]

    def answers(self, content_NC: Tensor) -> Tensor:
        """What items have to offer, from their content. Shape: (N, W)."""
        return self.answer((content_NC - self.mean_C) / self.spread_C)  # type: ignore[no-any-return]

    def _tokens(self, sentences: Tensor) -> Tensor:
        return self.norm(self.project(self._scaled(sentences)))  # type: ignore[no-any-return]

    @staticmethod
    def _scaled(sentences: Tensor) -> Tensor:
        """With elements of about 1, as layers expect them."""
        scaled: Tensor = sentences * sentences.shape[-1] ** 0.5
        return scaled
