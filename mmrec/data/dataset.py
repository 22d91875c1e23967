"""A dataset folder, read: the catalogue, who did what, and where the pictures are.

The folder holds ``items.{parquet,csv,tsv,jsonl}`` with `item_id` and any of `title`, `description`, `image`;
every further column is an attribute. ``events.*`` has `user_id`, `item_id`, and `timestamp` (seconds or
milliseconds since 1970, or ISO-8601) or `position`; `rating` and `event_type` are optional. ``users.*`` is
optional. Pictures lie in ``images/`` or ``images.zip``. The text formats may be gzipped (``events.tsv.gz``).
``dataset.toml`` says what the values alone do not (see `mmrec.data.settings`).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from mmrec.data.catalogue import Catalogue
from mmrec.data.interactions import Interactions
from mmrec.data.loading import load_tables
from mmrec.data.pictures import PictureStore
from mmrec.data.problems import raise_if_fatal
from mmrec.data.settings import DatasetSettings
from mmrec.data.word_columns import find_words
from mmrec.errors import InvalidArgumentError, InvalidDatasetError

__all__ = ["Dataset", "Need", "read_dataset"]

Need = Literal["", "picture", "words"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset folder, read.

    Attributes:
        root: The folder.
        name: Its name.
        catalogue: The items.
        interactions: Events of these items; without an events table there are none.
        pictures: Where the items' pictures are read from.
        settings: What ``dataset.toml`` says.
    """

    root: Path
    name: str
    catalogue: Catalogue
    interactions: Interactions
    pictures: PictureStore
    settings: DatasetSettings = field(default_factory=DatasetSettings)


def read_dataset(path: str | os.PathLike[str], *, require: Need = "") -> Dataset:
    """Read a dataset folder.

    Events of unknown items, and events whose time or rating breaks the rules, are dropped; `mmrec check`
    lists them.

    Args:
        path: The folder.
        require: ``picture`` keeps only items whose picture is there, ``words`` only items with a title, a
            description or a value in another column of words; the events of the others are dropped with them.

    Raises:
        NotFoundError: there is no such folder.
        InvalidDatasetError: a table or column is missing, item ids are empty or repeated, a row cannot be
            read, or no item is left. The message names the first few problems with their rows.
    """
    if require not in ("", "picture", "words"):
        raise InvalidArgumentError(f"require is {require!r}; it must be '', 'picture' or 'words'", field="require")
    root = Path(path)
    loaded = load_tables(root)
    raise_if_fatal(root, loaded.problems)
    catalogue, interactions = loaded.catalogue, loaded.interactions
    if catalogue is None:
        raise InvalidDatasetError(f"the dataset {str(root)!r} has no usable items table; see `mmrec check {root}`")
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
        catalogue, interactions = catalogue.take(keep_N), interactions.restrict_items(new_rows_N)
    return Dataset(root, root.resolve().name, catalogue, interactions, pictures, loaded.settings)
