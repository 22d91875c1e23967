"""Keyword arguments of the SDK's methods, one TypedDict per request.

Generated from the request dataclasses: do not edit; run scripts/generate_sdk.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypedDict

from mmrec.contract.items import FilterMode, Modality, NumberFormat
from mmrec.contract.requests import Promotion


class RecommendOptions(TypedDict, total=False):
    """Fields of `RecommendRequest`.

    Attributes:
        user_id: A user the bundle was trained with; that user's stored history is put before `history`. Empty:
            anonymous.
        k: How many items; 0 means 10, more than 1,000 is coerced to it. [10]
        allow: If not empty, only these items may be returned.
        deny: These items are never returned.
        include_seen: Whether items of the history may be returned again.
        beam_width: Beams of the semantic-ID search; 0 lets the server choose (never narrower than k), more than 2,000
            is coerced to it. [0]
        explain: Whether to return each item's shares by channel and history item.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        filter_mode: What to do when fewer than `k` items pass the filter. [strict]
        diversity: 0 (best first) to 1 (as different from each other as possible); the first item stays. [0]
        exploration: Share of the places that goes to new items, 0 to 1: those that training has seen no event of. [0]
        exploration_column: A column of dates, for `exploration_max_age_days`; empty for no age limit.
        exploration_max_age_days: New items whose date lies longer ago than this, or that have none, are not explored;
            over 0, and 0 for no age limit. A day has 24 hours. [0]
        popularity_damping: How much popular items are held back, 0 (not at all) to 1. [0]
        promotions: Items to be shown more, at most 100; their shares sum to at most 1.
    """

    user_id: str
    k: int
    allow: Iterable[str]
    deny: Iterable[str]
    include_seen: bool
    beam_width: int
    explain: bool
    filter: str
    filter_mode: FilterMode | str
    diversity: float
    exploration: float
    exploration_column: str
    exploration_max_age_days: float
    popularity_damping: float
    promotions: Iterable[Promotion]


class SimilarOptions(TypedDict, total=False):
    """Fields of `SimilarRequest`.

    Attributes:
        modality: Which side of the items to compare; items without that side are not found. [fused]
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        filter_mode: What to do when fewer than `k` items pass the filter. [strict]
        diversity: 0 (nearest first) to 1 (as different from each other as possible). [0]
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    modality: Modality | str
    filter: str
    filter_mode: FilterMode | str
    diversity: float
    item_fields: Iterable[str]


class SearchOptions(TypedDict, total=False):
    """Fields of `SearchRequest`.

    Attributes:
        image: An encoded picture (JPEG, PNG, WebP, GIF, BMP), or the path of one; None: none.
        text_weight: Share of the words when words and a picture are given, 0 to 1. [0.5]
        k: How many items a page; 0 means 10, more than 1,000 is coerced to it. [10]
        item_id: An item of the catalogue to search by, never among the results; empty for none.
        item_weight: Share of the item when words or a picture are given too, 0 to 1. [0.5]
        vector: A vector of the fused space to search by, of any length but 0; given alone. Empty for none. Numbers are
            kept as near as 32 bits come.
        modality: Which side of the items to compare; items without that side are not found. [fused]
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        filter_mode: What to do when fewer than `k` items pass the filter. [strict]
        page_token: `next_page_token` of the page before, whatever became of the catalogue since; empty for the first
            page. Each page holds the first items of the current catalogue that no earlier page returned: no item is
            returned twice, and one that can be found all the while is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    image: bytes | str | os.PathLike[str] | None
    text_weight: float
    k: int
    item_id: str
    item_weight: float
    vector: Iterable[float] | None
    modality: Modality | str
    filter: str
    filter_mode: FilterMode | str
    page_token: str
    item_fields: Iterable[str]


class EmbedOptions(TypedDict, total=False):
    """Fields of `EmbedRequest`.

    Attributes:
        modality: Which side of the items to embed; an item without it is refused by itself. [fused]
        dtype: What the numbers are rounded to; the vectors are float32 all the same. [float32]
    """

    modality: Modality | str
    dtype: NumberFormat | str


class TagOptions(TypedDict, total=False):
    """Fields of `TagRequest`.

    Attributes:
        labels: The labels to choose from, distinct; empty with `column`.
        column: A column of the catalogue whose values are the labels; what an item itself has in it is not looked at.
            Empty with `labels`.
        templates: Sentences with `{label}` (and, if wanted, `{column}`) that a label is put into; the vectors of all
            are averaged. Empty: the engine's own.
        k: How many labels per item; 0 means 5, more than 1,000 is coerced to it. [5]
        min_score: Labels with a lower probability are left out, 0 to 1. [0]
        modality: Which side of the items to look at. [fused]
    """

    labels: Iterable[str]
    column: str
    templates: Iterable[str]
    k: int
    min_score: float
    modality: Modality | str


class DuplicatesOptions(TypedDict, total=False):
    """Fields of `DuplicatesRequest`.

    Attributes:
        min_similarity: Cosine from which on two pictures are the same whatever the words, over 0 to 1; when the words
            alone are looked at, the least share of words in common. None: chosen from the catalogue.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        modality: What must be alike: the picture, the words, or either (FUSED). [fused]
        page_size: Groups a page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the page before, whatever became of the catalogue since; empty for the first
            page. A group that stays as it is is returned exactly once, and no item in two groups; one that has grown
            comes again only with its new items, where these are two or more.
    """

    min_similarity: float | None
    filter: str
    modality: Modality | str
    page_size: int
    page_token: str


class MismatchOptions(TypedDict, total=False):
    """Fields of `MismatchRequest`.

    Attributes:
        max_agreement: Cosine of picture and words below which they do not agree, -1 to 1; None: the 1% of the catalogue
            that fit worst, or every one of `item_ids`.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        page_size: Items a page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the page before, whatever became of the catalogue since; empty for the first
            page. Each page holds the first items of the current catalogue that no earlier page returned: no item is
            returned twice, and one that can be found all the while is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    max_agreement: float | None
    filter: str
    page_size: int
    page_token: str
    item_fields: Iterable[str]


class ListItemsOptions(TypedDict, total=False):
    """Fields of `ListItemsRequest`.

    Attributes:
        page_size: Items a page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the page before, whatever became of the catalogue since; empty for the first
            page. Each page holds the first items of the current catalogue that no earlier page returned: no item is
            returned twice, and one that can be found all the while is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    page_size: int
    page_token: str
    item_fields: Iterable[str]


class SemanticIdsOptions(TypedDict, total=False):
    """Fields of `SemanticIdsRequest`.

    Attributes:
        codebook_version: Version of the codebooks that the semantic IDs are in: the one being served, or the one before
            it as long as that is kept; empty for the one being served.
    """

    codebook_version: str


class ResolveOptions(TypedDict, total=False):
    """Fields of `ResolveRequest`.

    Attributes:
        page_size: Items returned per path; 0 means 10, more than 1,000 is coerced to it, and so is what would make more
            than 100,000 items in all. [10]
        codebook_version: Version of the codebooks that the semantic IDs are in: the one being served, or the one before
            it as long as that is kept; empty for the one being served.
    """

    page_size: int
    codebook_version: str


class UpsertOptions(TypedDict, total=False):
    """Fields of `UpsertRequest`.

    Attributes:
        request_id: Chosen by the caller, at most 128 characters: a second request with the same id and the same content
            changes nothing and gets the first one's reply. Empty: no such protection.
        validate_only: Whether to check everything and change nothing.
        wait_until_visible: Whether to answer only when the items can be recommended, rather than when they are safe.
        fields: Fields to replace in items that exist, as in `title`, `image`, `attributes` or `attributes.price`; the
            others of an item are not read. An item that does not exist is refused by itself. Empty: items come as a
            whole.
    """

    request_id: str
    validate_only: bool
    wait_until_visible: bool
    fields: Iterable[str]


class DeleteOptions(TypedDict, total=False):
    """Fields of `DeleteRequest`.

    Attributes:
        request_id: Chosen by the caller, at most 128 characters: a second request with the same id and the same content
            changes nothing and gets the first one's reply. Empty: no such protection.
        validate_only: Whether to check everything and change nothing.
    """

    request_id: str
    validate_only: bool
