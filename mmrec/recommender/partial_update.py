"""Partial updates: replacing some fields of items and encoding only what changed.

Unit of work: existing items, none twice. Words are encoded again when words are replaced, and a picture when it is
replaced; other vectors are kept, so changing a price does not need the picture. Knows nothing about
requests and stores.
"""

# Axes: M items, D fused dimensions

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.change_applier import EncodeResult
from mmrec.catalogue.item_words import words_of_item
from mmrec.contract.field_mask import named_columns, replaced_words
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.errors import InvalidArgumentError, MmrecError, NotFoundError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.encoded_items import EncodedItems, item_fault, record_texts, thumbnails_of
from mmrec.recommender.modality_vectors import ModalityVectors
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder

_IMAGE = "image"


def replaced_record(record: ItemRecord, item: ItemInput, fields: Sequence[str]) -> ItemRecord:
    """A row with some fields replaced.

    Args:
        record: The row, with every column of the catalogue.
        item: The item as it was sent; only `fields` are read.
        fields: As `mmrec.contract.field_mask.FieldMask` gives them.
    """
    words = replaced_words(record, item, fields)
    # The reference of the dataset is to the picture before the update.
    image = "" if _IMAGE in fields else record.image
    attributes = {name: words.attributes.get(name, "") for name in record.attributes}
    return ItemRecord(record.item_id, words.title, words.description, image, attributes)


def encode_fields(
    catalogue: Catalogue,
    filters: CatalogueFilter,
    vectors: ModalityVectors,
    items: Sequence[ItemInput],
    fields: Sequence[str],
) -> EncodeResult[EncodedItems]:
    """Encode items of which some fields are replaced; an item may fail alone.

    Args:
        catalogue: The items before the update.
        filters: Filters over the catalogue, which know what its columns hold.
        vectors: Their vectors and features.
        items: Items with ids, none twice; only `fields` are read.
        fields: At least one, as `mmrec.contract.field_mask.FieldMask` gives them.

    Raises:
        InvalidArgumentError: a field is a column that the catalogue does not have.
        FailedPreconditionError: the fusion is not trained, or the bundle does not hold the embeddings.
    """
    encoder, fusion = vectors.encoder, vectors.fusion
    _check_columns(catalogue, fields)
    errors: dict[int, MmrecError] = {}
    rows: dict[int, int] = {}
    seen: set[str] = set()
    for place, item in enumerate(items):
        row = catalogue.row_of(item.item_id)
        if error := item_fault(item, catalogue, filters, item.item_id in seen, fields):
            errors[place] = error
        elif row is None:
            errors[place] = NotFoundError(
                f"the catalogue has no item {item.item_id!r:.80}, so no fields of it can be replaced; send it whole to "
                "add it"
            )
        else:
            rows[place] = row
        seen.add(item.item_id)
    records = {place: replaced_record(catalogue.record(row), items[place], fields) for place, row in rows.items()}
    known = dict(zip(rows, range(len(rows)), strict=True))
    features = vectors.features_of(np.array(list(rows.values()), np.int64))
    thumbnails_M = vectors.thumbnails_of(np.array(list(rows.values()), np.int64))
    if any(name != _IMAGE for name in fields):
        errors |= _encode_words(encoder, records, known, features)
    if _IMAGE in fields:
        errors |= _encode_pictures(encoder, items, known, features)
    for place, at in known.items():
        if place not in errors and not (features.has_image_N[at] or features.has_text_N[at]):
            errors[place] = InvalidArgumentError(
                f"item {items[place].item_id!r:.80} would be left without words and picture; keep one of them, or "
                "delete it",
                field="title",
            )
    places = tuple(place for place in known if place not in errors)
    kept = np.array([known[place] for place in places], np.int64)
    if _IMAGE in fields:
        thumbnails_M[kept] = thumbnails_of([items[place] for place in places], encoder)
    good = ItemFeatures._make(part[kept] for part in features)
    made = tuple(records[place] for place in places)
    texts = record_texts(catalogue, encoder, made)
    return EncodeResult(EncodedItems(made, texts, good, fusion.fuse(good), thumbnails_M[kept]), places, errors)


def _check_columns(catalogue: Catalogue, fields: Sequence[str]) -> None:
    for column in named_columns(fields):
        if column not in catalogue.attributes:
            columns = ", ".join(map(repr, catalogue.attributes)) or "none beside title and description"
            raise InvalidArgumentError(
                f"update_mask has {f'attributes.{column}'!r:.80}, and {column!r:.80} is no column of the catalogue; "
                f"its columns are {columns:.400}",
                field="update_mask",
            )


def _encode_words(
    encoder: ItemEncoder, records: Mapping[int, ItemRecord], known: Mapping[int, int], features: ItemFeatures
) -> dict[int, MmrecError]:
    """Encode the words of all items into `features`; returns errors by place."""
    worded = {
        place: ItemInput(record.item_id, record.title, record.description, None, record.attributes)
        for place, record in records.items()
        if words_of_item(record, encoder.words)
    }
    for place, at in known.items():
        if place not in worded:
            features.text_NT[at], features.has_text_N[at] = 0.0, False
    places = list(worded)
    found = encoder.input_features([worded[place] for place in places])
    at_M = [known[places[row]] for row in found.rows]
    features.text_NT[at_M], features.has_text_N[at_M] = found.features.text_NT, found.features.has_text_N
    return {places[row]: error for row, error in found.errors.items()}


def _encode_pictures(
    encoder: ItemEncoder, items: Sequence[ItemInput], known: Mapping[int, int], features: ItemFeatures
) -> dict[int, MmrecError]:
    """Encode the pictures of all items into `features`; returns errors by place."""
    for at in known.values():
        features.image_NI[at], features.has_image_N[at] = 0.0, False
    places = [place for place in known if items[place].image is not None]
    alone = [replace(items[place], title="", description="", attributes={}) for place in places]
    found = encoder.input_features(alone)
    at_M = [known[places[row]] for row in found.rows]
    features.image_NI[at_M], features.has_image_N[at_M] = found.features.image_NI, found.features.has_image_N
    return {places[row]: error for row, error in found.errors.items()}
