"""What comes back from mmrec: one frozen dataclass for each reply, with tuples and read-only arrays only.

Knows nothing of protobuf, torch or files. The requests are in `mmrec.contract.requests`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mmrec.contract.items import (
    NO_VERSIONS,
    Evidence,
    Fallback,
    ItemFailure,
    ItemRecord,
    NumberFormat,
    ScoredItem,
    Versions,
)
from mmrec.errors import MmrecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    FloatVector = npt.NDArray[np.float32]
else:
    FloatVector = Any  # numpy is imported with the first vector

# --- recommending, search and similar ---------------------------------------------------------------------------------


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
    versions: Versions = NO_VERSIONS

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)


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


# --- embedding --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class ItemEmbedding:
    """A fused embedding.

    Attributes:
        item_id: As given by the caller.
        vector: Unit norm. Shape: (D,), float32.
        semantic_id: Path of codes the bundle's codebooks give it, without a collision code.
    """

    item_id: str
    vector: FloatVector
    semantic_id: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EmbedResults:
    """One entry per item asked for, in the same order.

    Attributes:
        items: An embedding, or why there is none.
        versions: What they were made with.
        dtype: What the numbers are rounded to, and how they travel.
    """

    items: tuple[ItemEmbedding | ItemFailure, ...]
    versions: Versions = NO_VERSIONS
    dtype: NumberFormat = NumberFormat.FLOAT32


# --- tags -------------------------------------------------------------------------------------------------------------


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


# --- duplicates and mismatches ----------------------------------------------------------------------------------------


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


# --- rows and semantic IDs --------------------------------------------------------------------------------------------


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
    versions: Versions = NO_VERSIONS


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


# --- the service ------------------------------------------------------------------------------------------------------


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
        codebook_versions: Versions of the codebooks whose semantic IDs can be looked up, the one being served first;
            empty: not known.
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
    codebook_versions: tuple[str, ...] = ()
