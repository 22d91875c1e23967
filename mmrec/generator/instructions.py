"""Instructions as the generator reads them: words and tokens of items and customers in one sequence, then an answer.

The same decoder reads them as histories, and the state of the last position answers: items by the item head, texts by
their vectors. Words are soft tokens, the projected vectors of a text encoder; a pretrained language model reads them as
its own tokens. A customer is one token, the mean of the items' tokens, which knows nothing of their order.
"""

# Axes: X examples, B examples of a batch, T positions, C items of a customer, S soft tokens of words, A texts of
# answers, D dimensions of a text's vector, N items, H hidden width

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

CUSTOMER = -1
"""Code of a customer's token. Codes of items are their rows, those of words are `WORDS` and below."""
WORDS = -2


@dataclass(frozen=True, eq=False)
class Instructions:
    """Examples, as codes.

    Attributes:
        inputs: What is read, by example: rows of items, `CUSTOMER`, or ``WORDS - n`` for the words numbered n (soft
            tokens, or tokens of a pretrained model). Shape of each: (T,), int64.
        customers: Rows of what the customer chose, by example; empty where no customer is read. Shape of each: (C,).
        items_X: Row of the right item; -1 where the answer is a text. Shape: (X,), int64.
        texts_X: Number of the right text; -1 where the answer is an item. Shape: (X,), int64.
        spaces_X: Number of the space that the text is one of. Shape: (X,), int64.
        spaces: Texts that are answers of one kind, ascending. Shape of each: (A,), int64.
        kinds: Names of the spaces.
    """

    inputs: Sequence[npt.NDArray[np.int64]]
    customers: Sequence[npt.NDArray[np.int32]]
    items_X: npt.NDArray[np.int64]
    texts_X: npt.NDArray[np.int64]
    spaces_X: npt.NDArray[np.int64]
    spaces: Sequence[npt.NDArray[np.int64]]
    kinds: Sequence[str]

    def batch(self, chosen_B: npt.NDArray[np.int64], device: torch.device) -> InstructionBatch:
        """Some examples as tensors, padded on the right."""
        inputs, customers = ([each[row] for row in chosen_B] for each in (self.inputs, self.customers))
        return InstructionBatch.of(inputs, customers, device)


class InstructionBatch(NamedTuple):
    """Some examples.

    Attributes:
        codes_BT: See `Instructions.inputs`. Shape: (B, T), int64.
        valid_BT: False where padded. Shape: (B, T), bool.
        customers_C: Rows of all customers, one after the other. Shape: (C,), int64.
        offsets_B: Where each customer's begin. Shape: (B,), int64.
    """

    codes_BT: Tensor
    valid_BT: Tensor
    customers_C: Tensor
    offsets_B: Tensor

    @classmethod
    def of(
        cls, inputs: Sequence[npt.NDArray[np.int64]], customers: Sequence[npt.NDArray[np.int32]], device: torch.device
    ) -> InstructionBatch:
        """Examples padded on the right; see `Instructions.inputs` and `Instructions.customers`."""
        codes_BT = np.zeros((len(inputs), max(map(len, inputs), default=0)), np.int64)
        valid_BT = np.zeros(codes_BT.shape, np.bool_)
        for place, row in enumerate(inputs):
            codes_BT[place, : len(row)], valid_BT[place, : len(row)] = row, True
        offsets_B = np.cumsum([0, *map(len, customers)])[:-1]
        flat = np.concatenate([np.empty(0, np.int64), *customers]).astype(np.int64)
        tensors = (codes_BT, valid_BT, flat, offsets_B)
        return cls(*(torch.from_numpy(array).to(device) for array in tensors))


class InstructionReader(nn.Module):
    """Makes the inputs of the decoder, and what answers in words are scored against.

    Args:
        dimension: Of a text's vector.
        hidden: Width of the decoder.
    """

    def __init__(self, dimension: int, hidden: int) -> None:
        super().__init__()
        self.project = nn.Linear(dimension, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.customer = nn.Linear(hidden, hidden)
        self.customer_norm = nn.LayerNorm(hidden)
        self.answer = nn.Linear(dimension, hidden)

    def inputs(self, batch: InstructionBatch, tokens_NH: Tensor, words: Callable[[Tensor], Tensor]) -> Tensor:
        """Embeddings of a batch. Shape: (B, T, H).

        Args:
            batch: The examples.
            tokens_NH: Token of every item.
            words: From numbers of words to their embeddings.
        """
        items_BT = batch.valid_BT & (batch.codes_BT >= 0)
        customers_BT, words_BT = (batch.codes_BT == CUSTOMER), (batch.codes_BT <= WORDS)
        inputs_BTH = tokens_NH.new_zeros(*batch.codes_BT.shape, tokens_NH.shape[1])
        inputs_BTH[items_BT] = tokens_NH[batch.codes_BT[items_BT]]
        if words_BT.any():
            inputs_BTH[words_BT] = words(WORDS - batch.codes_BT[words_BT]).to(inputs_BTH.dtype)
        if customers_BT.any():
            mean_BH = F.embedding_bag(batch.customers_C, tokens_NH, batch.offsets_B, mode="mean")
            token_BH = self.customer_norm(self.customer(mean_BH))
            inputs_BTH[customers_BT] = token_BH[customers_BT.nonzero()[:, 0]].to(inputs_BTH.dtype)
        return inputs_BTH

    def soft_tokens(self, vectors_SD: Tensor) -> Tensor:
        """Tokens of words, from their unit vectors. Shape: (S, H)."""
        return self.norm(self.project(_scaled(vectors_SD)))  # type: ignore[no-any-return]

    def answers(self, vectors_AD: Tensor) -> Tensor:
        """What states are scored against, from unit vectors of texts. Shape: (A, H)."""
        return self.answer(_scaled(vectors_AD))  # type: ignore[no-any-return]


def _scaled(vectors: Tensor) -> Tensor:
    """With elements of about 1, as layers expect them."""
    scaled: Tensor = vectors * vectors.shape[-1] ** 0.5
    return scaled
