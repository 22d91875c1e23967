"""Replies of mmrec: one frozen dataclass each, with tuples and read-only arrays only.

Knows nothing of protobuf, torch or files. The requests are in `mmrec.contract.requests`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from mmrec.contract.conversation import Constraint
from mmrec.contract.frames import Framed
from mmrec.contract.items import (
    NO_VERSIONS,
    ChannelShare,
    Evidence,
    Fallback,
    ItemFailure,
    ItemRecord,
    NumberFormat,
    ScoredItem,
    Statement,
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
class Recommendations(Framed):
    """A ranked list for one customer.

    Attributes:
        recommendation_id: Id for attributing later events to this reply.
        items: Best first; exactly ``min(k, eligible)`` of them.
        missing_ids: Ids of the request that the catalogue does not have, in order of first appearance.
        fallback: Whether the most popular items, or items that do not pass the filter, had to be used.
        versions: Versions behind the reply.
        constraints: Conditions that words of the request's instruction became, in the order of the words.
    """

    _entry: ClassVar[type[Any]] = ScoredItem

    recommendation_id: str
    items: tuple[ScoredItem, ...]
    missing_ids: tuple[str, ...] = ()
    fallback: Fallback = Fallback.NONE
    versions: Versions = NO_VERSIONS
    constraints: tuple[Constraint, ...] = ()

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one item would be recommended to a customer.

    Attributes:
        item_id: The item.
        text: A sentence or two for people; empty: nothing speaks for the item.
        statements: What the text rests on, and more of it, best first.
        shares: The parts of the item's score for this customer, largest first.
    """

    item_id: str
    text: str
    statements: tuple[Statement, ...] = ()
    shares: tuple[ChannelShare, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanations:
    """The reasons, item by item.

    Attributes:
        explanations: The known items, in the order of the request.
        missing_ids: Unknown ids: those of the history, of the items to explain and of promotions, in this order.
        versions: Versions that the reply was computed with.
    """

    explanations: tuple[Explanation, ...]
    missing_ids: tuple[str, ...] = ()
    versions: Versions = NO_VERSIONS


@dataclass(frozen=True, slots=True)
class SearchResults(Framed):
    """A ranked list by similarity.

    Attributes:
        items: Best first (in the order of selection if diversity was requested); scores are cosine similarities in
            [-1, 1].
        versions: Versions behind the reply.
        next_page_token: Pass it to get the next page of a search; empty if there is none.
        fallback: FILTER_RELAXED if items that do not pass the filter follow those that do.
    """

    _entry: ClassVar[type[Any]] = ScoredItem

    items: tuple[ScoredItem, ...]
    versions: Versions = NO_VERSIONS
    next_page_token: str = ""
    fallback: Fallback = Fallback.NONE

    @property
    def item_ids(self) -> tuple[str, ...]:
        """Ids of the items, best first."""
        return tuple(scored.item_id for scored in self.items)


@dataclass(frozen=True, slots=True)
class PredictedRating:
    """How a customer would rate an item.

    Attributes:
        item_id: The item.
        rating: Expected rating, in the unit of the dataset, within the range of its ratings.
        deviation: Standard deviation of the rating, 0 or more; None: not known.
    """

    item_id: str
    rating: float
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class PredictedRatings(Framed):
    """Predicted ratings of one customer.

    Attributes:
        ratings: The known items, in the order of the request.
        missing_ids: Ids that the catalogue does not have, those of the history first, in order of first appearance.
        versions: Versions behind the reply.
    """

    _entry: ClassVar[type[Any]] = PredictedRating
    _entries: ClassVar[str] = "ratings"

    ratings: tuple[PredictedRating, ...]
    missing_ids: tuple[str, ...] = ()
    versions: Versions = NO_VERSIONS


# --- embedding --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class ItemEmbedding:
    """A fused embedding.

    Attributes:
        item_id: As given by the caller.
        vector: Unit norm; without numbers where the request was only checked. Shape: (D,), float32.
        semantic_id: Path of codes from the bundle's codebooks, without a collision code.
    """

    item_id: str
    vector: FloatVector
    semantic_id: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class UserEmbedding:
    """A customer in the space of items.

    Attributes:
        vector: Unit norm, for `search(vector=...)`; comparable with item embeddings of the same model version. It
            stands for the items that would be recommended now, so it follows the catalogue and recorded events.
            Shape: (D,), float32.
        missing_ids: Unknown ids of the request, in order of first appearance.
        fallback: `POPULARITY` if neither a known item of the history nor words were given: the vector stands for
            popular items.
        versions: Versions that it was computed with.
    """

    vector: FloatVector
    missing_ids: tuple[str, ...] = ()
    fallback: Fallback = Fallback.NONE
    versions: Versions = NO_VERSIONS


@dataclass(frozen=True, slots=True)
class EmbedResults(Framed):
    """Embeddings of items.

    Attributes:
        items: One entry per item of the request, in the same order: an embedding, or why there is none.
        versions: Versions behind the reply.
        dtype: Number format that the vectors are rounded to.
    """

    _entry: ClassVar[type[Any]] = ItemEmbedding

    items: tuple[ItemEmbedding | ItemFailure, ...]
    versions: Versions = NO_VERSIONS
    dtype: NumberFormat = NumberFormat.FLOAT32

    def to_numpy(self) -> npt.NDArray[np.float32]:
        """The vectors, one row an item; NaN where an item failed. Shape: (N, D), float32; D is 0 if all failed."""
        import numpy as np

        width = max((len(entry.vector) for entry in self.items if isinstance(entry, ItemEmbedding)), default=0)
        vectors_ND = np.full((len(self.items), width), np.nan, dtype=np.float32)
        for place, entry in enumerate(self.items):
            if isinstance(entry, ItemEmbedding):
                vectors_ND[place] = entry.vector
        return vectors_ND


# --- tags -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag:
    """A label with its probability.

    Attributes:
        label: The label.
        score: Probability of this label among all labels of the request, 0 to 1.
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
class _TagRow:
    """An item and one of its labels, for a table."""

    item_id: str
    label: str
    score: float


@dataclass(frozen=True, slots=True)
class TagCalibration:
    """Calibration of the probabilities of labels.

    Attributes:
        calibrated: Whether the temperature was fitted on items of the catalogue with a value in the column. If not, it
            is a default, and the probabilities are useful for ranking only.
        temperature: Divisor of the cosines before the softmax, above 0.
        rows: Number of items with a value that accuracy and calibration error were measured on; the temperature was
            fitted on other items.
        accuracy: Share of them whose true value was ranked first, 0 to 1; None if not measured.
        calibration_error: Expected calibration error on them, 0 to 1; None if not measured.
    """

    calibrated: bool = False
    temperature: float = 1.0
    rows: int = 0
    accuracy: float | None = None
    calibration_error: float | None = None


@dataclass(frozen=True, slots=True)
class TagResults(Framed):
    """Labels of items.

    Attributes:
        items: One entry per item: the described items in order, then the existing items of the catalogue.
        missing_ids: Ids that the catalogue does not have, in order of first appearance.
        calibration: Calibration of the probabilities.
        versions: Versions behind the reply.
    """

    _entry: ClassVar[type[Any]] = _TagRow

    items: tuple[ItemTags | ItemFailure, ...]
    missing_ids: tuple[str, ...] = ()
    calibration: TagCalibration = TagCalibration()
    versions: Versions = NO_VERSIONS

    def _rows(self) -> Iterator[_TagRow | ItemFailure]:
        for entry in self.items:
            if isinstance(entry, ItemFailure):
                yield entry
            else:
                yield from (_TagRow(entry.item_id, tag.label, tag.score) for tag in entry.tags)


# --- duplicates and mismatches ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Items that are duplicates of each other.

    Attributes:
        item_ids: At least two, in the order of the catalogue.
        similarity: The lowest similarity of the pairs that connect the group, 0 to 1: cosine of the two pictures, or,
            where one item has none, share of words in common.
        evidence: By what they were recognised; None if unknown.
    """

    item_ids: tuple[str, ...]
    similarity: float
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class DuplicateGroups:
    """A page of groups.

    Attributes:
        groups: Most similar first.
        missing_ids: Ids of the request that the catalogue does not have, in order of first appearance.
        total: Groups over all pages.
        picture_threshold: Least cosine of two pictures of duplicates, whatever the words; None if pictures were not
            compared.
        words_threshold: Least share of words in common of duplicates of which one has no picture; None if words were
            not compared.
        explanation: A text that explains how the thresholds were chosen, and their effect.
        next_page_token: Pass it to get the next page; empty for the last page.
        versions: Versions behind the reply.
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
        percentile: Share of the items with picture and words whose agreement is lower, 0 (the worst) to 1.
        fit: Mean of two shares: of other pictures that fit its words worse than its own picture, and of other words
            that fit its picture worse; 0 to 1, 0.5 for a random pair.
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
class Mismatches(Framed):
    """A page of items.

    Attributes:
        items: Worst first.
        missing_ids: Ids of the request that the catalogue does not have, in order of first appearance.
        total: Items over all pages.
        threshold: Cosine below which items were returned; None if they were not selected by cosine.
        explanation: A text that explains which items were returned, and their order.
        next_page_token: Pass it to get the next page; empty for the last page.
        versions: Versions behind the reply.
    """

    _entry: ClassVar[type[Any]] = Mismatch

    items: tuple[Mismatch, ...]
    missing_ids: tuple[str, ...] = ()
    total: int = 0
    threshold: float | None = None
    explanation: str = ""
    next_page_token: str = ""
    versions: Versions = NO_VERSIONS


# --- rows and semantic IDs --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ItemLookup(Framed):
    """Catalogue rows by id.

    Attributes:
        items: The rows that exist, in the requested order.
        missing_ids: Ids that do not exist, in order of first appearance.
        versions: Versions behind the reply.
    """

    _entry: ClassVar[type[Any]] = ItemRecord

    items: tuple[ItemRecord, ...]
    missing_ids: tuple[str, ...] = ()
    versions: Versions = NO_VERSIONS


@dataclass(frozen=True, slots=True)
class ItemPage(Framed):
    """Some rows of the catalogue, in the order of their ids.

    Attributes:
        items: The rows of this page.
        total: Number of rows in the current catalogue that pass the filter, over all pages.
        next_page_token: Pass it to get the next page; empty for the last page.
        versions: Versions behind the reply.
    """

    _entry: ClassVar[type[Any]] = ItemRecord

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
        semantic_id: Its path, with the collision code; empty if it has none.
        error: NOT_FOUND if it has no path in the requested codebook version, because it was added later; else None.
    """

    item_id: str
    semantic_id: tuple[int, ...]
    error: MmrecError | None = None


@dataclass(frozen=True, slots=True)
class SemanticIds:
    """Items with their paths.

    Attributes:
        entries: The items that exist, in the requested order.
        missing_ids: Ids that do not exist, in order of first appearance.
        versions: Versions behind the reply.
    """

    entries: tuple[ItemPath, ...]
    missing_ids: tuple[str, ...] = ()
    versions: Versions = NO_VERSIONS


@dataclass(frozen=True, slots=True)
class ResolvedPath:
    """A path, or prefix of paths, with the items below it.

    Attributes:
        semantic_id: As in the request.
        items: Items whose paths begin with it, in the order of their paths.
        total: Number of such items, which may be more than are in `items`.
        error: Why this path was refused; None if it was not.
    """

    semantic_id: tuple[int, ...]
    items: tuple[ItemRecord, ...] = ()
    total: int = 0
    error: MmrecError | None = None


@dataclass(frozen=True, slots=True)
class ResolvedPaths:
    """Paths with their items.

    Attributes:
        entries: One per path, in the requested order.
        versions: Versions behind the reply.
    """

    entries: tuple[ResolvedPath, ...]
    versions: Versions = NO_VERSIONS


# --- the service ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RefusedBundle:
    """A version of the bundle that a server does not serve.

    Attributes:
        version: Its name, that of its folder; empty: none can be read, as the reason says.
        reason: Why, without paths of the server; the log has them.
        time: When it was refused, in seconds since 1970.
    """

    version: str
    reason: str
    time: float


@dataclass(frozen=True, slots=True)
class ServiceInfo:
    """Description of an engine.

    Attributes:
        name: Name of the bundle.
        versions: Current versions.
        items: Items in the catalogue.
        users: Users with a stored history.
        dimension: Length of a fused embedding.
        prefixes: Shorter lengths to which embeddings may be cut, ascending.
        levels: Number of codes of a semantic ID, including the collision code.
        codebook_size: Codes per level.
        device: Device of the models, e.g. ``cpu`` or ``cuda:0``.
        preset: The preset it was fitted with.
        codebook_versions: Codebook versions whose semantic IDs can be looked up, the current one first; empty if
            unknown.
        language_model: The language model that words explanations and turns of conversations; empty: none.
        language_model_version: SHA-256 of its weights; empty: none.
        mmrec_version: Version of mmrec that answers; empty: unknown.
        refused_bundle: The version that is current in the bundle's folder and could not be loaded, so that the one
            before is served still; None: there is none.
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
    language_model: str = ""
    language_model_version: str = ""
    mmrec_version: str = ""
    refused_bundle: RefusedBundle | None = None
