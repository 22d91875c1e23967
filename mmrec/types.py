"""What goes into and comes out of mmrec: frozen, typed values, the same in process and over gRPC.

Knows nothing of protobuf, torch or files. Requests check themselves when they are made, so that a bad value is
refused with the same words by the SDK, the in-process recommender and the server. Results hold tuples and read-only
arrays only.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, NotFoundError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "DEFAULT_K",
    "MAX_BATCH",
    "MAX_BEAM_WIDTH",
    "MAX_HISTORY",
    "MAX_ID_CHARS",
    "MAX_K",
    "MAX_LIST_IDS",
    "MAX_PICTURE_BYTES",
    "MAX_TEXT_CHARS",
    "ChannelShare",
    "EmbedRequest",
    "EmbedResults",
    "Engine",
    "Fallback",
    "ItemEmbedding",
    "ItemFailure",
    "ItemInput",
    "ItemLookup",
    "ItemRecord",
    "RecommendRequest",
    "Recommendation",
    "Recommendations",
    "ScoredItem",
    "SearchRequest",
    "SearchResults",
    "ServiceInfo",
    "SimilarRequest",
    "Versions",
    "checked_item_ids",
    "read_picture",
]

DEFAULT_K = 10
"""Items returned when the caller does not say how many."""
MAX_K = 1000
"""More than this is coerced down to it."""
MAX_HISTORY = 1000
"""Only the most recent this many history items are read."""
MAX_BEAM_WIDTH = 2000
"""More beams than this are coerced down to it."""
MAX_BATCH = 1000
"""Most items, ids or requests in one call that takes several."""
MAX_LIST_IDS = 100_000
"""Most ids in an allow or deny list."""
MAX_ID_CHARS = 512
MAX_TEXT_CHARS = 100_000
"""Longest text accepted, in characters. Encoders truncate much earlier; this guards memory."""
MAX_PICTURE_BYTES = 20 * 1024 * 1024
"""Largest encoded picture accepted, in bytes."""


# --- checks shared by the requests -------------------------------------------------------------------------------


def _whole_number(value: object, where: str) -> int:
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)  # type: ignore[arg-type]  # numpy's whole numbers count as well
    except TypeError:
        raise InvalidArgumentError(
            f"{where} is {value!r:.80}; it must be a whole number, 0 or more", field=where
        ) from None


def _checked_k(k: int) -> int:
    k = _whole_number(k, "k")
    if k < 0:
        raise InvalidArgumentError(f"k is {k}; it must be 0 or more (0 means the default of {DEFAULT_K})", field="k")
    return min(k or DEFAULT_K, MAX_K)


def _checked_unicode(text: str, where: str) -> str:
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError as err:
        raise InvalidArgumentError(
            f"{where} holds half of a surrogate pair at character {err.start}, which is not text; mend its decoding",
            field=where,
        ) from None
    return text


def _checked_id(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(
            f"{where} is {value!r:.80} ({type(value).__name__}); ids are strings, so pass {str(value)!r:.80}",
            field=where,
        )
    if len(value) > MAX_ID_CHARS:
        raise InvalidArgumentError(
            f"{where} has {len(value)} characters; an id has at most {MAX_ID_CHARS}", field=where
        )
    return _checked_unicode(value, where)


def _checked_ids(
    values: Sequence[str], where: str, *, last: int | None = None, most: int | None = None
) -> tuple[str, ...]:
    """Ids of a list: of all of it (refused when there are over `most`), or of its `last` so many entries."""
    if isinstance(values, str | bytes):
        raise InvalidArgumentError(
            f"{where} is the single string {values!r:.80}; pass a list of ids, as in [{values!r:.80}]", field=where
        )
    if not isinstance(values, Sequence):
        try:
            values = tuple(values)
        except TypeError:
            raise InvalidArgumentError(f"{where} is {values!r:.80}; pass a list of ids", field=where) from None
    if most is not None and len(values) > most:
        raise InvalidArgumentError(f"{where} has {len(values):,} ids; at most {most:,} are accepted", field=where)
    first = max(0, len(values) - last) if last is not None else 0
    return tuple(_checked_id(value, f"{where}[{first + i}]") for i, value in enumerate(values[first:]))


def checked_item_ids(item_ids: Sequence[str]) -> tuple[str, ...]:
    """Ids of a look-up.

    Raises:
        InvalidArgumentError: an entry is no string, or there are more than `MAX_BATCH`.
    """
    return _checked_ids(item_ids, "item_ids", most=MAX_BATCH)


def _checked_text(text: str, where: str) -> str:
    if not isinstance(text, str):
        raise InvalidArgumentError(f"{where} is a {type(text).__name__}; it must be a string", field=where)
    if len(text) > MAX_TEXT_CHARS:
        raise InvalidArgumentError(
            f"{where} has {len(text):,} characters; at most {MAX_TEXT_CHARS:,} are accepted: shorten it", field=where
        )
    return _checked_unicode(text, where)


def read_picture(picture: bytes | str | os.PathLike[str] | None, where: str = "image") -> bytes | None:
    """Encoded bytes of a picture given as bytes or as a path; None stays None.

    Raises:
        NotFoundError: the path does not exist or cannot be read.
        InvalidImageError: it is empty, or larger than `MAX_PICTURE_BYTES`.
        InvalidArgumentError: it is neither bytes nor a path.
    """
    if picture is None:
        return None
    if isinstance(picture, str | os.PathLike):
        path = Path(picture)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_PICTURE_BYTES + 1)
        except OSError as err:
            raise NotFoundError(f"{where}: cannot read the picture file {str(path)!r}: {err.strerror}") from err
    elif isinstance(picture, bytes | bytearray | memoryview):
        data = bytes(picture)
    else:
        raise InvalidArgumentError(
            f"{where} is a {type(picture).__name__}; pass the encoded bytes of a picture file or its path", field=where
        )
    if not data:
        raise InvalidImageError(f"{where} is empty (0 bytes); pass a JPEG, PNG, WebP, GIF or BMP file", field=where)
    if len(data) > MAX_PICTURE_BYTES:
        raise InvalidImageError(
            f"{where} has more than {MAX_PICTURE_BYTES // 2**20} MiB; scale it down before sending", field=where
        )
    return data


# --- requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RecommendRequest:
    """What to recommend, and to whom.

    Attributes:
        history: Item ids the customer has acted on, oldest first. Only the last `MAX_HISTORY` are read. Ids the
            catalogue does not have are skipped and come back in `Recommendations.missing_ids`.
        user_id: A user the bundle was trained with; that user's stored history is put before `history`.
            Empty: anonymous.
        k: How many items; 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it.
        allow: If not empty, only these items may be returned.
        deny: These items are never returned.
        include_seen: Whether items of the history may be returned again.
        beam_width: Beams of the semantic-ID search; 0 lets the server choose (never narrower than k), more than
            `MAX_BEAM_WIDTH` is coerced to it.
        explain: Whether to return each item's shares by channel and history item.
    """

    history: tuple[str, ...] = ()
    user_id: str = ""
    k: int = DEFAULT_K
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    include_seen: bool = False
    beam_width: int = 0
    explain: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _checked_k(self.k))
        object.__setattr__(self, "history", _checked_ids(self.history, "history", last=MAX_HISTORY))
        object.__setattr__(self, "allow", _checked_ids(self.allow, "allow", most=MAX_LIST_IDS))
        object.__setattr__(self, "deny", _checked_ids(self.deny, "deny", most=MAX_LIST_IDS))
        _checked_id(self.user_id, "user_id")
        object.__setattr__(self, "beam_width", _whole_number(self.beam_width, "beam_width"))
        if self.beam_width < 0:
            raise InvalidArgumentError(
                f"beam_width is {self.beam_width}; it must be 0 (the server chooses) or more", field="beam_width"
            )
        object.__setattr__(self, "beam_width", min(self.beam_width, MAX_BEAM_WIDTH))


@dataclass(frozen=True, slots=True)
class SimilarRequest:
    """Items whose fused embeddings are nearest to one item's.

    Attributes:
        item_id: The item to start from; it is never among the results.
        k: How many items; 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it.
    """

    item_id: str
    k: int = DEFAULT_K

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _checked_k(self.k))
        if not _checked_id(self.item_id, "item_id"):
            raise InvalidArgumentError("item_id is empty; name the item to start from", field="item_id")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Items nearest to words, to a picture, or to both.

    Attributes:
        text: Words to search by; empty for none.
        image: An encoded picture (JPEG, PNG, WebP, GIF, BMP); None for none.
        text_weight: Share of the words when both are given, 0 to 1.
        k: How many items; 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it.
    """

    text: str = ""
    image: bytes | None = None
    text_weight: float = 0.5
    k: int = DEFAULT_K

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", _checked_k(self.k))
        object.__setattr__(self, "image", read_picture(self.image))
        _checked_text(self.text, "text")
        if not self.text.strip() and self.image is None:
            raise InvalidArgumentError("neither text nor image is given; pass at least one of them", field="text")
        if not isinstance(self.text_weight, int | float) or not 0.0 <= self.text_weight <= 1.0:
            raise InvalidArgumentError(
                f"text_weight is {self.text_weight!r:.80}; it must lie between 0 (picture alone) and 1 (words alone)",
                field="text_weight",
            )


@dataclass(frozen=True, slots=True)
class ItemInput:
    """An item as a client describes it. At least one of title, description, attributes and image is needed.

    Attributes:
        item_id: The caller's id; echoed back, not looked up. May be empty.
        title: Short name.
        description: Words.
        image: An encoded picture (JPEG, PNG, WebP, GIF, BMP), or None.
        attributes: Further columns, by name; used by the text template of the bundle.
    """

    item_id: str = ""
    title: str = ""
    description: str = ""
    image: bytes | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _checked_id(self.item_id, "item_id")
        object.__setattr__(self, "image", read_picture(self.image))
        _checked_text(self.title, "title")
        _checked_text(self.description, "description")
        if not isinstance(self.attributes, Mapping):
            raise InvalidArgumentError(
                f"attributes is a {type(self.attributes).__name__}; it must be a mapping of names to text",
                field="attributes",
            )
        for i, (name, value) in enumerate(self.attributes.items()):
            _checked_id(name, f"attributes[{i}].name")
            _checked_text(value, f"attributes[{i}].value")
        if self.image is None and not (
            self.title.strip() or self.description.strip() or any(v.strip() for v in self.attributes.values())
        ):
            raise InvalidArgumentError(
                f"item {self.item_id!r} has neither words nor a picture; give a title, a description or an image",
                field="title",
            )


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Items to turn into fused embeddings and semantic IDs.

    Attributes:
        items: The items, each answered on its own; an entry may already be the error that refused it, which is
            handed through in its place.
        dimension: Length of the returned vectors: 0 for all, else a prefix that the bundle's fusion was trained for.
    """

    items: tuple[ItemInput | MmrecError, ...]
    dimension: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", _whole_number(self.dimension, "dimension"))
        if not 0 <= self.dimension <= 2**20:
            raise InvalidArgumentError(
                f"dimension is {self.dimension}; it must be 0 (all) or a supported prefix", field="dimension"
            )


# --- results -----------------------------------------------------------------------------------------------------


class Fallback(Enum):
    """Why a reply rests on something weaker than the caller's own history."""

    NONE = "none"
    POPULARITY = "popularity"
    """No known item in the history: the most popular items."""


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


@dataclass(frozen=True, slots=True)
class ItemLookup:
    """Catalogue rows by id.

    Attributes:
        items: The rows that exist, in the asked order.
        missing_ids: The ids that do not, in order of first appearance.
        versions: What it was read from.
    """

    items: tuple[ItemRecord, ...]
    missing_ids: tuple[str, ...] = ()
    versions: Versions = Versions()


@dataclass(frozen=True, slots=True)
class ChannelShare:
    """How much one channel added to a recommendation's score.

    Attributes:
        channel: ``item-head``, ``semantic-id``, ``transitions``, ``lexical``, ``content`` or ``popularity``.
        share: Its part of the score, in the score's own unit.
        history_item_id: The history item it rests on most; empty where there is none.
    """

    channel: str
    share: float
    history_item_id: str = ""


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


Recommendation = ScoredItem


@dataclass(frozen=True, slots=True)
class Recommendations:
    """A ranked list for one customer.

    Attributes:
        recommendation_id: Id for attributing later events to this reply.
        items: Best first; exactly ``min(k, eligible)`` of them.
        missing_ids: Ids of the request that the catalogue does not have, in order of first appearance.
        fallback: Whether the reply rests on something weaker than the history.
        versions: What it was made with.
    """

    recommendation_id: str
    items: tuple[ScoredItem, ...]
    missing_ids: tuple[str, ...] = ()
    fallback: Fallback = Fallback.NONE
    versions: Versions = Versions()

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)


@dataclass(frozen=True, slots=True)
class SearchResults:
    """A ranked list by similarity. `items` best first, scores are cosine similarities in [-1, 1]."""

    items: tuple[ScoredItem, ...]
    versions: Versions = Versions()

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)


@dataclass(frozen=True, slots=True, eq=False)
class ItemEmbedding:
    """A fused embedding.

    Attributes:
        item_id: As given by the caller.
        vector: Unit norm. Shape: (D,), float32.
        semantic_id: Path of codes the bundle's codebooks give it, without a collision code.
    """

    item_id: str
    vector: npt.NDArray[np.float32]
    semantic_id: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemFailure:
    """Why one item of a batch could not be done, while the rest was."""

    item_id: str
    error: MmrecError


@dataclass(frozen=True, slots=True)
class EmbedResults:
    """One entry per item asked for, in the same order."""

    items: tuple[ItemEmbedding | ItemFailure, ...]
    versions: Versions = Versions()


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """What an engine serves.

    Attributes:
        name: Name of the bundle.
        versions: What replies are made with.
        items: Items in the catalogue.
        users: Users with a stored history.
        dimension: Length of a fused embedding.
        prefixes: Shorter lengths usable by themselves, ascending.
        levels: Codes of a semantic ID, the collision code included.
        codebook_size: Codes per level.
        device: Where it computes, e.g. ``cpu`` or ``cuda:0``.
        preset: The preset it was fitted with.
    """

    name: str
    versions: Versions
    items: int
    users: int
    dimension: int
    prefixes: tuple[int, ...]
    levels: int
    codebook_size: int
    device: str
    preset: str


# --- the engine --------------------------------------------------------------------------------------------------


class Engine(Protocol):
    """What the server serves; `mmrec.Recommender` is one.

    The batch law: each list call returns one entry per request, in the same order, and an entry is either the result
    or the error of that request alone. Calls may come from one thread at a time only.
    """

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once."""
        ...

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items at once."""
        ...

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Several searches at once."""
        ...

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Several embedding batches at once."""
        ...

    def get_items(self, item_ids: Sequence[str]) -> tuple[list[ItemRecord], list[str]]:
        """Catalogue rows in the asked order, and the ids that are not there."""
        ...

    def info(self) -> ServiceInfo:
        """What this engine serves."""
        ...
