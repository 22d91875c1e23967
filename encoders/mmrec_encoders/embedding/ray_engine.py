"""Runs the windows of a job on Ray Data: one process reads, any CPU decodes, actors with a model each encode.

What comes back is what `local_engine` gives, row for row, in any order; the driver commits it. The same batches are
formed of the same window, so the vectors are the same to the last bit on like machines, except that a picture or
text that is repeated in another window may be computed twice, where the local engine takes it from the cache, and
then differ in the last bits. A window is one object in Ray's store: with pixels of 224 x 224 about 150 kB a row.

A process or a machine that dies costs what it had in work; Ray does it again elsewhere. Dataset, models and output
folder have to be at the same path on every machine; the cache stays on the driver's, where an actor answers what it
knows. Knows nothing about shards.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from mmrec.data.pictures import PictureStore
from mmrec.errors import (
    DeviceNotAvailableError,
    InternalError,
    InvalidArgumentError,
    MissingExtraError,
    MmrecError,
    UnavailableError,
)
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec_encoders.embedding.cache import CachedVector
from mmrec_encoders.embedding.config import EmbedConfig
from mmrec_encoders.embedding.encoding import EncodedWindow, EncodeSettings, encode_window, join_window
from mmrec_encoders.embedding.local_engine import JobPlan
from mmrec_encoders.embedding.pictures import DecodeSetup, PictureDecoder, PictureTask
from mmrec_encoders.embedding.pool import DecodedChunk
from mmrec_encoders.embedding.ray_stages import (
    Desk,
    Parcel,
    Row,
    WindowSource,
    begin,
    decode_tasks,
    decode_window,
    read_windows,
)
from mmrec_encoders.embedding.source import load_encoder
from mmrec_encoders.embedding.windows import WindowJob
from mmrec_encoders.item_encoder import ItemEncoder

_ADDRESS = re.compile(r"auto|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_PATIENCE_S = 5.0
_DECODE_SHARE, _ENCODE_SHARE = 0.5, 0.4
"""Of a CPU, where models run on CPUs too, so that a machine with one CPU can do both. Stages that ask for the same are
fused by Ray into one, in which a picture would be decoded while the model waits."""


def check_ray(address: str) -> None:
    """Refuse at once what could only fail later.

    Raises:
        MissingExtraError: Ray is not installed.
        InvalidArgumentError: the address is none.
        UnavailableError: nothing answers there.
    """
    _ray()
    if address and not _ADDRESS.fullmatch(address):
        hint = "run the command on a machine of the cluster" if address.startswith("ray://") else "correct it"
        raise InvalidArgumentError(
            f"ray_address is {address!r}; it must be HOST:PORT of a cluster's head, 'auto' on one of its machines, or "
            f"'' for a cluster of this machine alone: {hint}",
            field="ray_address",
        )
    if address not in ("", "auto"):
        _knock(address)


def _knock(address: str) -> None:
    """See whether anything listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE_S).close()
    except (OSError, OverflowError) as err:
        raise _unreachable(address) from err


def _unreachable(address: str) -> UnavailableError:
    where = f"the Ray cluster at {address!r} cannot be reached" if address else "Ray does not start here"
    return UnavailableError(
        f"{where}; start one with `ray start --head` and give its HOST:PORT, or use the engine local"
    )


def encoded_windows(
    plan: JobPlan, config: EmbedConfig, source: WindowSource, *, encoders: Path | None, cache: Path
) -> Iterator[tuple[WindowJob, EncodedWindow]]:
    """Every window, encoded, in any order; of each job only number and rows come back.

    Args:
        plan: The job.
        config: How the encoders are loaded, and where the cluster is.
        source: The windows.
        encoders: Folder of the encoders that were trained for this job; None for none.
        cache: Folder of the cache, on this machine.

    Raises:
        UnavailableError: the cluster cannot be reached, or was lost.
        DeviceNotAvailableError: models are to run on a GPU, and the cluster has none.
        MmrecError: whatever a stage came upon.
    """
    check_ray(config.ray_address)
    ray = _ray()
    with _connected(config.ray_address), _quiet_data():
        desk = _desk(cache, plan.setup)
        try:
            rows = _pipeline(plan, config, source, encoders, desk).iter_rows()
            for row in rows:
                parcel: Parcel = row["parcel"]
                if parcel.error is not None:
                    raise parcel.error
                assert parcel.job is not None  # either there is an error, or both of these
                assert parcel.window is not None
                yield parcel.job, parcel.window
        except ray.exceptions.RayTaskError as err:
            raise InternalError(f"a stage of the job failed on Ray: {err}") from err
        except ray.exceptions.RayError as err:
            raise UnavailableError(
                "the Ray cluster lost too much to go on; see its own logs, then run the same command again: it goes on "
                "where it was"
            ) from err
        finally:
            with contextlib.suppress(Exception):
                ray.kill(desk)


class WindowEncoder:
    """An actor with a model. The model is loaded with the first window, so that a failure can be told.

    Args:
        load: Gives the encoders.
        settings: How windows are encoded.
        setup: How pictures are decoded, for those that the cache lost meanwhile; None where none are wanted.
        desk: The `Desk` actor.
        threads: Threads that torch computes with; the sums of another number can differ in the last bits.
    """

    def __init__(
        self,
        load: Callable[[], ItemEncoder],
        settings: EncodeSettings,
        setup: DecodeSetup | None,
        desk: Any,
        threads: int,
    ) -> None:
        self._load = load
        self._settings = settings
        self._setup = setup
        self._desk = desk
        self._threads = threads
        self._encoder: ItemEncoder | None = None

    def __call__(self, row: Row) -> Row:
        """A row with a decoded window to one with its vectors."""
        parcel: Parcel = row["parcel"]
        if parcel.job is None:
            return row
        try:
            begin(self._desk, "encoded", parcel.job.number)
            if self._encoder is None:
                import torch

                torch.set_num_threads(self._threads)
                self._encoder = self._load()
            found = encode_window(
                parcel.job, parcel.chunks, self._encoder, self._settings, self._lookup, self._decode_again
            )
            window = join_window(parcel.job, found, self._encoder, self._settings)
        except MmrecError as err:
            return {"parcel": Parcel(None, error=err)}
        job = WindowJob(parcel.job.number, parcel.job.rows, (), (), (), (), ())
        return {"parcel": Parcel(job, window=window)}

    def _lookup(self, keys: Sequence[bytes], dim: int) -> dict[bytes, CachedVector]:
        found: dict[bytes, CachedVector] = _ray().get(self._desk.get.remote(list(keys), dim))
        return found

    def _decode_again(self, tasks: Sequence[PictureTask]) -> DecodedChunk:
        assert self._setup is not None  # there are no pictures without it
        setup = replace(self._setup, cache=None, fetched=None)
        return decode_tasks(PictureDecoder(setup), setup, tasks)


def _pipeline(plan: JobPlan, config: EmbedConfig, source: WindowSource, encoders: Path | None, desk: Any) -> Any:
    """The lazy Ray dataset of encoded windows."""
    import torch

    ray = _ray()
    device = resolve_device(config.device)
    on_gpu = device.type != "cpu"
    resources = ray.cluster_resources()
    if on_gpu and resources.get("GPU", 0) < 1:
        raise DeviceNotAvailableError(
            f"device is {config.device!r}, but the Ray cluster has no GPU; add machines that have one, or pass "
            "--device cpu"
        )
    # What was chosen here holds everywhere: all vectors of a job are computed alike.
    dtype = str(resolve_dtype(config.dtype, device)).removeprefix("torch.")
    there = replace(_absolute(config), device=device.type, dtype=dtype)
    if config.trains:
        there = replace(there, image_model=None, text_model=None)
    setup = plan.setup and replace(plan.setup, pictures=PictureStore(plan.setup.pictures.root.absolute()))
    machines = sum(1 for node in ray.nodes() if node["Alive"])
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=int(resources["GPU"]) if on_gpu else max(machines, 1))
    rows = ray.data.from_items([{"start": 0}], override_num_blocks=1)
    rows = rows.flat_map(read_windows, fn_kwargs={"source": source}, num_cpus=0)
    if setup is not None:
        rows = rows.map(
            decode_window,
            fn_kwargs={
                "setup": setup,
                "batch_pictures": plan.settings.batch_pictures,
                "desk": desk,
            },
            num_cpus=1 if on_gpu else _DECODE_SHARE,
        )
    return rows.map(
        WindowEncoder,
        fn_constructor_kwargs={
            "load": partial(load_encoder, there, encoders),
            "settings": plan.settings,
            "setup": setup,
            "desk": desk,
            "threads": torch.get_num_threads(),
        },
        compute=pool,
        num_gpus=1 if on_gpu else None,
        num_cpus=None if on_gpu else _ENCODE_SHARE,
    )


def _absolute(config: EmbedConfig) -> EmbedConfig:
    """With paths that do not depend on where a process runs."""
    return replace(
        config,
        bundle=config.bundle and config.bundle.absolute(),
        encoders=config.encoders and config.encoders.absolute(),
        image_model=_absolute_model(config.image_model),
        text_model=_absolute_model(config.text_model),
    )


def _absolute_model(name: str | None) -> str | None:
    return str(Path(name).absolute()) if name and Path(name).exists() else name


def _desk(cache: Path, setup: DecodeSetup | None) -> Any:
    """The desk, on this machine, because the cache is a file here."""
    ray = _ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(Desk).options(num_cpus=0, scheduling_strategy=here, max_restarts=-1, max_task_retries=-1)
    fetched = setup.fetched if setup is not None else None
    return actor.remote(cache.absolute(), fetched and fetched.absolute())


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    """A connection to the cluster, or the one that this process has."""
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    with _own_signals():
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else {"include_dashboard": False}),
            )
        except Exception as err:
            # Ray says a dozen things of several classes here, some with paths and none with a mend.
            raise _unreachable(address) from err
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself; whoever runs the job finishes a shard on it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _quiet_data() -> Iterator[None]:
    """Datasets made inside show no bars, and pass on every window by itself."""
    context = _ray().data.DataContext.get_current()
    wanted: dict[str, Any] = {"enable_progress_bars": False, "print_on_execution_start": False}
    wanted["target_max_block_size"] = 1
    before = {name: getattr(context, name, None) for name in wanted}
    logger = logging.getLogger("ray.data")
    level = logger.level
    try:
        for name in wanted:
            setattr(context, name, wanted[name])
        logger.setLevel(logging.ERROR)
        yield
    finally:
        for name in before:
            setattr(context, name, before[name])
        logger.setLevel(level)


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as err:
        raise MissingExtraError(
            "the engine ray needs Ray, which is not installed; run pip install 'mmrec[ray]', or use the engine local"
        ) from err
    return ray
