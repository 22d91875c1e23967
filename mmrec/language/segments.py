"""What a language model reads: sequences of segments, each of which is words or items.

Words are token ids of the model's own tokenizer; items are vectors in the space of the model's word
embeddings.
"""

# Axes: B sequences, T positions, H width of the word embeddings, M items of a segment

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Words:
    """Token ids of words."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Vectors of items, one position each. Shape: (M, H), float."""

    vectors_MH: Tensor


Segment = Words | Items


class Embedded(NamedTuple):
    """Sequences as a model is fed with them.

    Attributes:
        inputs_BTH: Embeddings; zeros where padded. Shape: (B, T, H).
        valid_BT: False where padded. Shape: (B, T), bool.
    """

    inputs_BTH: Tensor
    valid_BT: Tensor


def embed_sequences(
    sequences: Sequence[Sequence[Segment]],
    words: nn.Module,
    *,
    pad_left: bool = False,
) -> Embedded:
    """Embeddings of sequences, padded to the longest.

    Args:
        sequences: One position or more each.
        words: From token ids to embeddings, as the model itself does it.
        pad_left: Pad on the left, so that all sequences end at the same position.
    """
    rows = [torch.cat([_embedded(segment, words) for segment in sequence]) for sequence in sequences]
    places = max(len(row) for row in rows)
    inputs_BTH = rows[0].new_zeros(len(rows), places, rows[0].shape[1])
    valid_BT = torch.zeros(len(rows), places, dtype=torch.bool, device=inputs_BTH.device)
    for number, row in enumerate(rows):
        own = slice(places - len(row), places) if pad_left else slice(0, len(row))
        inputs_BTH[number, own] = row
        valid_BT[number, own] = True
    return Embedded(inputs_BTH, valid_BT)


def _embedded(segment: Segment, words: nn.Module) -> Tensor:
    weight = next(words.parameters())
    if isinstance(segment, Words):
        embedded: Tensor = words(torch.tensor(segment.ids, dtype=torch.long, device=weight.device))
        return embedded
    return segment.vectors_MH.to(weight.device, weight.dtype)
