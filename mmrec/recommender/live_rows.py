"""Live rows: the generator's inputs for every item of a changing catalogue, and the word index for new items.

Unit of work: one immutable value. A bundle's parts have none until the first change. Knows nothing about requests.
"""

# Axes: N items, M rows that are set, C content dimensions, K neighbours

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.catalogue.segments import Segmented
from mmrec.channels.lexical import LexicalIndex
from mmrec.channels.lsa_projection import WordIndex, index_words
from mmrec.generator.item_tokens import ItemTable, Neighbours


class LiveRows(NamedTuple):
    """Tables of every row, on the device of the generator, and the words that new rows are compared with.

    Attributes:
        content: Content vectors. Shape: (N, C).
        alike: Rows and weights of the warm items with similar words; None where the generator does not use them.
            Shape of each: (N, K).
        words: Index over the words of the warm items of the bundle.
        stale: Warm rows that have been replaced since. Ascending, int64.
    """

    content: Segmented[Tensor]
    alike: tuple[Segmented[Tensor], Segmented[Tensor]] | None
    words: WordIndex
    stale: npt.NDArray[np.int64]

    @classmethod
    def of(cls, table: ItemTable, lexical: LexicalIndex) -> LiveRows:
        """The tables of a bundle that has not been changed."""
        return cls(
            Segmented(table.content_NC),
            table.alike and (Segmented(table.alike.rows_NK), Segmented(table.alike.weights_NK)),
            index_words(lexical.rows, table.warm_N.cpu().numpy()),
            np.empty(0, np.int64),
        )

    def with_changes(self, rows_M: npt.NDArray[np.int64], table_M: ItemTable) -> LiveRows:
        """The tables after a change, as a new value.

        Args:
            rows_M: Rows that are replaced or added. Shape: (M,), int64.
            table_M: Inputs of the generator for these rows.
        """
        rows = torch.from_numpy(rows_M).to(table_M.warm_N.device)
        alike, near = self.alike, table_M.alike
        return self._replace(
            content=self.content.replaced(rows, table_M.content_NC),
            alike=alike and near and (alike[0].replaced(rows, near.rows_NK), alike[1].replaced(rows, near.weights_NK)),
            stale=np.union1d(self.stale, rows_M[table_M.warm_N.cpu().numpy()]),
        )

    def table(self, base: ItemTable, paths_NP: npt.NDArray[np.int32]) -> ItemTable:
        """Inputs of the generator for every row, from those of the bundle, these tables and the semantic IDs."""
        items, followers = len(self.content), base.followers
        return ItemTable(
            self.content.whole(),
            torch.from_numpy(paths_NP.astype(np.int64)).to(base.warm_N.device),
            _longer(base.warm_N, items),
            followers and Neighbours(_longer(followers.rows_NK, items), _longer(followers.weights_NK, items)),
            self.alike and Neighbours(self.alike[0].whole(), self.alike[1].whole()),
        )


def _longer(old_N: Tensor, items: int) -> Tensor:
    """A copy with more rows, which are zero. Shape: (items, ...)."""
    return torch.cat([old_N, old_N.new_zeros((items - len(old_N), *old_N.shape[1:]))])
