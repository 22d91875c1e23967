"""What requests and replies are made of: items as rows, as a client describes them and as results; versions; choices.

Knows nothing of requests, protobuf, torch or files. Everything here is frozen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Annotated

from mmrec.contract.rules import MAX_BATCH, Checked, Columns, Doc, Each, Id, Instance, Picture, Text
from mmrec.errors import InvalidArgumentError, MmrecError


class Modality(Enum):
    """Which side of an item is looked at."""

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
    """Why a reply rests on something weaker than what was asked."""

    NONE = "none"
    POPULARITY = "popularity"
    """No known item in the history: the most popular items."""
    FILTER_RELAXED = "filter-relaxed"
    """Fewer than k items passed the filter, so the rest come from outside it."""
    POPULARITY_FILTER_RELAXED = "popularity-filter-relaxed"
    """Both: no known item in the history, and fewer than k items passed the filter."""


class Evidence(Enum):
    """By what two items were recognised as the same thing."""

    PICTURE = "picture"
    WORDS = "words"
    BOTH = "both"


class NumberFormat(Enum):
    """How the numbers of a vector travel."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class Versions:
    """What a reply was made with. Replies with equal versions are comparable.

    Attributes:
        model: Version of the bundle's generator and encoders.
        catalogue: Version of the item table.
        codebook: Version of the semantic-ID codebooks.
    """

    model: str = ""
    catalogue: str = ""
    codebook: str = ""


NO_VERSIONS = Versions()
"""Nothing is known of what made it."""


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """A catalogue row.

    Attributes:
        item_id: The id.
        title: Short name, may be empty.
        description: Words, may be empty.
        image: The dataset's own reference to the picture (path or URL), may be empty.
        attributes: Every further column as text.
        semantic_id: Path of codes, one per level; the last tells collisions apart.
    """

    item_id: str
    title: str = ""
    description: str = ""
    image: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    semantic_id: tuple[int, ...] = ()


ITEM_FIELDS = tuple(entry.name for entry in fields(ItemRecord))
"""Names of the fields of a catalogue row."""


@dataclass(frozen=True, slots=True)
class ItemInput(Checked):
    """An item as a client describes it. At least one of title, description, attributes and image is needed."""

    item_id: Annotated[
        str,
        Id(new=True),
        Doc("The caller's id, without control characters; echoed back, not looked up. May be empty."),
    ] = ""
    title: Annotated[str, Text(), Doc("Short name.")] = ""
    description: Annotated[str, Text(), Doc("Words.")] = ""
    image: Annotated[
        bytes | None, Picture(), Doc("An encoded picture (JPEG, PNG, WebP, GIF, BMP), or the path of one; or None.")
    ] = None
    attributes: Annotated[
        Mapping[str, str], Columns(), Doc("Further columns, by name; used by the text template of the bundle.")
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
    """Why one item of a batch could not be done, while the rest was."""

    item_id: str
    error: MmrecError


DescribedItems = Annotated[
    tuple[ItemInput | ItemFailure, ...],
    Each(Instance((ItemInput, ItemFailure), "mmrec.ItemInput values"), "items", MAX_BATCH, "send them in parts"),
    Doc("At most 1,000 items, each answered on its own; one that was refused already is its failure."),
]


@dataclass(frozen=True, slots=True)
class HistoryShare:
    """How much of a channel's share rests on one item of the history.

    Attributes:
        history_item_id: The history item.
        share: Its part of the channel's share, in the score's own unit.
    """

    history_item_id: str
    share: float


@dataclass(frozen=True, slots=True)
class ChannelShare:
    """How much one channel added to a recommendation's score.

    Attributes:
        channel: ``item-head``, ``semantic-id``, ``transitions``, ``transitions-wide``, ``lexical``, ``content``,
            ``popularity``, or ``new-item``: that it is shown because training has never seen it. What a request's own
            wishes added: ``popularity-damping``, ``promotion`` and ``exploration``.
        share: Its part of the score, in the score's own unit.
        history_item_id: The history item it rests on most; empty where there is none.
        history: The share divided over the history items it rests on, oldest first, one entry per item; the parts
            add up to the share. Empty for a channel that does not look at the history.
    """

    channel: str
    share: float
    history_item_id: str = ""
    history: tuple[HistoryShare, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoredItem:
    """One item of a ranked list.

    Attributes:
        item: The catalogue row.
        score: Higher is better. Comparable inside one reply only; cosine similarity for search and similar.
        shares: Parts of the score, when an explanation was asked for.
    """

    item: ItemRecord
    score: float
    shares: tuple[ChannelShare, ...] = ()

    @property
    def item_id(self) -> str:
        """The item's id."""
        return self.item.item_id

    @property
    def title(self) -> str:
        """The item's title."""
        return self.item.title
