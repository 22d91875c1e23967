"""Commits encoded windows in an order that makes resumed runs reproducible bit for bit.

New vectors go into the cache in one transaction, then the shard is written. The last bits of a vector can depend on the
other inputs of its batch, and batches depend on what was cached before the window. A kill before the transaction leaves
the cache unchanged, so the window is computed again in the same batches. A kill after it leaves all vectors of the
window in the cache, so the shard is built from the same bits. In the reverse order, a kill in between would leave a
shard whose vectors are not cached; a later window with one of its pictures would compute it in another batch. Losing
the cache with unfinished work, or sharing it between two jobs, therefore only affects the last bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmrec_encoders.embedding.cache import VectorCache
from mmrec_encoders.embedding.encoding import Counts, EncodedWindow
from mmrec_encoders.embedding.failpoints import Failpoint, no_failpoint
from mmrec_encoders.embedding.fetched import FetchedUrls
from mmrec_encoders.embedding.folder import OutputFolder
from mmrec_encoders.embedding.shards import shard_bytes
from mmrec_encoders.embedding.windows import DeadLetter

_EXAMPLES = 100


class Committer:
    """Commits the windows of one run, in any order.

    Args:
        folder: Where shards go.
        cache: Where computed vectors go.
        job: The job's description.
        failpoint: For tests.
        fetched: Where content hashes of URLs go; None if none are fetched.
    """

    def __init__(
        self,
        folder: OutputFolder,
        cache: VectorCache,
        job: Mapping[str, Any],
        failpoint: Failpoint = no_failpoint,
        fetched: FetchedUrls | None = None,
    ) -> None:
        self._fetched = fetched
        self._folder = folder
        self._cache = cache
        self._job = job
        self._failpoint = failpoint
        self.shards = 0
        self.written = 0
        self.items = 0
        self.with_picture = 0
        self.with_words = 0
        self.failed = 0
        self.counts = Counts()
        self.examples: list[DeadLetter] = []

    def commit(self, window: EncodedWindow) -> bool:
        """Cache the new vectors, then write the shard; False if an equal shard exists.

        Raises:
            FailedPreconditionError: the cache or the folder cannot be written, or the disk is full.
        """
        self._failpoint("before-cache-commit")
        if window.fresh:
            self._cache.put(window.fresh, lambda: self._failpoint("mid-cache"))
        self._failpoint("after-cache-commit")
        if self._fetched is not None and window.fetched:
            self._fetched.put(window.fetched)
        there = self._folder.shard(window.number)
        same = there is not None and there.input == window.input and dict(there.job) == dict(self._job)
        if not same:
            self._folder.commit(window.number, shard_bytes(window, self._job))
        self.shards += 1
        self.written += not same
        self.items += len(window.item_ids)
        self.with_picture += int(window.has_picture_N.sum())
        self.with_words += int(window.has_words_N.sum())
        self.failed += len(window.dead_letters)
        self.examples += window.dead_letters[: _EXAMPLES - len(self.examples)]
        self.counts = self.counts.plus(window.counts)
        return not same
