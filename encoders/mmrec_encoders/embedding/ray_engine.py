"""Runs the windows of a job on Ray Data: one process reads, all CPUs decode, and actors with a model encode.

The windows are those of `local_engine`, in any order; the driver commits them. A window is encoded in the same batches,
so vectors are bit-identical on machines of the same kind, with one exception: a picture or text that is repeated in
another window may be encoded twice, with different last bits, where the local engine would take it from the cache. A
window is one object in Ray's object store, about 150 kB per row with pixels of 224 x 224.

Ray repeats the work of a process or machine that dies. Dataset, models and output folder must have the same path on
every machine; the cache is on the driver's machine, where an actor looks keys up. Knows nothing about shards.
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
    CacheActor,
    RayWindow,
    Row,
    WindowSource,
    count_attempt,
    decode_tasks,
    decode_window,
    read_windows,
)
from mmrec_encoders.embedding.source import load_encoder
from mmrec_encoders.embedding.windows import WindowJob
from mmrec_encoders.item_encoder import ItemEncoder

_ADDRESS = re.compile(r"auto|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_CONNECT_TIMEOUT_S = 5.0
_DECODE_SHARE, _ENCODE_SHARE = 0.5, 0.4
"""Shares of a CPU per task if models run on CPUs, so that a machine with one CPU can run both stages. They differ
because Ray fuses stages with equal resources into one, in which the model would wait for decoding."""


def check_ray(address: str) -> None:
    """Check Ray and its address before any work.

    Raises:
        MissingExtraError: Ray is not installed.
        InvalidArgumentError: the address is not valid.
        UnavailableError: there is no connection to the address.
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
        _check_connection(address)


def _check_connection(address: str) -> None:
    """Connect once, because Ray itself would retry for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S).close()
    except (OSError, OverflowError) as err:
        raise _unreachable(address) from err


def _unreachable(address: str) -> UnavailableError:
    where = f"the Ray cluster at {address!r} cannot be reached" if address else "Ray does not start on this machine"
    return UnavailableError(
        f"{where}; start one with `ray start --head` and pass its HOST:PORT, or use the engine local"
    )


def encoded_windows(
    plan: JobPlan, config: EmbedConfig, source: WindowSource, *, encoders: Path | None, cache: Path
) -> Iterator[tuple[WindowJob, EncodedWindow]]:
    """Encode every window, in any order; of each `WindowJob` only number and rows are returned.

    Args:
        plan: The job.
        config: How the encoders are loaded, and the address of the cluster.
        source: The windows.
        encoders: Folder of the encoders that were trained for this job; None for none.
        cache: Folder of the cache, on this machine.

    Raises:
        UnavailableError: the cluster cannot be reached, or was lost.
        DeviceNotAvailableError: models shall run on a GPU, and the cluster has none.
        MmrecError: the error of a stage.
    """
    check_ray(config.ray_address)
    ray = _ray()
    with _connected(config.ray_address), _quiet_data():
        cache_actor = _start_cache_actor(cache, plan.setup)
        try:
            rows = _pipeline(plan, config, source, encoders, cache_actor).iter_rows()
            for row in rows:
                window: RayWindow = row["window"]
                if window.error is not None:
                    raise window.error
                assert window.job is not None  # set unless there is an error, as is `encoded`
                assert window.encoded is not None
                yield window.job, window.encoded
        except ray.exceptions.RayTaskError as err:
            raise InternalError(f"a stage of the job failed on Ray: {err}") from err
        except ray.exceptions.RayError as err:
            raise UnavailableError(
                "the Ray cluster failed; see its logs, then run the same command again: it resumes where it stopped"
            ) from err
        finally:
            with contextlib.suppress(Exception):
                ray.kill(cache_actor)


class WindowEncoder:
    """An actor with a model. The model is loaded with the first window, so that an error can be returned.

    Args:
        load: Loads the encoders.
        settings: How windows are encoded.
        setup: How pictures are decoded again if their vectors are lost from the cache; None for jobs without pictures.
        cache_actor: The `CacheActor`.
        threads: Threads of torch; results with another number can differ in the last bits.
    """

    def __init__(
        self,
        load: Callable[[], ItemEncoder],
        settings: EncodeSettings,
        setup: DecodeSetup | None,
        cache_actor: Any,
        threads: int,
    ) -> None:
        self._load = load
        self._settings = settings
        self._setup = setup
        self._cache_actor = cache_actor
        self._threads = threads
        self._encoder: ItemEncoder | None = None

    def __call__(self, row: Row) -> Row:
        """Encode a window."""
        window: RayWindow = row["window"]
        if window.job is None:
            return row
        try:
            count_attempt(self._cache_actor, "encoded", window.job.number)
            if self._encoder is None:
                import torch

                torch.set_num_threads(self._threads)
                self._encoder = self._load()
            found = encode_window(
                window.job, window.chunks, self._encoder, self._settings, self._lookup, self._decode_again
            )
            encoded = join_window(window.job, found, self._encoder, self._settings)
        except MmrecError as err:
            return {"window": RayWindow(None, error=err)}
        job = WindowJob(window.job.number, window.job.rows, (), (), (), (), ())
        return {"window": RayWindow(job, encoded=encoded)}

    def _lookup(self, keys: Sequence[bytes], dim: int) -> dict[bytes, CachedVector]:
        found: dict[bytes, CachedVector] = _ray().get(self._cache_actor.get.remote(list(keys), dim))
        return found

    def _decode_again(self, tasks: Sequence[PictureTask]) -> DecodedChunk:
        assert self._setup is not None  # given for jobs with pictures
        setup = replace(self._setup, cache=None, fetched=None)
        return decode_tasks(PictureDecoder(setup), setup, tasks)


def _pipeline(plan: JobPlan, config: EmbedConfig, source: WindowSource, encoders: Path | None, cache_actor: Any) -> Any:
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
    # Device and number format are resolved on the driver, so that they are the same on all machines.
    dtype = str(resolve_dtype(config.dtype, device)).removeprefix("torch.")
    remote = replace(_with_absolute_paths(config), device=device.type, dtype=dtype)
    if config.trains:
        remote = replace(remote, image_model=None, text_model=None)
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
                "cache_actor": cache_actor,
            },
            num_cpus=1 if on_gpu else _DECODE_SHARE,
        )
    return rows.map(
        WindowEncoder,
        fn_constructor_kwargs={
            "load": partial(load_encoder, remote, encoders),
            "settings": plan.settings,
            "setup": setup,
            "cache_actor": cache_actor,
            "threads": torch.get_num_threads(),
        },
        compute=pool,
        num_gpus=1 if on_gpu else None,
        num_cpus=None if on_gpu else _ENCODE_SHARE,
    )


def _with_absolute_paths(config: EmbedConfig) -> EmbedConfig:
    return replace(
        config,
        bundle=config.bundle and config.bundle.absolute(),
        encoders=config.encoders and config.encoders.absolute(),
        image_model=_absolute_model(config.image_model),
        text_model=_absolute_model(config.text_model),
    )


def _absolute_model(name: str | None) -> str | None:
    return str(Path(name).absolute()) if name and Path(name).exists() else name


def _start_cache_actor(cache: Path, setup: DecodeSetup | None) -> Any:
    """Start the `CacheActor` on this machine, which has the cache file."""
    ray = _ray()
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(CacheActor).options(num_cpus=0, scheduling_strategy=here, max_restarts=-1, max_task_retries=-1)
    fetched = setup.fetched if setup is not None else None
    return actor.remote(cache.absolute(), fetched and fetched.absolute())


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    """A connection to the cluster; an existing connection of this process is used."""
    ray = _ray()
    if ray.is_initialized():
        yield
        return
    with _keep_signal_handlers():
        try:
            ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else {"include_dashboard": False}),
            )
        except Exception as err:
            # Ray raises errors of many classes here, without a remedy in their messages.
            raise _unreachable(address) from err
    try:
        yield
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _keep_signal_handlers() -> Iterator[None]:
    """Restore the handlers of SIGTERM and SIGINT that Ray replaces: the job finishes a shard on SIGTERM."""
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
    """Datasets created inside show no progress bars, and pass on each window at once."""
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
