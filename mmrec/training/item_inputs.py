"""Item inputs of the generator: content vectors, codes, and neighbours for smoothing learned vectors."""

# Axes: N items, D fused dimensions, P levels of a semantic ID, K neighbours

from __future__ import annotations

import faiss
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from mmrec.channels.lexical import LexicalIndex
from mmrec.channels.lsa_projection import LsaProjection, nearest_rows
from mmrec.channels.transitions import TransitionConfig, TransitionGraph
from mmrec.generator.config import GeneratorConfig
from mmrec.generator.item_tokens import ItemTable, Neighbours, neighbours_of

_ROWS_AT_ONCE = 2048


def build_item_table(
    fused_ND: npt.NDArray[np.float32],
    semantic_ids_NP: npt.NDArray[np.int32],
    popularity_N: npt.NDArray[np.float32],
    transitions: TransitionGraph,
    channel: TransitionConfig,
    lexical: LexicalIndex,
    sketch: LsaProjection,
    config: GeneratorConfig,
) -> ItemTable:
    """Build the item table.

    Args:
        fused_ND: Fused embeddings, unit norm. Shape: (N, D), float32.
        semantic_ids_NP: Unique paths. Shape: (N, P), int32.
        popularity_N: Training events per item. Shape: (N,), float32.
        transitions: Counted on training events only.
        channel: How transitions are damped.
        lexical: Words of every item.
        sketch: Of these words.
        config: `followers` and `alike` are read.
    """
    warm_N = popularity_N > 0
    sketch_NS = sketch.of(lexical.rows)
    alike = None
    if config.alike:
        strength = nearest_rows(lexical.rows, sketch_NS, warm_N, config.alike)
        alike = neighbours_of(
            strength + _content_neighbours(fused_ND, lexical.rows, warm_N, config.alike), config.alike
        )
    return ItemTable(
        content_NC=torch.from_numpy(np.concatenate([fused_ND, sketch_NS], axis=1)),
        paths_NP=torch.from_numpy(semantic_ids_NP.astype(np.int64)),
        warm_N=torch.from_numpy(warm_N),
        followers=_followers(transitions, channel, config.followers) if config.followers else None,
        alike=alike,
    )


def _followers(transitions: TransitionGraph, channel: TransitionConfig, keep: int) -> Neighbours:
    items = transitions.counts.shape[0]
    parts = [
        neighbours_of(transitions.after(rows, channel), keep)
        for rows in np.array_split(np.arange(items), -(-items // _ROWS_AT_ONCE))
    ]
    return Neighbours(torch.cat([part.rows_NK for part in parts]), torch.cat([part.weights_NK for part in parts]))


def _content_neighbours(
    fused_ND: npt.NDArray[np.float32], rows: sp.csr_array, warm_N: npt.NDArray[np.bool_], keep: int
) -> sp.csr_array:
    """Cosines of items without known words to their nearest fused embeddings. Shape: (N, N) CSR, float32."""
    items = len(fused_ND)
    asked_R, neighbours_M = np.flatnonzero(np.diff(rows.indptr) == 0), np.flatnonzero(warm_N)
    if not len(asked_R) or not len(neighbours_M):
        return sp.csr_array((items, items), dtype=np.float32)
    index = faiss.IndexFlatIP(fused_ND.shape[1])
    index.add(np.ascontiguousarray(fused_ND[neighbours_M]))
    cosine_RK, place_RK = index.search(np.ascontiguousarray(fused_ND[asked_R]), min(keep + 1, len(neighbours_M)))
    found_RK = neighbours_M[place_RK]
    use_RK = (found_RK != asked_R[:, None]) & (cosine_RK > 0)
    row_E, column_E = np.nonzero(use_RK)
    values_E = cosine_RK[row_E, column_E]
    return sp.coo_array((values_E, (asked_R[row_E], found_RK[row_E, column_E])), shape=(items, items)).tocsr()
