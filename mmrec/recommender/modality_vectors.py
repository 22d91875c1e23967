"""The vectors of a catalogue by modality: fused, pictures alone, words alone, and the encoders' features before fusion.

Unit of work: one modality of the whole catalogue, computed when it is first used and cached. Knows nothing about
requests.
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
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.recommender.encoded_items import EncodedItems
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder, Query
from mmrec_encoders.protocols import Vectors

Rows = npt.NDArray[np.int64]

_DELETED = (0.0, False, 0.0, False, 0)
"""Values of a deleted item: one for each field of `ItemFeatures`, and its thumbnail."""


class ModalityVectors:
    """The vectors of every item of the catalogue, by modality.

    Args:
        fused_ND: Picture and words together. Shape: (N, D), float32, unit norm; zero where an item has neither.
        index: An index over them.
        encoder: The encoders and the fusion they were made with.
        read_features: Reads the features of every item; called at most once, when they are first used.
        read_thumbnails: Reads the thumbnails of the items' pictures; likewise.

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
        # Base and delta. The base is read from the bundle only when a request needs it; the delta maps each changed
        # row to its features and its thumbnail.
        self._changed: Mapping[int, tuple[Any, ...]] = {}
        self._vectors: dict[Modality, Segmented[Vectors]] = {}
        self._indexes: dict[Modality, VectorIndex] = {Modality.FUSED: index}
        self._has_any: Segmented[npt.NDArray[np.bool_]] | None = None

    def with_changes(
        self, fused_ND: Segmented[Vectors], rows_M: Rows, encoded: EncodedItems, deleted_R: Rows
    ) -> ModalityVectors:
        """The vectors of the changed catalogue, as a new object that shares what is read from the bundle.

        Args:
            fused_ND: Fused vectors of every item after the change. Shape: (N, D).
            rows_M: Rows that were replaced or added. Shape: (M,), int64.
            encoded: The items of these rows.
            deleted_R: Rows of deleted items. Shape: (R,), int64.
        """
        made = ModalityVectors(
            fused_ND, self._indexes[Modality.FUSED], self.encoder, self._read_features, self._read_thumbnails
        )
        made._read_features, made._read_thumbnails = self._read_features, self._read_thumbnails
        of_rows = zip(*encoded.features, encoded.thumbnails_M, strict=True)
        made._changed = {
            **self._changed,
            **dict(zip(rows_M.tolist(), of_rows, strict=True)),
            **dict.fromkeys(deleted_R.tolist(), _DELETED),
        }
        for modality, vectors_ND in list(self._vectors.items()):
            if len(rows_M):
                vectors_ND = vectors_ND.replaced(rows_M, self._alone(encoded.features, modality))
            nothing_RD = np.zeros((len(deleted_R), vectors_ND.shape[1]), np.float32)
            made._vectors[modality] = vectors_ND.replaced(deleted_R, nothing_RD)
        if self._has_any is not None:
            made._has_any = self._has_any.replaced(rows_M, _nonzero(encoded.fused_MD))
        touched = np.union1d(rows_M, deleted_R).astype(np.int64)
        for modality, index in list(self._indexes.items()):
            if modality is Modality.FUSED or modality in made._vectors:
                made._indexes[modality] = index.with_vectors(made.of(modality), touched)
        return made

    @property
    def items(self) -> int:
        """Number of rows of the catalogue."""
        return len(self.fused_ND)

    @cached_property
    def features(self) -> ItemFeatures:
        """Features of every item, as the encoders gave them."""
        return self.features_of(np.arange(self.items)) if self._changed else self._read_features()

    def features_of(self, rows_X: Rows) -> ItemFeatures:
        """Features of some items, in the order of `rows_X`, in new arrays."""
        base = self._read_features()
        return ItemFeatures._make(self._merged(part, rows_X, place) for place, part in enumerate(base))

    def _merged(self, base_N: npt.NDArray[Any], rows_X: Rows, place: int) -> npt.NDArray[Any]:
        """Field number `place` of some items, from base and delta, in a new array. Shape: (X, ...)."""
        found_X = np.zeros((len(rows_X), *base_N.shape[1:]), base_N.dtype)
        in_base_X = rows_X < len(base_N)
        found_X[in_base_X] = base_N[rows_X[in_base_X]]
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
        return self._merged(base, rows_X, len(ItemFeatures._fields))

    @property
    def fusion(self) -> Fusion:
        """The trained fusion of pictures and words.

        Raises:
            FailedPreconditionError: the bundle has none.
        """
        return self.encoder.trained_fusion

    def query(self, query: Query) -> Vectors:
        """Vector of words and a picture, in the space of the fused vectors. Shape: (D,)."""
        (vector_D,) = self.encoder.encode_queries([query])
        if isinstance(vector_D, MmrecError):
            raise vector_D
        return vector_D

    def likeness(self, query: Query) -> npt.NDArray[np.float32]:
        """Cosine of each item and a query. Shape: (N,), float32."""
        query_D = self.query(query)
        return np.asarray(self.fused_ND.scores(lambda block_ND: np.asarray(block_ND) @ query_D), np.float32)

    @property
    def picture_ND(self) -> Vectors:
        """Pictures alone, in the space that all modalities share; zero rows where there is none. Shape: (N, D)."""
        return self.of(Modality.PICTURE).whole()

    @property
    def words_ND(self) -> Vectors:
        """Words alone, in the space that all modalities share; zero rows where there are none. Shape: (N, D)."""
        return self.of(Modality.WORDS).whole()

    def of(self, modality: Modality) -> Segmented[Vectors]:
        """Vectors of one modality of every item. Shape: (N, D)."""
        if modality is Modality.FUSED:
            return self.fused_ND
        if modality not in self._vectors:
            base_ND, changed = self._alone(self._read_features(), modality), np.array(sorted(self._changed), np.int64)
            alone = self._alone(self.features_of(changed), modality)
            self._vectors[modality] = Segmented(base_ND).replaced(changed, alone)
        return self._vectors[modality]

    def _alone(self, features: ItemFeatures, modality: Modality) -> Vectors:
        """Vectors of the picture or the words alone; zero rows where an item has none."""
        if modality is Modality.PICTURE:
            has_N = features.has_image_N
            return _placed(self.fusion.picture_query(features.image_NI[has_N]), has_N)
        has_N = features.has_text_N
        return _placed(self.fusion.text_query(features.text_NT[has_N]), has_N)

    def alone(self, rows_X: Rows, modality: Modality) -> Vectors:
        """Picture or words of some items alone, without computing those of all; zero rows where an item has none.

        Args:
            rows_X: The items. Shape: (X,).
            modality: ``PICTURE`` or ``WORDS``.

        Returns:
            Unit norm. Shape: (X, D), float32.

        Raises:
            FailedPreconditionError: the bundle has no fusion.
        """
        return self._alone(self.features_of(rows_X), modality)

    def present(self, modality: Modality) -> npt.NDArray[np.bool_] | None:
        """Which items have this modality; None: all of them. Shape: (N,), bool."""
        if modality is Modality.FUSED:
            if self._has_any is None:
                self._has_any = self.fused_ND.mapped(_nonzero)
            present_N = self._has_any.whole()
            return None if present_N.all() else present_N
        return self._has_image_N if modality is Modality.PICTURE else self._has_text_N

    @cached_property
    def _has_image_N(self) -> npt.NDArray[np.bool_]:
        return self._merged(self._read_features().has_image_N, np.arange(self.items), 1)

    @cached_property
    def _has_text_N(self) -> npt.NDArray[np.bool_]:
        return self._merged(self._read_features().has_text_N, np.arange(self.items), 3)

    def index(self, modality: Modality) -> VectorIndex:
        """An index over one modality; exact, except for the fused vectors."""
        if modality not in self._indexes:
            vectors_ND = self.of(modality).whole()
            self._indexes[modality] = build_vector_index(vectors_ND, IndexConfig(exact_up_to=len(vectors_ND)))
        return self._indexes[modality]


def only_modality(features: ItemFeatures, modality: Modality) -> ItemFeatures:
    """Features of which only one modality is present, so that fusing them gives its vectors."""
    if modality is Modality.PICTURE:
        return features._replace(has_text_N=np.zeros_like(features.has_text_N))
    if modality is Modality.WORDS:
        return features._replace(has_image_N=np.zeros_like(features.has_image_N))
    return features


def missing_modality(modality: Modality) -> MmrecError:
    """The error of an item that lacks a modality."""
    what = {Modality.PICTURE: "no picture", Modality.WORDS: "no words", Modality.FUSED: "neither words nor a picture"}
    return InvalidArgumentError(
        f"modality is {modality.value} and the item has {what[modality]}; look at its other side, or give what is "
        "missing",
        field="modality",
    )


def _nonzero(vectors_ND: Vectors) -> npt.NDArray[np.bool_]:
    return np.asarray(vectors_ND.any(axis=1), np.bool_)


def _placed(rows_MD: Vectors, present_N: npt.NDArray[np.bool_]) -> Vectors:
    """Rows of the items that have a modality, with zero rows for the others."""
    placed = np.zeros((len(present_N), rows_MD.shape[1]), np.float32)
    placed[present_N] = rows_MD
    return placed
