"""Vector indexes on disk: the same after reading, and damaged or foreign files refused before faiss parses them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from mmrec.errors import BundleError, InvalidArgumentError, NotFoundError
from mmrec.understanding.vector_index import IndexConfig, VectorIndex, build_vector_index
from tests.understanding.vectors import clusters

CONFIGS = {
    "exact": IndexConfig(gpu="never"),
    "hnsw": IndexConfig(exact_up_to=10, hnsw_up_to=5_000, gpu="never"),
    "ivf": IndexConfig(exact_up_to=10, hnsw_up_to=10, gpu="never"),
}
VECTORS = clusters(np.random.default_rng(0), 800, 16)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_the_same_after_reading(kind: str, tmp_path: Path) -> None:
    index = build_vector_index(VECTORS, CONFIGS[kind])
    written = index.save(tmp_path / "new", "things")
    assert [path.name for path in written] == ["things.json"] + (["things.faiss"] if kind != "exact" else [])
    again = VectorIndex.load(tmp_path / "new", VECTORS, "things", CONFIGS[kind])
    assert again.description == index.description
    eligible = np.random.default_rng(1).random(800) < 0.5
    for one, two in zip(index.search(VECTORS[:40], 7, eligible), again.search(VECTORS[:40], 7, eligible), strict=True):
        assert one.tolist() == two.tolist()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    build_vector_index(VECTORS, CONFIGS["ivf"]).save(tmp_path)
    return tmp_path


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "index.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def vouch(folder: Path) -> None:
    """Make the description vouch for whatever the faiss file is now: what somebody who forges both can do."""
    data = (folder / "index.faiss").read_bytes()
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    edit(folder, lambda document: document.update(file=entry))


def test_a_missing_description(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no index description"):
        VectorIndex.load(tmp_path, VECTORS)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"format": 1}', '{"format": 2}', "[" * 100_000],
    ids=["empty", "cut", "list", "number", "bare", "other format", "deep"],
)
def test_a_description_that_is_none(saved: Path, text: str) -> None:
    (saved / "index.json").write_text(text)
    with pytest.raises(BundleError, match=r"index\.json"):
        VectorIndex.load(saved, VECTORS)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(kind="flat"),
        lambda d: d.update(kind=["ivf"]),
        lambda d: d.update(items=-1),
        lambda d: d.update(items=2**60),
        lambda d: d.update(items=True),
        lambda d: d.update(recall="high"),
        lambda d: d.update(recall=float("nan")),
        lambda d: d.update(parameters=[]),
        lambda d: d.update(parameters={"effort": 1}),
        lambda d: d["parameters"].update(effort=0),
        lambda d: d["parameters"].update(effort=1.5),
        lambda d: d.pop("why"),
    ],
)
def test_a_description_with_a_strange_field(saved: Path, change: Callable[[dict[str, Any]], object]) -> None:
    edit(saved, change)
    with pytest.raises(BundleError, match="lacks a field of an index description, or has a strange one"):
        VectorIndex.load(saved, VECTORS)


def test_other_vectors(saved: Path) -> None:
    for vectors in (VECTORS[:-1], VECTORS[:, :8] / np.linalg.norm(VECTORS[:, :8], axis=1, keepdims=True)):
        with pytest.raises(BundleError, match="the parts come from different bundles"):
            VectorIndex.load(saved, vectors)
    with pytest.raises(InvalidArgumentError, match="vectors has shape"):
        VectorIndex.load(saved, VECTORS[0])


@pytest.mark.parametrize("vouched", [None, {}, 7, {"bytes": "1", "sha256": 2}])
def test_a_file_that_nothing_vouches_for(saved: Path, vouched: object) -> None:
    edit(saved, lambda document: document.update(file=vouched))
    with pytest.raises(BundleError, match="size or hash differ"):
        VectorIndex.load(saved, VECTORS)


def test_a_file_that_is_missing_or_changed(saved: Path) -> None:
    path = saved / "index.faiss"
    data = path.read_bytes()
    for damaged in (data[:-1], data + b"x", data[:50] + b"?" + data[51:], b""):
        path.write_bytes(damaged)
        with pytest.raises(BundleError, match="size or hash differ"):
            VectorIndex.load(saved, VECTORS)
    path.unlink()
    with pytest.raises(BundleError, match="cannot be read"):
        VectorIndex.load(saved, VECTORS)


def test_another_index_than_the_one_described(saved: Path) -> None:
    flat = faiss.IndexFlatIP(16)
    flat.add(VECTORS)
    lists = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatL2(16), 16, 4, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_L2)
    lists.cp.min_points_per_centroid = 1
    lists.train(VECTORS)
    lists.add(VECTORS)
    for other in (flat, lists):
        faiss.write_index(other, str(saved / "index.faiss"))
        vouch(saved)
        with pytest.raises(BundleError, match="holds another index than its description says"):
            VectorIndex.load(saved, VECTORS)


def test_bytes_that_ask_for_a_terabyte_are_not_obeyed(saved: Path) -> None:
    path = saved / "index.faiss"
    data = path.read_bytes()
    found = 0
    # Every eight bytes that could be a length of something become 2**38.
    for at in range(4, min(len(data) - 8, 260), 2):
        path.write_bytes(data[:at] + (2**38).to_bytes(8, "little") + data[at + 8 :])
        vouch(saved)
        try:
            VectorIndex.load(saved, VECTORS)
        except BundleError:
            found += 1
    assert found > 20
