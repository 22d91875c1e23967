"""The catalogue's vectors by side: fused, pictures alone, words alone, and what the encoders said before fusing.

Unit of work: one side of the whole catalogue, made when it is first asked for and kept. Knows nothing about requests.
"""

# Axes: N items, D fused dimensions, I picture dimensions, T words dimensions

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.segments import Segmented
from mmrec.contract.items import Modality
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.protocols import Vectors

Rows = npt.NDArray[np.int64]

_DELETED = (0.0, False, 0.0, False, 0)
"""What a deleted item has of each of `ItemFeatures`, and its thumbnail."""


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
        fused_ND: Segmented[Vectors],
        index: VectorIndex,
        encoder: ItemEncoder,
        read_features: Callable[[], ItemFeatures],
        read_thumbnails: Callable[[], npt.NDArray[np.uint8] | None],
    ) -> None:
        self.fused_ND = fused_ND
        self.encoder = encoder
        self._read_features = cache(read_features)
        self._read_thumbnails = cache(read_thumbnails)
        # What was read is the base, which only some questions need; this is the delta: of each changed row its
        # features, one by one, and its thumbnail.
        self._changed: Mapping[int, tuple[Any, ...]] = {}
        self._vectors: dict[Modality, Segmented[Vectors]] = {}
        self._indexes: dict[Modality, VectorIndex] = {Modality.FUSED: index}
        self._has_any: Segmented[npt.NDArray[np.bool_]] | None = None

    def over(self, fused_ND: Segmented[Vectors], rows_M: Rows, arrivals: EncodedItems, gone_R: Rows) -> CatalogueSides:
        """The sides of the changed catalogue; these stay as they are, and what both read is read once.

        Args:
            fused_ND: Of every item from then on. Shape: (N, D).
            rows_M: Rows that were set or added. Shape: (M,), int64.
            arrivals: What they were set to.
            gone_R: Rows that are no items any more. Shape: (R,), int64.
        """
        made = CatalogueSides(
            fused_ND, self._indexes[Modality.FUSED], self.encoder, self._read_features, self._read_thumbnails
        )
        # Once kept is enough.
        made._read_features, made._read_thumbnails = self._read_features, self._read_thumbnails
        of_rows = zip(*arrivals.features, arrivals.thumbnails_M, strict=True)
        made._changed = {
            **self._changed,
            **dict(zip(rows_M.tolist(), of_rows, strict=True)),
            **dict.fromkeys(gone_R.tolist(), _DELETED),
        }
        for modality, vectors_ND in list(self._vectors.items()):
            if len(rows_M):
                vectors_ND = vectors_ND.replaced(rows_M, self._alone(arrivals.features, modality))
            nothing_RD = np.zeros((len(gone_R), vectors_ND.shape[1]), np.float32)
            made._vectors[modality] = vectors_ND.replaced(gone_R, nothing_RD)
        if self._has_any is not None:
            made._has_any = self._has_any.replaced(rows_M, _nonzero(arrivals.fused_MD))
        touched = np.union1d(rows_M, gone_R).astype(np.int64)
        for modality, index in list(self._indexes.items()):
            if modality is Modality.FUSED or modality in made._vectors:
                made._indexes[modality] = index.over(made.vectors(modality), touched)
        return made

    @property
    def items(self) -> int:
        """Rows of the catalogue."""
        return len(self.fused_ND)

    @cached_property
    def features(self) -> ItemFeatures:
        """What the encoders said of each item."""
        return self.features_of(np.arange(self.items)) if self._changed else self._read_features()

    def features_of(self, rows_X: Rows) -> ItemFeatures:
        """What the encoders said of some items, in their order; new arrays, in which the others are not copied."""
        written = self._read_features()
        return ItemFeatures._make(self._now(part, rows_X, place) for place, part in enumerate(written))

    def _now(self, written_N: npt.NDArray[Any], rows_X: Rows, place: int) -> npt.NDArray[Any]:
        """One of the features of some items, or their thumbnails, in a new array. Shape: (X, ...)."""
        found_X = np.zeros((len(rows_X), *written_N.shape[1:]), written_N.dtype)
        there_X = rows_X < len(written_N)
        found_X[there_X] = written_N[rows_X[there_X]]
        for at in np.flatnonzero(np.isin(rows_X, list(self._changed))).tolist():
            found_X[at] = self._changed[int(rows_X[at])][place]
        return found_X

    @cached_property
    def thumbnails(self) -> npt.NDArray[np.uint8] | None:
        """Thumbnails of the items' pictures; None where the bundle has none. Shape: (N, 3, H, W), uint8."""
        base = self._read_thumbnails()
        return base if base is None or not self._changed else self.thumbnails_of(np.arange(self.items))

    def thumbnails_of(self, rows_X: Rows) -> npt.NDArray[np.uint8]:
        """Thumbnails of some items, zero where there is none. Shape: (X, 3, H, W), uint8."""
        base = self._read_thumbnails()
        if base is None:
            return np.zeros((len(rows_X), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        return self._now(base, rows_X, len(ItemFeatures._fields))

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
        return self.vectors(Modality.PICTURE).whole()

    @property
    def words_ND(self) -> Vectors:
        """Words alone, in the space that all sides share; zero rows where there are none. Shape: (N, D)."""
        return self.vectors(Modality.WORDS).whole()

    def vectors(self, modality: Modality) -> Segmented[Vectors]:
        """One side of every item. Shape: (N, D)."""
        if modality is Modality.FUSED:
            return self.fused_ND
        if modality not in self._vectors:
            written, changed = self._alone(self._read_features(), modality), np.array(sorted(self._changed), np.int64)
            alone = self._alone(self.features_of(changed), modality)
            self._vectors[modality] = Segmented(written).replaced(changed, alone)
        return self._vectors[modality]

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
            if self._has_any is None:
                self._has_any = self.fused_ND.mapped(_nonzero)
            present_N = self._has_any.whole()
            return None if present_N.all() else present_N
        return self._has_image_N if modality is Modality.PICTURE else self._has_text_N

    @cached_property
    def _has_image_N(self) -> npt.NDArray[np.bool_]:
        return self._now(self._read_features().has_image_N, np.arange(self.items), 1)

    @cached_property
    def _has_text_N(self) -> npt.NDArray[np.bool_]:
        return self._now(self._read_features().has_text_N, np.arange(self.items), 3)

    def index(self, modality: Modality) -> VectorIndex:
        """An index over one side, exact unless it is the fused one."""
        if modality not in self._indexes:
            vectors_ND = self.vectors(modality).whole()
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


def _nonzero(vectors_ND: Vectors) -> npt.NDArray[np.bool_]:
    return np.asarray(vectors_ND.any(axis=1), np.bool_)


def _placed(rows_MD: Vectors, present_N: npt.NDArray[np.bool_]) -> Vectors:
    """Rows of the items that have a side, with zero rows for the others."""
    placed = np.zeros((len(present_N), rows_MD.shape[1]), np.float32)
    placed[present_N] = rows_MD
    return placed
