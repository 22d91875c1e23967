"""A changed catalogue from an unchanged one: items that come, that are replaced, that go, without any training.

Unit of work: one change of the whole. Nothing that is given is written to: who reads the old parts goes on reading
them, and the new ones are complete when they are returned. An item keeps its row for as long as the parts are carried
on, gone or not, so that histories and counts mean what they meant; a row that has gone is in no index and is never
shown. Knows nothing about requests, stores or gRPC.
"""

# Axes: N items, M items that come, D fused dimensions, L quantised levels, P = L + 1 levels of a semantic ID, C content

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
        parts: All of it, but that the generator has the rows it had: what it knows of the arrivals is in `table`, and
            `settled` gives it all rows.
        rows_M: Rows of the arrivals. Shape: (M,), int64.
        gone_R: Rows that are no items any more. Shape: (R,), int64.
        table: What the generator is told of the arrivals, a row for each.
        nodes: What is touched of the decode index, per depth 1..P.
    """

    parts: Parts
    rows_M: npt.NDArray[np.int64]
    gone_R: npt.NDArray[np.int64]
    table: ItemTable
    nodes: tuple[NodeChange, ...]


def check_changeable(parts: Parts) -> None:
    """Refuse where no item can come in.

    Raises:
        FailedPreconditionError: the bundle's tokenizer gives them no path.
    """
    if not parts.tokenizer.encodes_new:
        raise FailedPreconditionError(
            "the semantic IDs of this bundle number the items that were fitted, so no new item can have one: fit again "
            "with --tokenizer residual-kmeans, rq-vae or opq"
        )


def check_change(parts: Parts, arrivals: EncodedItems, gone: Sequence[str] = ()) -> None:
    """Refuse what `change_parts` would refuse, at little cost.

    Raises:
        FailedPreconditionError: see `change_parts`.
    """
    if arrivals.records:
        check_changeable(parts)
    catalogue = parts.catalogue
    rows = {catalogue.row_of(item_id) for item_id in gone} - {None}
    if len(rows) >= catalogue.items and not arrivals.records:
        raise FailedPreconditionError("every item of the catalogue would be deleted; at least one must be left")


def change_parts(parts: Parts, arrivals: EncodedItems, gone: Sequence[str] = ()) -> Changed:
    """Change a catalogue.

    Args:
        parts: Of the catalogue as it is.
        arrivals: Items that come in, or replace those of the same id.
        gone: Ids that are deleted; those that the catalogue does not have are passed over, and so are those that
            arrive.

    Raises:
        FailedPreconditionError: the bundle's tokenizer gives new items no path, or no item would be left.
    """
    check_change(parts, arrivals, gone)
    rows_M = _rows_of(parts.catalogue, arrivals.records)
    known = {parts.catalogue.row_of(item_id) for item_id in gone} - {None} - set(rows_M.tolist())
    gone_R = np.array(sorted(row for row in known if row is not None), dtype=np.int64)
    items = max(len(parts.catalogue), int(rows_M.max(initial=-1)) + 1)

    paths_MP, index, nodes = new_paths(parts, arrivals.fused_MD, rows_M, gone_R)
    lexical_M = parts.lexical.vocabulary.rows(arrivals.texts)
    before = parts.live or LiveRows.of(parts.generator.catalogue.table(), parts.lexical)
    table = _table(parts, before, arrivals, rows_M, lexical_M, paths_MP)
    changed = parts._replace(
        catalogue=parts.catalogue.changed(arrivals.records, rows_M, gone_R),
        fused_ND=parts.fused_ND.replaced(rows_M, arrivals.fused_MD),
        semantic_ids_NP=parts.semantic_ids_NP.replaced(rows_M, paths_MP),
        decode_index=index,
        transitions=parts.transitions.over(items),
        transitions_wide=parts.transitions_wide.over(items),
        lexical=parts.lexical.over(rows_M, lexical_M),
        popularity_N=np.pad(parts.popularity_N, (0, items - len(parts.popularity_N))),
        live=before.over(rows_M, table),
    )
    return Changed(changed, rows_M, gone_R, table, nodes)


def ready_to_change(parts: Parts) -> Parts:
    """The same, with all made that the first change would have to make; later ones cost what they change."""
    return parts if parts.live else parts._replace(live=LiveRows.of(parts.generator.catalogue.table(), parts.lexical))


def settled(parts: Parts) -> Parts:
    """Parts whose generator knows every row by itself, as those of a bundle do; costs a copy of all rows."""
    if parts.live is None:
        return parts
    table = parts.live.table(parts.generator.catalogue.table(), parts.semantic_ids_NP.whole())
    return parts._replace(generator=parts.generator.over(table), live=None)


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows_of(catalogue: Catalogue, records: Sequence[ItemRecord]) -> npt.NDArray[np.int64]:
    """Where each arrival goes: its own row if it has one, or one past the last. Shape: (M,), int64."""
    rows = [catalogue.last_row_of(record.item_id) for record in records]
    new = iter(range(len(catalogue), len(catalogue) + len(rows)))
    return np.array([next(new) if row is None else row for row in rows], dtype=np.int64)


# --- what the generator is told ---------------------------------------------------------------------------------------


def _table(
    parts: Parts,
    live: LiveRows,
    arrivals: EncodedItems,
    rows_M: npt.NDArray[np.int64],
    lexical_M: sp.csr_array,
    paths_MP: npt.NDArray[np.int32],
) -> ItemTable:
    """What the generator is told of the arrivals. Rows that have training events keep what these taught."""
    base = parts.generator.catalogue.table()
    device = base.content_NC.device
    sketch_MS = parts.sketch.of(lexical_M)
    content_MC = np.concatenate([arrivals.fused_MD, sketch_MS], axis=1)
    if not len(rows_M):
        content_MC = np.zeros((0, base.content_NC.shape[1]), dtype=np.float32)
    known = np.flatnonzero(rows_M < len(base.warm_N))
    own = torch.from_numpy(rows_M[known]).to(device)
    where = torch.from_numpy(known).to(device)

    def taught(old_N: Tensor) -> Tensor:
        """What the bundle says of those that it has, zeros for the others."""
        rows = torch.zeros((len(rows_M), *old_N.shape[1:]), dtype=old_N.dtype, device=device)
        return rows.index_copy(0, where, old_N[own])

    followers, alike = base.followers, base.alike
    if alike:
        near = _alike(parts, live, arrivals, rows_M, lexical_M, keep=alike.rows_NK.shape[1])
        alike = Neighbours(near.rows_NK.to(device), near.weights_NK.to(device))
    return ItemTable(
        content_NC=torch.from_numpy(content_MC).to(device),
        paths_NP=torch.from_numpy(paths_MP.astype(np.int64)).to(device),
        warm_N=taught(base.warm_N),
        followers=followers and Neighbours(taught(followers.rows_NK), taught(followers.weights_NK)),
        alike=alike,
    )


def _alike(
    parts: Parts,
    live: LiveRows,
    arrivals: EncodedItems,
    rows_M: npt.NDArray[np.int64],
    lexical_M: sp.csr_array,
    keep: int,
) -> Neighbours:
    """Warm items of similar words, or, for an item without a known word, of a near fused embedding.

    Words are compared with those that items had before this change; an item is no neighbour of its own.
    """
    warm_N = parts.generator.catalogue.warm_N.cpu().numpy()
    # What was replaced is found by its words of now; one more than is kept, for an item may find itself.
    found = live.words.nearest(lexical_M, keep + 1, without=live.stale)
    if len(live.stale):
        every = np.ones(len(live.stale), np.bool_)
        now = index_words(parts.lexical.rows_of(live.stale), every).nearest(lexical_M, keep + 1)
        found = found + sp.csr_array((now.data, live.stale[now.indices], now.indptr), shape=found.shape)
    strength = sp.lil_array(found)
    for place in np.flatnonzero(np.diff(lexical_M.indptr) == 0).tolist():
        warm = np.flatnonzero(warm_N)
        warm = warm[:: -(-len(warm) // EXACT_ITEMS)]
        cosine_W = parts.fused_ND[warm] @ arrivals.fused_MD[place]
        best = np.argsort(-cosine_W, kind="stable")[: keep + 1]
        for column in best[cosine_W[best] > 0].tolist():
            strength[place, warm[column]] = cosine_W[column]
    for place, row in enumerate(rows_M.tolist()):
        if row < strength.shape[1]:
            strength[place, row] = 0.0
    return neighbours_of(sp.csr_array(strength), keep)
