"""The catalogue's vectors by side: fused, pictures alone, words alone, and what the encoders said before fusing.

Unit of work: one side of the whole catalogue, made when it is first asked for and kept. Knows nothing about requests.
"""

# Axes: N items, D fused dimensions, I picture dimensions, T words dimensions

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError
from mmrec.types import Modality
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from mmrec_encoders.fusion import Fusion, ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.protocols import Vectors

__all__ = ["CatalogueSides", "ChangedRows", "item_side", "no_side"]

A = TypeVar("A", bound=np.generic)


class ChangedRows(NamedTuple):
    """Rows of a catalogue that are not as they were when its vectors were written.

    Attributes:
        rows_M: The rows that were set, some perhaps new. Shape: (M,), int64.
        features: What the encoders said of them.
        thumbnails_M: Of their pictures, zero where there is none. Shape: (M, 3, H, W), uint8.
        gone_R: Rows that are no items any more; they have no side. Shape: (R,), int64.
        items: Rows of the catalogue from then on.
    """

    rows_M: npt.NDArray[np.int64]
    features: ItemFeatures
    thumbnails_M: npt.NDArray[np.uint8]
    gone_R: npt.NDArray[np.int64]
    items: int


class CatalogueSides:
    """Every item of the catalogue, seen from its sides.

    Args:
        fused_ND: Picture and words together. Shape: (N, D), float32, unit norm.
        index: An index over them.
        encoder: The encoders and the fusion they were made with.
        read_features: Reads what the encoders said of each item, when it is first asked for; None where the bundle
            does not hold it.
        read_thumbnails: Reads the thumbnails of the items' pictures likewise.
        changes: What has changed since what these two read was written, in its order.

    Attributes:
        fused_ND: As given.
        encoder: As given.
    """

    def __init__(
        self,
        fused_ND: Vectors,
        index: VectorIndex,
        encoder: ItemEncoder,
        read_features: Callable[[], ItemFeatures | None],
        read_thumbnails: Callable[[], npt.NDArray[np.uint8] | None],
        changes: tuple[ChangedRows, ...] = (),
    ) -> None:
        self.fused_ND = fused_ND
        self.encoder = encoder
        self._read_features = cache(read_features) if not changes else read_features
        self._read_thumbnails = cache(read_thumbnails) if not changes else read_thumbnails
        self._changes = changes
        self._indexes: dict[Modality, VectorIndex] = {Modality.FUSED: index}

    def over(self, fused_ND: Vectors, change: ChangedRows) -> CatalogueSides:
        """The sides of the changed catalogue; these stay as they are, and what both read is read once."""
        made = CatalogueSides(
            fused_ND,
            self._indexes[Modality.FUSED].over(fused_ND, change.rows_M),
            self.encoder,
            self._read_features,
            self._read_thumbnails,
            (*self._changes, change),
        )
        return made

    @property
    def items(self) -> int:
        """Rows of the catalogue."""
        return len(self.fused_ND)

    @cached_property
    def features(self) -> ItemFeatures:
        """What the encoders said of each item.

        Raises:
            FailedPreconditionError: the bundle does not hold it.
        """
        features = self._read_features()
        if features is None:
            raise FailedPreconditionError(
                "this bundle was made before bundles held the vectors of pictures and of words, so the two cannot be "
                "looked at by themselves: fit again with `mmrec fit DATASET --out BUNDLE`"
            )
        for change in self._changes:
            new = change.features
            has_image_N = _set_rows(features.has_image_N, new.has_image_N, change)
            has_text_N = _set_rows(features.has_text_N, new.has_text_N, change)
            has_image_N[change.gone_R] = False
            has_text_N[change.gone_R] = False
            image_NI = _set_rows(features.image_NI, new.image_NI, change)
            text_NT = _set_rows(features.text_NT, new.text_NT, change)
            features = ItemFeatures(image_NI, has_image_N, text_NT, has_text_N)
        return features

    @cached_property
    def thumbnails(self) -> npt.NDArray[np.uint8] | None:
        """Thumbnails of the items' pictures; None where the bundle has none. Shape: (N, 3, H, W), uint8."""
        thumbnails = self._read_thumbnails()
        if thumbnails is not None:
            for change in self._changes:
                thumbnails = _set_rows(thumbnails, change.thumbnails_M, change)
        return thumbnails

    def features_of(self, rows_M: npt.NDArray[np.int64]) -> ItemFeatures:
        """What the encoders said of some items; costs no pass over the catalogue. Shape of `rows_M`: (M,).

        Raises:
            FailedPreconditionError: the bundle does not hold it.
        """
        base = self._read_features()
        if base is None:
            return self.features  # which says so
        pairs = [(part, [getattr(change.features, name) for change in self._changes]) for name, part in _named(base)]
        return ItemFeatures._make(_of_rows(part, new, rows_M, self._changes) for part, new in pairs)

    def thumbnails_of(self, rows_M: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Thumbnails of some items, zero where there is none. Shape: (M, 3, H, W), uint8."""
        base = self._read_thumbnails()
        if base is None:
            return np.zeros((len(rows_M), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
        return _of_rows(base, [change.thumbnails_M for change in self._changes], rows_M, self._changes)

    @property
    def fusion(self) -> Fusion:
        """What joins pictures and words.

        Raises:
            FailedPreconditionError: there is none.
        """
        if self.encoder.fusion is None:
            raise FailedPreconditionError("the fusion is not trained yet; run mmrec fit first")
        return self.encoder.fusion

    @cached_property
    def picture_ND(self) -> Vectors:
        """Pictures alone, in the space that all sides share; zero rows where there is none. Shape: (N, D)."""
        features = self.features
        return _placed(self.fusion.picture_query(features.image_NI[features.has_image_N]), features.has_image_N)

    @cached_property
    def words_ND(self) -> Vectors:
        """Words alone, in the space that all sides share; zero rows where there are none. Shape: (N, D)."""
        features = self.features
        return _placed(self.fusion.text_query(features.text_NT[features.has_text_N]), features.has_text_N)

    def vectors(self, modality: Modality) -> Vectors:
        """One side of every item. Shape: (N, D).

        Raises:
            FailedPreconditionError: the bundle holds fused vectors only.
        """
        if modality is Modality.PICTURE:
            return self.picture_ND
        return self.words_ND if modality is Modality.WORDS else self.fused_ND

    def present(self, modality: Modality) -> npt.NDArray[np.bool_] | None:
        """Which items have this side; None for all of them. Shape: (N,), bool."""
        if modality is Modality.FUSED:
            return None
        features = self.features
        return features.has_image_N if modality is Modality.PICTURE else features.has_text_N

    def index(self, modality: Modality) -> VectorIndex:
        """An index over one side, exact unless it is the fused one."""
        if modality not in self._indexes:
            vectors_ND = self.vectors(modality)
            self._indexes[modality] = build_vector_index(vectors_ND, IndexConfig(exact_up_to=len(vectors_ND)))
        return self._indexes[modality]


def _named(features: ItemFeatures) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    return zip(features._fields, features, strict=True)


def _of_rows(
    base_N: npt.NDArray[A],
    new: Sequence[npt.NDArray[A]],
    rows_M: npt.NDArray[np.int64],
    changes: Sequence[ChangedRows],
) -> npt.NDArray[A]:
    """Some rows of what was written, with what each change set in them."""
    found_M = np.zeros((len(rows_M), *base_N.shape[1:]), base_N.dtype)
    had_M = rows_M < len(base_N)
    found_M[had_M] = base_N[rows_M[had_M]]
    for change, values in zip(changes, new, strict=True):
        if len(change.rows_M) and len(rows_M):
            order = np.argsort(change.rows_M)
            place_M = np.searchsorted(change.rows_M, rows_M, sorter=order).clip(max=len(order) - 1)
            here_M = change.rows_M[order[place_M]] == rows_M
            found_M[here_M] = values[order[place_M[here_M]]]
    return found_M


def _set_rows(old_N: npt.NDArray[A], new_M: npt.NDArray[A], change: ChangedRows) -> npt.NDArray[A]:
    changed_N = np.zeros((change.items, *old_N.shape[1:]), old_N.dtype)
    changed_N[: len(old_N)] = old_N
    changed_N[change.rows_M] = new_M
    return changed_N


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
