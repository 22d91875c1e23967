"""Nearest-neighbour search over the vectors of a catalogue: exact while that is fast, else approximate.

The unit of work is a batch of queries; knows nothing about items and encoders. Measured on one core of an AMD EPYC
server with 256 dimensions: an exact search takes 0.7 ms among 20,000 vectors and 4 ms among 100,000, and grows with
their number; an approximate one takes about 0.1 ms among 100,000. So by default

- up to 100,000 vectors are searched exactly (where faiss sees a GPU: up to what fits its memory, there),
- up to 200,000 by an HNSW graph, which is quick to search and slow to build,
- beyond by IVF lists, which build in a quarter of the time and scale better.

Both hold 8-bit copies of the vectors and only select candidates, which are then scored with the float32 vectors, so
scores are always exact cosines. The search effort is raised until the recall, measured against exact search, reaches
its target; the recall is stored with the index. A filter never reduces the results: exactly min(k, eligible) are
returned.
"""

# Axes: N vectors, Q queries, D dimensions, K results, M candidates

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import faiss
import numpy as np
import numpy.typing as npt

from mmrec.catalogue.segments import Segmented
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.understanding.index_files import IndexDescription, Kind, read_index, write_index
from mmrec.understanding.nearest import (
    Floats,
    Neighbours,
    Vectors,
    best_of,
    check_vectors,
    nearest_exactly,
    nearest_nearly,
)

_FAISS: Any = faiss
"""Untyped, because its stubs lack some classes."""
_RECALL_AT = 10
_HNSW_DEGREE = 32
_HNSW_BUILD_EFFORT = 80
_HNSW_MOST_EFFORT = 16
"""An HNSW search over more than one in this many vectors is slower than an exact search."""
_MOST_GATHERED = 10_000
POINTS_PER_LIST = 64
"""Vectors that each list is trained on."""
_GPU_MOST_RESULTS = 2048
_GPU_MEMORY_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """How an index is chosen and built.

    Attributes:
        exact_up_to: Up to this many vectors, searches are exact. So are those under a filter with at most as
            many eligible vectors, or 10,000; beyond that, gathering rows is slower.
        hnsw_up_to: Up to this many, an HNSW graph; beyond, IVF lists.
        target_recall: Share of the ten nearest that must be found, above 0 to 1; effort is raised until it is.
        least_recall: If the highest effort finds less than this, searches stay exact, 0 to 1.
        measured_queries: Queries for measuring the recall, at least 1.
        gpu: ``auto`` searches exactly on a GPU where faiss sees one that the vectors fit; ``never`` does not.
        seed: Seed of training and of the choice of queries.
    """

    exact_up_to: int = 100_000
    hnsw_up_to: int = 200_000
    target_recall: float = 0.98
    least_recall: float = 0.9
    measured_queries: int = 200
    gpu: Literal["auto", "never"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "exact_up_to", "hnsw_up_to", low=0)
        check_numbers(self, "measured_queries", low=1)
        check_numbers(self, "target_recall", over=0, high=1)
        check_numbers(self, "least_recall", low=0, high=1)
        check_choice("gpu", self.gpu, ("auto", "never"))

    def kind_for(self, vectors: int) -> Kind:
        """Which kind of index this many vectors get."""
        return "exact" if vectors <= self.exact_up_to else "hnsw" if vectors <= self.hnsw_up_to else "ivf"


class VectorIndex:
    """An index over vectors. Make one with `build_vector_index` or `load`; searches may come from several threads.

    Attributes:
        vectors_ND: The searched vectors. Shape: (N, D), float32.
        description: Kind, parameters and recall.
    """

    def __init__(
        self,
        vectors_ND: Floats,
        description: IndexDescription,
        config: IndexConfig,
        approximate: Any = None,
    ) -> None:
        self.vectors_ND: Vectors = vectors_ND
        self._changed = np.empty(0, np.int64)
        self.description = description
        self._config = config
        self._approximate = approximate
        self._gpu_lock = threading.Lock()
        self._gpu = _on_gpu(vectors_ND) if description.kind == "exact" and config.gpu == "auto" else None

    def __len__(self) -> int:
        return len(self.vectors_ND)

    def with_vectors(self, vectors_ND: Segmented[Floats], changed_rows: npt.NDArray[np.integer[Any]]) -> VectorIndex:
        """The index of changed vectors, without building it again; this one stays as it is.

        What the index proposes is scored with the vectors as they are now; rows that it does not know, or
        knows as they were, are candidates of every search. So searches cost a little more with every changed row.

        Args:
            vectors_ND: Unit rows or zero; those of this index and perhaps more after them. Shape: (M, D), M >= N.
            changed_rows: Which of them differ, the new ones included. Shape: (C,).
        """
        made = copy(self)
        made.vectors_ND = vectors_ND
        made.description = replace(self.description, items=len(vectors_ND))
        made._changed = np.union1d(self._changed, changed_rows).astype(np.int64)
        return made

    def search(
        self, queries_QD: npt.NDArray[np.floating], k: int, eligible_N: npt.NDArray[np.bool_] | None = None
    ) -> Neighbours:
        """The nearest vectors of each query.

        Args:
            queries_QD: Unit rows, or zero. Shape: (Q, D).
            k: How many, at least 1.
            eligible_N: Rows that may be returned; None for all. Shape: (N,), bool.

        Returns:
            Best first, exactly K = min(k, eligible) of them. A query's results do not depend on the others.

        Raises:
            InvalidArgumentError: queries or filter have another shape than the index, or k is less than 1.
        """
        queries_QD = check_vectors(queries_QD, "queries", dimension=self.description.dimension)
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise InvalidArgumentError(f"k is {k!r:.40}; it must be a whole number of at least 1", field="k")
        eligible = len(self)
        if eligible_N is not None:
            eligible_N = np.asarray(eligible_N)
            if eligible_N.shape != (len(self),) or eligible_N.dtype != np.bool_:
                raise InvalidArgumentError(
                    f"eligible has shape {eligible_N.shape} and type {eligible_N.dtype}; it must be {len(self):,} "
                    "booleans, one per vector",
                    field="eligible",
                )
            eligible = int(np.count_nonzero(eligible_N))
        wanted = min(int(k), eligible)
        few = eligible_N is not None and eligible <= min(self._config.exact_up_to, _MOST_GATHERED)
        if wanted and not few and self._uses_candidates(wanted, eligible):
            return self._search_candidates(queries_QD, wanted, eligible_N, eligible)
        return nearest_exactly(self.vectors_ND, queries_QD, int(k), eligible_N)

    def propose(
        self, queries_QD: Floats, most: int, eligible_N: npt.NDArray[np.bool_] | None = None
    ) -> list[npt.NDArray[np.int64]]:
        """Rows near each query, for something else to rank: nearly the nearest of them, in no order.

        An approximate index is searched with the effort that ten results take, however many are wanted.

        Args:
            queries_QD: Unit vectors. Shape: (Q, D).
            most: How many at most.
            eligible_N: Rows that may be returned; None for all. Shape: (N,), bool.
        """
        eligible = len(self) if eligible_N is None else int(np.count_nonzero(eligible_N))
        if self._approximate is None or eligible <= max(most, self._config.exact_up_to):
            return [*self.search(queries_QD, most, eligible_N).rows_QK]
        effort = self._effort(_RECALL_AT, eligible)
        proposed_QM = self._candidate_rows(queries_QD, most, effort, eligible_N, eligible)
        found_QM = self._add_changed(proposed_QM, queries_QD, most, eligible_N)
        return [rows_M[rows_M >= 0] for rows_M in found_QM]

    def _uses_candidates(self, wanted: int, eligible: int) -> bool:
        """Whether selecting candidates is cheaper than an exact search."""
        if self._gpu is not None:
            return _candidate_count(wanted) <= _GPU_MOST_RESULTS
        if self._approximate is None:
            return False
        return self.description.kind == "ivf" or self._effort(wanted, eligible) <= len(self) // _HNSW_MOST_EFFORT

    def _effort(self, wanted: int, eligible: int) -> int:
        """Search effort for this many results among the eligible; the tuned effort is for ten of all."""
        # With fewer eligible vectors, or more results, the results are further away.
        wider = len(self) / max(1, eligible)
        harder = max(1.0, _candidate_count(wanted) / _candidate_count(_RECALL_AT))
        return math.ceil(self.description.parameters["effort"] * wider * harder)

    def _search_candidates(
        self, queries_QD: Floats, wanted: int, eligible_N: npt.NDArray[np.bool_] | None, eligible: int
    ) -> Neighbours:
        """Select candidates, score them with the vectors, and search exactly where there are too few."""
        if self._gpu is not None:
            many = min(int(self._gpu.ntotal), _candidate_count(wanted))
            # A GPU's scratch memory serves one search at a time.
            with self._gpu_lock:
                proposed_QM = self._gpu.search(queries_QD, many)[1]
        else:
            many, effort = _candidate_count(wanted), self._effort(wanted, eligible)
            proposed_QM = self._candidate_rows(queries_QD, many, effort, eligible_N, eligible)
        proposed_QM = self._add_changed(proposed_QM, queries_QD, wanted, eligible_N)
        rows_QK = np.empty((len(queries_QD), wanted), np.int64)
        scores_QK = np.empty((len(queries_QD), wanted), np.float32)
        incomplete = []
        for place, proposed_M in enumerate(proposed_QM):
            candidates_M = proposed_M[proposed_M >= 0]
            if eligible_N is not None:
                candidates_M = candidates_M[eligible_N[candidates_M]]
            if len(candidates_M) < wanted:
                incomplete.append(place)
                continue
            rows_QK[place], scores_QK[place] = best_of(self.vectors_ND, queries_QD[place], candidates_M, wanted)
        if incomplete:
            exact = nearest_exactly(self.vectors_ND, queries_QD[incomplete], wanted, eligible_N)
            rows_QK[incomplete], scores_QK[incomplete] = exact
        return Neighbours(rows_QK, scores_QK)

    def _add_changed(
        self,
        proposed_QM: npt.NDArray[np.int64],
        queries_QD: Floats,
        wanted: int,
        eligible_N: npt.NDArray[np.bool_] | None,
    ) -> npt.NDArray[np.int64]:
        """Candidates with the nearest of the changed rows, each once; -1 where a query has fewer."""
        if not isinstance(self.vectors_ND, Segmented):
            return proposed_QM
        changed_N = np.zeros(len(self), np.bool_)
        changed_N[self._changed] = True
        known_QM = np.where(changed_N[proposed_QM], -1, proposed_QM)
        among_C = self._changed if eligible_N is None else self._changed[eligible_N[self._changed]]
        near = nearest_nearly(self.vectors_ND, queries_QD, wanted, among_C)
        near_QM = np.full((len(near), max(map(len, near), default=0)), -1)
        for place, rows_M in enumerate(near):
            near_QM[place, : len(rows_M)] = rows_M
        return np.concatenate([known_QM, near_QM], axis=1)

    def _candidate_rows(
        self, queries_QD: Floats, many: int, effort: int, eligible_N: npt.NDArray[np.bool_] | None, eligible: int
    ) -> npt.NDArray[np.int64]:
        """Up to `many` candidates of the approximate index, -1 where there are fewer. Shape: (Q, M), int64."""
        selector = None
        if eligible_N is not None:
            # faiss keeps no reference to `packed`, which must outlive the search.
            packed = np.packbits(eligible_N[: self._approximate.ntotal], bitorder="little")
            selector = faiss.IDSelectorBitmap(len(packed), faiss.swig_ptr(packed))
        candidates = min(int(self._approximate.ntotal), many)
        if self.description.kind == "hnsw":
            params = _FAISS.SearchParametersHNSW(sel=selector, efSearch=min(max(effort, candidates), len(self)))
        else:
            lists = self.description.parameters["lists"]
            enough = math.ceil(8 * candidates * lists / max(1, eligible))
            params = _FAISS.SearchParametersIVF(sel=selector, nprobe=min(max(effort, enough), lists))
        found: npt.NDArray[np.int64] = self._approximate.search(queries_QD, candidates, params=params)[1]
        return found

    def save(self, folder: Path, name: str = "index") -> list[Path]:
        """Write ``NAME.json``, and ``NAME.faiss`` unless the index is exact; the caller stores the vectors.

        Returns:
            The files written.
        """
        return write_index(folder, name, self.description, self._approximate)

    @classmethod
    def load(
        cls, folder: Path, vectors_ND: npt.NDArray[np.floating], name: str = "index", config: IndexConfig | None = None
    ) -> VectorIndex:
        """Read what `save` wrote.

        Args:
            folder: The folder.
            vectors_ND: The vectors it was built over. Shape: (N, D).
            name: The name it was saved under.
            config: `exact_up_to` and `gpu` are read.

        Raises:
            NotFoundError: there is no such file.
            BundleError: a file is damaged, or was made for other vectors. faiss reads a file only once its size and
                hash are the written ones.
        """
        vectors_ND = check_vectors(vectors_ND, "vectors")
        description, approximate = read_index(folder, name, len(vectors_ND), vectors_ND.shape[1])
        return cls(vectors_ND, description, config or IndexConfig(), approximate)


def build_vector_index(
    vectors_ND: npt.NDArray[np.floating], config: IndexConfig | None = None, progress: Progress = NO_PROGRESS
) -> VectorIndex:
    """Build the index that suits the number of vectors, and measure its recall.

    The queries are vectors of the catalogue, each searched for without itself, and points half-way between two.

    Args:
        vectors_ND: Unit rows; zero rows are allowed and score 0. Shape: (N, D), N at least 1.
        config: See `IndexConfig`.
        progress: Reports how far it is.

    Raises:
        InvalidArgumentError: there are no vectors, or they are not unit or zero rows.
    """
    config = config or IndexConfig()
    vectors_ND = check_vectors(vectors_ND, "vectors")
    if not len(vectors_ND):
        raise InvalidArgumentError("there are 0 vectors; an index needs at least 1", field="vectors")
    begun = time.monotonic()
    kind = config.kind_for(len(vectors_ND))
    if kind == "exact":
        return _exact(vectors_ND, config, begun, f"{len(vectors_ND):,} vectors are few enough to search exactly")
    if config.gpu == "auto" and _fits_gpu(vectors_ND):
        return _exact(vectors_ND, config, begun, "the vectors fit a GPU, which searches them exactly")
    progress.start(f"building the {kind} index", len(vectors_ND), "vectors")
    approximate, parameters = (_build_hnsw if kind == "hnsw" else _build_ivf)(vectors_ND, config, progress)
    size = len(faiss.serialize_index(approximate)) / len(vectors_ND)
    index = _tune(vectors_ND, kind, approximate, parameters, size, config, begun)
    progress.finish(f"{index.description.kind}: {index.description.why}")
    return index


def _exact(vectors_ND: Floats, config: IndexConfig, begun: float, why: str) -> VectorIndex:
    count, dimension = vectors_ND.shape
    description = IndexDescription(
        kind="exact",
        items=count,
        dimension=dimension,
        target_recall=config.target_recall,
        build_seconds=time.monotonic() - begun,
        bytes_per_item=4.0 * dimension,
        why=why,
    )
    return VectorIndex(vectors_ND, description, config)


def _build_hnsw(vectors_ND: Floats, config: IndexConfig, progress: Progress) -> tuple[Any, dict[str, int]]:
    index = _FAISS.IndexHNSWSQ(
        vectors_ND.shape[1], faiss.ScalarQuantizer.QT_8bit, _HNSW_DEGREE, faiss.METRIC_INNER_PRODUCT
    )
    index.hnsw.efConstruction = _HNSW_BUILD_EFFORT
    # With several threads the graph would not be deterministic.
    with _one_thread():
        index.train(_sample(vectors_ND, 65_536, config.seed))
        _add(index, vectors_ND, progress)
    return index, {"degree": _HNSW_DEGREE}


def _build_ivf(vectors_ND: Floats, config: IndexConfig, progress: Progress) -> tuple[Any, dict[str, int]]:
    index = inverted_lists(*vectors_ND.shape, seed=config.seed)
    index.train(_sample(vectors_ND, POINTS_PER_LIST * index.nlist, config.seed))
    _add(index, vectors_ND, progress)
    return index, {"lists": index.nlist}


def inverted_lists(count: int, dimension: int, *, seed: int) -> Any:
    """IVF lists of 8-bit copies, for so many vectors; neither trained nor filled."""
    lists = max(1, min(count, 2 ** round(math.log2(2 * math.sqrt(count)))))
    index = faiss.IndexIVFScalarQuantizer(
        faiss.IndexFlatIP(dimension), dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.seed = seed
    index.cp.niter = 8
    index.cp.min_points_per_centroid = 1
    index.cp.spherical = True
    return index


def _tune(
    vectors_ND: Floats,
    kind: Kind,
    approximate: Any,
    parameters: dict[str, int],
    size: float,
    config: IndexConfig,
    begun: float,
) -> VectorIndex:
    """The index with the least effort that reaches the target recall."""
    count, dimension = vectors_ND.shape
    asked_QD, itself_Q = _recall_queries(vectors_ND, config)
    truth = _nearest_without_self(nearest_exactly(vectors_ND, asked_QD, _RECALL_AT + 1), itself_Q)
    # Beyond this effort an exact search is as fast.
    max_effort = max(1, count // _HNSW_MOST_EFFORT if kind == "hnsw" else parameters["lists"] // 4)
    effort = min(32 if kind == "hnsw" else 4, max_effort)
    while True:
        description = IndexDescription(
            kind, count, dimension, {**parameters, "effort": effort}, 0.0, config.target_recall, len(asked_QD)
        )
        index = VectorIndex(vectors_ND, description, config, approximate)
        found = _nearest_without_self(index.search(asked_QD, min(_RECALL_AT + 1, count)), itself_Q)
        recall = float(np.mean([len(a & b) / max(1, len(b)) for a, b in zip(found, truth, strict=True)]))
        if recall >= config.target_recall or effort >= max_effort:
            break
        effort = min(2 * effort, max_effort)
    if recall < min(config.least_recall, config.target_recall):
        return _exact(
            vectors_ND,
            config,
            begun,
            f"an approximate index ({kind}) would find {recall:.1%} of the ten nearest at most, less than the least "
            f"allowed {config.least_recall:.1%}, so searches are exact",
        )
    reached = "which reaches" if recall >= config.target_recall else "at most effort, which misses"
    why = (
        f"{count:,} vectors are many to search exactly; {kind} finds {recall:.1%} of the ten nearest, {reached} the "
        f"target of {config.target_recall:.1%}"
    )
    described = IndexDescription(
        kind=kind,
        items=count,
        dimension=dimension,
        parameters={**parameters, "effort": effort},
        recall=recall,
        target_recall=config.target_recall,
        measured_queries=len(asked_QD),
        build_seconds=time.monotonic() - begun,
        index_bytes_per_item=size,
        bytes_per_item=size + 4.0 * dimension,
        why=why,
    )
    return VectorIndex(vectors_ND, described, config, approximate)


def _recall_queries(vectors_ND: Floats, config: IndexConfig) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Queries for measuring the recall, and the row that each is a copy of, -1 for none.

    Every other one is an item. The others lie half-way between two items, as search queries do: their neighbours are
    harder to find.
    """
    generator = np.random.default_rng(config.seed)
    itself_Q = np.sort(generator.choice(len(vectors_ND), min(config.measured_queries, len(vectors_ND)), replace=False))
    asked_QD = vectors_ND[itself_Q].copy()
    between_QD = asked_QD[1::2] + vectors_ND[generator.integers(0, len(vectors_ND), len(asked_QD[1::2]))]
    norm_Q1 = np.linalg.norm(between_QD, axis=1, keepdims=True)
    asked_QD[1::2] = np.where(norm_Q1 > 1e-3, between_QD / np.maximum(norm_Q1, 1e-3), asked_QD[1::2])
    itself_Q[1::2] = -1
    return asked_QD, itself_Q


def _nearest_without_self(found: Neighbours, itself_Q: npt.NDArray[np.int64]) -> list[set[int]]:
    """The ten nearest rows of each query, without the row it is a copy of."""
    return [
        set([int(row) for row in rows_K if row != itself][:_RECALL_AT])
        for rows_K, itself in zip(found.rows_QK, itself_Q, strict=True)
    ]


def _candidate_count(wanted: int) -> int:
    """Candidates for this many results; 8-bit copies order similar vectors slightly wrongly."""
    return wanted + max(10, wanted // 2)


def _sample(vectors_ND: Floats, most: int, seed: int) -> Floats:
    if len(vectors_ND) <= most:
        return vectors_ND
    rows_M = np.random.default_rng(seed).choice(len(vectors_ND), most, replace=False)
    return vectors_ND[np.sort(rows_M)]


def _add(index: Any, vectors_ND: Floats, progress: Progress) -> None:
    for at in range(0, len(vectors_ND), 8192):
        block = vectors_ND[at : at + 8192]
        index.add(block)
        progress.advance(len(block))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _gpus() -> int:
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0


def _fits_gpu(vectors_ND: Floats) -> bool:
    if not _gpus():
        return False
    memory = faiss.get_gpu_memory_info(0)[0] if hasattr(faiss, "get_gpu_memory_info") else 8 * 2**30
    return bool(vectors_ND.nbytes <= _GPU_MEMORY_SHARE * memory)


def _on_gpu(vectors_ND: Floats) -> Any:
    """The vectors in a flat index on the first GPU; None where there is none or they do not fit."""
    if not _fits_gpu(vectors_ND):
        return None
    flat = faiss.IndexFlatIP(vectors_ND.shape[1])
    flat.add(vectors_ND)
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, flat)
