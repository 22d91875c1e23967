"""Parts of requests and replies: catalogue rows, item descriptions, scored items, versions and enums.

Knows nothing of requests, protobuf, torch or files. Everything here is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from typing import Annotated

from mmrec.contract.rules import MAX_BATCH, Checked, Columns, Doc, Each, Id, Instance, Picture, Text
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, MmrecError


class Modality(Enum):
    """Which part of an item is used."""

    FUSED = "fused"
    """Picture and words together."""
    PICTURE = "picture"
    """The picture alone."""
    WORDS = "words"
    """The words alone."""


class FilterMode(Enum):
    """What to do when fewer than k items pass a filter."""

    STRICT = "strict"
    """Return fewer than k."""
    RELAXED = "relaxed"
    """Fill up with the best items that do not pass, after all that do; the reply says so."""


class Fallback(Enum):
    """Why a reply is not what was requested: no known history, or items that do not pass the filter."""

    NONE = "none"
    POPULARITY = "popularity"
    """No known item in the history: the most popular items."""
    FILTER_RELAXED = "filter-relaxed"
    """Fewer than k items passed the filter, so the last ones do not pass it."""
    POPULARITY_FILTER_RELAXED = "popularity-filter-relaxed"
    """Both: no known item in the history, and fewer than k items passed the filter."""


class Evidence(Enum):
    """By what two items were recognised as duplicates."""

    PICTURE = "picture"
    WORDS = "words"
    BOTH = "both"


class NumberFormat(Enum):
    """Number format of a vector in a message."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions behind a reply. Replies with equal versions are comparable.

    Attributes:
        model: Version of the bundle's generator and encoders.
        catalogue: Version of the item table.
        codebook: Version of the semantic-ID codebooks.
    """

    model: str = ""
    catalogue: str = ""
    codebook: str = ""

    def check_expected(self, expected: Versions) -> None:
        """Check that these are versions that a caller expects; its empty parts match any.

        Raises:
            FailedPreconditionError: they are not.
        """
        wanted = {name: version for name, version in asdict(expected).items() if version}
        if any(getattr(self, name) != version for name, version in wanted.items()):
            asked, served = (
                ", ".join(f"{name} {version!r:.80}" for name, version in versions.items())
                for versions in (wanted, asdict(self))
            )
            raise FailedPreconditionError(
                f"expected_versions is {asked}; served is {served}: expect that, or leave expected_versions out"
            )


NO_VERSIONS = Versions()
"""Unknown versions."""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """A catalogue row.

    Attributes:
        item_id: The id.
        title: Short name, may be empty.
        description: Text, may be empty.
        image: The dataset's reference to the picture (path or URL), may be empty.
        attributes: Every further column as text.
        semantic_id: Path of codes, one per level; the last code makes paths unique.
    """

    item_id: str
    title: str = ""
    description: str = ""
    image: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    semantic_id: tuple[int, ...] = ()

    def only(self, names: tuple[str, ...]) -> ItemRecord:
        """The row with its id and the named fields alone; the whole row when `names` is empty."""
        if not names:
            return self
        return ItemRecord(self.item_id, **{name: getattr(self, name) for name in names if name != "item_id"})


ITEM_FIELDS = tuple(entry.name for entry in fields(ItemRecord))
"""Names of the fields of a catalogue row."""


@dataclass(frozen=True, slots=True)
class ItemInput(Checked):
    """An item as described by a client. At least one of title, description, attributes and image is needed."""

    item_id: Annotated[
        str,
        Id(new=True),
        Doc("The caller's id, without control characters; returned with the result, not looked up. May be empty."),
    ] = ""
    title: Annotated[str, Text(), Doc("Short name.")] = ""
    description: Annotated[str, Text(), Doc("Longer text.")] = ""
    image: Annotated[
        bytes | None, Picture(), Doc("An encoded picture (JPEG, PNG, WebP, GIF, BMP), or the path of one; or None.")
    ] = None
    attributes: Annotated[
        Mapping[str, str], Columns(), Doc("Further columns by name; used by the bundle's text template.")
    ] = field(default_factory=dict)

    def _check_together(self) -> None:
        if self.image is None and not (
            self.title.strip() or self.description.strip() or any(v.strip() for v in self.attributes.values())
        ):
            raise InvalidArgumentError(
                f"item {self.item_id!r} has neither words nor a picture; give a title, a description or an image",
                field="title",
            )


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why one item of a batch failed."""

    item_id: str
    error: MmrecError


DescribedItems = Annotated[
    tuple[ItemInput | ItemFailure, ...],
    Each(Instance((ItemInput, ItemFailure), "mmrec.ItemInput values"), "items", MAX_BATCH, "send them in parts"),
    Doc("At most 1,000 items, each with its own result. An `ItemFailure` stands for an item that was refused already."),
]


@dataclass(frozen=True, slots=True)
class HistoryShare:
    """How much one history item contributed to a channel's share.

    Attributes:
        history_item_id: The history item.
        share: Its part of the channel's share, in the unit of the score.
    """

    history_item_id: str
    share: float


@dataclass(frozen=True, slots=True)
class ChannelShare:
    """How much one channel contributed to a recommendation's score.

    Attributes:
        channel: ``item-head``, ``semantic-id``, ``transitions``, ``transitions-wide``, ``lexical``, ``content``,
            ``popularity``, or ``new-item`` (the item had no training events). From options of the request:
            ``popularity-damping``, ``promotion``, ``exploration``, and ``attribute:`` with the name of a column.
        share: Its part of the score, in the unit of the score.
        history_item_id: The history item that contributed most; empty if none did.
        history: The share by history item, oldest first, one entry per item; the parts sum to the share. Empty for a
            channel that does not use the history.
    """

    channel: str
    share: float
    history_item_id: str = ""
    history: tuple[HistoryShare, ...] = ()


class StatementKind(Enum):
    """What a statement about a recommendation is about."""

    HISTORY = "history"
    """Items of the history that a part of the score rests on."""
    TOGETHER = "together"
    """Customers who chose an item of the history and this one."""
    ATTRIBUTE = "attribute"
    """A value of a column that the item shares with items of the history."""
    PICTURE = "picture"
    """A picture like that of an item of the history."""
    WORDS = "words"
    """Words (title, description and columns that are words) like those of an item of the history."""
    POPULARITY = "popularity"
    """Customers who chose the item."""
    NEW_ITEM = "new-item"
    """Nobody has chosen the item yet."""
    PROMOTION = "promotion"
    """The request promotes the item."""
    WISH = "wish"
    """A value of the item that the words of the request's instruction ask for."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement for people about a recommendation, with its evidence.

    Attributes:
        kind: What it is about; None: not known.
        text: One sentence, which names nothing beside the evidence.
        item_ids: Evidence: items of the history; empty where it rests on none.
        column: Evidence: the column of an attribute or of a wish; empty for none.
        value: Evidence: the value in the column, or one entry of it where it holds a list; empty for none.
        count: Evidence: the number of customers that it names; 0 for none.
        share: The part of the score that rests on this evidence, in the unit of the score. Parts of several statements
            may overlap.
        worded: Whether a language model worded `text`, which was then checked against the evidence; otherwise it is
            made from a template.
    """

    kind: StatementKind | None = None
    text: str = ""
    item_ids: tuple[str, ...] = ()
    column: str = ""
    value: str = ""
    count: int = 0
    share: float = 0.0
    worded: bool = False


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """One item of a ranked list.

    Attributes:
        item: The catalogue row.
        score: Higher is better. Comparable within one reply only; cosine similarity for search and similar.
        shares: Parts of the score, if an explanation was requested.
        explanation: A sentence or two for people, if they were requested; empty also where nothing speaks for the item.
        statements: What `explanation` rests on, and more of it, best first.
        sources: What made the item a candidate, if shares were requested: channels, ``new-item``, ``raised`` by a
            promotion or a share of places, ``instruction``; empty where every eligible item was ranked.
    """

    item: ItemRecord
    score: float
    shares: tuple[ChannelShare, ...] = ()
    explanation: str = ""
    statements: tuple[Statement, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def item_id(self) -> str:
        """The item's id."""
        return self.item.item_id

    @property
    def title(self) -> str:
        """The item's title."""
        return self.item.title
