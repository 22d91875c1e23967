"""The same job on Ray: on a cluster of this machine, and on one of two nodes of which one goes away."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmrec.errors import InvalidArgumentError, InvalidDatasetError, MissingExtraError
from mmrec_encoders.embedding.config import EmbedConfig, EmbedSummary
from mmrec_encoders.embedding.job import embed_dataset
from tests.encoders.embedding.conftest import write_catalogue

ray = pytest.importorskip("ray", reason="Ray is not installed")

# Ray's own, in code that nothing here can mend.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STORE = 80 * 2**20


class Nodes:
    """A cluster whose driver is on the first node."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        options = {"num_cpus": 1, "object_store_memory": STORE}
        self.cluster = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
        ray.init(address=self.cluster.address, log_to_driver=False, logging_level="ERROR")
        self.second = self.cluster.add_node(**options)
        self.cluster.wait_for_nodes()

    def workers(self) -> dict[int, str]:
        """What the processes that work for this cluster's nodes are doing, by their ids."""
        nodes = {node.all_processes["raylet"][0].process.pid for node in self.cluster.list_all_nodes()}
        found = {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                    title = (folder / "cmdline").read_bytes().decode(errors="replace")
                except (OSError, ProcessLookupError):
                    continue
                if parent in nodes and title.startswith("ray::"):
                    found[int(folder.name)] = title.strip("\0")
        return found


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    if not Path("/proc/self/stat").exists():
        pytest.skip("finding the processes of a node needs /proc")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("RAY_USAGE_STATS_ENABLED", "0"),
            ("RAY_BACKEND_LOG_LEVEL", "fatal"),
            ("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0"),
            ("OMP_NUM_THREADS", "1"),
        ):
            patch.setenv(name, value)
        running = Nodes()
        try:
            yield running
        finally:
            ray.shutdown()
            running.cluster.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalogue(tmp_path_factory.mktemp("ray") / "catalogue", 30)


@pytest.fixture(scope="module")
def config(encoder_bundle: Path) -> EmbedConfig:
    return EmbedConfig(bundle=encoder_bundle, shard_rows=3, workers=0, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def local(folder: Path, config: EmbedConfig) -> tuple[Path, EmbedSummary]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        out = folder.parent / "local"
        yield out, embed_dataset(folder, out, config)
    finally:
        torch.set_num_threads(threads)


def _assert_same(out: Path, there: Path) -> None:
    shards = sorted(path.name for path in there.glob("part-*"))
    assert sorted(path.name for path in out.glob("part-*")) == shards
    assert (out / "_dead-letter.jsonl").read_bytes() == (there / "_dead-letter.jsonl").read_bytes()
    for name in shards:
        one, other = pq.read_table(out / name), pq.read_table(there / name)
        assert one.schema.equals(other.schema, check_metadata=True)
        for column in ("item_id", "has_picture", "has_words"):
            assert one[column].equals(other[column])
        # Where a shard repeats a picture or text of another, it may have been computed twice.
        vectors = [np.stack(table["embedding"].to_numpy()) for table in (one, other)]
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


# In this order: the last one takes the second node away.


def test_the_output_is_the_local_engines_row_for_row(
    nodes: Nodes, folder: Path, config: EmbedConfig, local: tuple[Path, EmbedSummary]
) -> None:
    there, wanted = local
    out = folder.parent / "ray"
    summary = embed_dataset(folder, out, replace(config, engine="ray"))
    _assert_same(out, there)
    assert (summary.rows, summary.items, summary.shards, summary.failed) == (30, 28, 10, wanted.failed)
    assert (summary.with_picture, summary.with_words) == (wanted.with_picture, wanted.with_words)
    assert summary.finished
    # No shard of the first three rows repeats another's, so its batches are the same, and its bits with them.
    assert (out / "part-00000.parquet").read_bytes() == (there / "part-00000.parquet").read_bytes()


def test_a_second_run_computes_nothing_and_leaves_the_files_alone(
    nodes: Nodes, folder: Path, config: EmbedConfig
) -> None:
    out = folder.parent / "ray"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    summary = embed_dataset(folder, out, replace(config, engine="ray"))
    assert (summary.shards, summary.shards_written) == (10, 0)
    assert (summary.counts.pictures_encoded, summary.counts.texts_encoded) == (0, 0)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")} == before


def test_an_error_of_a_stage_is_raised_as_what_it_is(
    nodes: Nodes, folder: Path, config: EmbedConfig, tmp_path: Path
) -> None:
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "items.tsv").write_text("item_id\ttitle\n", encoding="utf-8")
    with pytest.raises(InvalidDatasetError, match="has no rows"):
        embed_dataset(tmp_path / "catalogue", tmp_path / "out", replace(config, engine="ray"))


def test_workers_and_then_a_node_die_half_way(
    nodes: Nodes, folder: Path, config: EmbedConfig, local: tuple[Path, EmbedSummary]
) -> None:
    out = folder.parent / "killed"
    killed: list[str] = []
    shards = [0]

    def half_way() -> bool:
        shards[0] += 1
        if shards[0] == 3:
            for stage in ("MapWorker(Map(WindowEncoder))", "Map(decode_window)", "IDLE"):
                for pid, title in nodes.workers().items():
                    if stage in title:
                        os.kill(pid, signal.SIGKILL)
                        killed.append(title)
                        break
        if shards[0] == 5:
            nodes.cluster.remove_node(nodes.second, allow_graceful=False)
            killed.append("node")
        return False

    summary = embed_dataset(folder, out, replace(config, engine="ray"), stop=half_way)
    assert summary.finished
    assert [title for title in killed if "WindowEncoder" in title]
    assert len(killed) >= 3
    assert killed[-1] == "node"
    assert len([node for node in ray.nodes() if node["Alive"]]) == 1
    _assert_same(out, local[0])


# --- without a cluster ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", "http://head:6379", "a b:1"])
def test_an_address_that_is_none_is_refused_before_anything_is_done(
    folder: Path, config: EmbedConfig, tmp_path: Path, address: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="must be HOST:PORT"):
        embed_dataset(folder, tmp_path / "out", replace(config, engine="ray", ray_address=address))
    assert not (tmp_path / "out").exists()


def test_without_ray_the_extra_is_named(
    folder: Path, config: EmbedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"mmrec\[ray\]"):
        embed_dataset(folder, tmp_path / "out", replace(config, engine="ray"))
