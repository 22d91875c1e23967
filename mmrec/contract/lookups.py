"""Looking things up in a catalogue: its rows page by page, and between items and semantic IDs; questions and replies.

Knows nothing of protobuf, torch or files. Requests check themselves when they are made; see `mmrec.contract.types`,
which has all of these names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmrec.contract.items import NO_VERSIONS, ItemRecord, Versions
from mmrec.contract.questions import checked_item_fields
from mmrec.contract.rules import (
    DEFAULT_K,
    DEFAULT_PAGE,
    MAX_BATCH,
    MAX_FILTER_CHARS,
    checked_id,
    checked_item_ids,
    checked_list,
    checked_page_token,
    checked_size,
    checked_text,
    whole_number,
)
from mmrec.errors import InvalidArgumentError, MmrecError

MAX_RESOLVED = 100_000
"""Most items in one reply to a `ResolveRequest`, over all of its paths."""
MAX_CODE = 2**32 - 1
"""Largest code that travels."""


# --- rows page by page ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListItemsRequest:
    """A page of the catalogue, in the order of the items' ids (by Unicode code points).

    Pages go on while the catalogue changes, each made of the catalogue as it is then: an item that is there and passes
    the filter all the while is on exactly one of them, and none is on two.

    Attributes:
        filter: AIP-160 condition over the columns; empty for every item.
        page_size: Items a page; 0 means `DEFAULT_PAGE`, more than `MAX_K` is coerced to it.
        page_token: `ItemPage.next_page_token` of the page before, whatever became of the catalogue since; empty for
            the first page.
        item_fields: Fields of the rows to return besides the id; empty for all.
    """

    filter: str = ""
    page_size: int = DEFAULT_PAGE
    page_token: str = ""
    item_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "page_size", checked_size(self.page_size, "page_size", DEFAULT_PAGE))
        checked_page_token(self.page_token)
        object.__setattr__(self, "item_fields", checked_item_fields(self.item_fields))


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Some rows of the catalogue, in the order of their ids.

    Attributes:
        items: Those of this page.
        total: Rows that pass the filter, over all pages, as the catalogue is now.
        next_page_token: Pass it to get the next page; empty: this was the last one.
        versions: What it was read from.
    """

    items: tuple[ItemRecord, ...]
    total: int
    next_page_token: str = ""
    versions: Versions = NO_VERSIONS

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, in order."""
        return tuple(item.item_id for item in self.items)


# --- from items to semantic IDs -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SemanticIdsRequest:
    """The semantic IDs of items.

    Attributes:
        item_ids: At most `MAX_BATCH`.
        codebook_version: Version of the codebooks the answer must be in: the one being served, or the one before it
            as long as that is kept; empty for the one being served.
    """

    item_ids: tuple[str, ...]
    codebook_version: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "item_ids", checked_item_ids(self.item_ids))
        checked_id(self.codebook_version, "codebook_version")


@dataclass(frozen=True, slots=True)
class ItemPath:
    """An item and its path.

    Attributes:
        item_id: The item.
        semantic_id: Its path, the code that tells collisions apart included; empty where it has none.
        error: Why it has none, NOT_FOUND: it came after the version of the codebooks that was asked for. None: it has.
    """

    item_id: str
    semantic_id: tuple[int, ...]
    error: MmrecError | None = None


@dataclass(frozen=True, slots=True)
class SemanticIds:
    """Items with their paths.

    Attributes:
        entries: The items that exist, in the asked order.
        missing_ids: The ids that do not, in order of first appearance.
        versions: What it was read from.
    """

    entries: tuple[ItemPath, ...]
    missing_ids: tuple[str, ...] = ()
    versions: Versions = NO_VERSIONS


# --- from semantic IDs to items -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResolveRequest:
    """The items of semantic IDs.

    Attributes:
        semantic_ids: Paths, or the beginnings of paths, each of one code or more; at most `MAX_BATCH`.
        page_size: Items returned per path; 0 means `DEFAULT_K`, more than `MAX_K` is coerced to it, and so is what
            would make more than `MAX_RESOLVED` items in all.
        codebook_version: Version of the codebooks that the paths are in: the one being served, or the one before it as
            long as that is kept; empty for the one being served.
    """

    semantic_ids: tuple[tuple[int, ...], ...]
    page_size: int = DEFAULT_K
    codebook_version: str = ""

    def __post_init__(self) -> None:
        paths = checked_list(self.semantic_ids, "semantic_ids", "paths")
        if len(paths) > MAX_BATCH:
            raise InvalidArgumentError(
                f"semantic_ids has {len(paths):,} paths; at most {MAX_BATCH:,} are accepted: ask in parts",
                field="semantic_ids",
            )
        checked = tuple(_checked_codes(path, f"semantic_ids[{i}]") for i, path in enumerate(paths))
        object.__setattr__(self, "semantic_ids", checked)
        size = checked_size(self.page_size, "page_size", DEFAULT_K)
        object.__setattr__(self, "page_size", min(size, MAX_RESOLVED // max(1, len(paths))))
        checked_id(self.codebook_version, "codebook_version")


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """A path and the items below it.

    Attributes:
        semantic_id: As asked.
        items: Items whose path begins so, in the order of their paths; none where there are none.
        total: How many there are, more than `items` where they did not fit.
        error: Why this path was refused; None: it was not.
    """

    semantic_id: tuple[int, ...]
    items: tuple[ItemRecord, ...] = ()
    total: int = 0
    error: MmrecError | None = None


@dataclass(frozen=True, slots=True)
class ResolvedPaths:
    """Paths with their items.

    Attributes:
        entries: One per path, in the asked order.
        versions: What it was read from.
    """

    entries: tuple[ResolvedPath, ...]
    versions: Versions = NO_VERSIONS


def _checked_codes(path: Iterable[int] | Sequence[int], where: str) -> tuple[int, ...]:
    """Codes that can be sent; whether a catalogue has such a path is for the engine to say."""
    codes = tuple(whole_number(code, f"{where}[{i}]") for i, code in enumerate(checked_list(path, where, "codes")))
    for i, code in enumerate(codes):
        if not 0 <= code <= MAX_CODE:
            raise InvalidArgumentError(
                f"{where}[{i}] is {code!r:.40}; a code lies between 0 and {MAX_CODE}", field=f"{where}[{i}]"
            )
    return codes
