"""Reads a dataset folder: the catalogue, the interactions, and where the pictures are.

The folder holds ``items.{parquet,csv,tsv,jsonl}`` with `item_id` and any of `title`, `description`, `image`;
every further column is an attribute. ``events.*`` has `user_id`, `item_id`, and `timestamp` (`mmrec.data.time_parsing`)
or `position`; `rating` and `event_type` are optional, and say which events are positive (`mmrec.data.feedback`).
``users.*`` is optional. Pictures lie in ``images/`` or ``images.zip``. The text formats may be compressed
(``events.tsv.gz``).
``dataset.toml`` has the owner's settings (`mmrec.data.settings`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.interactions import Interactions
from mmrec.data.loading import load_tables
from mmrec.data.pictures import PictureStore
from mmrec.data.problems import ProblemGroup, ProblemLog, raise_if_fatal
from mmrec.data.settings import DatasetSettings
from mmrec.data.summary import DatasetSummary, checked_share, raise_if_too_few_used
from mmrec.data.word_columns import find_words
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.limits import check_choice

Need = Literal["", "picture", "words"]

_EXCLUDED = {"picture": "without a picture", "words": "without words"}


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset folder, read.

    Attributes:
        root: The folder.
        name: Its name.
        catalogue: The items.
        interactions: Positive events of these items; without an events table there are none.
        pictures: Where the items' pictures are read from.
        rejected: Pairs of user and item whose latest event is negative (returned, removed, rated low), one event each.
        rated: Events with a rating, low ones included.
        rejected_below: Events with a rating below it are negative; None: every rating is positive.
        settings: From ``dataset.toml``.
        summary: How many rows of the tables are used.
        problems: Problems of the tables, by kind.
    """

    root: Path
    name: str
    catalogue: Catalogue
    interactions: Interactions
    pictures: PictureStore
    rejected: Interactions = field(default_factory=Interactions.empty)
    rated: Interactions = field(default_factory=Interactions.empty)
    rejected_below: float | None = None
    settings: DatasetSettings = field(default_factory=DatasetSettings)
    summary: DatasetSummary = field(default_factory=DatasetSummary)
    problems: tuple[ProblemGroup, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: rows that are not used, columns without effect, warnings."""
        warnings = [
            f"{group.file or self.name}: {group.count:,} x {group.kind}" + (f": {group.hint}" if group.hint else "")
            for group in self.problems
            if group.severity == "warning"
        ]
        lines = (*self.summary.lines, *warnings)
        return (*lines, f"`mmrec check {self.root}` shows more") if lines else ()


def read_dataset(
    path: str | os.PathLike[str],
    *,
    require: Need = "",
    max_left_out: float | None = None,
    min_rating: float | None = None,
) -> Dataset:
    """Read a dataset folder.

    Events of unknown items, and rows whose time, rating, id or text breaks the rules, are left out, and counted in
    `Dataset.summary`; `mmrec check` shows them.

    Args:
        path: The folder.
        require: ``picture`` keeps only items whose picture is there, ``words`` only items with a title, a
            description or a value in another column of words; the events of the other items are excluded too.
        max_left_out: The largest share of the rows of a table that may be left out, in [0, 1]; None: as in
            ``dataset.toml``, or a tenth.
        min_rating: Events with a rating below it are negative; 0: every rating counts; None: as in
            ``dataset.toml``, or by the scale of the ratings.

    Raises:
        NotFoundError: there is no such folder.
        InvalidDatasetError: a table or column is missing, item ids are empty or repeated, a row cannot be
            read, too many rows are left out, or no item is left. The message names the first few problems with
            their rows.
        InvalidArgumentError: `require` or `max_left_out` breaks its rule.
    """
    check_choice("require", require, ("", "picture", "words"))
    checked_share(max_left_out)
    root = Path(path)
    log = ProblemLog()
    loaded = load_tables(root, log, min_rating=min_rating)
    raise_if_fatal(root, log.groups)
    catalogue, summary = loaded.catalogue, loaded.summary
    interactions, rejected, rated = loaded.events.interactions, loaded.events.rejected, loaded.events.rated
    if catalogue is None:
        raise InvalidDatasetError(f"the dataset {str(root)!r} has no usable items table; see `mmrec check {root}`")
    raise_if_too_few_used(root, summary, loaded.settings.events.max_left_out if max_left_out is None else max_left_out)
    pictures = PictureStore(root)
    if require:
        keep_N = (
            np.fromiter((pictures.has(ref) for ref in catalogue.images), dtype=np.bool_, count=len(catalogue))
            if require == "picture"
            else catalogue.has_words(find_words(catalogue, loaded.settings.words))
        )
        if not keep_N.any():
            raise InvalidDatasetError(
                f"no item of {str(root)!r} has {'a picture' if require == 'picture' else 'words'}; "
                "fill the column " + ("'image' and images/" if require == "picture" else "'title' or 'description'")
            )
        new_rows_N = np.where(keep_N, np.cumsum(keep_N) - 1, -1)
        before = interactions.events
        catalogue, interactions = catalogue.take(keep_N), interactions.restrict_items(new_rows_N)
        rejected, rated = rejected.restrict_items(new_rows_N), rated.restrict_items(new_rows_N)
        summary = summary.with_excluded(int((~keep_N).sum()), before - interactions.events, _EXCLUDED[require])
    return Dataset(
        root=root,
        name=root.resolve().name,
        catalogue=catalogue,
        interactions=interactions,
        pictures=pictures,
        rejected=rejected,
        rated=rated,
        rejected_below=loaded.events.rejected_below,
        settings=loaded.settings,
        summary=summary,
        problems=log.groups,
    )
