"""A random sample of a catalogue for training encoders: items, and pairs of items that follow each other in events.

Memory is bounded: there are limits on the number of items and of their events. A smaller catalogue is used as a whole,
in its order. Knows nothing about models.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.catalogue.catalogue import OWN_COLUMNS, Catalogue
from mmrec.data.events import KnownItems, read_events
from mmrec.data.problems import ProblemLog
from mmrec.data.row_stream import RowStream
from mmrec.data.settings import read_settings
from mmrec.data.streaming import ItemStream, StreamedItem, open_table
from mmrec.data.table_batches import Places
from mmrec.data.table_files import find_table
from mmrec.data.tables import Table
from mmrec_encoders.embedding.pictures import Fetcher
from mmrec_encoders.embedding.sample_pictures import SamplePictures
from mmrec_encoders.training import following_pairs

MOST_EVENTS = 2_000_000
"""Events of the sampled items that are read, from the start of the table; about 100 bytes of memory each."""
_EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "position", "event_type", "rating")
_BATCH = 65_536


class Sample(NamedTuple):
    """Items to train on.

    Attributes:
        catalogue: In the order of the table.
        pictures: Reads their pictures.
        pairs_P2: Rows of items that follow each other. Shape: (P, 2), int64.
    """

    catalogue: Catalogue
    pictures: SamplePictures
    pairs_P2: npt.NDArray[np.int64]


def draw_sample(
    root: Path, most: int, seed: int, kept: Path, fetcher: Fetcher | None = None, scratch: Path | None = None
) -> Sample:
    """Draw a uniform random sample of the catalogue. The same seed gives the same sample.

    Args:
        root: The dataset folder.
        most: Largest number of items.
        seed: Seed of the sample.
        kept: An empty folder for pictures of the table or of URLs.
        fetcher: Fetches URLs; None fetches none.
        scratch: See `ItemStream.windows`.
    """
    stream = ItemStream(root, 1024)
    count = sum(len(window.items) for window in stream.windows(scratch))
    chosen = None if count <= most else sorted(random.Random(seed).sample(range(count), most))  # nosec B311
    pictures = SamplePictures(root, kept, fetcher)
    items = []
    wanted = iter(chosen or ())
    following = next(wanted, -1)
    number = 0
    for window in stream.windows(scratch):
        for item in window.items:
            if chosen is None or number == following:
                ref = pictures.keep(item.line, item.picture) if item.picture is not None else item.image
                items.append(item._replace(image=ref, picture=None))
                following = next(wanted, -1)
            number += 1
    catalogue = catalogue_of(items, stream.columns)
    return Sample(catalogue, pictures, _pairs(root, catalogue))


def catalogue_of(items: Sequence[StreamedItem], columns: Sequence[str]) -> Catalogue:
    """Items of a table as a catalogue.

    Args:
        items: In their order.
        columns: Of the table.
    """
    return Catalogue(
        item_ids=tuple(item.item_id for item in items),
        titles=tuple(item.title for item in items),
        descriptions=tuple(item.description for item in items),
        images=tuple(item.image for item in items),
        attributes={
            name: tuple(item.attributes.get(name, "") for item in items) for name in columns if name not in OWN_COLUMNS
        },
    )


def _pairs(root: Path, catalogue: Catalogue) -> npt.NDArray[np.int64]:
    path, _ = find_table(root, "events")
    if path is None:
        return np.zeros((0, 2), np.int64)
    table = _events(open_table(root, "events", ("user_id", "item_id")), catalogue)
    # Problems are not reported, because only a part of the events is read.
    events = read_events(table, KnownItems.of(catalogue.item_ids), ProblemLog(), read_settings(root).events)
    return following_pairs(events.interactions)


def _events(stream: RowStream, catalogue: Catalogue) -> Table:
    """The first readable events of these items."""
    parts: dict[str, list[Any]] = {name: [] for name in _EVENT_COLUMNS if name in (stream.columns or _EVENT_COLUMNS)}
    usable = (
        row.values
        for row in stream
        if row.problem is None and catalogue.row_of(row.values.get("item_id", "")) is not None
    )
    rows = islice(usable, MOST_EVENTS)
    count = 0
    while batch := list(islice(rows, _BATCH)):
        count += len(batch)
        for name, column in parts.items():
            column.append(pa.array([values.get(name, "") for values in batch], pa.large_string()))
    columns = {name: pa.chunked_array(column, pa.large_string()) for name, column in parts.items()}
    lines = np.arange(1, count + 1, dtype=np.int64)
    return Table(stream.path.name, columns, count, lines, places=Places(stream.path.name))
