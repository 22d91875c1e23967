"""Embeds every item of a dataset folder into Parquet shards, and resumes after a kill.

The catalogue is read in windows of `EmbedConfig.shard_rows` rows, one per shard. Memory holds two or three windows and
the models, whatever the size of the catalogue. See `committing` for the state after a kill, `folder` for the files in
the output folder, and `cache` for the vector cache. Knows nothing about the command line.
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
from mmrec.runtime.disk_errors import RESUME_HINT, refusals_as_errors
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
    of the items table. Rows and pictures that cannot be used are listed with the reason in ``_dead-letter.jsonl``; an
    item is embedded from its other parts, or left out if it has none. Called again, it computes only what is missing or
    has changed.

    Args:
        dataset: The dataset folder.
        out: The folder to write; see `folder`.
        config: See `EmbedConfig`.
        progress: Reports each stage.
        stop: Called after each shard; True stops the job there.
        note: Called with messages for the user, such as about a damaged cache.
        failpoint: Called with the names of `failpoints.FAILPOINTS`; for tests.

    Raises:
        NotFoundError: the dataset or the bundle does not exist.
        InvalidDatasetError: the items table cannot be used at all.
        InvalidArgumentError: the encoders do not support the configuration, or the folder contains something else or
            the output of another job.
        FailedPreconditionError: another process writes to the folder, it cannot be written to, or the disk is full.
        BundleError: the bundle is damaged.
        ModelNotAvailableError: a model can be neither found nor downloaded.
        MissingExtraError: the engine is ray, and Ray is not installed.
        UnavailableError: the Ray cluster cannot be reached, or was lost.
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
    with refusals_as_errors(RESUME_HINT, out), OutputFolder(out, failpoint) as folder:
        if config.overwrite:
            folder.clear()
        if encoder is None:
            encoder = train_encoder(dataset, config, folder, fetcher, progress, failpoint)
        elif config.vectors == "text" and config.bundle is None and config.encoders is None:
            settings = read_settings(dataset).words
            encoder = encoder.with_words(job_words(dataset, config.template, settings, folder.recorded()))
        failpoint("after-encoders")
        job = describe_job(encoder, config)
        folder.check_or_write_job(job)
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
                windows = _on_this_machine(plan, jobs, cache, config, meter, failpoint)
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
    """Commit every window as a shard; False if it was stopped before the last."""
    try:
        for job, window in windows:
            committer.commit(window)
            meter.finish_window(job)
            if stop():
                return False
    finally:
        windows.close()  # type: ignore[attr-defined]
    return True


def _on_this_machine(
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
    """The word columns or template of the job; None if texts are not encoded."""
    return None if config.vectors == "image" else encoder.words


class _Meter:
    """Progress in rows, interpolated within a window by its finished texts and pictures."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._reported = 0
        self._units = 0
        self.rows = 0
        progress.start("embedding", total, "items")

    def part(self, job: WindowJob, units: int) -> None:
        """Count finished texts and pictures of the current window."""
        self._units += units
        whole = max(len(job.tasks) + sum(bool(text) for text in job.texts), 1)
        self._report(self.rows + job.rows * min(self._units, whole) // whole)

    def finish_window(self, job: WindowJob) -> None:
        """Count the rows of a finished window."""
        self._units = 0
        self.rows += job.rows
        self._report(self.rows)

    def finish(self) -> None:
        """Finish the stage."""
        self._progress.finish(f"{self.rows:,} rows")

    def _report(self, rows: int) -> None:
        if rows > self._reported:
            self._progress.advance(rows - self._reported)
            self._reported = rows
