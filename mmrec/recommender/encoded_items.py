"""Encoded items: embedded, fused, and with their records, ready to be added to a catalogue.

Unit of work: a batch of items, each of which may fail alone. Knows nothing about requests, rows and indexes.
"""

# Axes: M items, D fused dimensions

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.change_applier import EncodeResult
from mmrec.contract.field_mask import named_columns
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.filters.filter import CatalogueFilter
from mmrec.runtime.background import between_steps
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE, thumbnail_of_file
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder


class EncodedItems(NamedTuple):
    """Items ready to be added, or to replace those of the same id.

    Attributes:
        records: As clients will see them, with every column of the catalogue.
        texts: Their words, as the lexical channel reads them.
        features: Embeddings of their pictures and words.
        fused_MD: Fused embeddings, unit norm. Shape: (M, D), float32.
        thumbnails_M: Thumbnails of their pictures, zero where there is none. Shape: (M, 3, 48, 48), uint8.
    """

    records: tuple[ItemRecord, ...]
    texts: tuple[str, ...]
    features: ItemFeatures
    fused_MD: npt.NDArray[np.float32]
    thumbnails_M: npt.NDArray[np.uint8]

    def take(self, places: Sequence[int]) -> EncodedItems:
        """The items at these places, in this order."""
        rows = np.asarray(places, dtype=np.int64)
        return EncodedItems(
            tuple(self.records[place] for place in places),
            tuple(self.texts[place] for place in places),
            ItemFeatures._make(part[rows] for part in self.features),
            self.fused_MD[rows],
            self.thumbnails_M[rows],
        )

    @classmethod
    def join(cls, parts: Sequence[EncodedItems]) -> EncodedItems:
        """The items of all `parts`, in order; at least one part."""
        return cls(
            tuple(record for one in parts for record in one.records),
            tuple(text for one in parts for text in one.texts),
            ItemFeatures._make(map(np.concatenate, zip(*(one.features for one in parts), strict=True))),
            np.concatenate([one.fused_MD for one in parts]),
            np.concatenate([one.thumbnails_M for one in parts]),
        )


def encode_items(
    catalogue: Catalogue, filters: CatalogueFilter, encoder: ItemEncoder, items: Sequence[ItemInput]
) -> EncodeResult[EncodedItems]:
    """Encode and fuse items as clients describe them; an item may fail alone.

    Args:
        catalogue: Items may have its columns only.
        filters: Filters over the catalogue, which know what its columns hold.
        encoder: The encoder of the catalogue.
        items: Items with ids, none twice.

    Raises:
        FailedPreconditionError: the fusion is not trained.
    """
    fusion = encoder.trained_fusion
    errors: dict[int, MmrecError] = {}
    seen: set[str] = set()
    for place, item in enumerate(items):
        if error := item_fault(item, catalogue, filters, item.item_id in seen):
            errors[place] = error
        seen.add(item.item_id)
    asked = [place for place in range(len(items)) if place not in errors]
    encoded = encoder.input_features([items[place] for place in asked])
    errors |= {asked[row]: error for row, error in encoded.errors.items()}
    places = tuple(asked[row] for row in encoded.rows)
    records, texts = item_records(catalogue, encoder, [items[place] for place in places])
    return EncodeResult(
        EncodedItems(
            records,
            texts,
            encoded.features,
            fusion.fuse(encoded.features),
            thumbnails_of([items[place] for place in places], encoder),
        ),
        places,
        errors,
    )


def item_records(
    catalogue: Catalogue, encoder: ItemEncoder, items: Sequence[ItemInput]
) -> tuple[tuple[ItemRecord, ...], tuple[str, ...]]:
    """Items as clients will see them, and their words as the lexical channel reads them."""
    records = tuple(_record(item, catalogue) for item in items)
    return records, record_texts(catalogue, encoder, records)


def record_texts(catalogue: Catalogue, encoder: ItemEncoder, records: Sequence[ItemRecord]) -> tuple[str, ...]:
    """Words of rows, none twice, as the lexical channel reads them."""
    return tuple(_as_catalogue(records, catalogue).texts(encoder.words))


def no_items(dimension: int) -> EncodedItems:
    """An empty batch, with fused embeddings of `dimension` numbers."""
    nothing, no = np.zeros((0, 1), np.float32), np.zeros(0, np.bool_)
    thumbnails_M = np.zeros((0, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    fused_MD = np.zeros((0, dimension), np.float32)
    return EncodedItems((), (), ItemFeatures(nothing, no, nothing, no), fused_MD, thumbnails_M)


def item_fault(
    item: ItemInput, catalogue: Catalogue, filters: CatalogueFilter, twice: bool, fields: Sequence[str] = ()
) -> MmrecError | None:
    """Error of an item's id, columns or values, None if there is none.

    Args:
        item: The item.
        catalogue: The catalogue that it is for.
        filters: Filters over the catalogue.
        twice: Whether an item before it has the same id.
        fields: Fields of a partial update; other values are not checked. Empty: the whole item.
    """
    if not item.item_id:
        return InvalidArgumentError("item_id is empty; an item of the catalogue needs one", field="item_id")
    if twice:
        return InvalidArgumentError(
            f"item_id is {item.item_id!r:.80}, which an item before it has already; give each item once",
            field="item_id",
        )
    unknown = [name for name in item.attributes if name not in catalogue.attributes]
    if unknown:
        columns = ", ".join(map(repr, catalogue.attributes)) or "none beside title and description"
        return InvalidArgumentError(
            f"attributes has {unknown[0]!r:.80}, which is no column of the catalogue; its columns are {columns:.400}: "
            "use one of them, or fit again with the new column",
            field="attributes",
        )
    columns_read = item.attributes if not fields or "attributes" in fields else named_columns(fields)
    try:
        for name in columns_read:
            filters.check_value(name, item.attributes.get(name, ""))
    except InvalidArgumentError as err:
        return err
    return None


def _record(item: ItemInput, catalogue: Catalogue) -> ItemRecord:
    attributes = {name: item.attributes.get(name, "") for name in catalogue.attributes}
    return ItemRecord(item.item_id, item.title, item.description, attributes=attributes)


def thumbnails_of(items: Sequence[ItemInput], encoder: ItemEncoder) -> npt.NDArray[np.uint8]:
    """Thumbnails of pictures that can be read, zero where there is none. Shape: (M, 3, 48, 48), uint8."""
    found_M = np.zeros((len(items), 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    for place, item in enumerate(items):
        if item.image is not None:
            between_steps()
            ahead = encoder.decoded_ahead(item.image)
            known = None if ahead is None else ahead.thumbnail
            found_M[place] = thumbnail_of_file(item.image) if known is None else known
    return found_M


def _as_catalogue(records: Sequence[ItemRecord], like: Catalogue) -> Catalogue:
    none = np.empty(0, np.int64)
    return like.take(none).changed(records, np.arange(len(records)), none)
