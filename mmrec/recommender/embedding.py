"""Embedding: described items in, their vectors and semantic IDs out.

Unit of work: a batch of requests. Knows nothing about gRPC, the catalogue's rows or ranking.
"""

# Axes: M described items, D fused dimensions

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmrec.contract.items import ItemFailure, ItemInput, Modality, Versions
from mmrec.contract.replies import EmbedResults, ItemEmbedding
from mmrec.contract.requests import EmbedRequest
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.recommender.modality_vectors import missing_modality, only_modality
from mmrec.semantic_ids.tokenizer import Tokenizer
from mmrec.understanding.chunks import item_chars, item_chunks
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.protocols import Vectors


class Embedder:
    """Embeds described items with the encoders of one bundle.

    Args:
        encoder: The encoders and the fusion.
        tokenizer: Gives each vector its codes.
        versions: Named in every reply.
    """

    def __init__(self, encoder: ItemEncoder, tokenizer: Tokenizer, versions: Versions) -> None:
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._versions = versions

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Fused embeddings and semantic IDs, item by item."""
        return [self._embed(request) for request in requests]

    def _embed(self, request: EmbedRequest) -> EmbedResults | MmrecError:
        fusion, tokenizer = self._encoder.trained_fusion, self._tokenizer
        lengths = (*fusion.prefixes, fusion.dimension)
        if request.dimension and request.dimension not in lengths:
            return InvalidArgumentError(
                f"dimension is {request.dimension}; this bundle's vectors may have {', '.join(map(str, lengths))} "
                "dimensions, or 0 for all",
                field="dimension",
            )
        good = [item for item in request.items if isinstance(item, ItemInput)]
        encode = _check if request.validate_only else _encode
        vectors = iter(
            vector
            for chunk in item_chunks(good, [item_chars(item) for item in good])
            for vector in encode(self._encoder, chunk, request.modality)
        )
        entries: list[ItemEmbedding | ItemFailure] = []
        for item in request.items:
            vector = next(vectors) if isinstance(item, ItemInput) else item.error
            if isinstance(vector, MmrecError):
                entries.append(ItemFailure(item.item_id, vector))
                continue
            if request.validate_only:
                entries.append(ItemEmbedding(item.item_id, vector))
                continue
            # A tokenizer that only numbers the items of the catalogue has no codes for other items.
            codes = tokenizer.encode(vector[None])[0] if tokenizer.encodes_new else ()
            if request.dimension:
                vector = fusion.shorten(vector[None], request.dimension)[0]
            entries.append(ItemEmbedding(item.item_id, vector, tuple(int(code) for code in codes)))
        return EmbedResults(tuple(entries), self._versions)


def _check(encoder: ItemEncoder, items: Sequence[ItemInput], modality: Modality) -> list[Vectors | MmrecError]:
    """Why described items cannot be encoded; vectors without numbers for those that can."""
    found = encoder.item_inputs(items)
    results: list[Vectors | MmrecError] = []
    for row in range(len(items)):
        lacks = {Modality.PICTURE: row not in found.pictures, Modality.WORDS: row not in found.texts}
        if row in found.errors:
            results.append(found.errors[row])
        elif lacks.get(modality):
            results.append(missing_modality(modality))
        else:
            results.append(np.empty(0, np.float32))
    return results


def _encode(encoder: ItemEncoder, items: Sequence[ItemInput], modality: Modality) -> list[Vectors | MmrecError]:
    """Vectors of one modality of described items; an item may fail alone."""
    if modality is Modality.FUSED:
        return encoder.encode_inputs(items)
    encoded = encoder.input_features(items)
    features = only_modality(encoded.features, modality)
    present_M = features.has_image_N if modality is Modality.PICTURE else features.has_text_N
    vectors_MD = encoder.trained_fusion.fuse(features)
    results: dict[int, Vectors | MmrecError] = dict(encoded.errors)
    for place, row in enumerate(encoded.rows):
        results[row] = vectors_MD[place] if present_M[place] else missing_modality(modality)
    return [results[row] for row in range(len(items))]
