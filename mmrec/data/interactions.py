"""The events of all users as one flat, immutable sequence. Knows nothing of files.

Axes: U users, E events. User u's events are ``items_E[offsets_U[u]:offsets_U[u + 1]]``, oldest first; items are rows of
the catalogue that the events were read with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.errors import InvalidDatasetError

EARLIEST_TIME = 100_000_000
"""Seconds since 1970 (March 1973): smaller numbers are positions, which do not order events of different users."""
NO_TIME = np.iinfo(np.int64).min
"""Stands for a missing time in `Interactions.from_columns`."""


@dataclass(frozen=True, eq=False)
class Interactions:
    """Events by user, oldest first.

    Attributes:
        user_ids: Unique, in order of first appearance. Length U.
        offsets_U: Start of each user's events, then E. Shape: (U + 1,), int64.
        items_E: Catalogue rows. Shape: (E,), int32.
        times_E: Seconds since 1970, or positions. Shape: (E,), int64.
        ratings_E: nan where an event has none; None when the dataset has no ratings. Shape: (E,), float32.

    Raises:
        InvalidDatasetError: the shapes do not fit together.
    """

    user_ids: tuple[str, ...]
    offsets_U: npt.NDArray[np.int64]
    items_E: npt.NDArray[np.int32]
    times_E: npt.NDArray[np.int64]
    ratings_E: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        events = len(self.items_E)
        if (
            self.offsets_U.shape != (len(self.user_ids) + 1,)
            or self.offsets_U[0] != 0
            or self.offsets_U[-1] != events
            or np.any(np.diff(self.offsets_U) < 0)
        ):
            raise InvalidDatasetError("offsets_U must rise from 0 to the number of events, one entry more than users")
        if len(self.times_E) != events or (self.ratings_E is not None and len(self.ratings_E) != events):
            raise InvalidDatasetError(f"times_E and ratings_E must have one entry for each of the {events} events")
        for array in (self.offsets_U, self.items_E, self.times_E, self.ratings_E):
            if array is not None:
                array.flags.writeable = False

    @property
    def users(self) -> int:
        """Number of users."""
        return len(self.user_ids)

    @property
    def events(self) -> int:
        """Number of events."""
        return len(self.items_E)

    @cached_property
    def lengths_U(self) -> npt.NDArray[np.int64]:
        """Events of each user. Shape: (U,), int64."""
        return np.diff(self.offsets_U)

    @cached_property
    def users_E(self) -> npt.NDArray[np.int64]:
        """User row of each event. Shape: (E,), int64."""
        return np.repeat(np.arange(self.users, dtype=np.int64), self.lengths_U)

    @cached_property
    def _users(self) -> dict[str, int]:
        return {user_id: u for u, user_id in enumerate(self.user_ids)}

    def user_index(self, user_id: str) -> int | None:
        """Row of a user, or None when there is no such user."""
        return self._users.get(user_id)

    def history(self, u: int) -> npt.NDArray[np.int32]:
        """Catalogue rows of user u's events, oldest first; a read-only view. Shape: (events of u,), int32."""
        return self.items_E[self.offsets_U[u] : self.offsets_U[u + 1]]

    @cached_property
    def _by_item(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Item and user of every pair of them that has an event, sorted by item, then by user."""
        pairs = np.unique(self.items_E.astype(np.int64) * max(self.users, 1) + self.users_E)
        return pairs // max(self.users, 1), pairs % max(self.users, 1)

    def users_of(self, row: int) -> npt.NDArray[np.int64]:
        """Users with an event of an item, ascending; none twice. Shape: (users,), int64."""
        items_P, users_P = self._by_item
        begin, end = np.searchsorted(items_P, [row, row + 1])
        return users_P[begin:end]

    def users_per_item(self, items: int) -> npt.NDArray[np.int64]:
        """Number of users with an event of each item of a catalogue of `items` rows. Shape: (items,), int64."""
        return np.bincount(self._by_item[0], minlength=items)

    def where(self, keep_E: npt.NDArray[np.bool_]) -> Interactions:
        """The same users with only the events of a mask; a user may have none left. Shape: (E,), bool."""
        kept = np.concatenate(([0], np.cumsum(keep_E, dtype=np.int64)))
        return Interactions(
            user_ids=self.user_ids,
            offsets_U=kept[self.offsets_U],
            items_E=self.items_E[keep_E],
            times_E=self.times_E[keep_E],
            ratings_E=None if self.ratings_E is None else self.ratings_E[keep_E],
        )

    def restrict_items(self, new_rows_N: npt.NDArray[Any]) -> Interactions:
        """Events renumbered for a smaller catalogue; users left without an event are dropped.

        Args:
            new_rows_N: New row of each item, -1 for a deleted item. Shape: (N,), integers.
        """
        rows = np.asarray(new_rows_N, dtype=np.int32)[self.items_E]
        kept = self.where(rows >= 0)
        stay_U = kept.lengths_U > 0
        return Interactions(
            user_ids=tuple(user_id for user_id, stays in zip(self.user_ids, stay_U, strict=True) if stays),
            offsets_U=np.concatenate(([0], np.cumsum(kept.lengths_U[stay_U], dtype=np.int64))),
            items_E=rows[rows >= 0],
            times_E=kept.times_E,
            ratings_E=kept.ratings_E,
        )

    @classmethod
    def empty(cls) -> Interactions:
        """No users and no events."""
        return cls.from_columns([], np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int64))

    @classmethod
    def from_columns(
        cls,
        user_ids: Sequence[str] | Any,
        items: npt.NDArray[Any] | Sequence[int],
        times: npt.NDArray[Any] | Sequence[int],
        ratings: npt.NDArray[Any] | Sequence[float] | None = None,
        *,
        ties: npt.NDArray[Any] | None = None,
        resolution: int = 1,
    ) -> Interactions:
        """Group events by user and order them by time; ties keep their input order.

        Args:
            user_ids: User of each event (strings, or a pyarrow string array). Shape: (E,).
            items: Catalogue row of each event. Shape: (E,), integers.
            times: Time or position of each event; `NO_TIME` sorts before the user's others and is replaced by
                the user's earliest time (0 when the user has none). Shape: (E,), integers.
            ratings: nan where there is none. Shape: (E,).
            ties: A second sort key for events with equal time. Shape: (E,), integers.
            resolution: Units of `times` in one unit of `times_E`; 1,000,000 when microseconds become seconds.
                Events are ordered before rounding.

        Raises:
            InvalidDatasetError: the columns differ in length.
        """
        if not isinstance(user_ids, pa.Array | pa.ChunkedArray):
            user_ids = pa.array(user_ids, type=pa.large_string())
        encoded = user_ids.dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        names = tuple(encoded.dictionary.to_pylist())
        codes = np.asarray(encoded.indices, dtype=np.int64)
        times_E = np.asarray(times, dtype=np.int64)
        items_E = np.asarray(items, dtype=np.int32)
        if not len(codes) == len(items_E) == len(times_E):
            raise InvalidDatasetError(
                f"{len(codes)} user ids, {len(items_E)} items and {len(times_E)} times were given; "
                "give one of each per event"
            )
        keys = (times_E, codes) if ties is None else (np.asarray(ties), times_E, codes)
        order = np.lexsort(keys)  # stable
        offsets = np.concatenate(([0], np.cumsum(np.bincount(codes, minlength=len(names)), dtype=np.int64)))
        times_E = _fill_missing_times(times_E[order], offsets)
        return cls(
            user_ids=names,
            offsets_U=offsets,
            items_E=items_E[order],
            times_E=times_E // resolution,
            ratings_E=None if ratings is None else np.asarray(ratings, dtype=np.float32)[order],
        )

    @classmethod
    def from_table(cls, table: Any) -> Interactions:
        """The inverse of `to_table`."""
        ratings = table.column("rating").to_numpy() if "rating" in table.column_names else None
        return cls.from_columns(
            table.column("user_id"), table.column("row").to_numpy(), table.column("time").to_numpy(), ratings
        )

    def to_table(self) -> Any:
        """One row per event: user_id, row (of the catalogue), time, and rating where there are ratings."""
        users = pa.DictionaryArray.from_arrays(
            pa.array(self.users_E, type=pa.int32()), pa.array(self.user_ids, pa.string())
        )
        columns = {"user_id": users, "row": pa.array(self.items_E), "time": pa.array(self.times_E)}
        if self.ratings_E is not None:
            columns["rating"] = pa.array(self.ratings_E)
        return pa.table(columns)


def _fill_missing_times(times_E: npt.NDArray[np.int64], offsets_U: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Replace missing times by the user's earliest one."""
    missing = times_E == NO_TIME
    if not missing.any():
        return times_E
    known = np.where(missing, np.iinfo(np.int64).max, times_E)
    earliest_U = np.minimum.reduceat(known, offsets_U[:-1])  # every user here has an event
    earliest_U[earliest_U == np.iinfo(np.int64).max] = 0
    return np.where(missing, np.repeat(earliest_U, np.diff(offsets_U)), times_E)
