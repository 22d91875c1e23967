"""The calls of the SDK without any I/O: from keyword arguments to requests, and from batches of results to
replies.

Unit of work: one call. `Client` and `AsyncClient` use these functions before and after they send something,
and `EngineCalls` gives the same methods, in process, to any class that implements `mmrec.types.Engine`. Knows
nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

from mmrec.errors import FieldViolation, InternalError, InvalidArgumentError, MmrecError
from mmrec.types import (
    DEFAULT_K,
    MAX_BATCH,
    EmbedRequest,
    EmbedResults,
    Engine,
    ItemEmbedding,
    ItemFailure,
    ItemInput,
    ItemLookup,
    Recommendations,
    RecommendRequest,
    SearchRequest,
    SearchResults,
    SimilarRequest,
    Versions,
    checked_item_ids,
    read_picture,
)

__all__ = [
    "EMBED_CHUNK",
    "EmbedBatch",
    "EngineCalls",
    "RecommendBatch",
    "embed_batch",
    "look_up",
    "only",
    "prefixed",
    "recommend_batch",
    "recommend_request",
    "search_request",
]

T = TypeVar("T")
E = TypeVar("E", bound=MmrecError)

EMBED_CHUNK = 32
"""Most items handed to the engine in one `EmbedRequest`, so that a large batch lets other work in between."""

_ITEM_FIELDS = tuple(field.name for field in fields(ItemInput))


def prefixed(error: E, prefix: str) -> E:
    """The same error, told about an entry of a list: ``k`` becomes ``requests[3].k``."""
    if not isinstance(error, InvalidArgumentError):
        return error
    violations = [FieldViolation(f"{prefix}.{v.field}" if v.field else prefix, v.description) for v in error.violations]
    return type(error)(f"{prefix}: {error.message}", violations=violations or [FieldViolation(prefix, error.message)])


def only(results: Sequence[T | MmrecError]) -> T:
    """The one result of a batch of one.

    Raises:
        MmrecError: the entry is an error.
    """
    if len(results) != 1:
        raise InternalError(f"one request was made and {len(results)} results came back")
    result = results[0]
    if isinstance(result, MmrecError):
        raise result
    return result


# --- batches: what can be done goes to the engine, what cannot keeps its place ------------------------------


@dataclass(frozen=True, slots=True)
class RecommendBatch:
    """Requests of which some may already be refused.

    Raises:
        InvalidArgumentError: there are more than `MAX_BATCH`.
    """

    requests: tuple[RecommendRequest | MmrecError, ...]

    def __post_init__(self) -> None:
        _check_length(self.requests, "requests")

    def split(self) -> list[RecommendRequest]:
        """The requests for the engine."""
        return [request for request in self.requests if not isinstance(request, MmrecError)]

    def join(self, results: Sequence[Recommendations | MmrecError]) -> list[Recommendations | MmrecError]:
        """One entry per request: the engine's result, or the error that refused it."""
        rest = iter(results)
        return [
            request if isinstance(request, MmrecError) else _placed(next(rest), f"requests[{i}]")
            for i, request in enumerate(self.requests)
        ]


@dataclass(frozen=True, slots=True)
class EmbedBatch:
    """Items of which some may already be refused.

    Raises:
        InvalidArgumentError: there are more than `MAX_BATCH`, or the dimension is not a length.
    """

    items: tuple[ItemInput | ItemFailure, ...]
    dimension: int = 0

    def __post_init__(self) -> None:
        _check_length(self.items, "items")
        EmbedRequest((), self.dimension)

    def split(self) -> list[EmbedRequest]:
        """The good items for the engine, at most `EMBED_CHUNK` a request."""
        good = tuple(item for item in self.items if not isinstance(item, ItemFailure))
        return [
            EmbedRequest(good[start : start + EMBED_CHUNK], self.dimension)
            for start in range(0, len(good), EMBED_CHUNK)
        ]

    def join(self, results: Sequence[EmbedResults | MmrecError]) -> EmbedResults:
        """One entry per item, in order.

        Raises:
            MmrecError: nothing at all could be done; the error of the first part.
        """
        errors = [result for result in results if isinstance(result, MmrecError)]
        if errors and len(errors) == len(results):
            raise errors[0]
        done: list[ItemEmbedding | ItemFailure] = []
        versions = Versions()
        for part, result in zip(self.split(), results, strict=True):
            if isinstance(result, MmrecError):
                done += [ItemFailure(item.item_id, result) for item in part.items if isinstance(item, ItemInput)]
            else:
                _check_same_length(part.items, result.items)
                done += result.items
                versions = result.versions
        return self.rejoin(EmbedResults(tuple(done), versions))

    def rejoin(self, results: EmbedResults) -> EmbedResults:
        """The results of the good items, with every failure back in its place and told with it."""
        good = [i for i, item in enumerate(self.items) if not isinstance(item, ItemFailure)]
        _check_same_length(good, results.items)
        entries: list[ItemEmbedding | ItemFailure | ItemInput] = list(self.items)
        for sent, (i, entry) in enumerate(zip(good, results.items, strict=True)):
            if isinstance(entry, ItemFailure):
                entry = ItemFailure(entry.item_id, _placed(entry.error, f"items[{i}]", f"items[{sent}]"))
            entries[i] = entry
        return EmbedResults(tuple(entry for entry in entries if not isinstance(entry, ItemInput)), results.versions)


def _check_same_length(asked: Sequence[object], got: Sequence[object]) -> None:
    if len(asked) != len(got):
        raise InternalError(f"{len(asked)} items were asked for and {len(got)} came back")


def _placed(result: T, place: str, sent_as: str = "") -> T:
    """An entry's error told with its place in the caller's list; any other result as it is."""
    if not isinstance(result, InvalidArgumentError):
        return result
    if sent_as and all(violation.field.startswith(sent_as) for violation in result.violations):
        if sent_as == place:
            return result
        moved = [FieldViolation(place + v.field.removeprefix(sent_as), v.description) for v in result.violations]
        return type(result)(result.message.replace(sent_as, place, 1), violations=moved)
    return prefixed(result, place)


def _check_length(entries: Sequence[object], field: str) -> None:
    if len(entries) > MAX_BATCH:
        raise InvalidArgumentError(
            f"{field} has {len(entries):,} entries; at most {MAX_BATCH:,} are accepted: send them in parts",
            field=field,
        )


# --- from keyword arguments to requests ---------------------------------------------------------------------


def recommend_batch(requests: Iterable[RecommendRequest]) -> RecommendBatch:
    """Requests for several customers.

    Raises:
        InvalidArgumentError: an entry is no `RecommendRequest`, or there are more than `MAX_BATCH`.
    """
    batch = tuple(requests)
    for i, request in enumerate(batch):
        if not isinstance(request, RecommendRequest):
            raise InvalidArgumentError(
                f"requests[{i}] is a {type(request).__name__}; pass mmrec.RecommendRequest values",
                field=f"requests[{i}]",
            )
    return RecommendBatch(batch)


def recommend_request(
    history: Iterable[str],
    user_id: str,
    k: int,
    allow: Iterable[str],
    deny: Iterable[str],
    include_seen: bool,
    explain: bool,
) -> RecommendRequest:
    """A request for one customer; the lists may be any iterables of ids.

    Raises:
        InvalidArgumentError: a value breaks a rule.
    """
    return RecommendRequest(
        history=history,  # type: ignore[arg-type]  # the request makes tuples, and says what is wrong
        user_id=user_id,
        k=k,
        allow=allow,  # type: ignore[arg-type]
        deny=deny,  # type: ignore[arg-type]
        include_seen=include_seen,
        explain=explain,
    )


def search_request(
    text: str, image: bytes | str | os.PathLike[str] | None, text_weight: float, k: int
) -> SearchRequest:
    """A search by words, by a picture given as bytes or as a path, or by both.

    Raises:
        InvalidArgumentError: nothing to search by, or a value breaks a rule.
        NotFoundError: the picture file cannot be read.
    """
    return SearchRequest(text=text, image=read_picture(image), text_weight=text_weight, k=k)


def embed_batch(items: Iterable[ItemInput | Mapping[str, object]], dimension: int) -> EmbedBatch:
    """Items to embed. One that breaks a rule keeps its place as an `ItemFailure`; the others are done.

    Raises:
        InvalidArgumentError: an entry is neither an `ItemInput` nor a mapping of its fields, or there are too
            many.
    """
    if isinstance(items, str | bytes | Mapping | ItemInput):
        raise InvalidArgumentError(f"items is a {type(items).__name__}; pass a list of items", field="items")
    return EmbedBatch(tuple(_item_input(item, f"items[{i}]") for i, item in enumerate(items)), dimension)


def _item_input(item: ItemInput | Mapping[str, object], where: str) -> ItemInput | ItemFailure:
    if isinstance(item, ItemInput):
        return item
    if not isinstance(item, Mapping):
        raise InvalidArgumentError(
            f"{where} is a {type(item).__name__}; pass an ItemInput or a mapping with its fields", field=where
        )
    unknown = [name for name in item if name not in _ITEM_FIELDS]
    if unknown:
        raise InvalidArgumentError(
            f"{where} has the field {unknown[0]!r}; an item has {', '.join(_ITEM_FIELDS)}: "
            "put other columns into attributes",
            field=where,
        )
    try:
        return ItemInput(**item)  # type: ignore[arg-type]  # ItemInput checks its own values
    except MmrecError as err:
        item_id = item.get("item_id", "")
        return ItemFailure(item_id if isinstance(item_id, str) else "", prefixed(err, where))


# --- the same methods in process ----------------------------------------------------------------------------


def look_up(engine: Engine, item_ids: Sequence[str]) -> ItemLookup:
    """Catalogue rows by id, with the versions they were read from."""
    items, missing = engine.get_items(checked_item_ids(item_ids))
    return ItemLookup(tuple(items), tuple(missing), engine.info().versions)


class EngineCalls:
    """The methods of `Client`, in process, for a class that implements `Engine`.

    `recommend_many` and `info` are the engine's own. There is no deadline: the work is done by the caller's
    thread.
    """

    __slots__ = ()

    def recommend(
        self: Engine,
        history: Iterable[str] = (),
        *,
        user_id: str = "",
        k: int = DEFAULT_K,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        include_seen: bool = False,
        explain: bool = False,
    ) -> Recommendations:
        """Recommend items to one customer; see `Client.recommend`."""
        request = recommend_request(history, user_id, k, allow, deny, include_seen, explain)
        return only(self.recommend_many([request]))

    def similar(self: Engine, item_id: str, k: int = DEFAULT_K) -> SearchResults:
        """Items nearest to an item of the catalogue; see `Client.similar`."""
        return only(self.similar_many([SimilarRequest(item_id=item_id, k=k)]))

    def search(
        self: Engine,
        text: str = "",
        *,
        image: bytes | str | os.PathLike[str] | None = None,
        text_weight: float = 0.5,
        k: int = DEFAULT_K,
    ) -> SearchResults:
        """Items nearest to words, to a picture, or to both; see `Client.search`."""
        return only(self.search_many([search_request(text, image, text_weight, k)]))

    def embed(self: Engine, items: Iterable[ItemInput | Mapping[str, object]], dimension: int = 0) -> EmbedResults:
        """Fused embeddings and semantic IDs of items; see `Client.embed`."""
        batch = embed_batch(items, dimension)
        parts = batch.split()
        return batch.join(self.embed_many(parts) if parts else [])

    def items(self: Engine, item_ids: Sequence[str]) -> ItemLookup:
        """Catalogue rows by id; see `Client.items`."""
        return look_up(self, item_ids)
