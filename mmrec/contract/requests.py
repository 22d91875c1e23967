"""Requests to mmrec: one frozen dataclass each, whose fields declare their validation rules.

A request validates itself when it is created, so that the SDK, the in-process recommender and the server refuse a bad
value with the same message. Knows nothing of protobuf, torch or files. Requests that change the catalogue are in
`mmrec.contract.changes`, the replies in `mmrec.contract.replies`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from mmrec.contract.items import ITEM_FIELDS, NO_VERSIONS, DescribedItems, FilterMode, Modality, NumberFormat, Versions
from mmrec.contract.rules import (
    DEFAULT_K,
    DEFAULT_PAGE,
    DEFAULT_TAGS,
    MAX_BATCH,
    MAX_BEAM_WIDTH,
    MAX_BOOST,
    MAX_CODE,
    MAX_EXPLAINED,
    MAX_FILTER_CHARS,
    MAX_HISTORY,
    MAX_IGNORED,
    MAX_INSTRUCTION_CHARS,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_LIST_IDS,
    MAX_PROMOTED_IDS,
    MAX_PROMOTIONS,
    MAX_RANKED,
    MAX_RATED,
    MAX_RESOLVED,
    MAX_TEMPLATES,
    PAGE_TOKEN,
    TIME,
    Checked,
    Choice,
    Doc,
    Each,
    English,
    Flag,
    Id,
    Ids,
    Instance,
    Number,
    OneOf,
    Picture,
    Share,
    Size,
    Text,
    Vector,
    Weights,
    Whole,
)
from mmrec.errors import InvalidArgumentError, MmrecError

# --- fields that several requests have ------------------------------------------------------------------------------

ItemCount = Annotated[int, Size(DEFAULT_K), Doc("Number of items; 0 means 10, more than 1,000 is coerced to it.")]
Filter = Annotated[
    str,
    Text(MAX_FILTER_CHARS),
    Doc("AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item."),
]
FewerThanK = Annotated[FilterMode, Choice(FilterMode), Doc("What to do when fewer than `k` items pass the filter.")]
Side = Annotated[Modality, Choice(Modality), Doc("Which part of the items to compare; items without it are not found.")]
PageSize = Annotated[int, Size(DEFAULT_PAGE), Doc("Items per page; 0 means 100, more than 1,000 is coerced to it.")]
PageToken = Annotated[
    str,
    PAGE_TOKEN,
    Doc(
        "`next_page_token` of the previous page, valid also after changes of the catalogue; empty for the first page. "
        "Each page has the first items of the current catalogue that no earlier page returned: no item is returned "
        "twice, and an item that matches throughout is returned."
    ),
]
RowFields = Annotated[
    tuple[str, ...],
    Each(OneOf(ITEM_FIELDS), "field names", distinct=True),
    Doc("Fields of the rows to return besides the id; empty for all."),
]
CheckOnly = Annotated[
    bool,
    Flag(),
    Doc("Whether to check the request only: the same errors, and otherwise a reply that is empty but for versions."),
]
OnlyThese = Annotated[tuple[str, ...], Ids(), Doc("Only these items; empty for the whole catalogue.")]
CodebookVersion = Annotated[
    str,
    Id(),
    Doc(
        "Codebook version of the semantic IDs: the current one, or the previous one as long as it is kept; empty for "
        "the current one."
    ),
]


# --- recommending ---------------------------------------------------------------------------------------------------

_ADDED = Number(f"a number from -{MAX_BOOST:,.0f} to {MAX_BOOST:,.0f}", low=-MAX_BOOST, high=MAX_BOOST)
"""The rule of what is added to scores."""


class _SomeVersions:
    """`Versions` whose parts are text."""

    def check(self, value: Any, where: str) -> Versions:
        versions = Instance((Versions,), "mmrec.Versions").check(value, where)
        assert isinstance(versions, Versions)
        for part in fields(versions):
            Id().check(getattr(versions, part.name), f"{where}.{part.name}")
        return versions


@dataclass(frozen=True, slots=True)
class Promotion(Checked):
    """Items to recommend more often (a business rule). Filters and lists of the request still apply to them."""

    item_ids: Annotated[
        tuple[str, ...],
        Ids(MAX_PROMOTED_IDS),
        Doc("The items by id, at most 10,000; in addition to those of `filter`."),
    ] = ()
    filter: Annotated[
        Filter, Doc("The items by an AIP-160 condition over the columns; empty for those of `item_ids` only.")
    ] = ""
    min_share: Annotated[
        float, Share(), Doc("Least share of the positions, 0 to 1, as far as there are enough such items.")
    ] = 0.0
    boost: Annotated[
        float,
        _ADDED,
        Doc("Added to the items' scores, in the unit of the score; may be negative. At most 10,000 either way."),
    ] = 0.0

    def _check_together(self) -> None:
        if not self.item_ids and not self.filter.strip():
            raise InvalidArgumentError(
                "item_ids and filter are both empty; name the promoted items by id or by a condition", field="filter"
            )


@dataclass(frozen=True, slots=True)
class HistoryEvent(Checked):
    """One thing that a customer did."""

    item_id: Annotated[str, Id(empty="pass the id of an item"), Doc("The item, in the catalogue or not.")]
    event_type: Annotated[str, Id(), Doc("What the customer did, as in the dataset; empty: the item was taken.")] = ""
    time: Annotated[
        float | None,
        TIME,
        Doc("When, in seconds since 1970; None: not known."),
    ] = None
    rating: Annotated[float | None, Number(), Doc("The rating, in the unit of the dataset; None: no rating.")] = None


HistoryEvents = Annotated[
    tuple[HistoryEvent, ...],
    Each(Instance((HistoryEvent,), "mmrec.HistoryEvent values"), "mmrec.HistoryEvent values", MAX_HISTORY),
]


@dataclass(frozen=True, slots=True)
class RecommendRequest(Checked):
    """Recommend items to one customer."""

    history: Annotated[
        tuple[str, ...],
        Ids(None, last=MAX_HISTORY),
        Doc(
            "Item ids of the customer's events, oldest first. Only the last 1,000 are read; unknown ids are skipped "
            "and returned in `missing_ids`."
        ),
    ] = ()
    user_id: Annotated[
        str,
        Id(),
        Doc("A user of the training data, whose stored history is put before `history`. Empty: anonymous."),
    ] = ""
    k: ItemCount = DEFAULT_K
    allow: Annotated[tuple[str, ...], Ids(MAX_LIST_IDS), Doc("If not empty, only these items may be returned.")] = ()
    deny: Annotated[tuple[str, ...], Ids(MAX_LIST_IDS), Doc("These items are never returned.")] = ()
    include_seen: Annotated[bool, Flag(), Doc("Whether items of the history may be returned again.")] = False
    beam_width: Annotated[
        int,
        Size(0, MAX_BEAM_WIDTH),
        Doc(
            "Beam width of the semantic-ID search; 0: chosen by the server (at least k), more than 2,000 is coerced to "
            "it."
        ),
    ] = 0
    explain: Annotated[bool, Flag(), Doc("Whether to return each item's shares by channel and history item.")] = False
    filter: Filter = ""
    filter_mode: FewerThanK = FilterMode.STRICT
    diversity: Annotated[
        float,
        Share("0 (best first) and 1 (as different from each other as possible)"),
        Doc("0 (best first) to 1 (as different from each other as possible); the first item stays."),
    ] = 0.0
    exploration: Annotated[
        float,
        Share("0 (no position) and 1 (every position)"),
        Doc("Share of the positions for new items, 0 to 1: items without training events."),
    ] = 0.0
    exploration_column: Annotated[
        str, Id(), Doc("Column with each item's date, for `exploration_max_age_days`; empty for no age limit.")
    ] = ""
    exploration_max_age_days: Annotated[
        float,
        Number("a number of days, 0 for no age limit", low=0.0),
        Doc(
            "Largest age of a new item, in days of 24 hours; older items and items without a date are not explored. "
            "0 for no age limit."
        ),
    ] = 0.0
    popularity_damping: Annotated[
        float,
        Share("0 (no damping) and 1"),
        Doc("How much the scores of popular items are lowered, 0 (not at all) to 1."),
    ] = 0.0
    promotions: Annotated[
        tuple[Promotion, ...],
        Each(Instance((Promotion,), "mmrec.Promotion values"), "mmrec.Promotion values", MAX_PROMOTIONS),
        Doc("Items to recommend more often, at most 100; their shares sum to at most 1."),
    ] = ()
    explain_in_words: Annotated[
        bool, Flag(), Doc("Whether to return a sentence or two for people about each item, with their evidence.")
    ] = False
    language: Annotated[
        str, English(), Doc("BCP 47 tag of the language of these sentences; only English is built, and empty means it.")
    ] = ""
    instruction: Annotated[
        str,
        Text(MAX_INSTRUCTION_CHARS),
        Doc(
            "A wish in words, at most 10,000 characters. What can be a filter becomes one, which the result has in "
            "`constraints`; the other words steer by likeness. Empty for none."
        ),
    ] = ""
    ignored_conditions: Annotated[
        tuple[str, ...],
        Each(Text(MAX_FILTER_CHARS), "conditions", MAX_IGNORED),
        Doc("Conditions that are not made from `instruction`, as `constraints` of an earlier result has them."),
    ] = ()
    exact: Annotated[
        bool,
        Flag(),
        Doc(
            "Whether every eligible item is ranked, also in a large catalogue, where otherwise a few thousand "
            "candidates are. Slower."
        ),
    ] = False
    item_fields: RowFields = ()
    channel_weights: Annotated[
        Mapping[str, float],
        Weights(Number(f"a number from 0 to {MAX_BOOST:,.0f}", low=0.0, high=MAX_BOOST)),
        Doc(
            "What the fitted weight of each of these channels is multiplied by, 0 (leaves the channel out) to 10,000; "
            "channels are named as in explanations."
        ),
    ] = field(default_factory=dict)
    attribute_weights: Annotated[
        Mapping[str, float],
        Weights(_ADDED),
        Doc(
            "What is added to an item's score for each standard deviation that its value in each of these columns of "
            "numbers lies above the mean of the catalogue, in the unit of the score; may be negative."
        ),
    ] = field(default_factory=dict)
    expected_versions: Annotated[
        Versions,
        _SomeVersions(),
        Doc("Versions that the reply must be made with, others are an error; empty parts match any."),
    ] = NO_VERSIONS
    validate_only: CheckOnly = False
    history_events: Annotated[
        HistoryEvents,
        Doc(
            "What the customer did after `history`, in the order of time, at most 1,000 events. Items that were "
            "dismissed, returned or rated low are not recommended until they are taken again; impressions do not count."
        ),
    ] = ()

    def _check_together(self) -> None:
        days, column = self.exploration_max_age_days, self.exploration_column
        if days and not column:
            raise InvalidArgumentError(
                f"exploration_max_age_days is {days:g} and exploration_column is empty; name the column with the date "
                "of each item",
                field="exploration_column",
            )
        if column and not days:
            raise InvalidArgumentError(
                f"exploration_column is {column!r:.80} and exploration_max_age_days is 0; pass the number of days that "
                "an item is new, or leave both out",
                field="exploration_max_age_days",
            )
        total = sum(promotion.min_share for promotion in self.promotions)
        if total > 1 + 1e-9:
            raise InvalidArgumentError(
                f"the min_share values of promotions sum to {total:g}; lower them to a sum of at most 1",
                field="promotions",
            )


@dataclass(frozen=True, slots=True)
class RankRequest(Checked):
    """Order given items for one customer."""

    item_ids: Annotated[
        tuple[str, ...],
        Ids(MAX_RANKED),
        Doc("The items to rank, 1 to 10,000 ids; an id that is repeated counts once."),
    ]
    customer: Annotated[
        RecommendRequest,
        Instance((RecommendRequest,), "a mmrec.RecommendRequest"),
        Doc("The customer and how to rank; its `k`, `allow` and `include_seen` are not read."),
    ] = RecommendRequest()

    def _check_together(self) -> None:
        if not self.item_ids:
            raise InvalidArgumentError("item_ids is empty; pass 1 to 10,000 ids of items to rank", field="item_ids")


@dataclass(frozen=True, slots=True)
class EmbedUserRequest(Checked):
    """Embed a customer in the space of items."""

    history: Annotated[
        tuple[str, ...],
        Ids(None, last=MAX_HISTORY),
        Doc(
            "Item ids of the customer's events, oldest first. Only the last 1,000 are read; unknown ids are skipped "
            "and returned in `missing_ids`."
        ),
    ] = ()
    user_id: Annotated[
        str,
        Id(),
        Doc("A user of the training data, whose stored history is put before `history`. Empty: anonymous."),
    ] = ""
    text: Annotated[str, Text(), Doc("What the customer looks for, in words; empty for none.")] = ""
    text_weight: Annotated[
        float,
        Share("0 (history alone) and 1 (words alone)"),
        Doc("Weight of the words if there is a history too, 0 to 1."),
    ] = 0.5
    dimension: Annotated[
        int,
        Whole(0, 2**20, "be 0 (all) or a supported prefix"),
        Doc("Length of the vector: 0 for all, or one of the bundle's prefix lengths."),
    ] = 0

    def _check_together(self) -> None:
        if not self.history and not self.user_id and not self.text.strip():
            raise InvalidArgumentError(
                "history, user_id and text are all empty; pass at least one of them", field="history"
            )


@dataclass(frozen=True, slots=True)
class ExplainRequest(Checked):
    """Say in words why items would be recommended to a customer."""

    item_ids: Annotated[
        tuple[str, ...],
        Ids(MAX_EXPLAINED),
        Doc("The items to explain, 1 to 100 ids; an id that is repeated counts once."),
    ]
    customer: Annotated[
        RecommendRequest,
        Instance((RecommendRequest,), "a mmrec.RecommendRequest"),
        Doc(
            "The customer; `history`, `history_events`, `user_id`, `beam_width`, `popularity_damping`, the boosts of "
            "`promotions`, `channel_weights`, `attribute_weights`, `expected_versions`, `validate_only`, `instruction` "
            "and `ignored_conditions` are read."
        ),
    ] = RecommendRequest()
    language: Annotated[
        str, English(), Doc("BCP 47 tag of the language of the sentences; only English is built, and empty means it.")
    ] = ""
    recommendation_id: Annotated[
        str, Id(), Doc("An earlier reply; replies are not kept, so it must be empty: pass the customer instead.")
    ] = ""

    def _check_together(self) -> None:
        if self.recommendation_id:
            raise InvalidArgumentError(
                f"recommendation_id is {self.recommendation_id!r:.80}; replies are not kept, so leave it empty and "
                "pass the customer with the history or user of that reply",
                field="recommendation_id",
            )
        if not self.item_ids:
            raise InvalidArgumentError("item_ids is empty; pass 1 to 100 ids of items to explain", field="item_ids")


@dataclass(frozen=True, slots=True)
class RatingRequest(Checked):
    """Predict how a customer would rate items."""

    item_ids: Annotated[
        tuple[str, ...], Ids(MAX_RATED), Doc("The items, 1 to 1,000 ids; an id that is repeated counts once.")
    ]
    history: Annotated[
        HistoryEvents,
        Doc(
            "What the customer did, oldest first, at most 1,000 events; a rating replaces a stored one of the same "
            "item. Events without a time count as of now."
        ),
    ] = ()
    user_id: Annotated[
        str, Id(), Doc("A user of the training data, whose stored ratings are read before `history`. Empty: anonymous.")
    ] = ""

    def _check_together(self) -> None:
        if not self.item_ids:
            raise InvalidArgumentError("item_ids is empty; pass 1 to 1,000 ids of items to rate", field="item_ids")


# --- search and similar ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimilarRequest(Checked):
    """Items nearest to one item."""

    item_id: Annotated[
        str,
        Id(empty="pass the id of an item"),
        Doc("The query item; it is never among the results."),
    ]
    k: ItemCount = DEFAULT_K
    modality: Side = Modality.FUSED
    filter: Filter = ""
    filter_mode: FewerThanK = FilterMode.STRICT
    diversity: Annotated[
        float,
        Share("0 (nearest first) and 1 (as different from each other as possible)"),
        Doc("0 (nearest first) to 1 (as different from each other as possible)."),
    ] = 0.0
    item_fields: RowFields = ()


@dataclass(frozen=True, slots=True)
class SearchRequest(Checked):
    """Items nearest to a text, a picture, an item, a combination of them, or a vector."""

    text: Annotated[str, Text(), Doc("Query text; empty for none.")] = ""
    image: Annotated[
        bytes | None, Picture(), Doc("An encoded picture (JPEG, PNG, WebP, GIF, BMP), or the path of one; None: none.")
    ] = None
    text_weight: Annotated[
        float,
        Share("0 (picture alone) and 1 (text alone)"),
        Doc("Weight of the text if both a text and a picture are given, 0 to 1."),
    ] = 0.5
    k: Annotated[ItemCount, Doc("Items per page; 0 means 10, more than 1,000 is coerced to it.")] = DEFAULT_K
    item_id: Annotated[str, Id(), Doc("Query item of the catalogue, never among the results; empty for none.")] = ""
    item_weight: Annotated[
        float,
        Share("0 (text and picture alone) and 1 (the item alone)"),
        Doc("Weight of the item if a text or a picture is also given, 0 to 1."),
    ] = 0.5
    vector: Annotated[
        tuple[float, ...],
        Vector(),
        Doc(
            "Query vector in the fused space, with any norm above 0; cannot be combined with other queries. Empty for "
            "none. Numbers are rounded to float32."
        ),
    ] = ()
    modality: Side = Modality.FUSED
    filter: Filter = ""
    filter_mode: FewerThanK = FilterMode.STRICT
    page_token: PageToken = ""
    item_fields: RowFields = ()
    validate_only: CheckOnly = False

    def _check_together(self) -> None:
        described = bool(self.text.strip()) or self.image is not None or bool(self.item_id)
        if not described and not self.vector:
            raise InvalidArgumentError(
                "none of text, image, item and vector is given; pass at least one of them", field="text"
            )
        if described and self.vector:
            raise InvalidArgumentError(
                "vector cannot be combined with a text, a picture or an item; combine the vectors yourself, or leave "
                "vector out",
                field="vector",
            )


# --- embedding and tags ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmbedRequest(Checked):
    """Compute fused embeddings and semantic IDs of items."""

    items: DescribedItems
    dimension: Annotated[
        int,
        Whole(0, 2**20, "be 0 (all) or a supported prefix"),
        Doc("Length of the returned vectors: 0 for full length, else a prefix that the fusion was trained for."),
    ] = 0
    modality: Annotated[
        Modality,
        Choice(Modality),
        Doc("Which part of the items to embed; an item without it is refused by itself."),
    ] = Modality.FUSED
    dtype: Annotated[
        NumberFormat,
        Choice(NumberFormat),
        Doc("Number format for sending; the vectors are rounded to it and returned as float32."),
    ] = NumberFormat.FLOAT32
    validate_only: Annotated[
        CheckOnly, Doc("Whether to check the items only; one that would be embedded has a vector without numbers.")
    ] = False


class _Labels:
    """Distinct labels, none of them blank."""

    def check(self, value: Any, where: str) -> tuple[str, ...]:
        labels = _LABELS.check(value, where)
        seen: set[str] = set()
        for i, label in enumerate(labels):
            if not label.strip() or label in seen:
                what = f"{label!r:.80} again" if label in seen else "blank"
                raise InvalidArgumentError(
                    f"{where}[{i}] is {what}; labels must be distinct and not blank", field=f"{where}[{i}]"
                )
            seen.add(label)
        return labels


class _Template:
    """A sentence with a placeholder for the label."""

    def check(self, value: Any, where: str) -> str:
        template = _LABEL.check(value, where)
        if "{label}" not in template:
            raise InvalidArgumentError(
                f"{where} is {template!r:.80}; a template must contain {{label}}, as in 'a photo of a {{label}} thing'",
                field=where,
            )
        return template


_LABEL = Text(MAX_LABEL_CHARS)
_LABELS = Each(_LABEL, "labels", MAX_LABELS)


@dataclass(frozen=True, slots=True)
class TagRequest(Checked):
    """Label items. A request without items only prepares the vectors of its labels."""

    items: DescribedItems = ()
    item_ids: Annotated[tuple[str, ...], Ids(), Doc("Items of the catalogue, answered after those of `items`.")] = ()
    labels: Annotated[tuple[str, ...], _Labels(), Doc("The labels to choose from, distinct; empty with `column`.")] = ()
    column: Annotated[
        str,
        Id(),
        Doc(
            "A column of the catalogue whose values are the labels; an item's own value is not used. Empty with "
            "`labels`."
        ),
    ] = ""
    templates: Annotated[
        tuple[str, ...],
        Each(_Template(), "sentences with {label}", MAX_TEMPLATES),
        Doc(
            "Sentences with `{label}` (and optionally `{column}`); the vectors of all templates are averaged. Empty: "
            "the engine's defaults."
        ),
    ] = ()
    k: Annotated[int, Size(DEFAULT_TAGS), Doc("Labels per item; 0 means 5, more than 1,000 is coerced to it.")] = (
        DEFAULT_TAGS
    )
    min_score: Annotated[float, Share(), Doc("Labels with a lower probability are left out, 0 to 1.")] = 0.0
    modality: Annotated[Modality, Choice(Modality), Doc("Which part of the items to use.")] = Modality.FUSED

    def _check_together(self) -> None:
        if bool(self.labels) == bool(self.column):
            got = "both labels and column are" if self.labels else "neither labels nor column is"
            raise InvalidArgumentError(
                f"{got} given; pass the labels to choose from, or the column whose values are the labels",
                field="labels",
            )
        if len(self.items) + len(self.item_ids) > MAX_BATCH:
            raise InvalidArgumentError(
                f"items and item_ids have {len(self.items) + len(self.item_ids):,} entries; at most {MAX_BATCH:,} are "
                "accepted together: send them in parts",
                field="items",
            )


# --- duplicates and mismatches --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DuplicatesRequest(Checked):
    """Find groups of duplicate items."""

    item_ids: Annotated[OnlyThese, Doc("Only groups with one of these items; empty for the whole catalogue.")] = ()
    min_similarity: Annotated[
        float | None,
        Share("0 (left out) and 1"),
        Doc(
            "Least cosine of the pictures of two duplicates, whatever their words, above 0 to 1; if only words are "
            "compared, the least share of words in common. None: chosen from the catalogue."
        ),
    ] = None
    filter: Filter = ""
    modality: Annotated[
        Modality,
        Choice(Modality),
        Doc("What must be similar: the picture, the words, or either (FUSED)."),
    ] = Modality.FUSED
    page_size: Annotated[PageSize, Doc("Groups per page; 0 means 100, more than 1,000 is coerced to it.")] = (
        DEFAULT_PAGE
    )
    page_token: Annotated[
        PageToken,
        Doc(
            "`next_page_token` of the previous page, valid also after changes of the catalogue; empty for the first "
            "page. An unchanged group is returned exactly once, and no item in two groups; a group that has grown is "
            "returned again, with its new items only, if these are at least two."
        ),
    ] = ""

    def _check_together(self) -> None:
        if self.min_similarity == 0.0:
            raise InvalidArgumentError(
                "min_similarity is 0; it must be above 0 and at most 1: at 0 all items would be duplicates",
                field="min_similarity",
            )


@dataclass(frozen=True, slots=True)
class MismatchRequest(Checked):
    """Items whose picture and words do not agree."""

    item_ids: OnlyThese = ()
    max_agreement: Annotated[
        float | None,
        Share(low=-1.0),
        Doc(
            "Cosine of picture and words below which they do not agree, -1 to 1. None: the worst 1% of the catalogue, "
            "or all of `item_ids`."
        ),
    ] = None
    filter: Filter = ""
    page_size: PageSize = DEFAULT_PAGE
    page_token: PageToken = ""
    item_fields: RowFields = ()


# --- the service ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServiceInfoRequest(Checked):
    """Describe what is served."""


# --- several requests at once ---------------------------------------------------------------------------------------


def _requests(kind: type[Any]) -> Each:
    return Each(
        Instance((kind, MmrecError), f"mmrec.{kind.__name__} values"), "requests", MAX_BATCH, "send them in parts"
    )


@dataclass(frozen=True, slots=True)
class RecommendBatch(Checked):
    """Recommendations for several customers; an error stands for a request that was refused already."""

    requests: Annotated[
        tuple[RecommendRequest | MmrecError, ...], _requests(RecommendRequest), Doc("At most 1,000 requests.")
    ]


@dataclass(frozen=True, slots=True)
class SearchBatch(Checked):
    """Several searches; an error stands for a request that was refused already."""

    requests: Annotated[
        tuple[SearchRequest | MmrecError, ...], _requests(SearchRequest), Doc("At most 1,000 requests.")
    ]


@dataclass(frozen=True, slots=True)
class SimilarBatch(Checked):
    """Nearest items of several items; an error stands for a request that was refused already."""

    requests: Annotated[
        tuple[SimilarRequest | MmrecError, ...], _requests(SimilarRequest), Doc("At most 1,000 requests.")
    ]


# --- rows and semantic IDs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemsRequest(Checked):
    """Catalogue rows by id."""

    item_ids: Annotated[tuple[str, ...], Ids(), Doc("The items, at most 1,000; an id that is repeated counts once.")]
    item_fields: RowFields = ()


@dataclass(frozen=True, slots=True)
class ListItemsRequest(Checked):
    """A page of the catalogue, in the order of the items' ids (by Unicode code points).

    The catalogue may change between pages, and each page is read from the current one: an item that exists and passes
    the filter throughout is on exactly one page, and no item is on two.
    """

    filter: Filter = ""
    page_size: PageSize = DEFAULT_PAGE
    page_token: PageToken = ""
    item_fields: RowFields = ()


@dataclass(frozen=True, slots=True)
class SemanticIdsRequest(Checked):
    """The semantic IDs of items."""

    item_ids: Annotated[tuple[str, ...], Ids(), Doc("The items, at most 1,000.")]
    codebook_version: CodebookVersion = ""


@dataclass(frozen=True, slots=True)
class ResolveRequest(Checked):
    """The items whose semantic IDs begin with given codes."""

    semantic_ids: Annotated[
        tuple[tuple[int, ...], ...],
        Each(Each(Whole(0, MAX_CODE), "codes"), "paths", MAX_BATCH, "send them in parts"),
        Doc("Paths, or prefixes of paths, each of at least one code; at most 1,000."),
    ]
    page_size: Annotated[
        int,
        Size(DEFAULT_K),
        Doc(
            "Items per path; 0 means 10, more than 1,000 is coerced to it; it is lowered so that at most 100,000 items "
            "are returned in all."
        ),
    ] = DEFAULT_K
    codebook_version: CodebookVersion = ""

    def _check_together(self) -> None:
        most = MAX_RESOLVED // max(1, len(self.semantic_ids))
        object.__setattr__(self, "page_size", min(self.page_size, most))
