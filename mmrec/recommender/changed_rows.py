"""What has changed of every item since its vectors were written: a few rows over many.

The unit of work is one change. Changes lie over each other in layers, the later ones above, each row at most once in a
layer; a layer that is not much larger than the one above it is made one with it, so that there are few of them however
many changes there were, and no row is copied often. Knows nothing about encoders and requests.
"""

# Axes: N items, M rows that were set, R rows that went, I picture dimensions, T words dimensions

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from mmrec_encoders.fusion import ItemFeatures

A = TypeVar("A", bound=np.generic)
Rows = npt.NDArray[np.int64]

_LARGER = 2
"""A layer stays by itself for as long as it is larger than this many times the one above it."""


class ChangedRows(NamedTuple):
    """Rows of a catalogue that are not as they were when its vectors were written.

    Attributes:
        rows_M: The rows that were set, some perhaps new; none twice. Shape: (M,), int64.
        features: What the encoders said of them.
        thumbnails_M: Of their pictures, zero where there is none. Shape: (M, 3, H, W), uint8.
        gone_R: Rows that are no items any more; they have no side. Shape: (R,), int64.
        items: Rows of the catalogue from then on.
    """

    rows_M: Rows
    features: ItemFeatures
    thumbnails_M: npt.NDArray[np.uint8]
    gone_R: Rows
    items: int

    @property
    def size(self) -> int:
        """Rows that are told of."""
        return len(self.rows_M) + len(self.gone_R)

    def then(self, later: ChangedRows) -> ChangedRows:
        """Both in one; where they tell of the same row, the later one counts."""
        keep_M = ~np.isin(self.rows_M, later.rows_M)
        gone_R = np.union1d(np.setdiff1d(self.gone_R, later.rows_M), later.gone_R).astype(np.int64)
        return ChangedRows(
            np.concatenate([self.rows_M[keep_M], later.rows_M]),
            ItemFeatures._make(
                _joined(old[keep_M], new) for old, new in zip(self.features, later.features, strict=True)
            ),
            _joined(self.thumbnails_M[keep_M], later.thumbnails_M),
            gone_R,
            later.items,
        )


def layered(layers: Sequence[ChangedRows], change: ChangedRows) -> tuple[ChangedRows, ...]:
    """The layers with one more change over them."""
    made = [*layers, change]
    while len(made) > 1 and made[-2].size <= _LARGER * made[-1].size:
        made[-2:] = [made[-2].then(made[-1])]
    return tuple(made)


def changed_features(features: ItemFeatures, layers: Sequence[ChangedRows]) -> ItemFeatures:
    """What the encoders said of each item, as it is after changes.

    Args:
        features: As they were written.
        layers: From `layered`.
    """
    if not layers:
        return features
    has_image_N, has_text_N = changed_presence(features, layers)
    return ItemFeatures(
        _set(features.image_NI, [(one.rows_M, one.features.image_NI) for one in layers], layers[-1].items),
        has_image_N,
        _set(features.text_NT, [(one.rows_M, one.features.text_NT) for one in layers], layers[-1].items),
        has_text_N,
    )


def changed_presence(
    features: ItemFeatures, layers: Sequence[ChangedRows]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which items have a picture, and which have words, as it is after changes. Shapes: (N,), bool."""
    if not layers:
        return features.has_image_N, features.has_text_N

    items = layers[-1].items
    return (
        _set(features.has_image_N, _presence(layers, "has_image_N"), items),
        _set(features.has_text_N, _presence(layers, "has_text_N"), items),
    )


def changed_thumbnails(thumbnails: npt.NDArray[np.uint8], layers: Sequence[ChangedRows]) -> npt.NDArray[np.uint8]:
    """Thumbnails as they are after changes. Shape: (N, 3, H, W), uint8."""
    if not layers:
        return thumbnails
    return _set(thumbnails, [(one.rows_M, one.thumbnails_M) for one in layers], layers[-1].items)


def features_of(
    features: ItemFeatures, layers: Sequence[ChangedRows], rows_X: npt.NDArray[np.integer[Any]]
) -> ItemFeatures:
    """What the encoders said of some items, in their order, as it is after changes; the arrays are new.

    Args:
        features: Of all, as they were written.
        layers: From `layered`.
        rows_X: Which. Shape: (X,).
    """
    image = [(one.rows_M, one.features.image_NI) for one in layers]
    text = [(one.rows_M, one.features.text_NT) for one in layers]
    return ItemFeatures(
        _picked(features.image_NI, image, rows_X),
        _picked(features.has_image_N, _presence(layers, "has_image_N"), rows_X),
        _picked(features.text_NT, text, rows_X),
        _picked(features.has_text_N, _presence(layers, "has_text_N"), rows_X),
    )


def thumbnails_of(
    thumbnails: npt.NDArray[np.uint8], layers: Sequence[ChangedRows], rows_X: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.uint8]:
    """Thumbnails of some items, as they are after changes; the array is new. Shape: (X, 3, H, W), uint8."""
    return _picked(thumbnails, [(one.rows_M, one.thumbnails_M) for one in layers], rows_X)


def _picked(
    old_N: npt.NDArray[A], sets: Sequence[tuple[Rows, npt.NDArray[A]]], rows_X: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[A]:
    """Some rows as they are after others were set, one after the other; zeros past the old ones."""
    found_X = np.zeros((len(rows_X), *old_N.shape[1:]), old_N.dtype)
    written_X = rows_X < len(old_N)
    found_X[written_X] = old_N[rows_X[written_X]]
    for rows_M, new_M in sets:
        order_M = np.argsort(rows_M, kind="stable")
        place_X = np.searchsorted(rows_M, rows_X, sorter=order_M)
        here_X = np.isin(rows_X, rows_M)
        found_X[here_X] = new_M[order_M[place_X[here_X]]]
    return found_X


def _presence(layers: Sequence[ChangedRows], name: str) -> list[tuple[Rows, npt.NDArray[np.bool_]]]:
    """Which rows got a side, and which lost it because they are gone, one after the other."""
    sets: list[tuple[Rows, npt.NDArray[np.bool_]]] = []
    for one in layers:
        sets += [(one.rows_M, getattr(one.features, name)), (one.gone_R, np.zeros(len(one.gone_R), np.bool_))]
    return sets


def _set(old_N: npt.NDArray[A], sets: Sequence[tuple[Rows, npt.NDArray[A]]], items: int) -> npt.NDArray[A]:
    """One copy with more rows, zeros at first, and some of them set, one after the other."""
    changed_N = np.zeros((items, *old_N.shape[1:]), old_N.dtype)
    changed_N[: len(old_N)] = old_N
    for rows_M, new_M in sets:
        changed_N[rows_M] = new_M
    return changed_N


def _joined(old: npt.NDArray[A], new: npt.NDArray[A]) -> npt.NDArray[A]:
    """Rows under one another; where there are none, their width may be any."""
    if not len(old) or not len(new):
        return new if len(new) else old
    return np.concatenate([old, new])
