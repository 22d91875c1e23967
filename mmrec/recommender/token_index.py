"""The items that the item head scores highest, without scoring all of them.

Works on catalogue rows and item tokens; knows nothing about requests. Up to a size, and on a GPU, the product with
every token is cheap and exact. Beyond it, faiss IVF lists of 8-bit copies propose items by inner product; tokens that
changed since the lists were made are scored one by one.
"""

# Axes: B states, N items, H hidden width, C changed rows, K proposed rows

from __future__ import annotations

import math
from functools import partial
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.catalogue.segments import Segmented
from mmrec.generator.batches import products_with_rows
from mmrec.understanding.vector_index import POINTS_PER_LIST, inverted_lists

Rows = npt.NDArray[np.int64]
Bitmap = npt.NDArray[np.bool_]

_FAISS: Any = faiss
"""Untyped, because its stubs lack some classes."""
EXACT_UP_TO = 50_000
"""Items up to which the product with every token is cheaper than lists."""
_SHARE_OF_LISTS = 32
"""One in so many lists is searched where every item is eligible ..."""
_READ_PER_ROW = 16
"""... and so many that they hold this many items for each that is wanted."""
_BLOCK = 65_536


class TokenIndex:
    """Proposes items for states of the LLM. Safe to search from any thread.

    Args:
        tokens: Item tokens. Shape: (N, H), float32.
        exact_up_to: Up to so many items every token is scored.
    """

    def __init__(self, tokens: Segmented[Tensor], exact_up_to: int = EXACT_UP_TO) -> None:
        self._tokens = tokens
        self._changed_R = np.empty(0, np.int64)
        self._lists: Any = None
        if tokens.base.device.type == "cpu" and len(tokens) > exact_up_to:
            self._lists = _lists_of(tokens)

    def with_changes(self, tokens: Segmented[Tensor], rows_M: Rows) -> TokenIndex:
        """The index of a changed catalogue, which shares the lists.

        Args:
            tokens: Tokens after the change.
            rows_M: Rows that were replaced or added. Shape: (M,).
        """
        made = TokenIndex.__new__(TokenIndex)
        made._tokens, made._lists = tokens, self._lists
        made._changed_R = self._changed_R if self._lists is None else np.union1d(self._changed_R, rows_M)
        return made

    def best(self, states_BH: Tensor, most: int, eligible_N: Bitmap | None = None) -> list[Rows]:
        """For each state the eligible rows with the highest scores; nearly the best ones where there are lists.

        Args:
            states_BH: What the item head multiplies tokens with. Shape: (B, H), float32.
            most: How many; where tokens have changed, twice as many at most.
            eligible_N: Rows that may be returned; None for all. Shape: (N,), bool.
        """
        if self._lists is None:
            scores_BN = self._tokens.scores(partial(products_with_rows, states_BH))
            if eligible_N is not None:
                scores_BN = scores_BN.masked_fill(torch.from_numpy(~eligible_N).to(scores_BN.device), float("-inf"))
            found = torch.topk(scores_BN, min(most, scores_BN.shape[1]), sorted=False)
            return [
                np.asarray(rows_K[values_K > float("-inf")].cpu().numpy(), np.int64)
                for rows_K, values_K in zip(found.indices, found.values, strict=True)
            ]
        changed = self._changed(states_BH, most, eligible_N)
        return [*map(np.union1d, self._listed(states_BH, most, eligible_N), changed)]

    def _listed(self, states_BH: Tensor, most: int, eligible_N: Bitmap | None) -> list[Rows]:
        known = eligible = self._lists.ntotal
        selector = None
        if eligible_N is not None:
            known_N = eligible_N[:known]
            eligible = max(1, int(np.count_nonzero(known_N)))
            packed = np.packbits(known_N, bitorder="little")
            # faiss keeps no reference to `packed`, which must outlive the search.
            selector = _FAISS.IDSelectorBitmap(known, _FAISS.swig_ptr(packed))
        lists = self._lists.nlist
        wanted = max(lists / _SHARE_OF_LISTS, _READ_PER_ROW * most * lists / known) * known / eligible
        params = _FAISS.SearchParametersIVF(sel=selector, nprobe=min(lists, math.ceil(wanted)))
        found_BK: Rows = self._lists.search(states_BH.float().cpu().numpy(), most, params=params)[1]
        return [rows_K[rows_K >= 0] for rows_K in found_BK]

    def _changed(self, states_BH: Tensor, most: int, eligible_N: Bitmap | None) -> list[Rows]:
        rows_C = self._changed_R if eligible_N is None else self._changed_R[eligible_N[self._changed_R]]
        if len(rows_C) <= most:
            return [rows_C] * len(states_BH)
        scores_BC = self._tokens.scores_at(torch.from_numpy(rows_C), partial(products_with_rows, states_BH))
        return [*rows_C[torch.topk(scores_BC, most, sorted=False).indices.numpy()]]


def _lists_of(tokens: Segmented[Tensor]) -> Any:
    """IVF lists over all tokens."""
    items, hidden = tokens.shape
    made = inverted_lists(items, hidden, seed=0)
    sample = np.random.default_rng(0).choice(items, min(items, POINTS_PER_LIST * made.nlist), replace=False)
    made.train(tokens[torch.from_numpy(np.sort(sample))].numpy())
    for begin in range(0, items, _BLOCK):
        made.add(tokens[torch.arange(begin, min(begin + _BLOCK, items))].numpy())
    return made
