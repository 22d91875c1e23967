"""What can be asked of mmrec: one frozen dataclass for each request, whose fields carry their rules.

A request checks itself when it is made, so that a bad value is refused with the same words by the SDK, the in-process
recommender and the server. Knows nothing of protobuf, torch or files. Requests that change the catalogue are in
`mmrec.contract.changes`, the replies in `mmrec.contract.replies`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from mmrec.contract.items import ITEM_FIELDS, DescribedItems, FilterMode, Modality, NumberFormat
from mmrec.contract.rules import (
    DEFAULT_K,
    DEFAULT_PAGE,
    DEFAULT_TAGS,
    MAX_BATCH,
    MAX_BEAM_WIDTH,
    MAX_CODE,
    MAX_FILTER_CHARS,
    MAX_HISTORY,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_LIST_IDS,
    MAX_PROMOTED_IDS,
    MAX_PROMOTIONS,
    MAX_RESOLVED,
    MAX_TEMPLATES,
    PAGE_TOKEN,
    Checked,
    Choice,
    Doc,
    Each,
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
    Whole,
)
from mmrec.errors import InvalidArgumentError, MmrecError

# --- fields that several requests have ------------------------------------------------------------------------------

ItemCount = Annotated[int, Size(DEFAULT_K), Doc("How many items; 0 means 10, more than 1,000 is coerced to it.")]
Filter = Annotated[
    str,
    Text(MAX_FILTER_CHARS),
    Doc("AIP-160 condition over the columns, as in `in_stock = true AND price < 50`; empty for every item."),
]
FewerThanK = Annotated[FilterMode, Choice(FilterMode), Doc("What to do when fewer than `k` items pass the filter.")]
Side = Annotated[
    Modality, Choice(Modality), Doc("Which side of the items to compare; items without that side are not found.")
]
PageSize = Annotated[int, Size(DEFAULT_PAGE), Doc("Items a page; 0 means 100, more than 1,000 is coerced to it.")]
PageToken = Annotated[
    str,
    PAGE_TOKEN,
    Doc(
        "`next_page_token` of the page before, whatever became of the catalogue since; empty for the first page. Each "
        "page holds the first items of the current catalogue that no earlier page returned: no item is returned twice, "
        "and one that can be found all the while is returned."
    ),
]
RowFields = Annotated[
    tuple[str, ...],
    Each(OneOf(ITEM_FIELDS), "names of fields", distinct=True),
    Doc("Fields of the rows to return besides the id; empty for all."),
]
OnlyThese = Annotated[tuple[str, ...], Ids(), Doc("Only these items; empty for the whole catalogue.")]
CodebookVersion = Annotated[
    str,
    Id(),
    Doc(
        "Version of the codebooks that the semantic IDs are in: the one being served, or the one before it as long as "
        "that is kept; empty for the one being served."
    ),
]


# --- recommending ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Promotion(Checked):
    """Items that are to be shown more than they earn. What a request rules out stays out all the same."""

    item_ids: Annotated[
        tuple[str, ...],
        Ids(MAX_PROMOTED_IDS),
        Doc("The items by id, at most 10,000; those of `filter` as well, where both are given."),
    ] = ()
    filter: Annotated[
        Filter, Doc("The items by an AIP-160 condition over the columns; empty for those of `item_ids`.")
    ] = ""
    min_share: Annotated[
        float, Share(), Doc("At least this share of the places, 0 to 1, as far as there are such items.")
    ] = 0.0
    boost: Annotated[float, Number(), Doc("Added to the items' scores, in the score's own unit, of either sign.")] = 0.0

    def _check_together(self) -> None:
        if not self.item_ids and not self.filter.strip():
            raise InvalidArgumentError(
                "item_ids and filter are both empty; name the promoted items by id or by a condition", field="filter"
            )


@dataclass(frozen=True, slots=True)
class RecommendRequest(Checked):
    """What to recommend, and to whom."""

    history: Annotated[
        tuple[str, ...],
        Ids(None, last=MAX_HISTORY),
        Doc(
            "Item ids the customer has acted on, oldest first. Only the last 1,000 are read; ids that the catalogue "
            "does not have are skipped and come back in `missing_ids`."
        ),
    ] = ()
    user_id: Annotated[
        str,
        Id(),
        Doc(
            "A user the bundle was trained with; that user's stored history is put before `history`. Empty: anonymous."
        ),
    ] = ""
    k: ItemCount = DEFAULT_K
    allow: Annotated[tuple[str, ...], Ids(MAX_LIST_IDS), Doc("If not empty, only these items may be returned.")] = ()
    deny: Annotated[tuple[str, ...], Ids(MAX_LIST_IDS), Doc("These items are never returned.")] = ()
    include_seen: Annotated[bool, Flag(), Doc("Whether items of the history may be returned again.")] = False
    beam_width: Annotated[
        int,
        Size(0, MAX_BEAM_WIDTH),
        Doc(
            "Beams of the semantic-ID search; 0 lets the server choose (never narrower than k), more than 2,000 is "
            "coerced to it."
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
        Share("0 (no place for the sake of novelty) and 1 (every place)"),
        Doc("Share of the places that goes to new items, 0 to 1: those that training has seen no event of."),
    ] = 0.0
    exploration_column: Annotated[
        str, Id(), Doc("A column of dates, for `exploration_max_age_days`; empty for no age limit.")
    ] = ""
    exploration_max_age_days: Annotated[
        float,
        Number("a number of days, 0 for no age limit", low=0.0),
        Doc(
            "New items whose date lies longer ago than this, or that have none, are not explored; over 0, and 0 for no "
            "age limit. A day has 24 hours."
        ),
    ] = 0.0
    popularity_damping: Annotated[
        float,
        Share("0 (popular items are not held back) and 1"),
        Doc("How much popular items are held back, 0 (not at all) to 1."),
    ] = 0.0
    promotions: Annotated[
        tuple[Promotion, ...],
        Each(Instance((Promotion,), "mmrec.Promotion values"), "mmrec.Promotion values", MAX_PROMOTIONS),
        Doc("Items to be shown more, at most 100; their shares sum to at most 1."),
    ] = ()

    def _check_together(self) -> None:
        days, column = self.exploration_max_age_days, self.exploration_column
        if days and not column:
            raise InvalidArgumentError(
                f"exploration_max_age_days is {days:g} and exploration_column is empty; name the column that says "
                "since when items are there",
                field="exploration_column",
            )
        if column and not days:
            raise InvalidArgumentError(
                f"exploration_column is {column!r:.80} and exploration_max_age_days is 0; say how many days an item "
                "stays new, or leave both out",
                field="exploration_max_age_days",
            )
        total = sum(promotion.min_share for promotion in self.promotions)
        if total > 1 + 1e-9:
            raise InvalidArgumentError(
                f"the min_share values of promotions sum to {total:g}; a list has no more than all of its places, so "
                "lower them to a sum of at most 1",
                field="promotions",
            )


# --- search and similar ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimilarRequest(Checked):
    """Items nearest to one item."""

    item_id: Annotated[
        str,
        Id(empty="name the item to start from"),
        Doc("The item to start from; it is never among the results."),
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
    """Items nearest to words, to a picture, to an item, to several of them at once, or to a vector."""

    text: Annotated[str, Text(), Doc("Words to search by; empty for none.")] = ""
    image: Annotated[
        bytes | None, Picture(), Doc("An encoded picture (JPEG, PNG, WebP, GIF, BMP), or the path of one; None: none.")
    ] = None
    text_weight: Annotated[
        float,
        Share("0 (picture alone) and 1 (words alone)"),
        Doc("Share of the words when words and a picture are given, 0 to 1."),
    ] = 0.5
    k: Annotated[ItemCount, Doc("How many items a page; 0 means 10, more than 1,000 is coerced to it.")] = DEFAULT_K
    item_id: Annotated[
        str, Id(), Doc("An item of the catalogue to search by, never among the results; empty for none.")
    ] = ""
    item_weight: Annotated[
        float,
        Share("0 (words and picture alone) and 1 (the item alone)"),
        Doc("Share of the item when words or a picture are given too, 0 to 1."),
    ] = 0.5
    vector: Annotated[
        tuple[float, ...],
        Vector(),
        Doc(
            "A vector of the fused space to search by, of any length but 0; given alone. Empty for none. Numbers are "
            "kept as near as 32 bits come."
        ),
    ] = ()
    modality: Side = Modality.FUSED
    filter: Filter = ""
    filter_mode: FewerThanK = FilterMode.STRICT
    page_token: PageToken = ""
    item_fields: RowFields = ()

    def _check_together(self) -> None:
        described = bool(self.text.strip()) or self.image is not None or bool(self.item_id)
        if not described and not self.vector:
            raise InvalidArgumentError(
                "neither text nor image is given, nor an item or a vector; pass at least one of them", field="text"
            )
        if described and self.vector:
            raise InvalidArgumentError(
                "vector is given beside words, a picture or an item; mix them yourself, or leave vector out",
                field="vector",
            )


# --- embedding and tags ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmbedRequest(Checked):
    """Items to turn into fused embeddings and semantic IDs."""

    items: DescribedItems
    dimension: Annotated[
        int,
        Whole(0, 2**20, "be 0 (all) or a supported prefix"),
        Doc("Length of the returned vectors: 0 for all, else a prefix that the bundle's fusion was trained for."),
    ] = 0
    modality: Annotated[
        Modality,
        Choice(Modality),
        Doc("Which side of the items to embed; an item without it is refused by itself."),
    ] = Modality.FUSED
    dtype: Annotated[
        NumberFormat,
        Choice(NumberFormat),
        Doc("What the numbers are rounded to; the vectors are float32 all the same."),
    ] = NumberFormat.FLOAT32


class _Labels:
    """Labels to choose from, none of them blank or there twice."""

    def check(self, value: Any, where: str) -> tuple[str, ...]:
        labels = _LABELS.check(value, where)
        seen: set[str] = set()
        for i, label in enumerate(labels):
            if not label.strip() or label in seen:
                what = f"{label!r:.80}, which is there twice" if label in seen else "blank"
                raise InvalidArgumentError(
                    f"{where}[{i}] is {what}; every label is one of its own", field=f"{where}[{i}]"
                )
            seen.add(label)
        return labels


class _Template:
    """A sentence that a label is put into."""

    def check(self, value: Any, where: str) -> str:
        template = _LABEL.check(value, where)
        if "{label}" not in template:
            raise InvalidArgumentError(
                f"{where} is {template!r:.80}; a template has {{label}} where the label goes, as in 'a photo of a "
                "{label} thing'",
                field=where,
            )
        return template


_LABEL = Text(MAX_LABEL_CHARS)
_LABELS = Each(_LABEL, "labels", MAX_LABELS)


@dataclass(frozen=True, slots=True)
class TagRequest(Checked):
    """Which of some labels fit items. A request without items only makes its labels ready."""

    items: DescribedItems = ()
    item_ids: Annotated[tuple[str, ...], Ids(), Doc("Items of the catalogue, answered after those of `items`.")] = ()
    labels: Annotated[tuple[str, ...], _Labels(), Doc("The labels to choose from, distinct; empty with `column`.")] = ()
    column: Annotated[
        str,
        Id(),
        Doc(
            "A column of the catalogue whose values are the labels; what an item itself has in it is not looked at. "
            "Empty with `labels`."
        ),
    ] = ""
    templates: Annotated[
        tuple[str, ...],
        Each(_Template(), "sentences with {label}", MAX_TEMPLATES),
        Doc(
            "Sentences with `{label}` (and, if wanted, `{column}`) that a label is put into; the vectors of all are "
            "averaged. Empty: the engine's own."
        ),
    ] = ()
    k: Annotated[
        int, Size(DEFAULT_TAGS), Doc("How many labels per item; 0 means 5, more than 1,000 is coerced to it.")
    ] = DEFAULT_TAGS
    min_score: Annotated[float, Share(), Doc("Labels with a lower probability are left out, 0 to 1.")] = 0.0
    modality: Annotated[Modality, Choice(Modality), Doc("Which side of the items to look at.")] = Modality.FUSED

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
    """Things that are in the catalogue twice."""

    item_ids: Annotated[OnlyThese, Doc("Only groups with one of these items; empty for the whole catalogue.")] = ()
    min_similarity: Annotated[
        float | None,
        Share("0 (left out) and 1"),
        Doc(
            "Cosine from which on two pictures are the same whatever the words, over 0 to 1; when the words alone are "
            "looked at, the least share of words in common. None: chosen from the catalogue."
        ),
    ] = None
    filter: Filter = ""
    modality: Annotated[
        Modality,
        Choice(Modality),
        Doc("What must be alike: the picture, the words, or either (FUSED)."),
    ] = Modality.FUSED
    page_size: Annotated[PageSize, Doc("Groups a page; 0 means 100, more than 1,000 is coerced to it.")] = DEFAULT_PAGE
    page_token: Annotated[
        PageToken,
        Doc(
            "`next_page_token` of the page before, whatever became of the catalogue since; empty for the first page. A "
            "group that stays as it is is returned exactly once, and no item in two groups; one that has grown comes "
            "again only with its new items, where these are two or more."
        ),
    ] = ""

    def _check_together(self) -> None:
        if self.min_similarity == 0.0:
            raise InvalidArgumentError(
                "min_similarity is 0; it must be over 0 and at most 1: at 0 everything is the same",
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
            "Cosine of picture and words below which they do not agree, -1 to 1; None: the 1% of the catalogue that "
            "fit worst, or every one of `item_ids`."
        ),
    ] = None
    filter: Filter = ""
    page_size: PageSize = DEFAULT_PAGE
    page_token: PageToken = ""
    item_fields: RowFields = ()


# --- the service ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ServiceInfoRequest(Checked):
    """What is served."""


# --- several requests at once ---------------------------------------------------------------------------------------


def _requests(kind: type[Any]) -> Each:
    return Each(
        Instance((kind, MmrecError), f"mmrec.{kind.__name__} values"), "requests", MAX_BATCH, "send them in parts"
    )


@dataclass(frozen=True, slots=True)
class RecommendBatch(Checked):
    """Requests for several customers; one that was refused already is its error."""

    requests: Annotated[
        tuple[RecommendRequest | MmrecError, ...], _requests(RecommendRequest), Doc("At most 1,000 requests.")
    ]


@dataclass(frozen=True, slots=True)
class SearchBatch(Checked):
    """Several searches; one that was refused already is its error."""

    requests: Annotated[
        tuple[SearchRequest | MmrecError, ...], _requests(SearchRequest), Doc("At most 1,000 requests.")
    ]


@dataclass(frozen=True, slots=True)
class SimilarBatch(Checked):
    """Several items to find others like; one that was refused already is its error."""

    requests: Annotated[
        tuple[SimilarRequest | MmrecError, ...], _requests(SimilarRequest), Doc("At most 1,000 requests.")
    ]


# --- rows and semantic IDs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemsRequest(Checked):
    """Catalogue rows by id."""

    item_ids: Annotated[tuple[str, ...], Ids(), Doc("The items, at most 1,000.")]


@dataclass(frozen=True, slots=True)
class ListItemsRequest(Checked):
    """A page of the catalogue, in the order of the items' ids (by Unicode code points).

    Pages go on while the catalogue changes, each made of the catalogue as it is then: an item that is there and passes
    the filter all the while is on exactly one of them, and none is on two.
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
    """The items of semantic IDs."""

    semantic_ids: Annotated[
        tuple[tuple[int, ...], ...],
        Each(Each(Whole(0, MAX_CODE), "codes"), "paths", MAX_BATCH, "ask in parts"),
        Doc("Paths, or the beginnings of paths, each of one code or more; at most 1,000."),
    ]
    page_size: Annotated[
        int,
        Size(DEFAULT_K),
        Doc(
            "Items returned per path; 0 means 10, more than 1,000 is coerced to it, and so is what would make more "
            "than 100,000 items in all."
        ),
    ] = DEFAULT_K
    codebook_version: CodebookVersion = ""

    def _check_together(self) -> None:
        most = MAX_RESOLVED // max(1, len(self.semantic_ids))
        object.__setattr__(self, "page_size", min(self.page_size, most))
