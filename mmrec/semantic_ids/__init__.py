"""Semantic IDs: tokenizers, the decode index, eligibility, and path search.

In: fused embeddings or training events. Out: one unique path of codes per item, and an index for decoding paths.
"""
