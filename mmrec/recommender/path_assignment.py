"""Assigning semantic IDs to items that are added, and updating the decode index.

Unit of work: one change. Works on catalogue rows and codes; knows nothing about models.
"""

# Axes: N items, M encoded items, R deleted rows, D fused dimensions, L quantised levels, P = L + 1 levels of a
# semantic ID

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, filterfalse
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.recommender.artefact import Parts
from mmrec.semantic_ids.decode_index import DecodeIndex, change_decode_index
from mmrec.semantic_ids.node_changes import NodeChange, node_changes
from mmrec.semantic_ids.path_lookup import path_range
from mmrec.semantic_ids.semantic_ids import LAST_WIDTH


class NewPaths(NamedTuple):
    """Paths of encoded items, and the updated decode index.

    Attributes:
        paths_MP: Unique paths. Shape: (M, P), int32.
        decode_index: With these paths and without deleted rows, on the CPU.
        nodes: Changed nodes of the index, per depth 1..P; empty when nothing changed.
    """

    paths_MP: npt.NDArray[np.int32]
    decode_index: DecodeIndex
    nodes: tuple[NodeChange, ...]


def new_paths(
    parts: Parts,
    fused_MD: npt.NDArray[np.float32],
    rows_M: npt.NDArray[np.int64],
    deleted_R: npt.NDArray[np.int64],
) -> NewPaths:
    """Assign paths: the codes of the tokenizer, and as last code the first one that is free.

    Args:
        parts: The parts before the change.
        fused_MD: Fused embeddings of the encoded items. Shape: (M, D), float32.
        rows_M: Their rows. Shape: (M,).
        deleted_R: Deleted rows. Shape: (R,).
    """
    index = parts.decode_index.to(torch.device("cpu"))
    index = index._replace(widths=(*index.widths[:-1], max(LAST_WIDTH, index.widths[-1])))
    codes_ML = parts.tokenizer.encode(fused_MD) if len(rows_M) else np.empty((0, index.levels - 1), np.int32)
    # An item whose codes are the same keeps its path, so that applying a change again, alone or with others, gives the
    # same paths.
    kept = _kept(parts, rows_M, codes_ML)
    leaving = {row for row in rows_M.tolist() if row not in kept} | set(deleted_R.tolist())
    free: dict[tuple[int, ...], Iterator[int]] = {}
    last = []
    for row, codes in zip(rows_M.tolist(), map(tuple, codes_ML.tolist()), strict=True):
        if row in kept:
            last.append(kept[row])
            continue
        if codes not in free:
            below = path_range(index, codes)
            rows = index.items_N[below.begin : below.end].tolist()
            paths = parts.semantic_ids_NP[np.array(rows, np.int64)][:, -1].tolist()
            taken = {code for row, code in zip(rows, paths, strict=True) if row not in leaving}
            free[codes] = filterfalse(taken.__contains__, count())
        last.append(next(free[codes]))
    paths_MP = np.concatenate([codes_ML, np.array(last, dtype=np.int32).reshape(-1, 1)], axis=1).astype(np.int32)
    removed_R = np.concatenate([rows_M, deleted_R])
    if not len(removed_R):
        return NewPaths(paths_MP, index, ())
    changed = change_decode_index(index, added_MP=paths_MP, rows_M=rows_M, removed_R=removed_R)
    before_R = removed_R[removed_R < len(parts.semantic_ids_NP)]
    left_R = _places(index, before_R, parts.semantic_ids_NP[before_R])
    return NewPaths(paths_MP, changed, node_changes(index, changed, left_R, _places(changed, rows_M, paths_MP)))


def _places(
    index: DecodeIndex, rows_X: npt.NDArray[np.int64], paths_XP: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """Place in the sorted table of each row that is there under its path. Shape: at most (X,), int64."""
    items_N = index.items_N.numpy()
    found = ((row, path_range(index, codes)) for row, codes in zip(rows_X.tolist(), paths_XP.tolist(), strict=True))
    return np.array([place.begin for row, place in found if place.items and items_N[place.begin] == row], np.int64)


def _kept(parts: Parts, rows_M: npt.NDArray[np.int64], codes_ML: npt.NDArray[np.int32]) -> dict[int, int]:
    """Last codes, by row, of replaced items whose other codes are the same as before."""
    known_M = rows_M < len(parts.catalogue)
    if parts.catalogue.alive_N is not None:
        known_M[known_M] = parts.catalogue.alive_N[rows_M[known_M]]
    rows_K, codes_KL = rows_M[known_M], codes_ML[known_M]
    paths_KP = parts.semantic_ids_NP[rows_K]
    same_K = (paths_KP[:, :-1] == codes_KL).all(axis=1)
    return dict(zip(rows_K[same_K].tolist(), paths_KP[same_K, -1].tolist(), strict=True))
