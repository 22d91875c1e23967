"""The items of a dataset as `ItemInput` values with their encoded pictures, in batches that fit a message.

Unit of work: one batch. The same dataset gives the same batches each time, so that an interrupted job can resume.
Knows nothing of servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmrec.contract.items import ItemInput
from mmrec.data.pictures import PictureStore, is_url, pixels_to_decode
from mmrec.data.streaming import ItemStream, RowFailure, StreamedItem
from mmrec.data.table_files import is_table
from mmrec.errors import InvalidImageError, MmrecError

_BATCH_BYTES = 8 * 2**20
"""Bytes of text and pictures at which a batch ends; servers accept messages of 32 MiB by default."""
_BATCH_PIXELS = 250_000_000
"""Pixels at which a batch ends; servers decode a billion for one message by default."""


class DescribedBatch(NamedTuple):
    """Items of one request.

    Attributes:
        items: With ids, none of them twice in the dataset.
        lines: Line of each in the table (text formats), or row (Parquet).
        failures: Rows that cannot be sent.
    """

    items: tuple[ItemInput, ...]
    lines: tuple[int, ...]
    failures: tuple[RowFailure, ...]


class DescribedItems:
    """The items of a dataset folder, or of one table with its pictures in ``images/`` beside it.

    An item whose picture cannot be read is a failure: sent without it, it would overwrite a stored picture.

    Args:
        dataset: Folder, or table (a file, or a folder of part files).
        most: Items in a batch, at least 1.

    Raises:
        NotFoundError: there is no such folder or file.
        InvalidDatasetError: there is no items table, or it cannot be read, or has no `item_id`; while iterating, it is
            empty or breaks off.
    """

    def __init__(self, dataset: Path, batch_items: int) -> None:
        table = dataset if is_table(dataset) else None
        self._root = dataset if table is None else dataset.parent
        self._stream = ItemStream(self._root, batch_items, table=table)

    def estimate(self) -> int:
        """About how many items there are. Reads the table once."""
        return self._stream.estimate()

    def batches(self) -> Iterator[DescribedBatch]:
        """All of them, in the order of the table."""
        with PictureStore(self._root) as pictures:
            for window in self._stream.windows():
                items: list[ItemInput] = []
                lines: list[int] = []
                failures, size, pixels = list(window.failures), 0, 0
                for row in window.items:
                    try:
                        items.append(_item_input(row, pictures))
                        lines.append(row.line)
                    except MmrecError as err:
                        failures.append(RowFailure(row.line, row.item_id, "image", err.message))
                        continue
                    size += _size_bytes(items[-1])
                    pixels += pixels_to_decode(items[-1].image or b"")
                    if size >= _BATCH_BYTES or pixels >= _BATCH_PIXELS:
                        yield DescribedBatch(tuple(items), tuple(lines), tuple(failures))
                        items, lines, failures, size, pixels = [], [], [], 0, 0
                if items or failures:
                    yield DescribedBatch(tuple(items), tuple(lines), tuple(failures))


def _item_input(row: StreamedItem, pictures: PictureStore) -> ItemInput:
    picture = row.picture if row.picture is not None else pictures.read(row.image)
    if picture is None and row.image:
        if is_url(row.image):
            what = "is a URL that was not fetched; `mmrec fetch` brings it into images/"
        else:
            what = "is not in the dataset folder; put the file into images/"
        raise InvalidImageError(f"the picture {row.image!r} {what}")
    # A missing attribute and an empty one are the same in the catalogue.
    attributes = {name: value for name, value in row.attributes.items() if value}
    return ItemInput(row.item_id, row.title, row.description, picture, attributes)


def _size_bytes(item: ItemInput) -> int:
    words = (item.title, item.description, *item.attributes, *item.attributes.values())
    return len(item.image or b"") + sum(len(text.encode()) for text in words)
