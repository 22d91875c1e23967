"""Reads the events that a server has recorded, for a fit."""

from __future__ import annotations

from pathlib import Path


def dataset_with_events(dataset: Path, store: Path, out: Path) -> tuple[str, int]:
    """A dataset with the events of a store behind its own; a server may go on recording meanwhile.

    Args:
        dataset: A dataset folder.
        store: Folder of `mmrec serve --store`.
        out: Bundle folder, in whose work folder the dataset is made.

    Returns:
        Its folder, and the number of the last event in it.

    Raises:
        NotFoundError: there is no such dataset or store.
        InvalidDatasetError: the events of the dataset have no times.
    """
    from mmrec.data.recorded_events import with_recorded_events
    from mmrec.training.work_folder import WORK
    from mmrec_serving.event_log import SqliteEventReader, StoreFolder

    with SqliteEventReader(StoreFolder(store)) as reader:
        last = reader.position()
        events = (entry.event for batch in reader.replay() for entry in batch if entry.sequence <= last)
        folder = out / WORK / "with-events" / dataset.resolve().name
        return str(with_recorded_events(dataset, events, folder)), last
