"""Vector indexes of every kind: what they find, what is measured of them, and what a filter costs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue.segments import Segmented
from mmrec.errors import InvalidArgumentError
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from tests.understanding.vectors import brute_force, clusters, unit_rows

COUNT, DIMENSION = 2_000, 32
CONFIGS = {
    "exact": IndexConfig(exact_up_to=10_000, gpu="never"),
    "hnsw": IndexConfig(exact_up_to=100, hnsw_up_to=10_000, gpu="never"),
    "ivf": IndexConfig(exact_up_to=100, hnsw_up_to=100, gpu="never"),
}


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clusters(np.random.default_rng(0), COUNT, DIMENSION)


@pytest.fixture(scope="module", params=list(CONFIGS))
def index(request: pytest.FixtureRequest, vectors: np.ndarray) -> VectorIndex:
    built = build_vector_index(vectors, CONFIGS[request.param])
    assert built.description.kind == request.param
    return built


def assert_lawful(
    index: VectorIndex, queries: np.ndarray, k: int, eligible: np.ndarray | None, least_recall: float
) -> None:
    """Exactly min(k, eligible) rows, all of them eligible and different, best first, with their true scores."""
    found = index.search(queries, k, eligible)
    expected = brute_force(index.vectors_ND, queries, k, eligible)
    assert found.rows_QK.shape == expected.rows_QK.shape
    assert found.rows_QK.dtype == np.int64
    assert found.scores_QK.dtype == np.float32
    for rows, scores, query, truth in zip(found.rows_QK, found.scores_QK, queries, expected.rows_QK, strict=True):
        assert len(set(rows.tolist())) == len(rows)
        assert eligible is None or eligible[rows].all()
        assert (np.diff(scores) <= 0).all()
        np.testing.assert_allclose(scores, index.vectors_ND[rows] @ query, atol=1e-5)
        if least_recall == 1.0:
            assert rows.tolist() == truth.tolist()
    shared = [len(set(a) & set(b)) for a, b in zip(found.rows_QK.tolist(), expected.rows_QK.tolist(), strict=True)]
    if expected.rows_QK.shape[1]:
        assert np.mean(shared) / expected.rows_QK.shape[1] >= least_recall


def near(vectors: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """Queries that are not items, but like some."""
    rows = vectors[rng.integers(0, len(vectors), count)] + 0.5 * unit_rows(rng, count, vectors.shape[1])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize("share", [None, 1.0, 0.5, 0.06, 0.01, 0.0005, 0.0])
@pytest.mark.parametrize("k", [1, 10, 150, 5_000])
def test_as_many_as_there_are_and_the_nearest_of_them(index: VectorIndex, k: int, share: float | None) -> None:
    rng = np.random.default_rng(7)
    eligible = None if share is None else rng.random(COUNT) < share
    exact = index.description.kind == "exact"
    assert_lawful(index, near(index.vectors_ND, rng, 30), k, eligible, 1.0 if exact else 0.9)
    # Queries that are like nothing in the catalogue.
    assert_lawful(index, unit_rows(rng, 5, DIMENSION), k, eligible, 1.0 if exact else 0.5)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 40), share=st.floats(0, 1), copies=st.booleans())
def test_small_indexes_of_every_kind(seed: int, k: int, share: float, copies: bool) -> None:
    rng = np.random.default_rng(seed)
    vectors = unit_rows(rng, int(rng.integers(1, 50)), 5)
    if copies:
        vectors = vectors[np.zeros(len(vectors), np.int64)]
    eligible = rng.random(len(vectors)) < share
    for name, config in CONFIGS.items():
        small = dataclasses.replace(config, exact_up_to=100 if name == "exact" else 0, least_recall=0.0)
        if name == "hnsw":
            small = dataclasses.replace(small, hnsw_up_to=100)
        built = build_vector_index(vectors, dataclasses.replace(small, hnsw_up_to=100 if name == "hnsw" else 0))
        assert_lawful(built, unit_rows(rng, 2, 5), k, eligible, 0.0)


def test_a_query_does_not_depend_on_its_company(index: VectorIndex) -> None:
    queries = clusters(np.random.default_rng(3), 25, DIMENSION)
    together = index.search(queries, 10)
    for place in range(len(queries)):
        alone = index.search(queries[place : place + 1], 10)
        assert alone.rows_QK[0].tolist() == together.rows_QK[place].tolist()
        assert alone.scores_QK[0].tolist() == together.scores_QK[place].tolist()


def test_no_queries(index: VectorIndex) -> None:
    found = index.search(np.zeros((0, DIMENSION), np.float32), 3)
    assert found.rows_QK.shape == found.scores_QK.shape == (0, 3)


def test_the_recall_that_is_told_is_what_was_found(index: VectorIndex, vectors: np.ndarray) -> None:
    told = index.description
    assert (told.items, told.dimension) == (COUNT, DIMENSION)
    assert told.why
    assert told.build_seconds >= 0
    if told.kind == "exact":
        assert (told.recall, told.measured_queries, dict(told.parameters)) == (1.0, 0, {})
        assert told.bytes_per_item == 4 * DIMENSION
        return
    assert told.measured_queries == 200
    assert told.recall >= told.target_recall == 0.98
    # 8 bits a dimension, and links or a row number.
    assert DIMENSION < told.index_bytes_per_item < 15 * DIMENSION
    assert told.bytes_per_item == told.index_bytes_per_item + 4 * DIMENSION
    queries = vectors[np.random.default_rng(9).choice(COUNT, 200, replace=False)]
    found, truth = index.search(queries, 10).rows_QK, brute_force(vectors, queries, 10).rows_QK
    measured = np.mean([len(set(one) & set(two)) / 10 for one, two in zip(found.tolist(), truth.tolist(), strict=True)])
    assert measured == pytest.approx(told.recall, abs=0.03)


def test_equal_seeds_make_equal_indexes(index: VectorIndex, vectors: np.ndarray) -> None:
    again = build_vector_index(vectors, CONFIGS[index.description.kind])
    queries = unit_rows(np.random.default_rng(5), 30, DIMENSION)
    assert again.search(queries, 10).rows_QK.tolist() == index.search(queries, 10).rows_QK.tolist()
    assert again.description.parameters == index.description.parameters


def test_more_effort_where_the_target_is_higher() -> None:
    vectors = unit_rows(np.random.default_rng(2), 3_000, 24)
    efforts = []
    for target in (0.3, 0.95):
        config = IndexConfig(exact_up_to=10, hnsw_up_to=10, target_recall=target, least_recall=0.0, gpu="never")
        description = build_vector_index(vectors, config).description
        efforts.append(description.parameters["effort"])
        assert description.recall >= 0.3
    assert efforts[0] < efforts[1]


def test_where_no_effort_is_enough_searches_stay_exact() -> None:
    # Without any structure every list is as good as another.
    vectors = unit_rows(np.random.default_rng(2), 2_000, 64)
    config = IndexConfig(exact_up_to=10, hnsw_up_to=10, target_recall=1.0, least_recall=0.99, gpu="never")
    index = build_vector_index(vectors, config)
    assert index.description.kind == "exact"
    assert "less than the least allowed 99.0%" in index.description.why
    assert_lawful(index, vectors[:5], 10, None, 1.0)


def test_kinds_by_size() -> None:
    config = IndexConfig()
    kinds = [config.kind_for(count) for count in (1, 100_000, 100_001, 200_000, 200_001, 10**7)]
    assert kinds == ["exact", "exact", "hnsw", "hnsw", "ivf", "ivf"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"exact_up_to": -1}, "exact_up_to"),
        ({"measured_queries": 0}, "measured_queries"),
        ({"target_recall": 0.0}, "target_recall is 0.0"),
        ({"least_recall": 1.5}, "least_recall is 1.5"),
        ({"gpu": "yes"}, "gpu is 'yes'"),
    ],
)
def test_a_bad_configuration_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says):
        IndexConfig(**change)  # type: ignore[arg-type]


def test_bad_searches_are_refused(index: VectorIndex, vectors: np.ndarray) -> None:
    for k in (0, -1, 1.5, True, "3"):
        with pytest.raises(InvalidArgumentError, match="k is"):
            index.search(vectors[:1], k)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="queries has shape"):
        index.search(vectors[0], 1)
    with pytest.raises(InvalidArgumentError, match="queries has 31 dimensions"):
        index.search(unit_rows(np.random.default_rng(0), 1, 31), 1)
    with pytest.raises(InvalidArgumentError, match=r"queries\[0\] has norm"):
        index.search(2 * vectors[:1], 1)
    for eligible in (np.ones(3, np.bool_), np.ones(COUNT, np.int64)):
        with pytest.raises(InvalidArgumentError, match="eligible has shape"):
            index.search(vectors[:1], 1, eligible)


def test_bad_vectors_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="there are 0 vectors"):
        build_vector_index(np.zeros((0, 4), np.float32))
    with pytest.raises(InvalidArgumentError, match=r"vectors\[1\] has norm 2"):
        build_vector_index(np.array([[1.0, 0.0], [0.0, 2.0]]))


@pytest.mark.gpu
def test_on_a_gpu_as_without(vectors: np.ndarray, tmp_path: Path) -> None:
    if not hasattr(faiss, "StandardGpuResources") or not faiss.get_num_gpus():
        pytest.skip("this faiss sees no GPU")
    config = IndexConfig(exact_up_to=100)
    index = build_vector_index(vectors, config)
    assert index.description.kind == "exact"
    rng = np.random.default_rng(1)
    for k, eligible in ((1, None), (10, None), (10, rng.random(COUNT) < 0.5), (COUNT, None)):
        assert_lawful(index, clusters(rng, 20, DIMENSION), k, eligible, 1.0)
    index.save(tmp_path)
    assert_lawful(VectorIndex.load(tmp_path, vectors, config=config), vectors[:9], 10, None, 1.0)


@pytest.mark.parametrize("share", [None, 0.6])
def test_changed_vectors_are_found_without_building_again(
    index: VectorIndex, vectors: np.ndarray, share: float | None
) -> None:
    rng = np.random.default_rng(3)
    now, changed = index, vectors
    for _ in range(2):
        before = changed
        rows = rng.choice(len(changed), 30, replace=False)
        changed = np.concatenate([changed, unit_rows(rng, 20, DIMENSION)])
        changed[rows] = unit_rows(rng, 30, DIMENSION)
        now = now.with_vectors(Segmented(changed), np.concatenate([rows, np.arange(len(before), len(changed))]))
    assert (len(now), now.description.items, len(index)) == (COUNT + 40, COUNT + 40, COUNT)
    eligible = None if share is None else rng.random(len(now)) < share
    assert_lawful(now, near(changed, rng, 40), 10, eligible, least_recall=0.9)
    # A changed row is among its own nearest, exactly.
    own = rows if eligible is None else rows[eligible[rows]]
    assert now.search(changed[own], 1, eligible).rows_QK[:, 0].tolist() == own.tolist()
    assert_lawful(index, near(vectors, rng, 10), 10, None, least_recall=0.9)
