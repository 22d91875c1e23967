"""Adding, replacing and deleting items of a catalogue, without training.

Unit of work: one change. The old parts are not written to, so they can still be read, and the new ones are complete
when they are returned. An item keeps its row through all changes, also when it is deleted, so that histories and counts
stay valid; a deleted row is in no index and is never shown. Knows nothing about requests, stores or gRPC.
"""

# Axes: N items, M encoded items, D fused dimensions, L quantised levels, P = L + 1 levels of a semantic ID, C content

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from mmrec.catalogue.catalogue import Catalogue
from mmrec.channels.lsa_projection import EXACT_ITEMS, index_words
from mmrec.contract.items import ItemRecord
from mmrec.errors import FailedPreconditionError
from mmrec.generator.item_tokens import ItemTable, Neighbours, neighbours_of
from mmrec.recommender.artefact import Parts
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.recommender.live_rows import LiveRows
from mmrec.recommender.path_assignment import new_paths
from mmrec.semantic_ids.node_changes import NodeChange


class Changed(NamedTuple):
    """A changed catalogue.

    Attributes:
        parts: The parts after the change, except that the generator still has the rows of the bundle: the rows of the
            encoded items are in `table`, and `with_whole_table` gives the generator all rows.
        rows_M: Rows of the encoded items. Shape: (M,), int64.
        deleted_R: Rows of deleted items. Shape: (R,), int64.
        table: Inputs of the generator for the encoded items, one row each.
        nodes: Changed nodes of the decode index, per depth 1..P.
    """

    parts: Parts
    rows_M: npt.NDArray[np.int64]
    deleted_R: npt.NDArray[np.int64]
    table: ItemTable
    nodes: tuple[NodeChange, ...]


def check_changeable(parts: Parts) -> None:
    """Check that items can be added to a bundle.

    Raises:
        FailedPreconditionError: the bundle's tokenizer gives them no path.
    """
    if not parts.tokenizer.encodes_new:
        raise FailedPreconditionError(
            "the semantic IDs of this bundle number the items that were fitted, so no new item can have one: fit again "
            "with --tokenizer residual-kmeans, rq-vae or opq"
        )


def check_change(parts: Parts, encoded: EncodedItems, deleted: Sequence[str] = ()) -> None:
    """Check at little cost whether `change_parts` would accept a change.

    Raises:
        FailedPreconditionError: see `change_parts`.
    """
    if encoded.records:
        check_changeable(parts)
    catalogue = parts.catalogue
    rows = {catalogue.row_of(item_id) for item_id in deleted} - {None}
    if len(rows) >= catalogue.items and not encoded.records:
        raise FailedPreconditionError("every item of the catalogue would be deleted; at least one must be left")


def change_parts(parts: Parts, encoded: EncodedItems, deleted: Sequence[str] = ()) -> Changed:
    """Change a catalogue.

    Args:
        parts: The parts before the change.
        encoded: Items that are added, or replace those of the same id.
        deleted: Ids of items to delete; ids that the catalogue lacks and ids of `encoded` are ignored.

    Raises:
        FailedPreconditionError: the bundle's tokenizer gives new items no path, or no item would be left.
    """
    check_change(parts, encoded, deleted)
    rows_M = _rows_of(parts.catalogue, encoded.records)
    known = {parts.catalogue.row_of(item_id) for item_id in deleted} - {None} - set(rows_M.tolist())
    deleted_R = np.array(sorted(row for row in known if row is not None), dtype=np.int64)
    items = max(len(parts.catalogue), int(rows_M.max(initial=-1)) + 1)

    paths_MP, index, nodes = new_paths(parts, encoded.fused_MD, rows_M, deleted_R)
    lexical_M = parts.lexical.vocabulary.rows(encoded.texts)
    before = parts.live or LiveRows.of(parts.generator.catalogue.table(), parts.lexical)
    table = _table(parts, before, encoded, rows_M, lexical_M, paths_MP)
    changed = parts._replace(
        catalogue=parts.catalogue.changed(encoded.records, rows_M, deleted_R),
        fused_ND=parts.fused_ND.replaced(rows_M, encoded.fused_MD),
        semantic_ids_NP=parts.semantic_ids_NP.replaced(rows_M, paths_MP),
        decode_index=index,
        transitions=parts.transitions.resized(items),
        transitions_wide=parts.transitions_wide.resized(items),
        lexical=parts.lexical.with_changes(rows_M, lexical_M),
        popularity_N=np.pad(parts.popularity_N, (0, items - len(parts.popularity_N))),
        live=before.with_changes(rows_M, table),
    )
    return Changed(changed, rows_M, deleted_R, table, nodes)


def ready_to_change(parts: Parts) -> Parts:
    """Parts with the live tables that the first change would otherwise have to make."""
    return parts if parts.live else parts._replace(live=LiveRows.of(parts.generator.catalogue.table(), parts.lexical))


def with_whole_table(parts: Parts) -> Parts:
    """Parts whose generator has every row, as in a bundle; copies all rows."""
    if parts.live is None:
        return parts
    table = parts.live.table(parts.generator.catalogue.table(), parts.semantic_ids_NP.whole())
    return parts._replace(generator=parts.generator.with_catalogue(table), live=None)


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows_of(catalogue: Catalogue, records: Sequence[ItemRecord]) -> npt.NDArray[np.int64]:
    """Row of each encoded item: the row that its id has, or a new one after the last. Shape: (M,), int64."""
    rows = [catalogue.last_row_of(record.item_id) for record in records]
    new = iter(range(len(catalogue), len(catalogue) + len(rows)))
    return np.array([next(new) if row is None else row for row in rows], dtype=np.int64)


# --- inputs of the generator ------------------------------------------------------------------------------------------


def _table(
    parts: Parts,
    live: LiveRows,
    encoded: EncodedItems,
    rows_M: npt.NDArray[np.int64],
    lexical_M: sp.csr_array,
    paths_MP: npt.NDArray[np.int32],
) -> ItemTable:
    """Inputs of the generator for the encoded items; rows with training events keep what was learned from these."""
    base = parts.generator.catalogue.table()
    device = base.content_NC.device
    sketch_MS = parts.sketch.of(lexical_M)
    content_MC = np.concatenate([encoded.fused_MD, sketch_MS], axis=1)
    if not len(rows_M):
        content_MC = np.zeros((0, base.content_NC.shape[1]), dtype=np.float32)
    known = np.flatnonzero(rows_M < len(base.warm_N))
    own = torch.from_numpy(rows_M[known]).to(device)
    where = torch.from_numpy(known).to(device)

    def base_rows(old_N: Tensor) -> Tensor:
        """Rows of the bundle, zeros for items that it does not have."""
        rows = torch.zeros((len(rows_M), *old_N.shape[1:]), dtype=old_N.dtype, device=device)
        return rows.index_copy(0, where, old_N[own])

    followers, alike = base.followers, base.alike
    if alike:
        near = _similar(parts, live, encoded, rows_M, lexical_M, keep=alike.rows_NK.shape[1])
        alike = Neighbours(near.rows_NK.to(device), near.weights_NK.to(device))
    return ItemTable(
        content_NC=torch.from_numpy(content_MC).to(device),
        paths_NP=torch.from_numpy(paths_MP.astype(np.int64)).to(device),
        warm_N=base_rows(base.warm_N),
        followers=followers and Neighbours(base_rows(followers.rows_NK), base_rows(followers.weights_NK)),
        alike=alike,
    )


def _similar(
    parts: Parts,
    live: LiveRows,
    encoded: EncodedItems,
    rows_M: npt.NDArray[np.int64],
    lexical_M: sp.csr_array,
    keep: int,
) -> Neighbours:
    """Warm items of similar words, or, for an item without a known word, of a near fused embedding.

    Words are compared with those before this change. An item is not its own neighbour.
    """
    warm_N = parts.generator.catalogue.warm_N.cpu().numpy()
    # Replaced items are compared by their current words. One more than `keep`, because an item may find itself.
    found = live.words.nearest(lexical_M, keep + 1, without=live.stale)
    if len(live.stale):
        every = np.ones(len(live.stale), np.bool_)
        now = index_words(parts.lexical.rows_of(live.stale), every).nearest(lexical_M, keep + 1)
        found = found + sp.csr_array((now.data, live.stale[now.indices], now.indptr), shape=found.shape)
    strength = sp.lil_array(found)
    for place in np.flatnonzero(np.diff(lexical_M.indptr) == 0).tolist():
        warm = np.flatnonzero(warm_N)
        warm = warm[:: -(-len(warm) // EXACT_ITEMS)]
        cosine_W = parts.fused_ND[warm] @ encoded.fused_MD[place]
        best = np.argsort(-cosine_W, kind="stable")[: keep + 1]
        for column in best[cosine_W[best] > 0].tolist():
            strength[place, warm[column]] = cosine_W[column]
    for place, row in enumerate(rows_M.tolist()):
        if row < strength.shape[1]:
            strength[place, row] = 0.0
    return neighbours_of(sp.csr_array(strength), keep)
