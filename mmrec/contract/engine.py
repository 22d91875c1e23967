"""The protocol of an engine, which answers requests: `mmrec.Recommender` implements it, and the server serves it.

Knows nothing of protobuf, torch or files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, cast

from mmrec.contract.changes import ChangeResults, DeleteRequest, UpsertRequest
from mmrec.contract.conversation import ConversationTurn, ConverseRequest
from mmrec.contract.events import (
    DeletedUser,
    DeleteUserRequest,
    EventPage,
    EventResults,
    ListEventsRequest,
    RecordEventsRequest,
)
from mmrec.contract.replies import (
    DuplicateGroups,
    EmbedResults,
    Explanations,
    ItemLookup,
    ItemPage,
    Mismatches,
    PredictedRatings,
    Recommendations,
    ResolvedPaths,
    SearchResults,
    SemanticIds,
    ServiceInfo,
    TagResults,
    UserEmbedding,
)
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.errors import MmrecError

Recommend = Callable[[Sequence[RecommendRequest]], list[Recommendations | MmrecError]]
"""Recommends for several customers at once."""

Stop = Callable[[], bool]
"""Asked again and again during long work: whether it must end now."""


def never() -> bool:
    """The `Stop` that lets work go on to its end."""
    return False


class Wording(Protocol):
    """A language model that words the sentences of replies. Calls may come from a thread of their own, one at a time.

    Attributes:
        seconds: Most seconds that the words of one reply may take, in which it also waits for its turn.
    """

    seconds: float

    def applies(self, reply: Any) -> bool:
        """Whether a reply has sentences that may be worded."""
        ...

    def parts(self, reply: Any, stop: Stop = never) -> Iterator[Any]:
        """A reply in parts, each as soon as its sentences are worded and checked.

        Sentences that are rejected, and those that are not worded when the time is up, stay as they are. With a `stop`
        that says so from the beginning, all do at once, and the call may come from any thread.

        Args:
            reply: One that `applies` to.
            stop: Whether sentences that are not worded yet must stay as they are.

        Yields:
            Of a turn a part for each sentence, and at last the turn without text; of any other reply the whole.
        """
        ...


def wording_of(engine: object) -> Wording | None:
    """What words an engine's replies, as its method `wording` says; None: the sentences of templates stay."""
    wording: Callable[[], Wording | None] | None = getattr(engine, "wording", None)
    return None if wording is None else wording()


class PictureDecoder(Protocol):
    """An engine whose large pictures can be decoded before the request comes that has them."""

    def decode_ahead(self, picture: bytes, *, thumbnail: bool, decode: Callable[[Any, bytes], Any] | None) -> object:
        """Decode a picture that requests will have; safe to call from any thread, while requests are answered.

        Args:
            picture: The encoded file; one that cannot be read is refused by the request.
            thumbnail: Whether it is the picture of a change, which also needs a thumbnail.
            decode: Decodes the file as the engine says, perhaps in another process; None: it is decoded here.

        Returns:
            What must be kept until the requests are answered.
        """
        ...


def decoder_of(engine: object) -> PictureDecoder | None:
    """What decodes an engine's pictures ahead; None for an engine that does not."""
    return cast(PictureDecoder, engine) if callable(getattr(engine, "decode_ahead", None)) else None


@dataclass(slots=True)
class CacheUse:
    """How often a cache was asked, since it is there.

    Attributes:
        hits: Look-ups that found the value.
        misses: Look-ups that did not.
    """

    hits: int = 0
    misses: int = 0


class EngineFigures(NamedTuple):
    """What an engine tells of its inside.

    Attributes:
        delta_rows: Rows of the catalogue that were changed or added, and are not merged with the others yet.
        caches: Its caches by name.
    """

    delta_rows: int
    caches: Mapping[str, CacheUse]


def figures_of(engine: object) -> EngineFigures | None:
    """The figures of an engine, as its method `figures` says, from any thread; None for an engine without."""
    figures: Callable[[], EngineFigures] | None = getattr(engine, "figures", None)
    return None if figures is None else figures()


class Questions(Protocol):
    """Read-only requests, answered by a snapshot or by the current snapshot of an engine.

    Each ``*_many`` method returns one entry per request, in the same order: the result or the error of that request.
    All entries of one call come from one snapshot, whose versions they carry. Not thread-safe.
    """

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        """Recommend for several customers at once."""
        ...

    def rank_many(self, requests: Sequence[RankRequest]) -> list[Recommendations | MmrecError]:
        """Order the items of several requests, each for its customer."""
        ...

    def converse_many(
        self, requests: Sequence[ConverseRequest], recommend: Recommend | None = None
    ) -> list[ConversationTurn | MmrecError]:
        """Answer messages of several conversations, none of whose state is kept.

        Args:
            requests: One message each.
            recommend: What is asked for recommendations; None: `recommend_many`. With another one, this call may come
                from a thread of its own, beside the other calls.
        """
        ...

    def embed_user_many(self, requests: Sequence[EmbedUserRequest]) -> list[UserEmbedding | MmrecError]:
        """Embed several customers in the space of items."""
        ...

    def explain_many(self, requests: Sequence[ExplainRequest]) -> list[Explanations | MmrecError]:
        """Say in words why items would be recommended, for several customers."""
        ...

    def predict_ratings_many(self, requests: Sequence[RatingRequest]) -> list[PredictedRatings | MmrecError]:
        """Predict ratings for several customers at once."""
        ...

    def similar_many(self, requests: Sequence[SimilarRequest]) -> list[SearchResults | MmrecError]:
        """Nearest items of several items at once."""
        ...

    def search_many(self, requests: Sequence[SearchRequest]) -> list[SearchResults | MmrecError]:
        """Several searches at once."""
        ...

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[EmbedResults | MmrecError]:
        """Embed several batches of items."""
        ...

    def tag_many(self, requests: Sequence[TagRequest]) -> list[TagResults | MmrecError]:
        """Label several batches of items. A request without items prepares the vectors of its labels, in part."""
        ...

    def duplicates_many(self, requests: Sequence[DuplicatesRequest]) -> list[DuplicateGroups | MmrecError]:
        """Groups of duplicate items."""
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
        """The items whose semantic IDs begin with given codes."""
        ...

    def items_many(self, requests: Sequence[ItemsRequest]) -> list[ItemLookup | MmrecError]:
        """Catalogue rows by id, in the requested order, for several requests, each without repeated ids."""
        ...

    def info(self) -> ServiceInfo:
        """Description of what is served."""
        ...


class Engine(Questions, Protocol):
    """Answers requests, applies changes of the catalogue and records events. Not thread-safe."""

    def upsert_many(self, requests: Sequence[UpsertRequest]) -> list[ChangeResults | MmrecError]:
        """Add or replace items: several changes, in order."""
        ...

    def delete_many(self, requests: Sequence[DeleteRequest]) -> list[ChangeResults | MmrecError]:
        """Delete items: several changes, in order."""
        ...

    def record_events_many(self, requests: Sequence[RecordEventsRequest]) -> list[EventResults | MmrecError]:
        """Record events of customers, which later answers use: several requests, in order."""
        ...

    def list_events_many(self, requests: Sequence[ListEventsRequest]) -> list[EventPage | MmrecError]:
        """Pages of the recorded events of customers."""
        ...

    def delete_user_many(self, requests: Sequence[DeleteUserRequest]) -> list[DeletedUser | MmrecError]:
        """Delete customers, who are unknown ones to every later call: several requests, in order."""
        ...

    def snapshot(self) -> Questions:
        """The current state: its answers and versions stay the same while the engine changes."""
        ...
