"""Batches of what is asked: what can be done goes to the engine in parts, what cannot keeps its place.

Unit of work: one call. A batch knows how to split itself into requests for an engine and how to join their results
into one reply. Knows nothing of protobuf, gRPC or models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from mmrec.contract.changes import ChangeEntry, ChangeResults, UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput, Modality, NumberFormat
from mmrec.contract.replies import (
    EmbedResults,
    ItemEmbedding,
    Recommendations,
    SearchResults,
    TagResults,
)
from mmrec.contract.requests import EmbedRequest, RecommendRequest, SearchRequest, SimilarRequest, TagRequest
from mmrec.contract.rules import MAX_BATCH, Choice, Ids
from mmrec.errors import FieldViolation, InternalError, InvalidArgumentError, MmrecError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

T = TypeVar("T")
Q = TypeVar("Q")
R = TypeVar("R")
E = TypeVar("E", bound=MmrecError)


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
class RequestBatch(Generic[Q, R]):
    """Requests of one kind of which some may already be refused.

    Raises:
        InvalidArgumentError: there are more than `MAX_BATCH`.
    """

    requests: tuple[Q | MmrecError, ...]

    def __post_init__(self) -> None:
        _check_length(self.requests, "requests")

    def split(self) -> list[Q]:
        """The requests for the engine."""
        return [request for request in self.requests if not isinstance(request, MmrecError)]

    def join(self, results: Sequence[R | MmrecError]) -> list[R | MmrecError]:
        """One entry per request: the engine's result, or the error that refused it."""
        rest = iter(results)
        return [
            request if isinstance(request, MmrecError) else _placed(next(rest), f"requests[{i}]")
            for i, request in enumerate(self.requests)
        ]


class RecommendBatch(RequestBatch[RecommendRequest, Recommendations]):
    """Requests for several customers."""


class SearchBatch(RequestBatch[SearchRequest, SearchResults]):
    """Several searches."""


class SimilarBatch(RequestBatch[SimilarRequest, SearchResults]):
    """Several items to find others like."""


@dataclass(frozen=True, slots=True)
class EmbedBatch:
    """Items of which some may already be refused.

    Raises:
        InvalidArgumentError: there are more than `MAX_BATCH`, or the dimension is not a length.
    """

    items: tuple[ItemInput | ItemFailure, ...]
    dimension: int = 0
    modality: Modality = Modality.FUSED
    dtype: NumberFormat = NumberFormat.FLOAT32

    def __post_init__(self) -> None:
        _check_length(self.items, "items")
        object.__setattr__(self, "modality", EmbedRequest((), self.dimension, self.modality).modality)
        object.__setattr__(self, "dtype", Choice(NumberFormat).check(self.dtype, "dtype"))

    def split(self) -> list[EmbedRequest]:
        """The good items for the engine, in one request; none when there are none."""
        good = tuple(item for item in self.items if not isinstance(item, ItemFailure))
        return [EmbedRequest(good, self.dimension, self.modality)] if good else []

    def join(self, results: Sequence[EmbedResults | MmrecError]) -> EmbedResults:
        """One entry per item, in order, with vectors as near as the number format comes.

        Raises:
            MmrecError: nothing at all could be done.
        """
        found = only(results) if results else EmbedResults(())
        rounded = tuple(_rounded(entry, self.dtype) for entry in found.items)
        return self.rejoin(EmbedResults(rounded, found.versions, self.dtype))

    def rejoin(self, results: EmbedResults) -> EmbedResults:
        """The results of the good items, with every failure back in its place and told with it."""
        return replace(results, items=_in_place(self.items, results.items))


def _rounded(entry: ItemEmbedding | ItemFailure, dtype: NumberFormat) -> ItemEmbedding | ItemFailure:
    if isinstance(entry, ItemFailure) or dtype is NumberFormat.FLOAT32:
        return entry
    return ItemEmbedding(entry.item_id, _rounded_numbers(entry.vector, dtype), entry.semantic_id)


def _rounded_numbers(vector: npt.NDArray[np.float32], dtype: NumberFormat) -> npt.NDArray[np.float32]:
    """The nearest numbers of a shorter format, as float32. Shape: (D,)."""
    import numpy as np

    if dtype is NumberFormat.FLOAT16:
        return vector.astype(np.float16).astype(np.float32)
    bits = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint32)
    # To the nearest, halves to even: what the lower 16 bits hold is rounded into the upper ones.
    nearest = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
    return nearest.view(np.float32)


@dataclass(frozen=True, slots=True)
class TagBatch:
    """Items to tag, of which some may already be refused.

    Attributes:
        question: What is asked of every item; its own `items` and `item_ids` are empty.
        items: Items as clients describe them.
        item_ids: Items of the catalogue.

    Raises:
        InvalidArgumentError: there are more than `MAX_BATCH` items and ids together.
    """

    question: TagRequest
    items: tuple[ItemInput | ItemFailure, ...] = ()
    item_ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_length((*self.items, *self.item_ids), "items")
        object.__setattr__(self, "item_ids", Ids().check(self.item_ids, "item_ids"))

    def split(self) -> list[TagRequest]:
        """The good items and the ids for the engine, in one request; none when there are none."""
        good = tuple(item for item in self.items if not isinstance(item, ItemFailure))
        return [replace(self.question, items=good, item_ids=self.item_ids)] if good or self.item_ids else []

    def join(self, results: Sequence[TagResults | MmrecError]) -> TagResults:
        """One entry per item and known id, in order.

        Raises:
            MmrecError: nothing at all could be done.
        """
        return self.rejoin(only(results) if results else TagResults(()))

    def rejoin(self, results: TagResults) -> TagResults:
        """The results of the good items and of the ids, with every failure back in its place and told with it."""
        good = sum(not isinstance(item, ItemFailure) for item in self.items)
        described, known = results.items[:good], results.items[good:]
        return replace(results, items=(*_in_place(self.items, described), *known))


@dataclass(frozen=True, slots=True)
class UpsertBatch:
    """Items that come, of which some may already be refused. The rest is one change, never cut into parts.

    Raises:
        InvalidArgumentError: there are more than `MAX_BATCH`, or another value breaks a rule of `UpsertRequest`.
    """

    items: tuple[ItemInput | ItemFailure, ...]
    request_id: str = ""
    validate_only: bool = False
    wait_until_visible: bool = False
    fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_length(self.items, "items")
        object.__setattr__(self, "fields", self._request(()).fields)

    def _request(self, items: tuple[ItemInput, ...]) -> UpsertRequest:
        return UpsertRequest(items, self.request_id, self.validate_only, self.wait_until_visible, self.fields)

    def split(self) -> list[UpsertRequest]:
        """The good items for the engine, in one request; none when there are none."""
        good = tuple(item for item in self.items if not isinstance(item, ItemFailure))
        return [self._request(good)] if good else []

    def join(self, results: Sequence[ChangeResults | MmrecError]) -> ChangeResults:
        """One entry per item, in order.

        Raises:
            MmrecError: the change failed as a whole.
        """
        return self.rejoin(only(results) if results else ChangeResults((), request_id=self.request_id))

    def rejoin(self, results: ChangeResults) -> ChangeResults:
        """The results of the good items, with every failure back in its place and told with it."""
        done = [ItemFailure(entry.id, entry.error) if entry.error else entry for entry in results.entries]
        entries = tuple(
            ChangeEntry(entry.item_id, entry.error) if isinstance(entry, ItemFailure) else entry
            for entry in _in_place(self.items, done)
        )
        return replace(results, entries=entries)


def _in_place(sent: Sequence[ItemInput | ItemFailure], done: Sequence[T | ItemFailure]) -> tuple[T | ItemFailure, ...]:
    """Results of the items that are no failures, among the failures; errors are told with the item's own place."""
    good = [i for i, item in enumerate(sent) if not isinstance(item, ItemFailure)]
    _check_same_length(good, done)
    entries: list[T | ItemFailure | ItemInput] = list(sent)
    for place, (i, entry) in enumerate(zip(good, done, strict=True)):
        if isinstance(entry, ItemFailure):
            entry = ItemFailure(entry.item_id, _placed(entry.error, f"items[{i}]", f"items[{place}]"))
        entries[i] = entry
    return tuple(entry for entry in entries if not isinstance(entry, ItemInput))


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
