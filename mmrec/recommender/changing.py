"""A changed catalogue from an unchanged one: items that come, that are replaced, that go, without any training.

Unit of work: one change of the whole. Nothing that is given is written to: who reads the old parts goes on reading
them, and the new ones are complete when they are returned. An item keeps its row for as long as the parts are carried
on, gone or not, so that histories and counts mean what they meant; a row that has gone is in no index and is never
shown. Knows nothing about requests, stores or gRPC.
"""

# Axes: N items, M items that come, D fused dimensions, L quantised levels, P = L + 1 levels of a semantic ID, C content

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, filterfalse
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import Tensor

from mmrec.channels.sketch import EXACT_ITEMS, index_words
from mmrec.data.catalogue import Catalogue
from mmrec.data.pictures import decode_picture
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.generator.item_tokens import ItemTable, Neighbours, neighbours_of
from mmrec.recommender.artefact import Parts
from mmrec.recommender.live_rows import LiveRows
from mmrec.tokens.decode_index import DecodeIndex, change_decode_index
from mmrec.tokens.node_changes import NodeChange, node_changes
from mmrec.tokens.path_lookup import path_range
from mmrec.types import ItemInput, ItemRecord
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE, thumbnail
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder

__all__ = [
    "Arrivals",
    "Changed",
    "Described",
    "change_parts",
    "check_change",
    "check_changeable",
    "describe_items",
    "described_records",
    "item_fault",
    "no_arrivals",
    "ready_to_change",
    "record_texts",
    "settled",
    "thumbnails_of",
]

A = TypeVar("A", bound=np.generic)

LAST_WIDTH = 1 << 20
"""Items that may share all codes but the last."""


class Arrivals(NamedTuple):
    """Items ready to come in, or to replace those of the same id.

    Attributes:
        records: As clients will see them, with every column of the catalogue.
        texts: Their words, as the lexical channel reads them.
        features: What the encoders said of them.
        fused_MD: Fused embeddings, unit norm. Shape: (M, D), float32.
        thumbnails_M: Of their pictures, zero where there is none. Shape: (M, 3, 48, 48), uint8.
    """

    records: tuple[ItemRecord, ...]
    texts: tuple[str, ...]
    features: ItemFeatures
    fused_MD: npt.NDArray[np.float32]
    thumbnails_M: npt.NDArray[np.uint8]

    def take(self, places: Sequence[int]) -> Arrivals:
        """Some of them, in this order."""
        rows = np.asarray(places, dtype=np.int64)
        return Arrivals(
            tuple(self.records[place] for place in places),
            tuple(self.texts[place] for place in places),
            ItemFeatures._make(part[rows] for part in self.features),
            self.fused_MD[rows],
            self.thumbnails_M[rows],
        )

    @classmethod
    def join(cls, arrivals: Sequence[Arrivals]) -> Arrivals:
        """Several, one after the other; at least one."""
        return cls(
            tuple(record for one in arrivals for record in one.records),
            tuple(text for one in arrivals for text in one.texts),
            ItemFeatures._make(map(np.concatenate, zip(*(one.features for one in arrivals), strict=True))),
            np.concatenate([one.fused_MD for one in arrivals]),
            np.concatenate([one.thumbnails_M for one in arrivals]),
        )


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


class Described(NamedTuple):
    """Items that were to be made ready.

    Attributes:
        arrivals: Those that could be.
        places: Which of the given ones they are, ascending.
        errors: Why the others could not be, by their place.
    """

    arrivals: Arrivals
    places: tuple[int, ...]
    errors: Mapping[int, MmrecError]


def describe_items(catalogue: Catalogue, encoder: ItemEncoder, items: Sequence[ItemInput]) -> Described:
    """Encode and fuse items as clients describe them; what is wrong with one is an error of its own.

    Args:
        catalogue: Its columns are those that items may have.
        encoder: The one the catalogue was encoded with.
        items: With ids, none twice.

    Raises:
        FailedPreconditionError: the fusion is not trained.
    """
    if encoder.fusion is None:
        raise FailedPreconditionError("the fusion is not trained yet; run mmrec fit first")
    errors: dict[int, MmrecError] = {}
    seen: set[str] = set()
    for place, item in enumerate(items):
        if error := item_fault(item, catalogue, item.item_id in seen):
            errors[place] = error
        seen.add(item.item_id)
    asked = [place for place in range(len(items)) if place not in errors]
    encoded = encoder.input_features([items[place] for place in asked])
    errors |= {asked[row]: error for row, error in encoded.errors.items()}
    places = tuple(asked[row] for row in encoded.rows)
    records, texts = described_records(catalogue, encoder, [items[place] for place in places])
    return Described(
        Arrivals(
            records,
            texts,
            encoded.features,
            encoder.fusion.fuse(encoded.features),
            thumbnails_of([items[place] for place in places]),
        ),
        places,
        errors,
    )


def described_records(
    catalogue: Catalogue, encoder: ItemEncoder, items: Sequence[ItemInput]
) -> tuple[tuple[ItemRecord, ...], tuple[str, ...]]:
    """Items as clients will see them, and their words as the lexical channel reads them."""
    records = tuple(_record(item, catalogue) for item in items)
    return records, record_texts(catalogue, encoder, records)


def record_texts(catalogue: Catalogue, encoder: ItemEncoder, records: Sequence[ItemRecord]) -> tuple[str, ...]:
    """Words of rows, none twice, as the lexical channel reads them."""
    return tuple(_as_catalogue(records, catalogue).texts(encoder.template))


def no_arrivals(parts: Parts) -> Arrivals:
    """Nothing comes in."""
    nothing, no = np.zeros((0, 1), np.float32), np.zeros(0, np.bool_)
    thumbnails_M = np.zeros((0, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    fused_MD = np.zeros((0, parts.fused_ND.shape[1]), np.float32)
    return Arrivals((), (), ItemFeatures(nothing, no, nothing, no), fused_MD, thumbnails_M)


def check_changeable(parts: Parts) -> None:
    """Refuse where no item can come in.

    Raises:
        FailedPreconditionError: the bundle holds too little to describe new items by, or its tokenizer gives them no
            path.
    """
    if parts.sketch is None or parts.lexical.vocabulary is None:
        raise FailedPreconditionError(
            "this bundle was made before bundles held what new items' words are described by: fit again with "
            "`mmrec fit DATASET --out BUNDLE`, or add no items"
        )
    if not parts.tokenizer.encodes_new:
        raise FailedPreconditionError(
            "the semantic IDs of this bundle number the items that were fitted, so no new item can have one: fit again "
            "with --tokenizer residual-kmeans, rq-vae or opq"
        )


def check_change(parts: Parts, arrivals: Arrivals, gone: Sequence[str] = ()) -> None:
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


def change_parts(parts: Parts, arrivals: Arrivals, gone: Sequence[str] = ()) -> Changed:
    """Change a catalogue.

    Args:
        parts: Of the catalogue as it is.
        arrivals: Items that come in, or replace those of the same id.
        gone: Ids that are deleted; those that the catalogue does not have are passed over, and so are those that
            arrive.

    Raises:
        FailedPreconditionError: the bundle holds too little to describe new items by, its tokenizer gives them no path,
            or no item would be left.
    """
    check_change(parts, arrivals, gone)
    rows_M = _rows_of(parts.catalogue, arrivals.records)
    known = {parts.catalogue.row_of(item_id) for item_id in gone} - {None} - set(rows_M.tolist())
    gone_R = np.array(sorted(row for row in known if row is not None), dtype=np.int64)
    items = max(len(parts.catalogue), int(rows_M.max(initial=-1)) + 1)

    paths_MP, index, nodes = _index(parts, arrivals, rows_M, gone_R)
    lexical_M = _words(parts, arrivals)
    before = parts.live or _live(parts)
    table = _table(parts, before, arrivals, rows_M, lexical_M, paths_MP)
    live = _grown(before, arrivals, rows_M, table, items)
    changed = parts._replace(
        catalogue=parts.catalogue.changed(arrivals.records, rows_M, gone_R),
        fused_ND=live.fused.rows.numpy(),
        semantic_ids_NP=live.paths.rows.numpy(),
        decode_index=index,
        transitions=parts.transitions.over(items),
        transitions_wide=parts.transitions_wide.over(items),
        lexical=parts.lexical.over(rows_M, lexical_M, items),
        popularity_N=_placed(parts.popularity_N, rows_M[:0], parts.popularity_N[:0], items),
        live=live,
    )
    return Changed(changed, rows_M, gone_R, table, nodes)


def ready_to_change(parts: Parts) -> Parts:
    """The same, with all made that the first change would have to make; later ones cost what they change."""
    ready = parts if parts.live else parts._replace(live=_live(parts))
    assert ready.live is not None
    ready.live.prepare()
    return ready


def settled(parts: Parts) -> Parts:
    """Parts whose generator knows every row by itself, as those of a bundle do; costs a copy of all rows."""
    if parts.live is None:
        return parts
    table = parts.live.table(parts.generator.catalogue.table())
    return parts._replace(generator=parts.generator.over(table), live=None)


# --- one item ---------------------------------------------------------------------------------------------------------


def item_fault(item: ItemInput, catalogue: Catalogue, twice: bool) -> MmrecError | None:
    """What is wrong with an item beside its content; None: nothing. `twice`: one before it has its id."""
    if not item.item_id:
        return InvalidArgumentError("item_id is empty; an item of the catalogue needs one", field="item_id")
    if twice:
        return InvalidArgumentError(
            f"item_id is {item.item_id!r:.80}, which an item before it has already; give each item once",
            field="item_id",
        )
    unknown = [name for name in item.attributes if name not in catalogue.attributes]
    if unknown:
        columns = ", ".join(map(repr, catalogue.attributes)) or "none beside title and description"
        return InvalidArgumentError(
            f"attributes has {unknown[0]!r:.80}, which is no column of the catalogue; its columns are {columns:.400}: "
            "use one of them, or fit again with the new column",
            field="attributes",
        )
    return None


def _record(item: ItemInput, catalogue: Catalogue) -> ItemRecord:
    attributes = {name: item.attributes.get(name, "") for name in catalogue.attributes}
    return ItemRecord(item.item_id, item.title, item.description, attributes=attributes)


def thumbnails_of(items: Sequence[ItemInput]) -> npt.NDArray[np.uint8]:
    """Thumbnails of pictures that can be read, zero where there is none. Shape: (M, 3, 48, 48), uint8."""
    found_M = np.zeros((len(items), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    for place, item in enumerate(items):
        if item.image is not None:
            found_M[place] = thumbnail(decode_picture(item.image, size_hint=2 * THUMBNAIL_SIDE))
    return found_M


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows_of(catalogue: Catalogue, records: Sequence[ItemRecord]) -> npt.NDArray[np.int64]:
    """Where each arrival goes: its own row if it has one, or one past the last. Shape: (M,), int64."""
    rows = [catalogue.last_row_of(record.item_id) for record in records]
    new = iter(range(len(catalogue), len(catalogue) + len(rows)))
    return np.array([next(new) if row is None else row for row in rows], dtype=np.int64)


def _placed(
    old_N: npt.NDArray[A], rows_M: npt.NDArray[np.int64], values_M: npt.NDArray[A] | bool, items: int
) -> npt.NDArray[A]:
    """A copy with more rows, zeros at first, and some of them set."""
    placed_N = np.zeros((items, *old_N.shape[1:]), dtype=old_N.dtype)
    placed_N[: len(old_N)] = old_N
    placed_N[rows_M] = values_M
    return placed_N


def _as_catalogue(records: Sequence[ItemRecord], like: Catalogue) -> Catalogue:
    none = np.empty(0, np.int64)
    return like.take(none).changed(records, np.arange(len(records)), none)


# --- paths ------------------------------------------------------------------------------------------------------------


def _index(
    parts: Parts, arrivals: Arrivals, rows_M: npt.NDArray[np.int64], gone_R: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int32], DecodeIndex, tuple[NodeChange, ...]]:
    """Paths of the arrivals, each one's own, of shape (M, P), int32; the index with them; what it touches of it."""
    index = parts.decode_index.to(torch.device("cpu"))
    index = index._replace(widths=(*index.widths[:-1], max(LAST_WIDTH, index.widths[-1])))
    codes_ML = parts.tokenizer.encode(arrivals.fused_MD) if len(rows_M) else np.empty((0, index.levels - 1), np.int32)
    # Who stays where it was keeps its path, whatever else comes: a change that is made again, with others or by itself,
    # gives the same paths.
    kept = _kept(parts, rows_M, codes_ML)
    leaving = {row for row in rows_M.tolist() if row not in kept} | set(gone_R.tolist())
    free: dict[tuple[int, ...], Iterator[int]] = {}
    last = []
    for row, codes in zip(rows_M.tolist(), map(tuple, codes_ML.tolist()), strict=True):
        if row in kept:
            last.append(kept[row])
            continue
        if codes not in free:
            below = path_range(index, codes)
            rows = index.items_N[below.begin : below.end].tolist()
            paths = parts.semantic_ids_NP[rows, -1].tolist()
            taken = {code for row, code in zip(rows, paths, strict=True) if row not in leaving}
            free[codes] = filterfalse(taken.__contains__, count())
        last.append(next(free[codes]))
    paths_MP = np.concatenate([codes_ML, np.array(last, dtype=np.int32).reshape(-1, 1)], axis=1).astype(np.int32)
    removed_R = np.concatenate([rows_M, gone_R])
    if not len(removed_R):
        return paths_MP, index, ()
    changed = change_decode_index(index, added_MP=paths_MP, rows_M=rows_M, removed_R=removed_R)
    left_R = _places(index, removed_R)
    return paths_MP, changed, node_changes(index, changed, left_R[left_R >= 0], _places(changed, rows_M))


def _places(index: DecodeIndex, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Where rows are in the sorted table, -1 for those that are not. Shape: (X,), int64."""
    rows = max(int(index.items_N.max()), int(rows_X.max(initial=-1))) + 1
    return np.asarray(index.place_of_rows(rows).numpy()[rows_X], dtype=np.int64)


def _kept(parts: Parts, rows_M: npt.NDArray[np.int64], codes_ML: npt.NDArray[np.int32]) -> dict[int, int]:
    """Last codes of the items that are replaced and have the same other codes as before, by their row."""
    known_M = rows_M < len(parts.catalogue)
    if parts.catalogue.alive_N is not None:
        known_M[known_M] = parts.catalogue.alive_N[rows_M[known_M]]
    rows_K, codes_KL = rows_M[known_M], codes_ML[known_M]
    rows_K = rows_K[(parts.semantic_ids_NP[rows_K, :-1] == codes_KL).all(axis=1)]
    return dict(zip(rows_K.tolist(), parts.semantic_ids_NP[rows_K, -1].tolist(), strict=True))


# --- what the generator is told ---------------------------------------------------------------------------------------


def _words(parts: Parts, arrivals: Arrivals) -> sp.csr_array:
    if parts.lexical.vocabulary is None:
        return sp.csr_array((0, parts.lexical.shape[1]), dtype=np.float32)
    return parts.lexical.vocabulary.rows(arrivals.texts)


def _live(parts: Parts) -> LiveRows:
    return LiveRows.of(parts.fused_ND, parts.semantic_ids_NP, parts.generator.catalogue.table(), parts.lexical)


def _table(
    parts: Parts,
    live: LiveRows,
    arrivals: Arrivals,
    rows_M: npt.NDArray[np.int64],
    lexical_M: sp.csr_array,
    paths_MP: npt.NDArray[np.int32],
) -> ItemTable:
    """What the generator is told of the arrivals. Rows that have training events keep what these taught."""
    base = parts.generator.catalogue.table()
    device = base.content_NC.device
    sketch_MS = parts.sketch.of(lexical_M) if parts.sketch else np.empty((0, 0), dtype=np.float32)
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


def _grown(live: LiveRows, arrivals: Arrivals, rows_M: npt.NDArray[np.int64], table: ItemTable, items: int) -> LiveRows:
    rows = torch.from_numpy(rows_M)
    alike, near = live.alike, table.alike
    if alike and near:
        alike = (
            alike[0].over(rows, near.rows_NK.cpu(), items),
            alike[1].over(rows, near.weights_NK.cpu(), items),
        )
    return live._replace(
        fused=live.fused.over(rows, torch.from_numpy(arrivals.fused_MD), items),
        paths=live.paths.over(rows, table.paths_NP.cpu(), items),
        alike=alike,
        stale=np.union1d(live.stale, rows_M[table.warm_N.cpu().numpy()]),
        set_rows=live.set_rows.append(rows),
        set_content=live.set_content.append(table.content_NC.cpu()),
    )


def _alike(
    parts: Parts,
    live: LiveRows,
    arrivals: Arrivals,
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
