"""Plans the work of a window of catalogue rows: item texts, picture tasks, and unusable rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from mmrec.catalogue.catalogue import OWN_COLUMNS
from mmrec.catalogue.item_words import ItemWords, check_words, words_of_item
from mmrec.contract.items import ItemRecord
from mmrec.data.streaming import ItemWindow, StreamedItem
from mmrec_encoders.embedding.pictures import PictureResult, PictureTask


class DeadLetter(NamedTuple):
    """A row, or the picture of a row, that could not be used.

    Attributes:
        item_id: '' if it is unknown.
        row: Line of the items table (text formats) or row (Parquet, from 1).
        field: Column at fault; '' for the whole row.
        reason: The value, the rule, and the remedy.
        embedded: Whether the item still has a vector, from its other parts.
    """

    item_id: str
    row: int
    field: str
    reason: str
    embedded: bool


class WindowJob(NamedTuple):
    """The work for one shard of N items.

    Attributes:
        number: Number of the window and the shard, from 0.
        rows: Number of table rows in the window.
        item_ids: Length N.
        lines: Line of each item in the table. Length N.
        texts: Words of each item; '' for none. Length N.
        tasks: Pictures to decode; each names the row of its item, 0 to N - 1, ascending.
        failures: Rows that are not usable as items.
    """

    number: int
    rows: int
    item_ids: tuple[str, ...]
    lines: tuple[int, ...]
    texts: tuple[str, ...]
    tasks: tuple[PictureTask, ...]
    failures: tuple[DeadLetter, ...]


def plan_window(window: ItemWindow, words: ItemWords | None, *, pictures: bool = True) -> WindowJob:
    """Plan the work of one window.

    Args:
        window: Rows of the catalogue.
        words: Word columns or template; None: texts are not encoded.
        pictures: Whether pictures are encoded.
    """
    items = window.items
    return WindowJob(
        number=window.number,
        rows=window.rows,
        item_ids=tuple(item.item_id for item in items),
        lines=tuple(item.line for item in items),
        texts=("",) * len(items) if words is None else tuple(words_of_item(_record(item), words) for item in items),
        tasks=tuple(
            PictureTask(row, item.image, item.picture)
            for row, item in enumerate(items)
            if pictures and (item.image or item.picture is not None)
        ),
        failures=tuple(
            DeadLetter(failure.item_id, failure.line, failure.field, failure.message, False)
            for failure in window.failures
        ),
    )


def _record(item: StreamedItem) -> ItemRecord:
    return ItemRecord(item.item_id, item.title, item.description, item.image, item.attributes)


def chunks_of(job: WindowJob, size: int) -> Iterator[tuple[PictureTask, ...]]:
    """The pictures of a job, `size` at a time; one empty chunk if it has none."""
    for at in range(0, max(len(job.tasks), 1), size):
        yield job.tasks[at : at + size]


def check_columns(words: ItemWords, columns: Sequence[str]) -> None:
    """Check the columns of a template.

    Raises:
        InvalidArgumentError: a column does not exist, or the template is not a format string.
    """
    check_words(words, tuple(dict.fromkeys((*OWN_COLUMNS, *columns))))


def input_hash(job: WindowJob, results: Sequence[PictureResult]) -> str:
    """Hash of the inputs of a window: ids, texts, contents of pictures, failures. 64 hex digits.

    Args:
        job: The window.
        results: The results of its tasks, in order.
    """
    digest = hashlib.sha256()
    pictures = {result.row: result.reason or result.content.hex() for result in results}
    for row, (item_id, line, text) in enumerate(zip(job.item_ids, job.lines, job.texts, strict=True)):
        digest.update(json.dumps([item_id, line, text, pictures.get(row)]).encode())
    for failure in job.failures:
        digest.update(json.dumps(failure).encode())
    return digest.hexdigest()
