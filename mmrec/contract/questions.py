"""What can be asked of a catalogue, and what comes back: search, likeness, tags, duplicates, mismatches.

Knows nothing of protobuf, torch or files. Requests check themselves when they are made; see `mmrec.contract.types`,
which has all of these names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from mmrec.contract.items import (
    ITEM_FIELDS,
    NO_VERSIONS,
    Fallback,
    FilterMode,
    ItemFailure,
    ItemInput,
    ItemRecord,
    Modality,
    ScoredItem,
    Versions,
)
from mmrec.contract.rules import (
    DEFAULT_K,
    DEFAULT_PAGE,
    DEFAULT_TAGS,
    MAX_BATCH,
    MAX_FILTER_CHARS,
    MAX_LABEL_CHARS,
    MAX_LABELS,
    MAX_TEMPLATES,
    checked_choice,
    checked_id,
    checked_ids,
    checked_k,
    checked_list,
    checked_page_token,
    checked_share,
    checked_size,
    checked_text,
    checked_vector,
    read_picture,
)
from mmrec.errors import InvalidArgumentError, MmrecError


def checked_item_fields(names: Iterable[str]) -> tuple[str, ...]:
    """Names of fields of a catalogue row, each once."""
    listed = checked_list(names, "item_fields", "names of fields")
    for i, name in enumerate(listed):
        if name not in ITEM_FIELDS:
            raise InvalidArgumentError(
                f"item_fields[{i}] is {name!r:.80}; an item has {', '.join(ITEM_FIELDS)}", field=f"item_fields[{i}]"
            )
    return tuple(dict.fromkeys(listed))


# --- search and similar ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimilarRequest:
    """Items nearest to one item.

    Attributes:
        item_id: The item to start from; it is never among the results.
        k: How many items; 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it.
        modality: Which side of the items to compare; items without that side are not found.
        filter: AIP-160 condition over the columns; empty for every item.
        filter_mode: What to do when fewer than `k` items pass it.
        diversity: 0 (nearest first) to 1 (as different from each other as possible).
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    item_id: str
    k: int = DEFAULT_K
    modality: Modality = Modality.FUSED
    filter: str = ""
    filter_mode: FilterMode = FilterMode.STRICT
    diversity: float = 0.0
    item_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", checked_k(self.k))
        if not checked_id(self.item_id, "item_id"):
            raise InvalidArgumentError("item_id is empty; name the item to start from", field="item_id")
        object.__setattr__(self, "modality", checked_choice(Modality, self.modality, "modality"))
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "filter_mode", checked_choice(FilterMode, self.filter_mode, "filter_mode"))
        ends = "0 (nearest first) and 1 (as different from each other as possible)"
        object.__setattr__(self, "diversity", checked_share(self.diversity, "diversity", ends))
        object.__setattr__(self, "item_fields", checked_item_fields(self.item_fields))


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Items nearest to words, to a picture, to an item, to several of them at once, or to a vector.

    Attributes:
        text: Words to search by; empty for none.
        image: An encoded picture (JPEG, PNG, WebP, GIF, BMP); None for none.
        text_weight: Share of the words when words and a picture are given, 0 to 1.
        k: How many items a page; 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it.
        item_id: An item of the catalogue to search by, never among the results; empty for none.
        item_weight: Share of the item when words or a picture are given too, 0 to 1.
        vector: A vector of the fused space to search by, of any length but 0; given alone. Empty for none. Numbers
            are kept as near as 32 bits come.
        modality: Which side of the catalogue's items to compare; items without that side are not found.
        filter: AIP-160 condition over the columns; empty for every item.
        filter_mode: What to do when fewer than `k` items pass it.
        page_token: `SearchResults.next_page_token` of the page before, whatever became of the catalogue since; empty
            for the first page. Each page holds the best items of the current catalogue that no earlier page
            returned: no item is returned twice, and one that can be found all the while is returned.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    text: str = ""
    image: bytes | None = None
    text_weight: float = 0.5
    k: int = DEFAULT_K
    item_id: str = ""
    item_weight: float = 0.5
    vector: tuple[float, ...] = ()
    modality: Modality = Modality.FUSED
    filter: str = ""
    filter_mode: FilterMode = FilterMode.STRICT
    page_token: str = ""
    item_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", checked_k(self.k))
        object.__setattr__(self, "image", read_picture(self.image))
        checked_text(self.text, "text")
        checked_id(self.item_id, "item_id")
        object.__setattr__(self, "vector", checked_vector(() if self.vector is None else self.vector, "vector"))
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
        ends = "0 (picture alone) and 1 (words alone)"
        object.__setattr__(self, "text_weight", checked_share(self.text_weight, "text_weight", ends))
        ends = "0 (words and picture alone) and 1 (the item alone)"
        object.__setattr__(self, "item_weight", checked_share(self.item_weight, "item_weight", ends))
        object.__setattr__(self, "modality", checked_choice(Modality, self.modality, "modality"))
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "filter_mode", checked_choice(FilterMode, self.filter_mode, "filter_mode"))
        checked_page_token(self.page_token)
        object.__setattr__(self, "item_fields", checked_item_fields(self.item_fields))


@dataclass(frozen=True, slots=True)
class SearchResults:
    """A ranked list by similarity.

    Attributes:
        items: Best first (in the order of choice when diversity was asked for); scores are cosine similarities in
            [-1, 1].
        versions: What it was made with.
        next_page_token: Pass it to get the next page of a search; empty: there is none.
        fallback: FILTER_RELAXED when items from outside the filter follow those that pass it.
    """

    items: tuple[ScoredItem, ...]
    versions: Versions = NO_VERSIONS
    next_page_token: str = ""
    fallback: Fallback = Fallback.NONE

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)


# --- tags -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TagRequest:
    """Which of some labels fit items. A request without items only makes its labels ready.

    Attributes:
        items: Items as clients describe them, each answered on its own; an entry may already be the error that
            refused it, which is handed through in its place.
        item_ids: Items of the catalogue, answered after those of `items`.
        labels: The labels to choose from, distinct; empty with `column`.
        column: A column of the catalogue whose values are the labels; what an item itself has in it is not looked
            at. Empty with `labels`.
        templates: Sentences with ``{label}`` (and, if wanted, ``{column}``) that a label is put into; the vectors of
            all are averaged. Empty: the engine's own.
        k: How many labels per item; 0 means `DEFAULT_TAGS`, more than `MAX_K` is coerced to it.
        min_score: Labels with a lower probability are left out, 0 to 1.
        modality: Which side of the items to look at.
    """

    items: tuple[ItemInput | MmrecError, ...] = ()
    item_ids: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    column: str = ""
    templates: tuple[str, ...] = ()
    k: int = DEFAULT_TAGS
    min_score: float = 0.0
    modality: Modality = Modality.FUSED

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_ids", checked_ids(self.item_ids, "item_ids", most=MAX_BATCH))
        object.__setattr__(self, "labels", _checked_labels(self.labels))
        checked_id(self.column, "column")
        if bool(self.labels) == bool(self.column):
            got = "both labels and column are" if self.labels else "neither labels nor column is"
            raise InvalidArgumentError(
                f"{got} given; pass the labels to choose from, or the column whose values are the labels",
                field="labels",
            )
        object.__setattr__(self, "templates", _checked_templates(self.templates))
        object.__setattr__(self, "k", checked_size(self.k, "k", DEFAULT_TAGS))
        object.__setattr__(self, "min_score", checked_share(self.min_score, "min_score"))
        object.__setattr__(self, "modality", checked_choice(Modality, self.modality, "modality"))


def _checked_labels(labels: Iterable[str]) -> tuple[str, ...]:
    listed = checked_list(labels, "labels", "labels")
    if len(listed) > MAX_LABELS:
        raise InvalidArgumentError(
            f"labels has {len(listed):,} entries; at most {MAX_LABELS:,} are accepted", field="labels"
        )
    seen: set[str] = set()
    for i, label in enumerate(listed):
        where = f"labels[{i}]"
        if not checked_text(label, where, MAX_LABEL_CHARS).strip() or label in seen:
            what = f"{label!r:.80}, which is there twice" if label in seen else "blank"
            raise InvalidArgumentError(f"{where} is {what}; every label is one of its own", field=where)
        seen.add(label)
    return listed


def _checked_templates(templates: Iterable[str]) -> tuple[str, ...]:
    listed = checked_list(templates, "templates", "sentences with {label}")
    if len(listed) > MAX_TEMPLATES:
        raise InvalidArgumentError(
            f"templates has {len(listed):,} entries; at most {MAX_TEMPLATES} are accepted", field="templates"
        )
    for i, template in enumerate(listed):
        where = f"templates[{i}]"
        if "{label}" not in checked_text(template, where, MAX_LABEL_CHARS):
            raise InvalidArgumentError(
                f"{where} is {template!r:.80}; a template has {{label}} where the label goes, as in "
                "'a photo of a {label} thing'",
                field=where,
            )
    return listed


@dataclass(frozen=True, slots=True)
class Tag:
    """A label and how well it fits.

    Attributes:
        label: The label.
        score: Probability that it is this one of all the labels asked about, 0 to 1.
    """

    label: str
    score: float


@dataclass(frozen=True, slots=True)
class ItemTags:
    """Labels of one item.

    Attributes:
        item_id: As given by the caller.
        tags: Best first.
    """

    item_id: str
    tags: tuple[Tag, ...]


@dataclass(frozen=True, slots=True)
class TagCalibration:
    """How probabilities of labels were made, and what they are worth.

    Attributes:
        calibrated: Whether the temperature was fitted on items of the catalogue that have a value in the column;
            otherwise it is the default one, and the probabilities order labels without being shares of a hundred.
        temperature: What cosines were divided by before the softmax, over 0.
        rows: Items of known value that the figures were measured on; the temperature was fitted on others.
        accuracy: Share of them whose own value came first, 0 to 1; None: not measured.
        calibration_error: Expected calibration error on them, 0 to 1; None: not measured.
    """

    calibrated: bool = False
    temperature: float = 1.0
    rows: int = 0
    accuracy: float | None = None
    calibration_error: float | None = None


@dataclass(frozen=True, slots=True)
class TagResults:
    """Labels of items.

    Attributes:
        items: One entry per item: those described in their order, then those of the catalogue that exist.
        missing_ids: Ids that the catalogue does not have, in order of first appearance.
        calibration: How the probabilities were made.
        versions: What they were made with.
    """

    items: tuple[ItemTags | ItemFailure, ...]
    missing_ids: tuple[str, ...] = ()
    calibration: TagCalibration = TagCalibration()
    versions: Versions = NO_VERSIONS


# --- duplicates -----------------------------------------------------------------------------------------------------


class Evidence(Enum):
    """By what two items were recognised as the same thing."""

    PICTURE = "picture"
    WORDS = "words"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class DuplicatesRequest:
    """Things that are in the catalogue twice.

    Attributes:
        item_ids: Only groups with one of these items; empty for the whole catalogue.
        min_similarity: Cosine from which on two pictures are the same whatever the words, over 0 to 1; when the words
            alone are looked at, the least share of words in common. None: chosen from the catalogue.
        filter: AIP-160 condition over the columns: only items that pass it are returned.
        modality: What must be alike: the picture, the words, or either (FUSED).
        page_size: Groups a page; 0 means `DEFAULT_PAGE`, more than `MAX_K` is coerced to it.
        page_token: `DuplicateGroups.next_page_token` of the page before, whatever became of the catalogue since; empty
            for the first page. A group that stays as it is is returned exactly once, and no item in two groups; one
            that has grown comes again only with its new items, where these are two or more.
    """

    item_ids: tuple[str, ...] = ()
    min_similarity: float | None = None
    filter: str = ""
    modality: Modality = Modality.FUSED
    page_size: int = DEFAULT_PAGE
    page_token: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_ids", checked_ids(self.item_ids, "item_ids", most=MAX_BATCH))
        if self.min_similarity is not None:
            least = checked_share(self.min_similarity, "min_similarity", "0 (left out) and 1")
            if least == 0.0:
                raise InvalidArgumentError(
                    "min_similarity is 0; it must be over 0 and at most 1: at 0 everything is the same",
                    field="min_similarity",
                )
            object.__setattr__(self, "min_similarity", least)
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "modality", checked_choice(Modality, self.modality, "modality"))
        object.__setattr__(self, "page_size", checked_size(self.page_size, "page_size", DEFAULT_PAGE))
        checked_page_token(self.page_token)


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Items that are the same thing.

    Attributes:
        item_ids: At least two, in the order of the catalogue.
        similarity: The lowest of the likenesses that hold the group together: cosine of two pictures, or, where one
            item has none, share of words in common; 0 to 1.
        evidence: By what they were recognised; None: not known.
    """

    item_ids: tuple[str, ...]
    similarity: float
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class DuplicateGroups:
    """A page of groups.

    Attributes:
        groups: Most alike first.
        missing_ids: Ids of the request that the catalogue does not have, in order of first appearance.
        total: Groups over all pages.
        picture_threshold: Cosine from which on two pictures count as the same whatever the words; None: pictures were
            not compared.
        words_threshold: Share of words in common from which on items count as the same where one has no picture; None:
            words were not compared.
        explanation: How the thresholds were chosen, and what they let through, for people.
        next_page_token: Pass it to get the next page; empty: this was the last one.
        versions: What it was made with.
    """

    groups: tuple[DuplicateGroup, ...]
    missing_ids: tuple[str, ...] = ()
    total: int = 0
    picture_threshold: float | None = None
    words_threshold: float | None = None
    explanation: str = ""
    next_page_token: str = ""
    versions: Versions = NO_VERSIONS


# --- mismatches -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MismatchRequest:
    """Items whose picture and words do not agree.

    Attributes:
        item_ids: Only these items; empty for the whole catalogue.
        max_agreement: Cosine of picture and words below which they do not agree, -1 to 1; None: the 1% of the
            catalogue that fit worst, or every one of `item_ids`.
        filter: AIP-160 condition over the columns; empty for every item.
        page_size: Items a page; 0 means `DEFAULT_PAGE`, more than `MAX_K` is coerced to it.
        page_token: `Mismatches.next_page_token` of the page before, whatever became of the catalogue since; empty for
            the first page. It goes on as that of a `SearchRequest` does.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    item_ids: tuple[str, ...] = ()
    max_agreement: float | None = None
    filter: str = ""
    page_size: int = DEFAULT_PAGE
    page_token: str = ""
    item_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_ids", checked_ids(self.item_ids, "item_ids", most=MAX_BATCH))
        if self.max_agreement is not None:
            object.__setattr__(self, "max_agreement", checked_share(self.max_agreement, "max_agreement", low=-1.0))
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "page_size", checked_size(self.page_size, "page_size", DEFAULT_PAGE))
        checked_page_token(self.page_token)
        object.__setattr__(self, "item_fields", checked_item_fields(self.item_fields))


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An item whose picture and words do not agree.

    Attributes:
        item: The catalogue row.
        agreement: Cosine of its picture and its words, -1 to 1.
        percentile: Share of the catalogue's items with picture and words that fit worse, 0 (the worst) to 1.
        fit: Share of other pictures that fit its words worse than its own does, and of other words that fit its
            picture worse, the mean of both, 0 to 1; 0.5 is chance.
    """

    item: ItemRecord
    agreement: float
    percentile: float
    fit: float

    @property
    def item_id(self) -> str:
        """The item's id."""
        return self.item.item_id


@dataclass(frozen=True, slots=True)
class Mismatches:
    """A page of items.

    Attributes:
        items: Worst first.
        missing_ids: Ids of the request that the catalogue does not have, in order of first appearance.
        total: Items over all pages.
        threshold: Cosine below which items were returned; None: they were not chosen by it.
        explanation: Which items were returned and how they are ordered, for people.
        next_page_token: Pass it to get the next page; empty: this was the last one.
        versions: What it was made with.
    """

    items: tuple[Mismatch, ...]
    missing_ids: tuple[str, ...] = ()
    total: int = 0
    threshold: float | None = None
    explanation: str = ""
    next_page_token: str = ""
    versions: Versions = NO_VERSIONS
