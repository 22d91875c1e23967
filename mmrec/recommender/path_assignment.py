"""Paths of items that come into a catalogue, and the decode index with them.

Unit of work: one change. Works on catalogue rows and codes; knows nothing about models.
"""

# Axes: N items, M items that come, R rows that go, D fused dimensions, L quantised levels, P = L + 1 levels of a
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

LAST_WIDTH = 1 << 20
"""Items that may share all codes but the last."""


class NewPaths(NamedTuple):
    """Paths of arrivals, and what they make of the index.

    Attributes:
        paths_MP: Each one's own. Shape: (M, P), int32.
        decode_index: With them, and without what has gone, on the CPU.
        nodes: What is touched of the index, per depth 1..P; none where nothing is.
    """

    paths_MP: npt.NDArray[np.int32]
    decode_index: DecodeIndex
    nodes: tuple[NodeChange, ...]


def new_paths(
    parts: Parts,
    fused_MD: npt.NDArray[np.float32],
    rows_M: npt.NDArray[np.int64],
    gone_R: npt.NDArray[np.int64],
) -> NewPaths:
    """Give arrivals paths: the codes that the tokenizer gives, and the first last code that is free.

    Args:
        parts: Of the catalogue as it is.
        fused_MD: Fused embeddings of the arrivals. Shape: (M, D), float32.
        rows_M: Their rows. Shape: (M,).
        gone_R: Rows that go. Shape: (R,).
    """
    index = parts.decode_index.to(torch.device("cpu"))
    index = index._replace(widths=(*index.widths[:-1], max(LAST_WIDTH, index.widths[-1])))
    codes_ML = parts.tokenizer.encode(fused_MD) if len(rows_M) else np.empty((0, index.levels - 1), np.int32)
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
            paths = parts.semantic_ids_NP[np.array(rows, np.int64)][:, -1].tolist()
            taken = {code for row, code in zip(rows, paths, strict=True) if row not in leaving}
            free[codes] = filterfalse(taken.__contains__, count())
        last.append(next(free[codes]))
    paths_MP = np.concatenate([codes_ML, np.array(last, dtype=np.int32).reshape(-1, 1)], axis=1).astype(np.int32)
    removed_R = np.concatenate([rows_M, gone_R])
    if not len(removed_R):
        return NewPaths(paths_MP, index, ())
    changed = change_decode_index(index, added_MP=paths_MP, rows_M=rows_M, removed_R=removed_R)
    left_R = _places(index, removed_R)
    nodes = node_changes(index, changed, left_R[left_R >= 0], _places(changed, rows_M))
    return NewPaths(paths_MP, changed, nodes)


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
    paths_KP = parts.semantic_ids_NP[rows_K]
    same_K = (paths_KP[:, :-1] == codes_KL).all(axis=1)
    return dict(zip(rows_K[same_K].tolist(), paths_KP[same_K, -1].tolist(), strict=True))
