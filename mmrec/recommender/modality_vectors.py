"""The catalogue's vectors by side: fused, pictures alone, words alone, and what the encoders said before fusing.

Unit of work: one side of the whole catalogue, made when it is first asked for and kept. Knows nothing about requests.
"""

# Axes: N items, D fused dimensions, I picture dimensions, T words dimensions

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.lineage import Lineage
from mmrec.contract.items import Modality
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.recommender.changed_rows import (
    ChangedRows,
    changed_features,
    changed_presence,
    changed_thumbnails,
    features_of,
    layered,
    thumbnails_of,
)
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.protocols import Vectors


class _Shelf:
    """Sides that were made, of a catalogue and all that were changed from it: the newest of each.

    Each is kept with the state it is of (see `Lineage`), and never written to.
    """

    def __init__(self) -> None:
        self._made: dict[Modality, tuple[int, Vectors]] = {}
        self._lock = threading.Lock()

    def of(self, modality: Modality) -> tuple[int, Vectors] | None:
        return self._made.get(modality)

    def keep(self, modality: Modality, state: int, vectors_ND: Vectors) -> None:
        with self._lock:
            if modality not in self._made or self._made[modality][0] < state:
                self._made[modality] = (state, vectors_ND)


class CatalogueSides:
    """Every item of the catalogue, seen from its sides.

    Args:
        fused_ND: Picture and words together. Shape: (N, D), float32, unit norm; zero where an item has neither.
        index: An index over them.
        encoder: The encoders and the fusion they were made with.
        read_features: Reads what the encoders said of each item, when it is first asked for.
        read_thumbnails: Reads the thumbnails of the items' pictures likewise.

    Attributes:
        fused_ND: As given.
        encoder: As given.
    """

    def __init__(
        self,
        fused_ND: Vectors,
        index: VectorIndex,
        encoder: ItemEncoder,
        read_features: Callable[[], ItemFeatures],
        read_thumbnails: Callable[[], npt.NDArray[np.uint8] | None],
    ) -> None:
        self.fused_ND = fused_ND
        self.encoder = encoder
        self._read_features = cache(read_features)
        self._read_thumbnails = cache(read_thumbnails)
        self._layers: tuple[ChangedRows, ...] = ()
        self._lineage = Lineage.begin()
        self._shelf = _Shelf()
        self._vectors: dict[Modality, Vectors] = {}
        self._indexes: dict[Modality, VectorIndex] = {Modality.FUSED: index}
        self._bare_rows: npt.NDArray[np.int64] | None = None

    def over(self, fused_ND: Vectors, change: ChangedRows) -> CatalogueSides:
        """The sides of the changed catalogue; these stay as they are, and what both read is read once.

        A side that was made is brought on, when it is next asked for, by making it of the items that have changed.
        """
        index = self._indexes[Modality.FUSED].over(fused_ND, change.rows_M)
        made = CatalogueSides(fused_ND, index, self.encoder, self._read_features, self._read_thumbnails)
        # Once kept is enough.
        made._read_features, made._read_thumbnails = self._read_features, self._read_thumbnails
        made._layers = layered(self._layers, change)
        made._lineage = self._lineage.after(np.union1d(change.rows_M, change.gone_R).astype(np.int64))
        made._shelf = self._shelf
        if self._bare_rows is not None:
            changed = change.rows_M[~fused_ND[change.rows_M].any(axis=1)]
            made._bare_rows = np.union1d(np.setdiff1d(self._bare_rows, change.rows_M), changed).astype(np.int64)
        return made

    @property
    def items(self) -> int:
        """Rows of the catalogue."""
        return len(self.fused_ND)

    @cached_property
    def features(self) -> ItemFeatures:
        """What the encoders said of each item."""
        return changed_features(self._read_features(), self._layers)

    def features_of(self, rows_X: npt.NDArray[np.int64]) -> ItemFeatures:
        """What the encoders said of some items, in their order; new arrays, in which the others are not copied."""
        return features_of(self._read_features(), self._layers, rows_X)

    @cached_property
    def thumbnails(self) -> npt.NDArray[np.uint8] | None:
        """Thumbnails of the items' pictures; None where the bundle has none. Shape: (N, 3, H, W), uint8."""
        thumbnails = self._read_thumbnails()
        return None if thumbnails is None else changed_thumbnails(thumbnails, self._layers)

    def thumbnails_of(self, rows_X: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Thumbnails of some items, zero where there is none. Shape: (X, 3, H, W), uint8."""
        base = self._read_thumbnails()
        if base is None:
            return np.zeros((len(rows_X), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        return thumbnails_of(base, self._layers, rows_X)

    @property
    def fusion(self) -> Fusion:
        """What joins pictures and words.

        Raises:
            FailedPreconditionError: there is none.
        """
        if self.encoder.fusion is None:
            raise FailedPreconditionError("the fusion is not trained yet; run mmrec fit first")
        return self.encoder.fusion

    @property
    def picture_ND(self) -> Vectors:
        """Pictures alone, in the space that all sides share; zero rows where there is none. Shape: (N, D)."""
        return self.vectors(Modality.PICTURE)

    @property
    def words_ND(self) -> Vectors:
        """Words alone, in the space that all sides share; zero rows where there are none. Shape: (N, D)."""
        return self.vectors(Modality.WORDS)

    def vectors(self, modality: Modality) -> Vectors:
        """One side of every item. Shape: (N, D)."""
        if modality is Modality.FUSED:
            return self.fused_ND
        if modality not in self._vectors:
            self._vectors[modality] = self._made(modality)
            self._shelf.keep(modality, self._lineage.state, self._vectors[modality])
        return self._vectors[modality]

    def _made(self, modality: Modality) -> Vectors:
        """A side that is not at hand: what was made of an earlier state with the items that have changed, or all."""
        earlier = self._shelf.of(modality)
        rows_C = self._lineage.since(earlier[0]) if earlier else None
        if earlier is None or rows_C is None or 2 * len(rows_C) > self.items:
            return self._alone(self.features, modality)
        vectors_ND = np.zeros((self.items, earlier[1].shape[1]), np.float32)
        vectors_ND[: len(earlier[1])] = earlier[1]
        vectors_ND[rows_C] = self._alone(self.features_of(rows_C), modality)
        return vectors_ND

    def _alone(self, features: ItemFeatures, modality: Modality) -> Vectors:
        """One side of items by itself; zero rows where there is none."""
        if modality is Modality.PICTURE:
            has_N = features.has_image_N
            return _placed(self.fusion.picture_query(features.image_NI[has_N]), has_N)
        has_N = features.has_text_N
        return _placed(self.fusion.text_query(features.text_NT[has_N]), has_N)

    def present(self, modality: Modality) -> npt.NDArray[np.bool_] | None:
        """Which items have this side; None for all of them. Shape: (N,), bool."""
        if modality is Modality.FUSED:
            if self._bare_rows is None:
                self._bare_rows = np.flatnonzero(~self.fused_ND.any(axis=1))
            if not len(self._bare_rows):
                return None
            present_N = np.ones(self.items, np.bool_)
            present_N[self._bare_rows] = False
            return present_N
        has_image_N, has_text_N = self._presence
        return has_image_N if modality is Modality.PICTURE else has_text_N

    @cached_property
    def _presence(self) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        return changed_presence(self._read_features(), self._layers)

    def index(self, modality: Modality) -> VectorIndex:
        """An index over one side, exact unless it is the fused one."""
        if modality not in self._indexes:
            vectors_ND = self.vectors(modality)
            self._indexes[modality] = build_vector_index(vectors_ND, IndexConfig(exact_up_to=len(vectors_ND)))
        return self._indexes[modality]


def item_side(features: ItemFeatures, modality: Modality) -> ItemFeatures:
    """The features of items with one side hidden, so that fusing them gives the other side alone."""
    if modality is Modality.PICTURE:
        return features._replace(has_text_N=np.zeros_like(features.has_text_N))
    if modality is Modality.WORDS:
        return features._replace(has_image_N=np.zeros_like(features.has_image_N))
    return features


def no_side(modality: Modality) -> MmrecError:
    """Why an item cannot be looked at from a side."""
    what = {Modality.PICTURE: "no picture", Modality.WORDS: "no words", Modality.FUSED: "neither words nor a picture"}
    return InvalidArgumentError(
        f"modality is {modality.value} and the item has {what[modality]}; look at its other side, or give what is "
        "missing",
        field="modality",
    )


def _placed(rows_MD: Vectors, present_N: npt.NDArray[np.bool_]) -> Vectors:
    """Rows of the items that have a side, with zero rows for the others."""
    placed = np.zeros((len(present_N), rows_MD.shape[1]), np.float32)
    placed[present_N] = rows_MD
    return placed
