"""Rows of a catalogue that changes: what makes the next change cost what it changes, however large the catalogue is.

Unit of work: one table of all rows. Knows nothing about requests. A bundle's parts have none of this until they are
first changed.
"""

# Axes: N items, M rows that are set, C content dimensions, K neighbours, D fused dimensions, P levels of a semantic ID

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from mmrec.catalogue.growing_rows import GrowingRows
from mmrec.channels.lexical import LexicalIndex
from mmrec.channels.lsa_projection import WordIndex, index_words
from mmrec.generator.item_tokens import ItemTable, Neighbours


class LiveRows(NamedTuple):
    """Tables of every row, and what new rows are compared with.

    Attributes:
        fused: Fused embeddings. Shape: (N, D), float32.
        paths: Semantic IDs. Shape: (N, P), int32.
        alike: Rows and weights of the warm items with similar words; None where the generator is not told of them.
            Shape of each: (N, K).
        words: Of the warm items as the bundle has them.
        stale: Warm rows that have been replaced since. Ascending, int64.
        set_rows: Rows that were set since the bundle was made, in that order, the same ones perhaps again. int64.
        set_content: What the generator is told of their content. Shape: (len(set_rows), C), float32.
    """

    fused: GrowingRows
    paths: GrowingRows
    alike: tuple[GrowingRows, GrowingRows] | None
    words: WordIndex
    stale: npt.NDArray[np.int64]
    set_rows: GrowingRows
    set_content: GrowingRows

    @classmethod
    def of(
        cls,
        fused_ND: npt.NDArray[np.float32],
        paths_NP: npt.NDArray[np.int32],
        table: ItemTable,
        lexical: LexicalIndex,
    ) -> LiveRows:
        """The tables of a bundle that has not been changed."""
        alike = table.alike
        content_NC = table.content_NC.cpu()
        return cls(
            _growing(fused_ND),
            _growing(paths_NP),
            alike and (GrowingRows.of(alike.rows_NK.cpu()), GrowingRows.of(alike.weights_NK.cpu())),
            index_words(lexical.rows, table.warm_N.cpu().numpy()),
            np.empty(0, np.int64),
            GrowingRows.of(torch.empty(0, dtype=torch.int64)),
            GrowingRows.of(content_NC[:0]),
        )

    def prepare(self) -> None:
        """Make what the first item that is replaced would have to make."""
        for table in (self.fused, self.paths, *(self.alike or ())):
            table.prepare()

    def table(self, base: ItemTable) -> ItemTable:
        """What the generator knows of every row, from what it knew of the bundle's: a copy of all of it."""
        items, device = len(self.fused), base.content_NC.device
        content_NC = placed(base.content_NC.cpu(), items)
        rows, content = self.set_rows.rows.numpy(), self.set_content.rows
        # The last of each row.
        last = len(rows) - 1 - np.unique(rows[::-1], return_index=True)[1]
        content_NC[torch.from_numpy(rows[last])] = content[torch.from_numpy(last)]
        followers = base.followers
        return ItemTable(
            content_NC.to(device),
            self.paths.rows.long().to(device),
            placed(base.warm_N, items),
            followers and Neighbours(placed(followers.rows_NK, items), placed(followers.weights_NK, items)),
            self.alike and Neighbours(self.alike[0].rows.clone().to(device), self.alike[1].rows.clone().to(device)),
        )


def _growing(rows: npt.NDArray[np.float32] | npt.NDArray[np.int32]) -> GrowingRows:
    # What comes out of a file may be read-only, which a tensor cannot be.
    return GrowingRows.of(torch.from_numpy(rows if rows.flags.writeable else rows.copy()))


def placed(old_N: Tensor, items: int) -> Tensor:
    """A copy with more rows, which are zero. Shape: (items, ...)."""
    made = torch.zeros((items, *old_N.shape[1:]), dtype=old_N.dtype, device=old_N.device)
    made[: len(old_N)] = old_N
    return made
