"""The decode index of a bundle: read back, after it is seen to be of the catalogue's semantic IDs.

Unit of work: one index. Knows nothing about models or requests. Hashes tell a damaged file; what is looked for here is
an index of another catalogue, or one that somebody laid out wrongly: both would be searched without a complaint, and
recommend other items than the ones found. Every check is a pass or two over flat arrays.
"""

# Axes: N items, P levels of a semantic ID, V_l nodes at depth l (V_0 = 1 root, V_P = N leaves)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.bundle import Bundle
from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.semantic_ids.decode_index import LAYOUT, DecodeIndex, build_decode_index

DECODE_INDEX = "decode_index.safetensors"

Tensors = Mapping[str, npt.NDArray[Any]]


Alive = npt.NDArray[np.bool_]


class _Arrays(NamedTuple):
    """What is in the file, in order.

    items_N: catalogue rows, (N,).  starts: per depth 0..P-1, where each node's items begin and the last one's end,
    (V_l + 1,).  codes: per depth 1..P, (V_l,).
    """

    items_N: npt.NDArray[Any]
    starts: list[npt.NDArray[Any]]
    codes: list[npt.NDArray[Any]]


def read_decode_index(
    bundle: Bundle, semantic_ids_NP: npt.NDArray[np.int32], widths: tuple[int, ...], alive_N: Alive | None = None
) -> DecodeIndex:
    """The decode index of a verified bundle, on the CPU; built where the bundle was made before bundles held it.

    Args:
        bundle: The bundle.
        semantic_ids_NP: Semantic IDs in catalogue order. Shape: (N, P), int32.
        widths: Codes per level.
        alive_N: Which rows are items; the others are not in the index. None for all. Shape: (N,), bool.

    Raises:
        BundleError: the index is not that of these semantic IDs, or of a layout that this version does not read.
    """
    if DECODE_INDEX not in bundle.manifest.files:
        return build_index(bundle, semantic_ids_NP, widths, alive_N)
    tensors = bundle.read_tensors(DECODE_INDEX)
    found = index_faults(tensors, semantic_ids_NP, widths, alive_N)
    if found:
        more = f" (and {len(found) - 1} more; see `mmrec index verify`)" if len(found) > 1 else ""
        raise BundleError(
            f"{bundle.root}: {DECODE_INDEX} does not belong to the semantic IDs of the catalogue: {found[0]}{more}; "
            "restore the bundle from its source, or fit again"
        )
    return DecodeIndex.from_tensors(tensors)


def build_index(
    bundle: Bundle, semantic_ids_NP: npt.NDArray[np.int32], widths: tuple[int, ...], alive_N: Alive | None = None
) -> DecodeIndex:
    """The decode index built anew from a bundle's semantic IDs, those of `alive_N`; see `read_decode_index`.

    Raises:
        BundleError: these are not unique, or out of range.
    """
    rows_N = _rows(semantic_ids_NP, alive_N)
    try:
        index = build_decode_index(semantic_ids_NP[rows_N], index_widths(semantic_ids_NP, widths, alive_N))
        return index._replace(items_N=torch.from_numpy(rows_N.astype(np.int32))[index.items_N.long()])
    except InvalidArgumentError as err:
        raise BundleError(f"{bundle.root}: no decode index can be built: {err.message}: fit again") from err


def index_widths(
    semantic_ids_NP: npt.NDArray[np.int32], widths: tuple[int, ...], alive_N: Alive | None = None
) -> tuple[int, ...]:
    """Codes per level of the index over these paths: the last code numbers items that are otherwise alike, and of these
    there may be more than there were when the codebooks were fitted.
    """
    last = int(semantic_ids_NP[_rows(semantic_ids_NP, alive_N), -1].max(initial=0)) + 1
    return (*widths[:-1], max(widths[-1], last))


def index_faults(
    tensors: Tensors, semantic_ids_NP: npt.NDArray[np.int32], widths: tuple[int, ...], alive_N: Alive | None = None
) -> list[str]:
    """What is wrong with a saved index, in words; empty where it is the index of these semantic IDs.

    Args:
        tensors: As `DecodeIndex.tensors` gives them.
        semantic_ids_NP: Semantic IDs in catalogue order. Shape: (N, P), int32.
        widths: Codes per level, as they were fitted.
        alive_N: Which rows are items; the others must not be in it. None for all. Shape: (N,), bool.
    """
    layout = tensors["layout"].tolist() if "layout" in tensors else None
    if layout != [LAYOUT]:
        return [f"its layout is {layout}, and this version reads [{LAYOUT}]"]
    items, levels = semantic_ids_NP.shape
    names = ["widths", "items", *(f"{kind}.{depth}" for kind in ("starts", "codes") for depth in range(levels))]
    lacking = [name for name in names if name not in tensors]
    if lacking:
        return [f"it lacks {', '.join(lacking)}, which paths of {levels} codes need"]
    if len(tensors) != len(names) + 1:
        return [f"it has {len(tensors)} arrays; for paths of {levels} codes there are {len(names) + 1}"]
    odd = [name for name in names if tensors[name].ndim != 1 or tensors[name].dtype.kind != "i"]
    if odd:
        return [f"{', '.join(odd)} are no lists of whole numbers"]
    found = []
    wanted = list(index_widths(semantic_ids_NP, widths, alive_N))
    if tensors["widths"].tolist() != wanted:
        found.append(f"it has {tensors['widths'].tolist()} codes per level, and the catalogue {wanted}")
    arrays = _Arrays(
        tensors["items"],
        [tensors[f"starts.{depth}"] for depth in range(levels)],
        [tensors[f"codes.{depth}"] for depth in range(levels)],
    )
    found += _wrong_items(arrays.items_N, _rows(semantic_ids_NP, alive_N), items)
    # The later checks read what the earlier ones have seen to be sound.
    return found or _wrong_ranges(arrays) or _wrong_order(arrays) or _wrong_paths(arrays, semantic_ids_NP)


def _rows(semantic_ids_NP: npt.NDArray[np.int32], alive_N: Alive | None) -> npt.NDArray[np.int64]:
    """Rows that are items, ascending."""
    return np.arange(len(semantic_ids_NP)) if alive_N is None else np.flatnonzero(alive_N)


def _wrong_items(items_N: npt.NDArray[Any], rows_N: npt.NDArray[np.int64], rows: int) -> list[str]:
    """Every item of the catalogue once."""
    if len(items_N) != len(rows_N):
        return [f"it has {len(items_N):,} items, and the catalogue {len(rows_N):,}"]
    if int(items_N.min()) < 0 or int(items_N.max()) >= rows:
        return [f"it has rows {int(items_N.min())} to {int(items_N.max())}, and the catalogue 0 to {rows - 1}"]
    counts_N = np.bincount(items_N, minlength=rows)
    if (counts_N[rows_N] == 1).all():
        return []
    missing = rows_N[counts_N[rows_N] == 0]
    return [f"{len(missing):,} items of the catalogue are not in it, the first in row {int(missing[0])}"]


def _wrong_ranges(arrays: _Arrays) -> list[str]:
    """Nodes are ranges that follow each other, cover the table and lie inside one node of the depth above."""
    found = []
    items = len(arrays.items_N)
    for depth, start in enumerate(arrays.starts):
        if len(start) < 2 or start[0] != 0 or start[-1] != items or (np.diff(start) <= 0).any():
            found.append(f"the nodes of depth {depth} are no ranges that cover {items:,} items without a gap")
    if found:
        return found
    if len(arrays.starts[0]) != 2:
        found.append(f"it has {len(arrays.starts[0]) - 1} roots instead of one")
    nodes = [*(len(start) - 1 for start in arrays.starts[1:]), items]
    for depth, (codes, count) in enumerate(zip(arrays.codes, nodes, strict=True), start=1):
        if len(codes) != count:
            found.append(f"depth {depth} has {count:,} nodes and codes for {len(codes):,}")
    for depth, (above, below) in enumerate(zip(arrays.starts[:-1], arrays.starts[1:], strict=True)):
        # Both end where the table does, so there is a place for every one of them.
        if (below[np.searchsorted(below, above)] != above).any():
            found.append(f"a node of depth {depth + 1} reaches over the end of one of depth {depth}")
    return found


def _wrong_order(arrays: _Arrays) -> list[str]:
    """The children of a node have ascending codes, so that paths are unique and in order."""
    found = []
    for depth, (start, codes) in enumerate(zip(arrays.starts, arrays.codes, strict=True)):
        ascends = np.diff(codes) > 0
        # Where a new parent begins the codes may begin again.
        ascends[_children_of(arrays.starts, depth, start[1:-1]) - 1] = True
        wrong = np.flatnonzero(~ascends)
        if len(wrong):
            found.append(
                f"paths are not unique and in order: {len(wrong):,} nodes of depth {depth + 1} do not follow the one "
                f"before, the first with code {int(codes[wrong[0] + 1])} after {int(codes[wrong[0]])}"
            )
    return found


def _children_of(starts: Sequence[npt.NDArray[Any]], depth: int, places_X: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Node of the next depth that begins at each place of the sorted table; those of the last depth are the items."""
    if depth + 1 == len(starts):
        return places_X.astype(np.int64)
    return np.searchsorted(starts[depth + 1], places_X)


def _wrong_paths(arrays: _Arrays, semantic_ids_NP: npt.NDArray[np.int32]) -> list[str]:
    """Each item lies where its semantic ID says."""
    differs_N = np.zeros(len(arrays.items_N), dtype=bool)
    for level, codes in enumerate(arrays.codes):
        last = level + 1 == len(arrays.codes)
        code_N = codes if last else np.repeat(codes, np.diff(arrays.starts[level + 1]))
        differs_N |= code_N != semantic_ids_NP[arrays.items_N, level]
    wrong = arrays.items_N[differs_N]
    if not len(wrong):
        return []
    return [f"{len(wrong):,} items have another path in it than their semantic ID, the first in row {int(wrong.min())}"]
