"""Reads the events that a server has recorded, for a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mmrec.data.recorded_events import LeftOut


class RecordedDataset(NamedTuple):
    """A dataset with the events of a store.

    Attributes:
        folder: Its folder.
        events: Number of the last event in it.
        deletions: Number of the last deletion of a customer that it follows.
        left_out: What the dataset has of deleted customers.
    """

    folder: str
    events: int
    deletions: int
    left_out: LeftOut


def dataset_with_events(dataset: Path, store: str, out: Path) -> RecordedDataset:
    """A dataset with the events of a store behind its own; a server may go on recording meanwhile.

    Args:
        dataset: A dataset folder.
        store: Folder or URL of `mmrec serve --store`.
        out: Bundle folder, in whose work folder the dataset is made.

    Raises:
        NotFoundError: there is no such dataset or store.
        InvalidDatasetError: the events of the dataset have no times.
    """
    from mmrec.data.recorded_events import with_recorded_events
    from mmrec.training.work_folder import WORK
    from mmrec_serving.event_log import read_events
    from mmrec_serving.store_place import store_place

    with read_events(store_place(store)) as reader:
        # In this order: whoever is deleted in between has no later event in the dataset, which would then be lost.
        last = reader.position()
        forgotten = reader.forgotten()
        events = (entry.event for batch in reader.replay() for entry in batch if entry.sequence <= last)
        folder = out / WORK / "with-events" / dataset.resolve().name
        left_out = with_recorded_events(dataset, events, folder, forgotten.has)
        return RecordedDataset(str(folder), last, forgotten.last, left_out)
