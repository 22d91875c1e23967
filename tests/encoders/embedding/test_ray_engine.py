"""The same job on Ray: on a cluster of this machine, and on one of two nodes of which one goes away."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

from mmrec.data.fetching import FetchConfig
from mmrec.errors import InvalidArgumentError, InvalidDatasetError, MissingExtraError, UnavailableError
from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.embedding.config import EmbedConfig, EmbedSummary
from mmrec_encoders.embedding.job import embed_dataset
from mmrec_encoders.embedding.ray_stages import MOST_ATTEMPTS, CacheActor, count_attempt
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import save_item_encoder
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig
from tests.data.raw_server import RawServer, reply
from tests.encoders.embedding.conftest import unit_vectors, write_catalogue

ray = pytest.importorskip("ray", reason="Ray is not installed")

# Ray's own, in code that nothing here can mend.
pytestmark = [
    pytest.mark.slow(60),
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

        options = {"num_cpus": 1, "object_store_memory": STORE, "include_log_monitor": False}
        # A node that is gone refuses connections, which is noticed in seconds instead of half a minute. One that lives
        # and is slow has ten seconds for each answer.
        noticed = {
            "health_check_initial_delay_ms": 500,
            "health_check_period_ms": 200,
            "health_check_timeout_ms": 10_000,
            "health_check_failure_threshold": 10,
        }
        head = {**options, "include_dashboard": False, "_system_config": noticed}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
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

    def kill_one(self, stage: str) -> str:
        """Kill one process of a stage, and tell whether it had loaded torch."""
        pid = next(pid for pid, title in self.workers().items() if title.startswith(f"ray::{stage}"))
        loaded = "libtorch" in Path(f"/proc/{pid}/maps").read_text()
        os.kill(pid, signal.SIGKILL)
        return f"{stage} {'with' if loaded else 'without'} torch"


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
            running.cluster.shutdown()


class Gates(NamedTuple):
    """Hold back the pictures of later shards until something has happened."""

    workers_killed: threading.Event
    node_gone: threading.Event


@pytest.fixture(scope="module")
def gates() -> Gates:
    return Gates(threading.Event(), threading.Event())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, gates: Gates) -> Iterator[Path]:
    """Thirty items; from row 12 on pictures are fetched, and their server waits at the gates."""
    root = write_catalogue(tmp_path_factory.mktemp("ray") / "catalogue", 30)
    with RawServer() as server:
        rows = (root / "items.tsv").read_text(encoding="utf-8").splitlines()
        for number in range(12, 30):
            rows[number + 1] = rows[number + 1].removesuffix(f"{number}.png") + server.url(f"/{number}", "127.0.0.1")
            data = reply((root / "images" / f"{number}.png").read_bytes())
            server.paths[f"/{number}"] = _behind(gates[number >= 24], data)
        (root / "items.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        yield root


def _behind(gate: threading.Event, data: bytes) -> Callable[[], Iterator[bytes]]:
    def pieces() -> Iterator[bytes]:
        gate.wait(120)
        yield data

    return pieces


@pytest.fixture(scope="module")
def config(image_model: Path, tmp_path_factory: pytest.TempPathFactory) -> EmbedConfig:
    """Both towers of one small CLIP, which is imported and loaded by every process that encodes."""
    clip = OpenClipConfig(f"local-dir:{image_model}", device="cpu", dtype="float32")
    fusion = train_fusion(
        ItemFeatures(
            unit_vectors(20, 32, seed=1), np.ones(20, np.bool_), unit_vectors(20, 32, seed=2), np.ones(20, np.bool_)
        ),
        np.zeros((0, 2), np.int64),
        FusionConfig(dimension=16, prefixes=(8,), steps=2, batch_size=8),
        device="cpu",
    )
    encoders = tmp_path_factory.mktemp("models") / "encoders"
    save_item_encoder(ItemEncoder(OpenClipImageEncoder(clip), ClipTextEncoder(clip), fusion), encoders)
    fetch = FetchConfig(("127.0.0.1",), tuple(range(1024, 65536)), ("127.0.0.1/32",), timeout_s=200)
    return EmbedConfig(encoders=encoders, shard_rows=3, workers=0, device="cpu", dtype="float32", fetch=fetch)


@pytest.fixture(scope="module")
def local(folder: Path, config: EmbedConfig, gates: Gates) -> tuple[Path, EmbedSummary]:
    import torch

    for gate in gates:
        gate.set()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        out = folder.parent / "local"
        return out, embed_dataset(folder, out, config)
    finally:
        torch.set_num_threads(threads)
        for gate in gates:
            gate.clear()


def _assert_same(out: Path, there: Path) -> None:
    shards = sorted(path.name for path in there.glob("part-*"))
    assert sorted(path.name for path in out.glob("part-*")) == shards
    assert (out / "_dead-letter.jsonl").read_bytes() == (there / "_dead-letter.jsonl").read_bytes()
    for name in shards:
        one, other = pq.read_table(out / name), pq.read_table(there / name)
        assert one.schema.equals(other.schema)
        # The digest is of the vectors too, whose last bits may differ; see below.
        described = [{**(table.schema.metadata or {}), b"mmrec.sha256": b""} for table in (one, other)]
        assert described[0] == described[1]
        for column in ("item_id", "has_picture", "has_words"):
            assert one[column].equals(other[column])
        # Where a shard repeats a picture or text of another, it may have been computed twice.
        vectors = [np.stack(table["embedding"].to_numpy()) for table in (one, other)]
        np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)


# Half a minute; much more where others use the machine, because every process begins with importing its models.
@pytest.mark.timeout(900)
def test_when_workers_and_then_a_node_die_half_way_the_output_is_the_local_engines(
    nodes: Nodes, folder: Path, config: EmbedConfig, local: tuple[Path, EmbedSummary], gates: Gates
) -> None:
    there, wanted = local
    out = folder.parent / "ray"
    # What the local engine has made is known on the cluster: three shards, and all that repeats something of theirs.
    begun = iter((False, False, True))
    assert embed_dataset(folder, out, config, stop=lambda: next(begun)).shards_written == 3
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    killed: list[str] = []
    shards = [0]

    def half_way() -> bool:
        shards[0] += 1
        if shards[0] == 3:
            # Shards 4 to 7 wait at the gate, so there is one in work at either stage or on its way between them.
            killed.append(nodes.kill_one("MapWorker(Map(WindowEncoder))"))
            killed.append(nodes.kill_one("Map(decode_window)"))
            gates.workers_killed.set()
        if shards[0] == 6:
            nodes.cluster.remove_node(nodes.second, allow_graceful=False)
            killed.append("a node")
            gates.node_gone.set()
        return False

    handler = signal.getsignal(signal.SIGTERM)
    by_address = replace(config, engine="ray", ray_address=nodes.cluster.address)
    summary = embed_dataset(folder, out, by_address, stop=half_way)
    assert killed == ["MapWorker(Map(WindowEncoder)) with torch", "Map(decode_window) without torch", "a node"]
    assert nodes.second not in nodes.cluster.list_all_nodes()
    assert summary.finished
    assert (summary.rows, summary.items, summary.shards, summary.failed) == (30, 28, 10, wanted.failed)
    assert (summary.with_picture, summary.with_words) == (wanted.with_picture, wanted.with_words)
    assert wanted.counts == (24, 2, 0, 27, 1, 0)
    assert (summary.shards_written, summary.counts) == (7, (19, 0, 7, 19, 0, 9))
    assert {name: (out / name).stat().st_mtime_ns for name in before} == before
    _assert_same(out, there)
    assert not ray.is_initialized()
    assert signal.getsignal(signal.SIGTERM) is handler


def test_a_window_that_kills_its_process_every_time_ends_the_job(nodes: Nodes, tmp_path: Path) -> None:
    ray.init(address=nodes.cluster.address, log_to_driver=False, logging_level="ERROR")
    try:
        actor = ray.remote(CacheActor).options(num_cpus=0).remote(tmp_path)
        for _ in range(MOST_ATTEMPTS):
            count_attempt(actor, "decoded", 3)
        count_attempt(actor, "encoded", 3)
        count_attempt(actor, "decoded", 4)
        with pytest.raises(UnavailableError, match="shard 3 could not be decoded in 8 attempts, because the process"):
            count_attempt(actor, "decoded", 3)
    finally:
        ray.shutdown()


def test_a_cluster_of_this_machine_alone_raises_a_stages_error_as_what_it_is(
    config: EmbedConfig, tmp_path: Path
) -> None:
    (tmp_path / "catalogue").mkdir()
    (tmp_path / "catalogue" / "items.tsv").write_text("item_id\ttitle\n", encoding="utf-8")
    with pytest.raises(InvalidDatasetError, match="has no rows"):
        embed_dataset(tmp_path / "catalogue", tmp_path / "out", replace(config, engine="ray"))
    assert not ray.is_initialized()


# --- without a cluster ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", "http://head:6379", "a b:1"])
def test_an_address_that_is_none_is_refused_before_anything_is_done(
    folder: Path, config: EmbedConfig, tmp_path: Path, address: str
) -> None:
    with pytest.raises(InvalidArgumentError, match="must be HOST:PORT"):
        embed_dataset(folder, tmp_path / "out", replace(config, engine="ray", ray_address=address))
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_is_not_waited_for(folder: Path, config: EmbedConfig, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with pytest.raises(UnavailableError, match=f"'127.0.0.1:{port}' cannot be reached; start one with `ray start"):
        embed_dataset(folder, tmp_path / "out", replace(config, engine="ray", ray_address=f"127.0.0.1:{port}"))


def test_without_ray_the_extra_is_named(
    folder: Path, config: EmbedConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"mmrec\[ray\]"):
        embed_dataset(folder, tmp_path / "out", replace(config, engine="ray"))
