"""What goes into and comes out of mmrec: frozen, typed values, the same in process and over gRPC.

Knows nothing of protobuf, torch or files. Requests check themselves when they are made, so that a bad value is
refused with the same words by the SDK, the in-process recommender and the server. Results hold tuples and read-only
arrays only. Values about items are in `mmrec.contract.items`, what can be asked of a catalogue in
`mmrec.contract.questions` and `mmrec.contract.lookups`, how it is changed in `mmrec.contract.changes`; this module has
all their names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from mmrec.contract.changes import (
    ChangeResults,
    DeleteRequest,
    UpsertRequest,
)
from mmrec.contract.items import (
    NO_VERSIONS,
    Fallback,
    FilterMode,
    ItemFailure,
    ItemInput,
    ItemLookup,
    Modality,
    ScoredItem,
    Versions,
)
from mmrec.contract.lookups import (
    ItemPage,
    ListItemsRequest,
    ResolvedPaths,
    ResolveRequest,
    SemanticIds,
    SemanticIdsRequest,
)
from mmrec.contract.promotions import Promotion, checked_promotions
from mmrec.contract.questions import (
    DuplicateGroups,
    DuplicatesRequest,
    Mismatches,
    MismatchRequest,
    SearchRequest,
    SearchResults,
    SimilarRequest,
    TagRequest,
    TagResults,
)
from mmrec.contract.rules import (
    DEFAULT_K,
    MAX_BEAM_WIDTH,
    MAX_FILTER_CHARS,
    MAX_HISTORY,
    MAX_LIST_IDS,
    checked_choice,
    checked_id,
    checked_ids,
    checked_k,
    checked_number,
    checked_share,
    checked_text,
    whole_number,
)
from mmrec.errors import InvalidArgumentError, MmrecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class NumberFormat(Enum):
    """How the numbers of a vector travel."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


# --- recommending ---------------------------------------------------------------------------------------------------


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
        filter: AIP-160 condition over the columns, exact inside the search; empty for every item. What is in stock is
            a column like any other: ``in_stock = true AND price < 50``.
        filter_mode: What to do when fewer than `k` items pass it.
        diversity: 0 (best first) to 1 (as different from each other as possible); the first item stays.
        exploration: Share of the places that goes to new items, 0 to 1: those that training has seen no event of.
        exploration_column: A column of dates, for `exploration_max_age_days`; empty for no age limit.
        exploration_max_age_days: New items whose date lies longer ago than this, or that have none, are not explored;
            over 0, and 0 for no age limit. A day has 24 hours.
        popularity_damping: How much popular items are held back, 0 (not at all) to 1.
        promotions: Items to be shown more, at most `MAX_PROMOTIONS`; their shares sum to at most 1.
    """

    history: tuple[str, ...] = ()
    user_id: str = ""
    k: int = DEFAULT_K
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    include_seen: bool = False
    beam_width: int = 0
    explain: bool = False
    filter: str = ""
    filter_mode: FilterMode = FilterMode.STRICT
    diversity: float = 0.0
    exploration: float = 0.0
    exploration_column: str = ""
    exploration_max_age_days: float = 0.0
    popularity_damping: float = 0.0
    promotions: tuple[Promotion, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", checked_k(self.k))
        object.__setattr__(self, "history", checked_ids(self.history, "history", last=MAX_HISTORY))
        object.__setattr__(self, "allow", checked_ids(self.allow, "allow", most=MAX_LIST_IDS))
        object.__setattr__(self, "deny", checked_ids(self.deny, "deny", most=MAX_LIST_IDS))
        checked_id(self.user_id, "user_id")
        object.__setattr__(self, "beam_width", whole_number(self.beam_width, "beam_width"))
        if self.beam_width < 0:
            raise InvalidArgumentError(
                f"beam_width is {self.beam_width}; it must be 0 (the server chooses) or more", field="beam_width"
            )
        object.__setattr__(self, "beam_width", min(self.beam_width, MAX_BEAM_WIDTH))
        checked_text(self.filter, "filter", MAX_FILTER_CHARS)
        object.__setattr__(self, "filter_mode", checked_choice(FilterMode, self.filter_mode, "filter_mode"))
        for name, ends in _CONTROLS.items():
            object.__setattr__(self, name, checked_share(getattr(self, name), name, ends))
        self._check_age_limit()
        object.__setattr__(self, "promotions", checked_promotions(self.promotions, "promotions"))

    def _check_age_limit(self) -> None:
        days = checked_number(
            self.exploration_max_age_days, "exploration_max_age_days", "a number of days, 0 for no age limit", low=0.0
        )
        object.__setattr__(self, "exploration_max_age_days", days)
        checked_id(self.exploration_column, "exploration_column")
        if days and not self.exploration_column:
            raise InvalidArgumentError(
                f"exploration_max_age_days is {days:g} and exploration_column is empty; name the column that says "
                "since when items are there",
                field="exploration_column",
            )
        if self.exploration_column and not days:
            raise InvalidArgumentError(
                f"exploration_column is {self.exploration_column!r:.80} and exploration_max_age_days is 0; say how "
                "many days an item stays new, or leave both out",
                field="exploration_max_age_days",
            )


_CONTROLS = {
    "diversity": "0 (best first) and 1 (as different from each other as possible)",
    "exploration": "0 (no place for the sake of novelty) and 1 (every place)",
    "popularity_damping": "0 (popular items are not held back) and 1",
}


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


Recommendation = ScoredItem


# --- embedding ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Items to turn into fused embeddings and semantic IDs.

    Attributes:
        items: The items, each answered on its own; an entry may already be the error that refused it, which is
            handed through in its place.
        dimension: Length of the returned vectors: 0 for all, else a prefix that the bundle's fusion was trained for.
        modality: Which side of the items to embed; an item without it is refused by itself.
    """

    items: tuple[ItemInput | MmrecError, ...]
    dimension: int = 0
    modality: Modality = Modality.FUSED

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", whole_number(self.dimension, "dimension"))
        object.__setattr__(self, "modality", checked_choice(Modality, self.modality, "modality"))
        if not 0 <= self.dimension <= 2**20:
            raise InvalidArgumentError(
                f"dimension is {self.dimension}; it must be 0 (all) or a supported prefix", field="dimension"
            )


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


# --- the engine ------------------------------------------------------------------------------------------------------


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


class Questions(Protocol):
    """What can be asked of one state of a catalogue, or of an engine as it is when it is asked.

    The batch law: each list call returns one entry per request, in the same order, and an entry is either the result
    or the error of that request alone. All entries of one call are from one state, which each of them names. Calls may
    come from one thread at a time only.
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

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Labels for several batches of items at once. A request without items makes its labels ready, in part."""
        ...

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Things that are in the catalogue twice."""
        ...

    def mismatches_many(self, requests: Sequence[MismatchRequest]) -> list[Mismatches | MmrecError]:
        """Items whose picture and words do not agree."""
        ...

    def list_items_many(self, requests: Sequence[ListItemsRequest]) -> list[ItemPage | MmrecError]:
        """Pages of the catalogue."""
        ...

    def semantic_ids_many(self, requests: Sequence[SemanticIdsRequest]) -> list[SemanticIds | MmrecError]:
        """The semantic IDs of items."""
        ...

    def resolve_many(self, requests: Sequence[ResolveRequest]) -> list[ResolvedPaths | MmrecError]:
        """The items of semantic IDs."""
        ...

    def items_many(self, requests: Sequence[Sequence[str]]) -> list[ItemLookup | MmrecError]:
        """Catalogue rows by id, in the asked order, for several lists of ids."""
        ...

    def info(self) -> ServiceInfo:
        """What is served."""
        ...


class Engine(Questions, Protocol):
    """What the server serves; `mmrec.Recommender` is one. Calls may come from one thread at a time only."""

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Several changes by items that come or are replaced, one after the other."""
        ...

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Several changes by items that go, one after the other."""
        ...

    def snapshot(self) -> Questions:
        """The engine as it is now: what it answers stays the same, and names the same versions, whatever changes."""
        ...
