"""Keyword arguments of the SDK's methods, one TypedDict per request.

Generated from the request dataclasses: do not edit; run scripts/generate_sdk.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypedDict

from mmrec.contract.items import FilterMode, Modality, NumberFormat, Versions
from mmrec.contract.requests import HistoryEvent, Promotion


class RecommendOptions(TypedDict, total=False):
    """Fields of `RecommendRequest`.

    Attributes:
        user_id: A user of the training data, whose stored history is put before `history`. Empty: anonymous.
        k: Number of items; 0 means 10, more than 1,000 is coerced to it. [10]
        allow: If not empty, only these items may be returned.
        deny: These items are never returned.
        include_seen: Whether items of the history may be returned again.
        beam_width: Beam width of the semantic-ID search; 0: chosen by the server (at least k), more than 2,000 is
            coerced to it. [0]
        explain: Whether to return each item's shares by channel and history item.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        filter_mode: What to do when fewer than `k` items pass the filter. [strict]
        diversity: 0 (best first) to 1 (as different from each other as possible); the first item stays. [0]
        exploration: Share of the positions for new items, 0 to 1: items without training events. [0]
        exploration_column: Column with each item's date, for `exploration_max_age_days`; empty for no age limit.
        exploration_max_age_days: Largest age of a new item, in days of 24 hours; older items and items without a date
            are not explored. 0 for no age limit. [0]
        popularity_damping: How much the scores of popular items are lowered, 0 (not at all) to 1. [0]
        promotions: Items to recommend more often, at most 100; their shares sum to at most 1.
        explain_in_words: Whether to return a sentence or two for people about each item, with their evidence.
        language: BCP 47 tag of the language of these sentences; only English is built, and empty means it.
        instruction: A wish in words, at most 10,000 characters. What can be a filter becomes one, which the result has
            in `constraints`; the other words steer by likeness. Empty for none.
        ignored_conditions: Conditions that are not made from `instruction`, as `constraints` of an earlier result has
            them.
        exact: Whether every eligible item is ranked, also in a large catalogue, where otherwise a few thousand
            candidates are. Slower.
        item_fields: Fields of the rows to return besides the id; empty for all.
        channel_weights: What the fitted weight of each of these channels is multiplied by, 0 (leaves the channel out)
            to 10,000; channels are named as in explanations.
        attribute_weights: What is added to an item's score for each standard deviation that its value in each of these
            columns of numbers lies above the mean of the catalogue, in the unit of the score; may be negative.
        expected_versions: Versions that the reply must be made with, others are an error; empty parts match any.
        validate_only: Whether to check the request only: the same errors, and otherwise a reply that is empty but for
            versions.
        history_events: What the customer did after `history`, in the order of time, at most 1,000 events. Items that
            were dismissed, returned or rated low are not recommended until they are taken again; impressions do not
            count.
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
    explain_in_words: bool
    language: str
    instruction: str
    ignored_conditions: Iterable[str]
    exact: bool
    item_fields: Iterable[str]
    channel_weights: Mapping[str, float]
    attribute_weights: Mapping[str, float]
    expected_versions: Versions
    validate_only: bool
    history_events: Iterable[HistoryEvent]


class RankOptions(TypedDict, total=False):
    """Fields of `RecommendRequest`.

    Attributes:
        user_id: A user of the training data, whose stored history is put before `history`. Empty: anonymous.
        deny: These items are never returned.
        beam_width: Beam width of the semantic-ID search; 0: chosen by the server (at least k), more than 2,000 is
            coerced to it. [0]
        explain: Whether to return each item's shares by channel and history item.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        filter_mode: What to do when fewer than `k` items pass the filter. [strict]
        diversity: 0 (best first) to 1 (as different from each other as possible); the first item stays. [0]
        exploration: Share of the positions for new items, 0 to 1: items without training events. [0]
        exploration_column: Column with each item's date, for `exploration_max_age_days`; empty for no age limit.
        exploration_max_age_days: Largest age of a new item, in days of 24 hours; older items and items without a date
            are not explored. 0 for no age limit. [0]
        popularity_damping: How much the scores of popular items are lowered, 0 (not at all) to 1. [0]
        promotions: Items to recommend more often, at most 100; their shares sum to at most 1.
        explain_in_words: Whether to return a sentence or two for people about each item, with their evidence.
        language: BCP 47 tag of the language of these sentences; only English is built, and empty means it.
        instruction: A wish in words, at most 10,000 characters. What can be a filter becomes one, which the result has
            in `constraints`; the other words steer by likeness. Empty for none.
        ignored_conditions: Conditions that are not made from `instruction`, as `constraints` of an earlier result has
            them.
        exact: Whether every eligible item is ranked, also in a large catalogue, where otherwise a few thousand
            candidates are. Slower.
        item_fields: Fields of the rows to return besides the id; empty for all.
        channel_weights: What the fitted weight of each of these channels is multiplied by, 0 (leaves the channel out)
            to 10,000; channels are named as in explanations.
        attribute_weights: What is added to an item's score for each standard deviation that its value in each of these
            columns of numbers lies above the mean of the catalogue, in the unit of the score; may be negative.
        expected_versions: Versions that the reply must be made with, others are an error; empty parts match any.
        validate_only: Whether to check the request only: the same errors, and otherwise a reply that is empty but for
            versions.
        history_events: What the customer did after `history`, in the order of time, at most 1,000 events. Items that
            were dismissed, returned or rated low are not recommended until they are taken again; impressions do not
            count.
    """

    user_id: str
    deny: Iterable[str]
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
    explain_in_words: bool
    language: str
    instruction: str
    ignored_conditions: Iterable[str]
    exact: bool
    item_fields: Iterable[str]
    channel_weights: Mapping[str, float]
    attribute_weights: Mapping[str, float]
    expected_versions: Versions
    validate_only: bool
    history_events: Iterable[HistoryEvent]


class ConverseOptions(TypedDict, total=False):
    """Fields of `ConverseRequest`.

    Attributes:
        user_id: A user with a stored history, which is put before `history`; may be empty.
        filter: A condition of the caller that always holds, whatever the customer says; empty for none.
        k: Most items in one turn; 0 means 1, more than 10 is coerced to it. [1]
        sponsored_column: A column of true and false that says which items are sponsored; empty: found by its name.
    """

    user_id: str
    filter: str
    k: int
    sponsored_column: str


class EmbedUserOptions(TypedDict, total=False):
    """Fields of `EmbedUserRequest`.

    Attributes:
        user_id: A user of the training data, whose stored history is put before `history`. Empty: anonymous.
        text: What the customer looks for, in words; empty for none.
        text_weight: Weight of the words if there is a history too, 0 to 1. [0.5]
        dimension: Length of the vector: 0 for all, or one of the bundle's prefix lengths. [0]
    """

    user_id: str
    text: str
    text_weight: float
    dimension: int


class ExplainOptions(TypedDict, total=False):
    """Fields of `RecommendRequest`.

    Attributes:
        user_id: A user of the training data, whose stored history is put before `history`. Empty: anonymous.
        beam_width: Beam width of the semantic-ID search; 0: chosen by the server (at least k), more than 2,000 is
            coerced to it. [0]
        popularity_damping: How much the scores of popular items are lowered, 0 (not at all) to 1. [0]
        promotions: Items to recommend more often, at most 100; their shares sum to at most 1.
        instruction: A wish in words, at most 10,000 characters. What can be a filter becomes one, which the result has
            in `constraints`; the other words steer by likeness. Empty for none.
        ignored_conditions: Conditions that are not made from `instruction`, as `constraints` of an earlier result has
            them.
        exact: Whether every eligible item is ranked, also in a large catalogue, where otherwise a few thousand
            candidates are. Slower.
        channel_weights: What the fitted weight of each of these channels is multiplied by, 0 (leaves the channel out)
            to 10,000; channels are named as in explanations.
        attribute_weights: What is added to an item's score for each standard deviation that its value in each of these
            columns of numbers lies above the mean of the catalogue, in the unit of the score; may be negative.
        expected_versions: Versions that the reply must be made with, others are an error; empty parts match any.
        validate_only: Whether to check the request only: the same errors, and otherwise a reply that is empty but for
            versions.
        history_events: What the customer did after `history`, in the order of time, at most 1,000 events. Items that
            were dismissed, returned or rated low are not recommended until they are taken again; impressions do not
            count.
    """

    user_id: str
    beam_width: int
    popularity_damping: float
    promotions: Iterable[Promotion]
    instruction: str
    ignored_conditions: Iterable[str]
    exact: bool
    channel_weights: Mapping[str, float]
    attribute_weights: Mapping[str, float]
    expected_versions: Versions
    validate_only: bool
    history_events: Iterable[HistoryEvent]


class RatingOptions(TypedDict, total=False):
    """Fields of `RatingRequest`.

    Attributes:
        history: What the customer did, oldest first, at most 1,000 events; a rating replaces a stored one of the same
            item. Events without a time count as of now.
        user_id: A user of the training data, whose stored ratings are read before `history`. Empty: anonymous.
    """

    history: Iterable[HistoryEvent]
    user_id: str


class SimilarOptions(TypedDict, total=False):
    """Fields of `SimilarRequest`.

    Attributes:
        modality: Which part of the items to compare; items without it are not found. [fused]
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
        text_weight: Weight of the text if both a text and a picture are given, 0 to 1. [0.5]
        k: Items per page; 0 means 10, more than 1,000 is coerced to it. [10]
        item_id: Query item of the catalogue, never among the results; empty for none.
        item_weight: Weight of the item if a text or a picture is also given, 0 to 1. [0.5]
        vector: Query vector in the fused space, with any norm above 0; cannot be combined with other queries. Empty for
            none. Numbers are rounded to float32.
        modality: Which part of the items to compare; items without it are not found. [fused]
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        filter_mode: What to do when fewer than `k` items pass the filter. [strict]
        page_token: `next_page_token` of the previous page, valid also after changes of the catalogue; empty for the
            first page. Each page has the first items of the current catalogue that no earlier page returned: no item is
            returned twice, and an item that matches throughout is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
        validate_only: Whether to check the request only: the same errors, and otherwise a reply that is empty but for
            versions.
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
    validate_only: bool


class EmbedOptions(TypedDict, total=False):
    """Fields of `EmbedRequest`.

    Attributes:
        modality: Which part of the items to embed; an item without it is refused by itself. [fused]
        dtype: Number format for sending; the vectors are rounded to it and returned as float32. [float32]
        validate_only: Whether to check the items only; one that would be embedded has a vector without numbers.
    """

    modality: Modality | str
    dtype: NumberFormat | str
    validate_only: bool


class TagOptions(TypedDict, total=False):
    """Fields of `TagRequest`.

    Attributes:
        labels: The labels to choose from, distinct; empty with `column`.
        column: A column of the catalogue whose values are the labels; an item's own value is not used. Empty with
            `labels`.
        templates: Sentences with `{label}` (and optionally `{column}`); the vectors of all templates are averaged.
            Empty: the engine's defaults.
        k: Labels per item; 0 means 5, more than 1,000 is coerced to it. [5]
        min_score: Labels with a lower probability are left out, 0 to 1. [0]
        modality: Which part of the items to use. [fused]
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
        min_similarity: Least cosine of the pictures of two duplicates, whatever their words, above 0 to 1; if only
            words are compared, the least share of words in common. None: chosen from the catalogue.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        modality: What must be similar: the picture, the words, or either (FUSED). [fused]
        page_size: Groups per page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the previous page, valid also after changes of the catalogue; empty for the
            first page. An unchanged group is returned exactly once, and no item in two groups; a group that has grown
            is returned again, with its new items only, if these are at least two.
    """

    min_similarity: float | None
    filter: str
    modality: Modality | str
    page_size: int
    page_token: str


class MismatchOptions(TypedDict, total=False):
    """Fields of `MismatchRequest`.

    Attributes:
        max_agreement: Cosine of picture and words below which they do not agree, -1 to 1. None: the worst 1% of the
            catalogue, or all of `item_ids`.
        filter: AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item.
        page_size: Items per page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the previous page, valid also after changes of the catalogue; empty for the
            first page. Each page has the first items of the current catalogue that no earlier page returned: no item is
            returned twice, and an item that matches throughout is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    max_agreement: float | None
    filter: str
    page_size: int
    page_token: str
    item_fields: Iterable[str]


class ItemsOptions(TypedDict, total=False):
    """Fields of `ItemsRequest`.

    Attributes:
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    item_fields: Iterable[str]


class ListItemsOptions(TypedDict, total=False):
    """Fields of `ListItemsRequest`.

    Attributes:
        page_size: Items per page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the previous page, valid also after changes of the catalogue; empty for the
            first page. Each page has the first items of the current catalogue that no earlier page returned: no item is
            returned twice, and an item that matches throughout is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    page_size: int
    page_token: str
    item_fields: Iterable[str]


class SemanticIdsOptions(TypedDict, total=False):
    """Fields of `SemanticIdsRequest`.

    Attributes:
        codebook_version: Codebook version of the semantic IDs: the current one, or the previous one as long as it is
            kept; empty for the current one.
    """

    codebook_version: str


class ResolveOptions(TypedDict, total=False):
    """Fields of `ResolveRequest`.

    Attributes:
        page_size: Items per path; 0 means 10, more than 1,000 is coerced to it; it is lowered so that at most 100,000
            items are returned in all. [10]
        codebook_version: Codebook version of the semantic IDs: the current one, or the previous one as long as it is
            kept; empty for the current one.
    """

    page_size: int
    codebook_version: str


class UpsertOptions(TypedDict, total=False):
    """Fields of `UpsertRequest`.

    Attributes:
        request_id: Idempotency key chosen by the caller, at most 128 characters: a second request with the same id and
            content changes nothing and gets the reply of the first one. Empty for none.
        validate_only: Whether to validate the request without changing anything.
        wait_until_visible: Whether to answer only when the items can be recommended, not as soon as they are saved.
        fields: Partial update: the fields to replace in existing items, such as `title`, `image`, `attributes` or
            `attributes.price`; other fields are not read. An item that does not exist is refused by itself. Empty:
            whole items are replaced.
    """

    request_id: str
    validate_only: bool
    wait_until_visible: bool
    fields: Iterable[str]


class DeleteOptions(TypedDict, total=False):
    """Fields of `DeleteRequest`.

    Attributes:
        request_id: Idempotency key chosen by the caller, at most 128 characters: a second request with the same id and
            content changes nothing and gets the reply of the first one. Empty for none.
        validate_only: Whether to validate the request without changing anything.
    """

    request_id: str
    validate_only: bool


class RecordEventsOptions(TypedDict, total=False):
    """Fields of `RecordEventsRequest`.

    Attributes:
        request_id: Chosen by the caller: events without an id of their own are not recorded again when the same request
            is sent again. Empty: none.
        validate_only: Whether to validate the request without changing anything.
    """

    request_id: str
    validate_only: bool


class ListEventsOptions(TypedDict, total=False):
    """Fields of `ListEventsRequest`.

    Attributes:
        page_size: Items per page; 0 means 100, more than 1,000 is coerced to it. [100]
        page_token: `next_page_token` of the previous page, also when events were recorded since; empty for the first
            page.
    """

    page_size: int
    page_token: str
