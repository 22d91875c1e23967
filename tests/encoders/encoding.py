"""One call for what tests ask of an item encoder over and over."""

from __future__ import annotations

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.pictures import PictureStore
from mmrec.errors import MmrecError
from mmrec_encoders.embedding.catalogue import encode_pictures, encode_words
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder, Query
from mmrec_encoders.protocols import Vectors


def features_of(encoder: ItemEncoder, catalogue: Catalogue, pictures: PictureStore) -> ItemFeatures:
    """Frozen vectors of a catalogue."""
    found = encode_pictures(encoder, catalogue, pictures)
    return ItemFeatures(found.image_NI, found.has_image_N, *encode_words(encoder, catalogue))


def encode_query(
    encoder: ItemEncoder, text: str | None, image: bytes | None = None, text_weight: float = 0.5
) -> Vectors:
    """The vector of one search, whose error is raised."""
    (found,) = encoder.encode_queries([Query(text or "", image, text_weight)])
    if isinstance(found, MmrecError):
        raise found
    return found
