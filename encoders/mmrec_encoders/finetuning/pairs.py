"""Picture-text pairs of a catalogue: items with words and a picture, their texts, and the held-out split."""

# Axes: N items, M pairs, S slots of texts

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.data.pictures import is_url
from mmrec.data.word_columns import find_words
from mmrec.errors import InvalidDatasetError
from mmrec_encoders.finetuning.splitting import split_titles
from mmrec_encoders.finetuning.texts import MISSING, TextTable, text_table

if TYPE_CHECKING:
    from mmrec.catalogue.catalogue import Catalogue
    from mmrec.data.dataset import Dataset
    from mmrec_encoders.finetuning.config import FinetuningConfig

FEWEST_PAIRS = 8


class Pairs(NamedTuple):
    """Items with words and a picture.

    Attributes:
        catalogue: Of these items only, in the dataset's order. Length M.
        train: Texts of the training pairs.
        held: Texts for evaluation: slot 0 the title, slot 1 all the words.
        held_M: Which pairs are held out. Shape: (M,), bool.
        title_M: Number of each item's title. Shape: (M,), int64.
    """

    catalogue: Catalogue
    train: TextTable
    held: TextTable
    held_M: npt.NDArray[np.bool_]
    title_M: npt.NDArray[np.int64]

    def take(self, keep_M: npt.NDArray[np.bool_]) -> Pairs:
        """Some of the pairs; the texts keep their numbers."""
        return Pairs(
            self.catalogue.take(keep_M),
            self.train._replace(ids_NS=self.train.ids_NS[keep_M]),
            self.held._replace(ids_NS=self.held.ids_NS[keep_M]),
            self.held_M[keep_M],
            self.title_M[keep_M],
        )

    @property
    def training_rows(self) -> npt.NDArray[np.int64]:
        """Training pairs. Shape: (K,), int64."""
        return np.flatnonzero(~self.held_M)

    @property
    def held_rows(self) -> npt.NDArray[np.int64]:
        """Held-out pairs. Shape: (H,), int64."""
        return np.flatnonzero(self.held_M)


def find_pairs(data: Dataset, config: FinetuningConfig) -> Pairs:
    """The items of a dataset that have words and a picture, split by title, or by all words of untitled items.

    Raises:
        InvalidDatasetError: there are too few such items, or too few titles to hold any out.
        InvalidArgumentError: a column or template of the configuration does not fit the items table.
    """
    catalogue = data.catalogue
    words = find_words(catalogue, data.settings.words, config.template or None)
    train = text_table(catalogue, config.texts, config.columns, words)
    named = [
        title if title.strip() else text for title, text in zip(catalogue.titles, catalogue.texts(words), strict=True)
    ]
    has_words_N = (train.ids_NS != MISSING).any(axis=1) & np.array([bool(name.strip()) for name in named], np.bool_)
    has_picture_N = np.array(
        [bool(ref) and (not is_url(ref) or data.pictures.has(ref)) for ref in catalogue.images], np.bool_
    )
    _check_enough(data, has_words_N, has_picture_N)
    both_N = has_words_N & has_picture_N
    held = text_table(catalogue, (("title", 1.0), ("item", 1.0)), (), words)
    untitled_N = held.ids_NS[:, 0] == MISSING
    held.ids_NS[untitled_N, 0] = held.ids_NS[untitled_N, 1]
    rows = np.flatnonzero(both_N)
    split = split_titles([named[row] for row in rows], config.hold_out, seed=config.seed, most=config.max_held_out)
    return Pairs(
        catalogue.take(rows),
        train._replace(ids_NS=train.ids_NS[rows]).only(np.flatnonzero(~split.held_N)),
        held._replace(ids_NS=held.ids_NS[rows]),
        split.held_N,
        split.title_N,
    )


def data_hash(data: Dataset) -> str:
    """Hash of item columns, the choice of word columns, and sizes and modification times of pictures. 64 hex digits."""
    digest = hashlib.sha256(find_words(data.catalogue, data.settings.words).fingerprint.encode("utf-8", "replace"))
    table = data.catalogue.to_table()
    for name in table.column_names:
        digest.update(f"{name}\0".encode())
        for value in table.column(name).to_pylist():
            digest.update(f"{value}\0".encode("utf-8", "replace"))
    archive = data.root / "images.zip"
    files = [archive, *(data.root / "images" / ref.removeprefix("images/") for ref in data.catalogue.images if ref)]
    for path in files:
        try:
            status = path.stat()
        except (OSError, ValueError):
            continue
        digest.update(f"{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _check_enough(data: Dataset, has_words_N: npt.NDArray[np.bool_], has_picture_N: npt.NDArray[np.bool_]) -> None:
    root, items = str(data.root), len(data.catalogue)
    if not has_picture_N.any():
        raise InvalidDatasetError(
            f"none of the {items:,} items of {root!r} names a picture file; fill the column 'image' and images/"
        )
    if not has_words_N.any():
        raise InvalidDatasetError(
            f"none of the {items:,} items of {root!r} has words that the texts to train on are made of; fill the "
            "columns 'title' or 'description'"
        )
    both = int((has_words_N & has_picture_N).sum())
    if both < FEWEST_PAIRS:
        raise InvalidDatasetError(
            f"{both} items of {root!r} have both words and a picture; adapt needs at least {FEWEST_PAIRS}, and "
            "thousands to learn anything of use: fill the columns, or use the encoders as they are"
        )
