"""Encoded items as bytes, so that a stored item need not be encoded again.

Unit of work: one item, as Safetensors. `encoder_version` tells whether stored bytes fit the encoders in use. Knows
nothing about stores and requests.
"""

# Axes: M items, I picture dimensions, T words dimensions, D fused dimensions

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.errors import BundleError, NotFoundError
from mmrec.recommender.encoded_items import EncodedItems, item_records, record_texts
from mmrec.recommender.partial_update import replaced_record
from mmrec.understanding.thumbnails import THUMBNAIL_SIDE
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder

LAYOUT = 1
"""Version of the byte layout."""


def encoder_version(encoder: ItemEncoder) -> str:
    """A digest of everything that the bytes depend on."""
    layout = json.dumps({"layout": LAYOUT, **encoder.fingerprints}, sort_keys=True)
    return hashlib.sha256(layout.encode()).hexdigest()[:16]


def pack_items(items: EncodedItems) -> list[bytes]:
    """The bytes of each item."""
    features = items.features
    packed = []
    for row in range(len(items.records)):
        tensors = {"fused": items.fused_MD[row]}
        if features.has_image_N[row]:
            tensors |= {"image": features.image_NI[row], "thumbnail": items.thumbnails_M[row]}
        if features.has_text_N[row]:
            tensors["text"] = features.text_NT[row]
        packed.append(save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}))
    return packed


def unpack_items(
    catalogue: Catalogue,
    encoder: ItemEncoder,
    items: Sequence[ItemInput],
    packed: Sequence[bytes],
    fields: Sequence[Sequence[str]] = (),
) -> EncodedItems:
    """Encoded items from described items and their stored bytes.

    Args:
        catalogue: The catalogue that they are added to.
        encoder: An encoder with the same `encoder_version` as the bytes.
        items: As clients described them.
        packed: From `pack_items`, one each.
        fields: For each item the fields of a partial update, none for a whole item. Empty: all are whole.

    Raises:
        BundleError: bytes are damaged, or of vectors of another length.
        NotFoundError: fields are to be replaced of an item that the catalogue does not have.
    """
    records, texts = item_records(catalogue, encoder, items)
    if any(fields):
        records = tuple(
            _replaced(catalogue, item, names) if names else record
            for record, item, names in zip(records, items, fields, strict=True)
        )
        texts = record_texts(catalogue, encoder, records)
    count, dimension = len(items), encoder.trained_fusion.dimension
    image_MI, has_image_M = np.zeros((count, encoder.image_dim), np.float32), np.zeros(count, np.bool_)
    text_MT, has_text_M = np.zeros((count, encoder.text.dim), np.float32), np.zeros(count, np.bool_)
    fused_MD = np.zeros((count, dimension), np.float32)
    thumbnails_M = np.zeros((count, 3, THUMBNAIL_SIDE, THUMBNAIL_SIDE), np.uint8)
    for row, data in enumerate(packed):
        try:
            tensors = load(data)
            fused_MD[row] = tensors["fused"]
            if "image" in tensors:
                image_MI[row], thumbnails_M[row], has_image_M[row] = tensors["image"], tensors["thumbnail"], True
            if "text" in tensors:
                text_MT[row], has_text_M[row] = tensors["text"], True
        except (SafetensorError, KeyError, ValueError) as err:
            raise BundleError(
                f"what is kept of item {items[row].item_id!r:.80} cannot be read ({err}): restore the store from a "
                "copy, or send the item again"
            ) from err
    features = ItemFeatures(image_MI, has_image_M, text_MT, has_text_M)
    return EncodedItems(records, texts, features, fused_MD, thumbnails_M)


def _replaced(catalogue: Catalogue, item: ItemInput, fields: Sequence[str]) -> ItemRecord:
    row = catalogue.row_of(item.item_id)
    if row is None:
        raise NotFoundError(f"the catalogue has no item {item.item_id!r:.80}, so no fields of it can be replaced")
    return replaced_record(catalogue.record(row), item, fields)
