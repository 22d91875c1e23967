"""The gRPC server around one engine: listening, loading, health, and stopping in order.

It runs on grpc.aio: a waiting call is a coroutine, not a thread, so hundreds can wait for the engine's thread. The port
is bound and health says NOT_SERVING while the engine loads; it says SERVING when the engine has answered its first
request, and NOT_SERVING again when a thread that the server needs has ended by itself (see
`mmrec_serving.worker_threads`). Knows nothing about models: an engine is any object with the methods of
`mmrec.contract.engine.Engine`.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.contract.engine import Engine, Questions
from mmrec.contract.replies import Recommendations, RefusedBundle
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import FailedPreconditionError, MissingExtraError, MmrecError, NotFoundError
from mmrec.sdk.rpcs import (
    CONVERSE,
    DELETE_ITEMS,
    DELETE_USER,
    ENGINE_CALLS,
    FIND_DUPLICATES,
    FIND_MISMATCHES,
    GET_SERVICE_INFO,
    LIST_EVENTS,
    QUESTIONS,
    RECOMMEND,
    RECORD_EVENTS,
    UPSERT_ITEMS,
)
from mmrec_encoders.decode_sandbox import DecodeSandbox
from mmrec_serving.config import ServerConfig
from mmrec_serving.event_log import open_events, read_events
from mmrec_serving.job_observer import OnStage, no_stage
from mmrec_serving.listening import Listener, run_until_stopped
from mmrec_serving.pictures import PicturesAhead
from mmrec_serving.priority import Pace, give_way
from mmrec_serving.scheduler import Scheduler, SchedulerLimits, Work
from mmrec_serving.services import service_handlers
from mmrec_serving.store_place import StorePlace
from mmrec_serving.telemetry.calls import CallWatch
from mmrec_serving.updates.engine import LiveEngine, no_events, warm_up
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from mmrec_serving.updates.maintenance import BackgroundMaintenance
from mmrec_serving.updates.recorded_events import EventEngine, RecordedEvents
from mmrec_serving.wording import WordingWorker
from mmrec_serving.work_parts import result_again, twin_of, weight_of
from mmrec_serving.worker_threads import Restart

if TYPE_CHECKING:
    from mmrec_serving.telemetry.metrics import MetricsEndpoint, ServerMetrics
    from mmrec_serving.telemetry.tracing import Collector

CHANGES = (UPSERT_ITEMS.kind, DELETE_ITEMS.kind)
"""Kinds of work that change the catalogue."""

EVENTS = (RECORD_EVENTS.kind, LIST_EVENTS.kind, DELETE_USER.kind)
"""Kinds of work that the store of events does."""

_STANDING_S = 0.2
"""Of questions: calls that have waited at the end of every batch for so long are more than can be answered."""
_LARGE_CHANGE = 32
"""A change of more weight takes so long to encode that smaller ones must not wait for it."""

LANGUAGE = (CONVERSE.kind,)
"""Kinds of work with sentences, which have a thread and a queue of their own: they must not hold up the others."""
CATALOGUE = (FIND_DUPLICATES.kind, FIND_MISMATCHES.kind)
"""Kinds of work over the whole catalogue, which take seconds to minutes: they have a thread and a queue apart."""
LANGUAGE_WAIT_S = 30.0
"""Seconds that a conversation waits for the recommendations that it asks for."""


def _prepared(
    engine_factory: Callable[[], Engine], store: StorePlace | None, loaded: Future[Engine]
) -> Mapping[str, Work]:
    """Load the engine and let it answer once."""
    try:
        engine = engine_factory()
        engine.info()
        warm_up(engine)
        if store is not None:
            # Before the first question: what is known of deleted customers is not used while events are replayed.
            with suppress(NotFoundError), read_events(store) as reader:
                cast(EventEngine, engine).forget_users(reader.forgotten())
    except BaseException as err:
        loaded.set_exception(err)
        raise
    loaded.set_result(engine)
    return _works(ENGINE_CALLS, engine)


def _works(calls: Mapping[str, Callable[[Any, list[Any]], list[Any]]], engine: Questions) -> dict[str, Work]:
    return {kind: functools.partial(call, engine) for kind, call in calls.items()}


class _Workers:
    """Routes requests: changes, events, conversations and questions about the whole catalogue to threads of their own,
    all others to the engine's thread.

    Args:
        questions: For all other kinds.
        language: For `LANGUAGE`.
        catalogue: For `CATALOGUE`.
        changes: For `CHANGES`; None for none.
        large_changes: For those that take long, so that others need not wait for them; None where `changes` is.
        events: For `EVENTS`; None for none.
        words: Words replies.
        pictures: Decodes large pictures ahead.
        refuse: Whether changes and events are refused without their own; otherwise `questions` gets them.
    """

    def __init__(
        self,
        questions: Scheduler,
        language: Scheduler,
        catalogue: Scheduler,
        changes: Scheduler | None,
        large_changes: Scheduler | None,
        events: Scheduler | None,
        words: WordingWorker,
        pictures: PicturesAhead,
        refuse: bool,
    ) -> None:
        self._questions, self._large_changes = questions, large_changes
        self._apart = {**dict.fromkeys(LANGUAGE, language), **dict.fromkeys(CATALOGUE, catalogue)}
        self._stored = {
            **dict.fromkeys(CHANGES, (changes, "changes of the catalogue")),
            **dict.fromkeys(EVENTS, (events, "events")),
        }
        self._refuse = refuse
        self.parts, self.pictures = words.parts, pictures.ready

    def check(self, kind: str, deadline: float | None) -> None:
        """See `Scheduler.check`; `kind` is one of questions."""
        self._questions.check(kind, deadline)

    def submit(
        self, kind: str, requests: Sequence[Any], deadline: float | None = None, on_stage: OnStage = no_stage
    ) -> Future[list[Any]]:
        """See `Scheduler.submit`.

        Raises:
            FailedPreconditionError: it is a change or an event, and there is no store for it.
        """
        if kind in self._apart:
            return self._apart[kind].submit(kind, requests, deadline, on_stage)
        scheduler, what = self._stored.get(kind, (self._questions, ""))
        if scheduler is None and self._refuse:
            raise FailedPreconditionError(
                f"this server keeps no {what}; start it with a folder for them: mmrec serve BUNDLE --store FOLDER"
            )
        large = self._large_changes
        if large is not None and kind == UPSERT_ITEMS.kind and sum(map(weight_of, requests)) > _LARGE_CHANGE:
            scheduler = large
        return (scheduler or self._questions).submit(kind, requests, deadline, on_stage)


class Server:
    """One server. Use it inside one event loop: `start`, `ready`, then `stop`.

    Args:
        engine_factory: Makes the engine; called in the engine's own thread, where all its calls are made.
        config: How to listen, how much work to accept, how to stop.
        watches: Are told of calls and their stages, besides what `config` asks for.
    """

    def __init__(
        self,
        engine_factory: Callable[[], Engine],
        config: ServerConfig | None = None,
        *,
        watches: Sequence[CallWatch] = (),
    ) -> None:
        self.config = config or ServerConfig()
        self.address = ""
        """``host:port`` after `start`, with the actual port."""
        self.metrics_address = ""
        """``host:port`` of the metrics after `start`; empty without any."""
        loaded: Future[Engine] = Future()
        self._loaded = loaded
        self._maintenance: BackgroundMaintenance | None = None
        self._metrics: ServerMetrics | None = None
        self._endpoint: MetricsEndpoint | None = None
        self._collector: Collector | None = None
        self._watches = list(watches)
        self._listener = Listener(self.config, self._watches)
        if self.config.metrics_port is not None:
            from mmrec_serving.telemetry.metrics import ServerMetrics, ServerState

            self._metrics = ServerMetrics(
                ServerState(self._waiting, self._engine, self._positions, lambda: self._refused() is not None)
            )
            self._watches.append(self._metrics)
        observed = self._metrics
        store = self.config.store_place
        limits = SchedulerLimits(self.config.max_queue, self.config.max_batch, weight_of)
        questions = replace(limits, standing_s=_STANDING_S, twin=twin_of, again=result_again)
        self._scheduler = Scheduler(
            lambda: {**_prepared(engine_factory, store, loaded), GET_SERVICE_INFO.kind: self._infos},
            questions,
            steady=lambda: _works(QUESTIONS, loaded.result().snapshot()),
            on_end=self._listener.worker_ended,
            restart=self._restart(),
            observer=observed,
        )
        self._language = Scheduler(
            functools.partial(self._language_works, loaded),
            limits,
            name="mmrec-language",
            on_end=self._listener.worker_ended,
            restart=self._restart(give_way),
            observer=observed,
        )
        self._catalogue_wide = Scheduler(
            functools.partial(self._catalogue_works, loaded),
            # One at a time and in turn: an answer that is cached takes milliseconds, another one minutes.
            replace(questions, weigh=lambda request: 1, light=0, one_job=True),
            name="mmrec-catalogue",
            on_end=self._listener.worker_ended,
            restart=self._restart(give_way),
            observer=observed,
        )
        self._words = WordingWorker(loaded, self.config.wording_queue, observer=observed)
        self._pictures = PicturesAhead(
            loaded,
            self.config.max_pixels,
            self.config.max_queue,
            lambda: self._scheduler.idle_s,
            sandbox=DecodeSandbox() if self.config.picture_sandbox else None,
            on_end=self._listener.worker_ended,
            observer=observed,
        )
        self._catalogue: CatalogueChanges | None = None
        self._recorded: RecordedEvents | None = None
        self._changes: Scheduler | None = None
        self._large_changes: Scheduler | None = None
        self._events: Scheduler | None = None
        if store is not None:
            self._changes = Scheduler(
                functools.partial(self._open_changes, loaded),
                replace(limits, one_job=True),
                name="mmrec-recording",
                on_end=self._listener.worker_ended,
                observer=observed,
            )
            self._large_changes = Scheduler(
                functools.partial(self._large_change_works, self._changes.ready),
                replace(limits, one_job=True),
                name="mmrec-encoding",
                on_end=self._listener.worker_ended,
                observer=observed,
            )
            self._events = Scheduler(
                functools.partial(self._open_events, loaded, store),
                limits,
                name="mmrec-events",
                on_end=self._listener.worker_ended,
                observer=observed,
            )
        self._workers = _Workers(
            self._scheduler,
            self._language,
            self._catalogue_wide,
            self._changes,
            self._large_changes,
            self._events,
            self._words,
            self._pictures,
            not self.config.changes_in_memory,
        )

    def _language_works(self, loaded: Future[Engine]) -> Mapping[str, Work]:
        """What answers conversations, in their own thread, of low priority; recommendations come from the others'."""
        engine = loaded.result()
        give_way()

        def recommend(state: Questions, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
            deadline = time.monotonic() + LANGUAGE_WAIT_S
            works = _works(QUESTIONS, state)
            return self._scheduler.submit(RECOMMEND.kind, list(requests), deadline, works=works).result()

        # A pause after each message, while others ask: the threads of a process wait for each other's interpreter lock.
        pace = Pace(lambda: self._scheduler.idle_s)

        def converse(requests: list[ConverseRequest]) -> list[ConversationTurn | MmrecError]:
            found: list[ConversationTurn | MmrecError] = []
            for request in requests:
                with pace:
                    # What is recommended comes from the state that the message is answered from.
                    state = engine.snapshot()
                    found += state.converse_many([request], functools.partial(recommend, state))
            return found

        return {CONVERSE.kind: converse}

    def _catalogue_works(self, loaded: Future[Engine]) -> Mapping[str, Work]:
        """What answers questions about the whole catalogue, in their own thread, of low priority."""
        engine = loaded.result()
        give_way()
        pace = Pace(lambda: self._scheduler.idle_s)

        def answer(kind: str, requests: list[Any]) -> list[Any]:
            with pace:
                return QUESTIONS[kind](engine.snapshot(), requests)

        return {kind: functools.partial(answer, kind) for kind in CATALOGUE}

    def _open_changes(self, loaded: Future[Engine]) -> Mapping[str, Work]:
        """Open the store and replay its changes when the engine is loaded; runs in the thread of the changes."""
        from mmrec_serving.updates.bundle_position import open_store

        engine = cast(LiveEngine, loaded.result())
        give_way()
        folds = self.config.fold_after or self.config.fold_every_s is not None
        if folds and engine.bundle.root == engine.bundle.folder:
            raise FailedPreconditionError(
                f"{str(engine.bundle.root)!r} is one version of a bundle, and folding makes others beside it; serve "
                "the folder of all versions, or fold nothing"
            )
        assert self.config.store is not None
        store = open_store(self.config.store, engine.bundle)
        self._catalogue = CatalogueChanges(
            engine,
            store,
            idle_s=lambda: self._scheduler.idle_s,
            on_end=self._listener.worker_ended,
            on_commit=self._committed("changes"),
        )
        try:
            self._catalogue.replay()
        except BaseException:
            store.close()
            raise
        return self._catalogue.works()

    def _large_change_works(self, opened: Future[None]) -> Mapping[str, Work]:
        """What applies large changes, in their own thread, when the other thread of changes has opened the store."""
        opened.result()
        give_way()
        assert self._catalogue is not None
        return self._catalogue.works()

    def _open_events(self, loaded: Future[Engine], place: StorePlace) -> Mapping[str, Work]:
        """Open the store of events and replay them when the engine is loaded; runs in the thread of the events."""
        engine = cast(EventEngine, loaded.result())
        store = open_events(place)
        self._recorded = RecordedEvents(engine, store, self._listener.worker_ended, self._committed("events"))
        try:
            self._recorded.replay()
        except BaseException:
            store.close()
            raise
        return self._recorded.works()

    async def start(self) -> str:
        """Listen, and begin to load the engine. Returns the address.

        Raises:
            FailedPreconditionError: the port is taken, the host or the TLS files are invalid, or others may write the
                file of API keys.
            NotFoundError: a TLS file or the file of API keys cannot be read.
            InvalidArgumentError: the file of API keys is not one.
        """
        config = self.config
        handlers = service_handlers(self._workers, lambda: self._listener.draining, config.max_bytes)
        address = await self._listener.bind(handlers)
        if config.traces:
            self._collector = _collector(config)
            self._watches.append(self._collector.traces)
        if self._metrics is not None:
            self._endpoint = self._metrics.listen(config.metrics_host, config.metrics_port or 0)
            self.metrics_address = self._endpoint.address
        await self._listener.start()
        self.address = address
        for scheduler in self._schedulers():
            scheduler.start()
        return self.address

    def _schedulers(self) -> list[Scheduler]:
        schedulers = (
            self._scheduler,
            self._language,
            self._catalogue_wide,
            self._words.scheduler,
            self._pictures.scheduler,
            self._changes,
            self._large_changes,
            self._events,
        )
        return [scheduler for scheduler in schedulers if scheduler is not None]

    async def ready(self) -> None:
        """Wait until the engine is loaded and has answered once; from then on health says SERVING.

        Raises:
            Exception: whatever the loading raised.
        """
        for scheduler in self._schedulers():
            await asyncio.shield(asyncio.wrap_future(scheduler.ready))
        if not self._listener.draining:
            self._maintenance = BackgroundMaintenance(
                self._loaded.result(),
                self._catalogue,
                self.config,
                on_end=self._listener.worker_ended,
                on_refused=self._listener.bundle_refused,
                earlier=no_events if self._recorded is None else self._recorded.lacking,
            )
            self._maintenance.start()
            await self._listener.set_serving(True)

    def reload(self) -> None:
        """Read the API keys again, and load the current version of the bundle soon, while calls are answered.

        No version is loaded while the engine is being loaded, or when it has none.
        """
        self._listener.reload()
        if self._maintenance is not None:
            self._maintenance.reload()

    async def stop(self, grace_s: float | None = None) -> None:
        """Stop in order: health NOT_SERVING, new calls refused, `grace_s` seconds for running ones."""
        await self._listener.stop(self.config.grace_s if grace_s is None else grace_s)
        # No caller waits for a result any more, so do not wait long for a running batch.
        for scheduler in self._schedulers():
            await asyncio.to_thread(scheduler.close, 2.0)
        await asyncio.to_thread(self._pictures.close)
        if self._endpoint is not None:
            await asyncio.to_thread(self._endpoint.close)
        if self._collector is not None:
            await asyncio.to_thread(self._collector.close)
        if self._maintenance is not None:
            await asyncio.to_thread(self._maintenance.close)
        if self._catalogue is not None:
            await asyncio.to_thread(self._catalogue.close)
        if self._recorded is not None:
            await asyncio.to_thread(self._recorded.close)

    # --- what is served -----------------------------------------------------------------------------------------

    def _infos(self, requests: list[Any]) -> list[Any]:
        return [replace(self._loaded.result().info(), refused_bundle=self._refused())] * len(requests)

    def _refused(self) -> RefusedBundle | None:
        return None if self._maintenance is None else self._maintenance.refused

    # --- what metrics are read from ------------------------------------------------------------------------

    def _waiting(self) -> Mapping[str, int]:
        waiting: Counter[str] = Counter()
        for scheduler in self._schedulers():
            waiting.update(scheduler.waiting_by_kind())
        return waiting

    def _engine(self) -> Engine | None:
        loaded = self._loaded
        return loaded.result() if loaded.done() and loaded.exception() is None else None

    def _positions(self) -> Mapping[str, int]:
        positions: dict[str, int] = {}
        for name, kept in (("changes", self._catalogue), ("events", self._recorded)):
            # A database may be out of reach; the other metrics are told then too.
            with suppress(MmrecError):
                if kept is not None:
                    positions[name] = kept.store.position()
        return positions

    def _committed(self, store: str) -> Callable[[float], None]:
        metrics = self._metrics
        return (lambda seconds: None) if metrics is None else functools.partial(metrics.committed, store)

    def _restart(self, begin: Callable[[], None] = lambda: None) -> Restart | None:
        """How a thread that answers questions comes back."""
        first_s = self.config.restart_s
        return None if first_s is None else Restart(first_s, max(60.0, first_s), begin, self._listener.worker_returned)


def _collector(config: ServerConfig) -> Collector:
    try:
        from mmrec_serving.telemetry.tracing import Collector
    except ImportError as err:
        raise MissingExtraError(
            "traces need OpenTelemetry, which is not installed; run: pip install 'mmrec[tracing]'"
        ) from err
    return Collector(config.traces, config.trace_share)


# --- running it ---------------------------------------------------------------------------------------------


def serve(
    engine_factory: Callable[[], Engine],
    config: ServerConfig | None = None,
    *,
    on_listening: Callable[[str], None] = lambda address: None,
    on_ready: Callable[[str], None] = lambda address: None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; a second signal ends the grace at once.

    SIGHUP makes the server read the API keys again and load the current version of the bundle; calls go on.

    Args:
        engine_factory: Makes the engine.
        config: How to listen, how much work to accept, how to stop.
        on_listening: Called with the address when the port is bound.
        on_ready: Called with the address when the engine serves.

    Raises:
        MmrecError: the port cannot be bound, or the engine could not be loaded.
    """
    asyncio.run(_serve(engine_factory, config, on_listening, on_ready))


async def _serve(
    engine_factory: Callable[[], Engine],
    config: ServerConfig | None,
    on_listening: Callable[[str], None],
    on_ready: Callable[[str], None],
) -> None:
    # Made in the event loop, which its parts belong to.
    await run_until_stopped(Server(engine_factory, config), on_listening, on_ready)


class BackgroundServer:
    """A server in a thread of this process, for demos, notebooks and tests; a context manager.

    Args:
        engine_factory: Makes the engine.
        config: As for `Server`; the default takes any free port of this machine, and changes of the catalogue, which
            end with it.
        watches: As for `Server`.

    Raises:
        MmrecError: on entering: the port cannot be bound, or the engine could not be loaded.
    """

    def __init__(
        self,
        engine_factory: Callable[[], Engine],
        config: ServerConfig | None = None,
        *,
        watches: Sequence[CallWatch] = (),
    ) -> None:
        config = config or ServerConfig(port=0, changes_in_memory=True)
        self._server = Server(engine_factory, config, watches=watches)
        self._started = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="mmrec-server", daemon=True)

    @property
    def target(self) -> str:
        """Address to pass to `Client`."""
        return self._server.address

    @property
    def metrics_address(self) -> str:
        """``host:port`` of the metrics; empty without any."""
        return self._server.metrics_address

    def __enter__(self) -> BackgroundServer:
        self._thread.start()
        self._started.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Drain and end; does nothing the second time."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _main(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as err:
            self._error = err
        finally:
            self._started.set()

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await self._server.start()
        try:
            await self._server.ready()
            self._started.set()
            await self._stop.wait()
        finally:
            await self._server.stop()
