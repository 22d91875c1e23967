"""Curves of a training: a picture of the passes so far, and event files for TensorBoard, written while it runs.

Knows nothing about models.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmrec.generator.training_log import EpochRecord
from mmrec.runtime.disk_errors import naming_file
from mmrec.runtime.files import replace_file

_DRAW_EVERY_S = 20.0
_LOG_EVERY_STEPS = 20


class Curves:
    """Keeps the picture and the event files of one training up to date.

    Args:
        picture: Where the picture goes; None for none.
        log_dir: Folder of the event files, made if it is not there; None for none.
        steps_done: Steps of earlier runs of the same training. Later ones that a killed run has written are hidden.
    """

    def __init__(self, picture: Path | None, log_dir: Path | None, steps_done: int = 0) -> None:
        self._picture = picture
        self._drawn = time.monotonic()
        self._writer: Any = None
        if log_dir:
            self._writer = _EventFile(log_dir, steps_done)

    def step(self, number: int, losses: Sequence[tuple[str, Any]]) -> None:
        """Take in a step's losses by name; only every twentieth is read."""
        if self._writer and number % _LOG_EVERY_STEPS == 0:
            for name, value in losses:
                self._writer.add_scalar(name, float(value), number)

    def epoch(self, records: Sequence[EpochRecord], best_epoch: int, steps: int) -> None:
        """Take in a pass; `steps` have been done in all."""
        if self._writer:
            last = records[-1]
            self._writer.add_scalar("epoch/item_loss", last.item_loss, steps)
            self._writer.add_scalar("epoch/semantic_id_loss", last.semantic_id_loss, steps)
            self._writer.add_scalar("epoch/validation_ndcg_at_10", last.ndcg_at_10, steps)
            self._writer.add_scalar("epoch/seconds", last.seconds, steps)
            self._writer.flush()
        if self._picture and time.monotonic() - self._drawn > _DRAW_EVERY_S:
            draw_curves(records, best_epoch, self._picture)
            self._drawn = time.monotonic()

    def close(self, records: Sequence[EpochRecord], best_epoch: int) -> None:
        """The training is over."""
        if self._writer:
            self._writer.close()
        if self._picture and records:
            draw_curves(records, best_epoch, self._picture)


class _EventFile:
    """TensorBoard's event file, written in this thread.

    `SummaryWriter` of tensorboardX writes in another one. Where the disk is full that one ends, and the training waits
    for it forever.
    """

    def __init__(self, folder: Path, steps_done: int) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog
        from tensorboardX.record_writer import RecordWriter
        from tensorboardX.summary import scalar

        self._event, self._scalar, self._folder = Event, scalar, folder
        with naming_file(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(str(folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"))
        self._write(file_version="brain.Event:2")
        if steps_done:
            self._write(step=steps_done + 1, session_log=SessionLog(status=SessionLog.START))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self._write(step=step, summary=self._scalar(name, value))

    def flush(self) -> None:
        with self._closed_on_failure():
            self._records.flush()

    def close(self) -> None:
        with naming_file(self._folder):
            self._records.close()

    def _write(self, **fields: Any) -> None:
        with self._closed_on_failure():
            self._records.write(self._event(wall_time=time.time(), **fields).SerializeToString())

    @contextmanager
    def _closed_on_failure(self) -> Iterator[None]:
        try:
            with naming_file(self._folder):
                yield
        except OSError:
            with suppress(OSError):
                self._records.close()
            raise


def draw_curves(records: Sequence[EpochRecord], best_epoch: int, path: Path) -> None:
    """Draw losses and validation metric by pass as a PNG; the same figures give the same bytes.

    Args:
        records: The passes.
        best_epoch: The pass that is marked.
        path: Where the file is to be.
    """
    # Neither pyplot nor its global state: this runs inside servers and tests.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.5))
    FigureCanvasAgg(figure)
    figure.subplots_adjust(left=0.07, right=0.98, bottom=0.14, top=0.97, wspace=0.22)
    losses, metric = figure.subplots(1, 2)
    passes = [record.epoch for record in records]
    losses.plot(passes, [record.item_loss for record in records], ".-", label="item head")
    losses.plot(passes, [record.semantic_id_loss for record in records], ".-", label="semantic-ID head")
    losses.set(xlabel="epoch", ylabel="training loss, nats")
    metric.plot(passes, [record.ndcg_at_10 for record in records], ".-", label="item head, whole catalogue")
    if best_epoch:
        best = records[best_epoch - 1].ndcg_at_10
        metric.plot([best_epoch], [best], "o", fillstyle="none", label=f"kept: {best:.4f} at {best_epoch}")
    metric.set(xlabel="epoch", ylabel="validation NDCG@10")
    for axes in (losses, metric):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)  # a first pass may end before the first checkpoint
    replace_file(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
