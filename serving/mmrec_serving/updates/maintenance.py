"""Background maintenance of a server: swap to another version of the bundle, compact changes, tidy the store.

Unit of work: one round. One thread does all of it, one step after the other, at a low priority. An error in a round is
a warning, and the server continues as it is; see `mmrec_serving.worker_threads` for other errors. Knows nothing about
gRPC and models.
"""

from __future__ import annotations

import json
import logging
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

from mmrec.bundle import current_version, prune_versions
from mmrec.bundle.reader import VERSIONS
from mmrec.contract.engine import Engine
from mmrec.contract.replies import RefusedBundle
from mmrec.errors import FailedPreconditionError, InternalError, MmrecError
from mmrec_serving.config import ServerConfig
from mmrec_serving.failures import conceal
from mmrec_serving.priority import give_way
from mmrec_serving.sqlite_files import StoreFolder
from mmrec_serving.updates.bundle_position import published_catalogue
from mmrec_serving.updates.child_process import command_of, last_line
from mmrec_serving.updates.engine import EarlierEvents, LiveEngine, no_events, warm_up
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from mmrec_serving.updates.trial import Trial
from mmrec_serving.worker_threads import OnEnd, Worker, nobody

_log = logging.getLogger(__name__)

_CHILD = "mmrec_serving.updates.compaction_process"
_AFTER_FAILURE_S = 60.0
"""A compaction that failed is tried again after this, then after twice as long, and so on."""
_MOST_S = 3600.0


class BackgroundMaintenance:
    """The background maintenance of one server.

    Args:
        engine: The engine that is served.
        changes: The recorded changes of its catalogue; None without a store.
        config: What to do and how often.
        clock: Monotonic seconds.
        on_end: Called when the thread ends by itself.
        on_refused: Called with whether the current version of the bundle could not be loaded, when that changes.
        earlier: Gives the recorded events that a version of the bundle lacks and the one that is served includes.
    """

    def __init__(
        self,
        engine: Engine,
        changes: CatalogueChanges | None,
        config: ServerConfig,
        clock: Callable[[], float] = time.monotonic,
        on_end: OnEnd = nobody,
        on_refused: Callable[[bool], None] = lambda refused: None,
        earlier: EarlierEvents = no_events,
    ) -> None:
        self._engine = engine
        self._changes = changes
        self._config = config
        self._clock = clock
        self._wake = threading.Condition()
        self._closing = False
        self._reload = False
        self._child: subprocess.Popen[str] | None = None
        self._trial = None if config.trial_s is None else Trial(config.trial_s)
        self._tidied = self._folded = clock()
        self._failures = 0
        self._not_before = 0.0
        self._tried = ""
        """The version that was tried last."""
        self._refused: RefusedBundle | None = None
        self._on_refused = on_refused
        self._earlier = earlier
        self._worker = Worker("mmrec-housekeeping", self._main, on_end)

    @property
    def versioned(self) -> bool:
        """Whether the engine can continue with another version of what it serves."""
        return callable(getattr(self._engine, "adopt", None))

    @property
    def refused(self) -> RefusedBundle | None:
        """The current version of the bundle, if it could not be loaded; the one before is served then."""
        return self._refused

    def start(self) -> None:
        """Start the thread."""
        self._worker.start()

    def reload(self) -> None:
        """Load the current version of the bundle in the next round, which starts now."""
        with self._wake:
            self._reload = True
            self._wake.notify_all()

    def close(self) -> None:
        """End the thread; work in progress is abandoned, without loss."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._trial is not None:
            self._trial.close()
        child = self._child
        if child is not None:
            child.kill()
        self._worker.join(self._config.grace_s)

    def _main(self) -> None:
        give_way()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._closing or self._reload, self._config.housekeeping_s)
                if self._closing:
                    return
                asked, self._reload = self._reload, False
            for step in (lambda asked=asked: self._swap(asked), self._tidy, self._fold):
                try:
                    step()
                except Exception as err:
                    if not self._closing:
                        message = err.message if isinstance(err, MmrecError) else repr(err)
                        unexpected = not isinstance(err, MmrecError)
                        _log.warning("%s; the server goes on as it is", message, exc_info=unexpected)

    # --- another version ------------------------------------------------------------------------------------

    def _swap(self, asked: bool) -> None:
        if not (asked or self._config.watch):
            return
        if not self.versioned:
            _log.warning("what is served has no versions to go on with")
            return
        engine = cast(LiveEngine, self._engine)
        current = ""
        try:
            current = current_version(engine.bundle.root)
            if current == engine.bundle.version:
                if asked:
                    _log.info("version %s is current and served already", current)
            elif not asked and current == self._tried:
                # What could not be loaded is not tried again without a request, because loading is expensive.
                return
            else:
                self._tried = current
                self._try(engine, current)
                self._adopt(engine)
        except Exception as err:
            told = conceal(err).message
            again = not asked and self._refused is not None and told == self._refused.reason
            if self._closing or again:
                return
            self._set_refused(RefusedBundle(current and self._tried, told, time.time()))
            raise
        self._set_refused(None)

    def _set_refused(self, refused: RefusedBundle | None) -> None:
        changed = (refused is None) != (self._refused is None)
        self._refused = refused
        if changed:
            self._on_refused(refused is not None)

    def _try(self, engine: LiveEngine, version: str) -> None:
        """Let another process load a version, and the next one if that has become current meanwhile."""
        root = engine.bundle.root
        while self._trial is not None:
            _log.info("version %s is tried in a process of its own", version)
            self._trial.run(root / VERSIONS / version, changes=self._changes is not None)
            current = current_version(root)
            if current == version:
                return
            self._tried = version = current

    def _adopt(self, engine: LiveEngine) -> None:
        before = engine.bundle.version
        if self._changes is not None:
            self._changes.adopt(self._earlier)
        else:
            other = engine.load_current()
            warm_up(other)
            engine.adopt(other, self._earlier(other.bundle))
        catalogue = engine.info().versions.catalogue
        _log.info("version %s is served instead of %s, with the catalogue %s", engine.bundle.version, before, catalogue)

    # --- the store ------------------------------------------------------------------------------------------

    def _tidy(self) -> None:
        if self._changes is None or self._clock() - self._tidied < self._config.tidy_every_s:
            return
        self._tidied = self._clock()
        self._changes.settle()
        store = self._changes.store
        forgotten = store.forget(datetime.now(UTC))  # expired request ids only
        merged = store.compact(store.position())
        _log.info("%d requests of the store were forgotten, and %d changes merged into later ones", forgotten, merged)

    def _fold(self) -> None:
        config, changes = self._config, self._changes
        now = self._clock()
        if changes is None or now < self._not_before or not (config.fold_after or config.fold_every_s):
            return
        state = changes.store.state()
        waiting = state.position - state.folded
        due = config.fold_every_s is not None and now - self._folded >= config.fold_every_s
        if not waiting or not (due or (config.fold_after and waiting >= config.fold_after)):
            return
        try:
            self._fold_now(cast(LiveEngine, self._engine), changes)
        except Exception:
            self._not_before = self._clock() + min(_MOST_S, _AFTER_FAILURE_S * 2**self._failures)
            self._failures += 1
            raise
        self._folded, self._failures = self._clock(), 0

    def _fold_now(self, engine: LiveEngine, changes: CatalogueChanges) -> None:
        changes.settle()
        root = engine.bundle.root
        if current_version(root) == engine.bundle.version:
            if not self._run_child(engine, changes):
                return
        elif published_catalogue(root) != changes.store.state().successor:
            raise FailedPreconditionError(
                f"version {current_version(root)} is current and {engine.bundle.version} is served, so nothing is "
                "compacted; send SIGHUP to switch to the current one, or serve with --watch"
            )
        # Otherwise a compaction for a server that was killed has published this version: load it first. Neither is
        # tried in a process of its own, because one of this program has just made it of what is served.
        before = engine.bundle.version
        self._adopt(engine)
        if self._config.keep_versions:
            # Without the one before, there would be no way back.
            for version in prune_versions(root, keep=self._config.keep_versions, spare=(before,)):
                _log.info("version %s of the bundle was removed", version)

    def _run_child(self, engine: LiveEngine, changes: CatalogueChanges) -> bool:
        """Let another process publish a version with all recorded changes; False if there were none."""
        place = self._config.store_place
        assert isinstance(place, StoreFolder)
        command = [*command_of(_CHILD), str(engine.bundle.root), str(place.folder)]
        with tempfile.TemporaryFile("w+") as log:
            child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
            with child:
                self._child = child
                try:
                    if self._closing:  # set after `close` had looked for a child
                        child.kill()
                    reply = _conversation(child, changes)
                finally:
                    # After an error here it must not publish.
                    child.kill()
                    self._child = None
            if "done" in reply:
                done = reply["done"]
                if done is not None:
                    _log.info("changes up to %d were compacted into version %s", done["upto"], done["version"])
                return done is not None
            last = last_line(log) or "it said nothing"
            why = str(reply.get("error") or f"the compaction process ended with {child.returncode}: {last}")
        if "error" in reply:
            raise FailedPreconditionError(f"changes were not compacted: {why}")
        raise InternalError(f"changes were not compacted: {why}")


def _conversation(child: subprocess.Popen[str], changes: CatalogueChanges) -> dict[str, Any]:
    """The last message of the process; announcements are recorded in the store."""
    assert child.stdout is not None
    assert child.stdin is not None
    reply: dict[str, Any] = {}
    for line in child.stdout:
        reply = json.loads(line)
        if "announce" in reply:
            changes.store.announce(reply["announce"], reply["upto"])
            with suppress(BrokenPipeError):
                child.stdin.write("go\n")
                child.stdin.flush()
            reply = {}
    child.wait()
    return reply
