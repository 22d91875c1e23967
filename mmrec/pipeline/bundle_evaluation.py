"""Measuring a published bundle again, on the events it holds or on those of a dataset folder."""

from __future__ import annotations

import os

import numpy as np

from mmrec.bundle import open_bundle
from mmrec.data.catalogue import Catalogue
from mmrec.data.dataset import read_dataset
from mmrec.data.interactions import Interactions
from mmrec.data.splits import leave_one_out
from mmrec.device import resolve_device, resolve_dtype
from mmrec.errors import InvalidDatasetError
from mmrec.pipeline.evaluation import Evaluation, evaluate
from mmrec.progress import NO_PROGRESS, Progress
from mmrec.recommender.artefact import read_parts
from mmrec.recommender.ranker import Ranker

__all__ = ["evaluate_bundle"]


def evaluate_bundle(
    bundle: str | os.PathLike[str],
    dataset: str | os.PathLike[str] | None = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    progress: Progress = NO_PROGRESS,
) -> Evaluation:
    """Rank every user's last event among the whole catalogue.

    Args:
        bundle: Bundle folder.
        dataset: Takes the events from here instead of from the bundle. The bundle's transition counts and weights
            stay those of its own training events.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        progress: Told of every question.

    Raises:
        BundleError: the bundle is damaged.
        InvalidDatasetError: the dataset shares no events with the bundle's catalogue.
    """
    where = resolve_device(device)
    number_format = resolve_dtype(dtype, where)
    opened = open_bundle(bundle)
    parts = read_parts(opened, where)
    interactions = parts.interactions
    if dataset is not None:
        interactions = _events_of(dataset, parts.catalogue)
    split = leave_one_out(interactions)
    ranker = Ranker(parts, where, number_format)
    return evaluate(ranker, parts.blends, split.train, split.test, progress)


def _events_of(dataset: str | os.PathLike[str], catalogue: Catalogue) -> Interactions:
    """Events of a dataset in the rows of the bundle's catalogue."""
    data = read_dataset(dataset)
    rows = [catalogue.row_of(item_id) for item_id in data.catalogue.item_ids]
    new_rows_N = np.array([-1 if row is None else row for row in rows], dtype=np.int64)
    interactions = data.interactions.restrict_items(new_rows_N)
    if not interactions.users or interactions.lengths_U.max() < 3:
        raise InvalidDatasetError(
            f"{data.root} has {interactions.events:,} events of items that the bundle knows, and no user has 3 of "
            "them; evaluate with the dataset that the bundle was fitted on, or without one"
        )
    return interactions
