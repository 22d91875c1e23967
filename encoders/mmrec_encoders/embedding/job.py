"""Embeds every item of a dataset folder into sharded Parquet: one call, which may be killed and made again.

The catalogue is read in windows of `EmbedConfig.shard_rows` rows, each of which becomes one shard; what is held in
memory is two or three windows and the models, however long the catalogue. See `committing` for what a kill leaves,
`folder` for what is in the output folder, and `cache` for what is not computed twice. Knows nothing about the command
line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mmrec.catalogue.item_words import ItemWords
from mmrec.data.fetching import PictureFetcher
from mmrec.data.pictures import PictureStore
from mmrec.data.settings import read_settings
from mmrec.data.streaming import ItemStream
from mmrec.runtime.device import resolve_device
from mmrec.runtime.disk_errors import GO_ON, refusals_as_errors
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec_encoders.embedding.cache import VectorCache
from mmrec_encoders.embedding.committing import Committer
from mmrec_encoders.embedding.config import EmbedConfig, EmbedSummary
from mmrec_encoders.embedding.encoding import EncodedWindow, join_window
from mmrec_encoders.embedding.failpoints import Failpoint, no_failpoint
from mmrec_encoders.embedding.fetched import FetchedUrls
from mmrec_encoders.embedding.folder import CACHE, FETCHED, OutputFolder
from mmrec_encoders.embedding.local_engine import JobPlan, encoded_windows, suitable_workers
from mmrec_encoders.embedding.pictures import DecodeSetup, Fetcher
from mmrec_encoders.embedding.source import describe_job, load_encoder, settings_of, train_encoder
from mmrec_encoders.embedding.windows import WindowJob, check_columns, plan_window
from mmrec_encoders.embedding.words import job_words
from mmrec_encoders.item_encoder import ItemEncoder

_IDS = ".ids.tmp"


def embed_dataset(
    dataset: Path,
    out: Path,
    config: EmbedConfig | None = None,
    progress: Progress = NO_PROGRESS,
    *,
    stop: Callable[[], bool] = lambda: False,
    note: Callable[[str], None] = lambda _: None,
    failpoint: Failpoint = no_failpoint,
) -> EmbedSummary:
    """Embed every item of a dataset folder.

    Writes shards of `item_id`, `embedding` (fixed-size list, unit norm), `has_picture` and `has_words`, in the order
    of the items table. Rows that cannot be used, and pictures that cannot be had, are in ``_dead-letter.jsonl`` with
    their reasons; an item is embedded from what is left of it, and left out if nothing is. Called again, it does what
    is missing or has changed.

    Args:
        dataset: The dataset folder.
        out: The folder to write; see `folder`.
        config: What embeds, and what comes out.
        progress: Reports each stage.
        stop: Asked after each shard whether to leave off there.
        note: Called with a sentence about what a person should know, such as a cache that was damaged.
        failpoint: Called with the names of `failpoints.FAILPOINTS`; for tests.

    Raises:
        NotFoundError: the dataset or the bundle does not exist.
        InvalidDatasetError: the items table cannot be used at all.
        InvalidArgumentError: something is asked for that the encoders do not have, or the folder holds something else
            or the output of another job.
        FailedPreconditionError: another process writes to the folder, it cannot be written to, or the disk is full.
        BundleError: the bundle is damaged.
        ModelNotAvailableError: a model can be neither found nor fetched.
        MissingExtraError: the engine is ray, and Ray is not installed.
        UnavailableError: its cluster cannot be reached, or was lost.
    """
    config = config or EmbedConfig()
    if config.engine == "ray":
        from mmrec_encoders.embedding.ray_engine import check_ray

        check_ray(config.ray_address)
    stream = ItemStream(dataset, config.shard_rows)
    if config.template is not None and stream.columns:
        check_columns(ItemWords(config.template), stream.columns)
    encoder = None if config.trains else load_encoder(config)
    fetcher: Fetcher | None = None if config.fetch is None else PictureFetcher(config.fetch)
    with refusals_as_errors(GO_ON, out), OutputFolder(out, failpoint) as folder:
        if config.overwrite:
            folder.clear()
        if encoder is None:
            encoder = train_encoder(dataset, config, folder, fetcher, progress, failpoint)
        elif config.vectors == "text" and config.bundle is None and config.encoders is None:
            settings = read_settings(dataset).words
            encoder = encoder.with_words(job_words(dataset, config.template, settings, folder.recorded()))
        failpoint("after-encoders")
        job = describe_job(encoder, config)
        folder.agree_on(job)
        cache_folder = config.cache or folder.path / CACHE
        fetched = None if fetcher is None else FetchedUrls(folder.path / FETCHED)
        with VectorCache(cache_folder, note=note) as cache:
            setup = None
            if encoder.image is not None and config.vectors != "text":
                setup = DecodeSetup(
                    PictureStore(dataset),
                    encoder.image.preparation,
                    settings_of(encoder, config).image_fingerprint,
                    cache_folder,
                    fetcher,
                    None if fetched is None else folder.path / FETCHED,
                )
            plan = JobPlan(encoder, settings_of(encoder, config), setup)
            committer = Committer(folder, cache, job, failpoint, fetched)
            meter = _Meter(progress, stream.estimate())
            if config.engine == "ray":
                windows = _on_ray(plan, config, dataset, folder, cache_folder)
            else:
                jobs = _jobs(stream, encoder, config, folder)
                windows = _here(plan, jobs, cache, config, meter, failpoint)
            try:
                finished = _run(windows, committer, meter, stop)
                if finished:
                    folder.finish(committer.shards, job)
                    if fetched is not None:
                        fetched.remove()
            finally:
                if fetched is not None:
                    fetched.close()
            meter.finish()
        return EmbedSummary(
            path=out,
            finished=finished,
            rows=meter.rows,
            items=committer.items,
            with_picture=committer.with_picture,
            with_words=committer.with_words,
            failed=committer.failed,
            examples=tuple(committer.examples),
            dimension=int(job["dimension"]),
            fingerprints=dict(job["fingerprints"]),
            shards=committer.shards,
            shards_written=committer.written,
            counts=committer.counts,
        )


def _run(
    windows: Iterator[tuple[WindowJob, EncodedWindow]], committer: Committer, meter: _Meter, stop: Callable[[], bool]
) -> bool:
    """Every window to its shard; False when it was stopped before the last."""
    try:
        for job, window in windows:
            committer.commit(window)
            meter.whole(job)
            if stop():
                return False
    finally:
        windows.close()  # type: ignore[attr-defined]
    return True


def _here(
    plan: JobPlan,
    jobs: Iterator[WindowJob],
    cache: VectorCache,
    config: EmbedConfig,
    meter: _Meter,
    failpoint: Failpoint,
) -> Iterator[tuple[WindowJob, EncodedWindow]]:
    workers = config.workers
    if workers is None:
        workers = suitable_workers(resolve_device(config.device).type != "cpu")
    for job, found in encoded_windows(plan, jobs, cache.get, workers=workers, advance=meter.part, failpoint=failpoint):
        yield job, join_window(job, found, plan.encoder, plan.settings)


def _on_ray(
    plan: JobPlan, config: EmbedConfig, dataset: Path, folder: OutputFolder, cache: Path
) -> Iterator[tuple[WindowJob, EncodedWindow]]:
    from mmrec_encoders.embedding import ray_engine
    from mmrec_encoders.embedding.ray_stages import WindowSource

    source = WindowSource(
        dataset.absolute(),
        config.shard_rows,
        _words(plan.encoder, config),
        pictures=plan.setup is not None,
    )
    trained = folder.encoders.absolute() if config.trains else None
    return ray_engine.encoded_windows(plan, config, source, encoders=trained, cache=cache)


def _jobs(stream: ItemStream, encoder: ItemEncoder, config: EmbedConfig, folder: OutputFolder) -> Iterator[WindowJob]:
    pictures = encoder.image is not None and config.vectors != "text"
    words = _words(encoder, config)
    for window in stream.windows(folder.path / _IDS):
        if window.number == 0 and words is not None:
            check_columns(words, stream.columns)
        yield plan_window(window, words, pictures=pictures)


def _words(encoder: ItemEncoder, config: EmbedConfig) -> ItemWords | None:
    """What of an item is words; None where they are not wanted."""
    return None if config.vectors == "image" else encoder.words


class _Meter:
    """Progress in rows, which move on with the texts and pictures of the window in work."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._told = 0
        self._units = 0
        self.rows = 0
        progress.start("embedding", total, "items")

    def part(self, job: WindowJob, units: int) -> None:
        """So many texts and pictures more of a window are done."""
        self._units += units
        whole = max(len(job.tasks) + sum(bool(text) for text in job.texts), 1)
        self._tell(self.rows + job.rows * min(self._units, whole) // whole)

    def whole(self, job: WindowJob) -> None:
        """A window is done."""
        self._units = 0
        self.rows += job.rows
        self._tell(self.rows)

    def finish(self) -> None:
        """The last window is done."""
        self._progress.finish(f"{self.rows:,} rows")

    def _tell(self, rows: int) -> None:
        if rows > self._told:
            self._progress.advance(rows - self._told)
            self._told = rows
