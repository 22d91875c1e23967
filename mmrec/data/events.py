"""Reads an events table: positive and negative feedback of users on items, and the problems of the rows.

Unit of work: one table and the items it refers to. Knows nothing of files. A row is positive feedback (training uses
it), negative feedback by its type or rating, or no feedback because its item was only shown (training uses neither), or
unusable and left out.
"""

# Axes: R rows, E events, N items

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.event_times import BAD_POSITION, BAD_TIMESTAMP, read_positions, read_times
from mmrec.data.feedback import judge_ratings, judge_types
from mmrec.data.id_hints import unknown_id_hint
from mmrec.data.interactions import NO_TIME, Interactions
from mmrec.data.inventory import likely_column
from mmrec.data.number_columns import Parsed, parse_ratings
from mmrec.data.problems import Problem, ProblemLog, quoted
from mmrec.data.repeated_events import Repeats, count_repeats
from mmrec.data.row_problems import report_over_limits, report_values
from mmrec.data.settings import EventSettings
from mmrec.data.summary import ColumnUse, TableSummary
from mmrec.data.tables import Table
from mmrec.data.time_parsing import ParsedTimes

_MICROSECONDS = 1_000_000
_OWN_COLUMNS = ("user_id", "item_id", "timestamp", "position", "event_type", "rating")


class KnownItems(NamedTuple):
    """Items that events may refer to.

    ids: in the order of the catalogue.  Shape: (N,), pyarrow large strings.  left_out: ids of rows of the items table
    that cannot be used, pyarrow large strings.
    """

    ids: Any
    left_out: Any

    @classmethod
    def of(cls, item_ids: Any) -> KnownItems:
        """All items of a sequence of ids, none left out."""
        return cls(pa.array(item_ids, pa.large_string()), pa.array([], pa.large_string()))


class Events(NamedTuple):
    """Contents of an events table.

    interactions: the positive events.
    rejected: pairs of user and item whose latest event is negative, one event each.
    rated: the events with a rating, positive or negative.
    rejected_below: events with a rating below it are negative; None where every rating is positive.
    time_column: ``timestamp``, ``position``, or '' where nothing orders the events.
    repeats: positive events that repeat earlier ones.
    summary: how many rows are used.
    columns: how each column is read.
    """

    interactions: Interactions
    rejected: Interactions
    rated: Interactions
    rejected_below: float | None
    time_column: str
    repeats: Repeats
    summary: TableSummary
    columns: tuple[ColumnUse, ...]


_NOBODY = Interactions.empty()
NO_EVENTS = Events(_NOBODY, _NOBODY, _NOBODY, None, "", Repeats(0, 0, 0, 0), TableSummary("", 0, 0), ())
"""Of a dataset without an events table."""


def read_events(
    table: Table,
    known: KnownItems | None,
    log: ProblemLog,
    settings: EventSettings | None = None,
    now: datetime.datetime | None = None,
) -> Events:
    """Events of a catalogue's items.

    Args:
        table: The events table, with the columns ``user_id`` and ``item_id``.
        known: The items; None without an items table: then no event is usable, and none is reported as unknown.
        log: Collects the problems of the table.
        settings: Which events are positive feedback.
        now: Later times get a warning; None: the current time.
    """
    return _Reader(table, log).read(known, settings or EventSettings(), now or datetime.datetime.now(datetime.UTC))


class _Reader:
    """One reading of one table."""

    def __init__(self, table: Table, log: ProblemLog) -> None:
        self._table = table
        self._log = log
        self._kinds: list[str] = []
        self._reason_R = np.zeros(table.rows, dtype=np.int8)
        """0 for a usable row; otherwise 1 + the index of its first problem in `_kinds`."""
        self._columns: dict[str, ColumnUse] = {}
        self._rejected_below: float | None = None

    def read(self, known: KnownItems | None, settings: EventSettings, now: datetime.datetime) -> Events:
        table = self._table
        times = self._times(now)
        places = self._positions(ties=times is not None)
        if times is None and places is None:
            suggestion = likely_column("timestamp", table.columns)
            remedy = f"; if {quoted(suggestion)} is the time, name it 'timestamp'" if suggestion else ""
            message = (
                f"there is neither a column 'timestamp' nor 'position'; add one, so that events have an order{remedy}"
            )
            self._log.append(Problem(table.file, 0, "timestamp", "missing column", message))
            summary = TableSummary(table.file, table.rows, 0, {"without an order": table.rows} if table.rows else {})
            nobody = Interactions.empty()
            return Events(nobody, nobody, nobody, None, "", Repeats(0, 0, 0, 0), summary, ())
        ratings_R = self._ratings()
        users, items = table.text("user_id"), table.text("item_id")
        self._check_users(users)
        rows_R = self._check_items(users, items, known)
        usable_R = self._reason_R == 0
        if known is None:
            usable_R[:] = False
        negative_R, shown_R, set_aside = self._judged(ratings_R, settings, usable_R)
        self._columns |= {
            name: ColumnUse(name, "not read, it has no effect", used=False)
            for name in table.columns
            if name not in _OWN_COLUMNS
        }
        main = times if times is not None else places
        assert main is not None  # checked above
        columns = _Columns(
            users=users,
            rows_R=rows_R,
            times_R=_filled_times(main),
            ties_R=_filled_times(places) if times is not None and places is not None else None,
            ratings_R=ratings_R,
            resolution=_MICROSECONDS if times is not None else 1,
        )
        positive_R = usable_R & ~negative_R & ~shown_R
        interactions = columns.interactions(positive_R)
        timed = columns.interactions(positive_R & ~main.empty) if (positive_R & main.empty).any() else interactions
        left_out = {
            kind: int(count)
            for kind, count in zip(self._kinds, np.bincount(self._reason_R, minlength=1)[1:], strict=False)
            if count
        }
        if known is None and table.rows:
            left_out = {"without an items table": table.rows}
        return Events(
            interactions=interactions,
            rejected=columns.rejected(usable_R & ~shown_R, negative_R),
            rated=columns.rated(usable_R),
            rejected_below=self._rejected_below,
            time_column="timestamp" if times is not None else "position",
            repeats=count_repeats(interactions, timed),
            summary=TableSummary(table.file, table.rows, int(positive_R.sum()), left_out, set_aside),
            columns=tuple(self._columns[name] for name in table.columns if name in self._columns),
        )

    # --- columns ------------------------------------------------------------------------------------------------------

    def _times(self, now: datetime.datetime) -> ParsedTimes | None:
        if "timestamp" not in self._table.columns:
            return None
        moments, self._columns["timestamp"] = read_times(self._table, self._log, now)
        self._leave_out(moments.bad, BAD_TIMESTAMP)
        return moments

    def _positions(self, *, ties: bool) -> Parsed | None:
        if "position" not in self._table.columns:
            return None
        parsed, self._columns["position"] = read_positions(self._table, self._log, ties=ties)
        self._leave_out(parsed.bad, BAD_POSITION)
        return parsed

    def _ratings(self) -> npt.NDArray[np.float32] | None:
        if "rating" not in self._table.columns:
            return None
        parsed = parse_ratings(self._table.columns["rating"])
        commas = (
            parsed.bad.any()
            and pc.any(pc.match_substring_regex(self._table.text("rating"), r"^\s*\d+,\d+\s*$")).as_py()
        )
        self._report(
            parsed.bad,
            "rating",
            "bad rating",
            lambda value: f"rating is {quoted(value)}; a rating is a finite number or empty",
            hint="write a decimal point for the comma, as in 4.5" if commas else "",
        )
        return np.asarray(parsed.values, dtype=np.float32)

    def _check_users(self, users: Any) -> None:
        self._report(
            np.asarray(pc.equal(users, ""), dtype=np.bool_),
            "user_id",
            "empty user id",
            lambda _: "user_id is empty; every event needs a user",
        )
        over_R = np.zeros(self._table.rows, dtype=np.bool_)
        over_R[report_over_limits(self._log, self._table, "user_id", "unusable user id")] = True
        self._leave_out(over_R, "unusable user id")
        self._check_alike_users(users)

    def _check_alike_users(self, users: Any) -> None:
        """Warn of ids that differ only in surrounding spaces or in ``.0``: they count as two users."""
        distinct = pc.unique(users)
        plain = pc.replace_substring_regex(pc.utf8_trim_whitespace(distinct), r"^(\d+)\.0$", r"\1")
        twins = pc.and_(pc.not_equal(distinct, plain), pc.is_in(plain, value_set=distinct))
        alike, others = pc.filter(distinct, twins), pc.filter(plain, twins)
        if not len(alike):
            return
        message = (
            f"{len(alike):,} user ids are like others but for spaces or '.0', such as {quoted(alike[0].as_py())} and "
            f"{quoted(others[0].as_py())}; they are taken for different users: write each id one way"
        )
        self._log.append(Problem(self._table.file, 0, "user_id", "alike user ids", message, severity="warning"))

    def _check_items(self, users: Any, items: Any, known: KnownItems | None) -> npt.NDArray[np.int64]:
        """Catalogue row of each event, -1 where its item has none. Shape: (R,)."""
        if known is None:
            return np.full(self._table.rows, -1, dtype=np.int64)
        rows_R = np.array(pc.fill_null(pc.index_in(items, value_set=known.ids), -1), dtype=np.int64)
        missing = rows_R < 0
        if not missing.any():
            return rows_R
        empty = missing & np.asarray(pc.equal(items, ""), dtype=np.bool_)
        rule = "item_id is empty; every event needs an item"
        self._report(empty, "item_id", "empty item id in event", lambda _: rule)
        unknown_rows = missing & ~empty
        if len(known.left_out):
            left_out = unknown_rows & np.asarray(pc.is_in(items, value_set=known.left_out), dtype=np.bool_)
            self._report(
                left_out,
                "item_id",
                "item left out",
                lambda value: f"item_id {quoted(value)} is of an item that is left out; fix its row in the items table",
            )
            unknown_rows &= ~left_out
        if unknown_rows.any():
            unknown = pa.array(np.flatnonzero(unknown_rows))
            hint = unknown_id_hint(items.take(unknown), known.ids, users.take(unknown), "item_id", "user_id")
            self._report(
                unknown_rows,
                "item_id",
                "unknown item",
                lambda value: f"item_id {quoted(value)} is not in the items table; add the item or drop the event",
                hint=hint,
            )
        return rows_R

    def _judged(
        self, ratings_R: npt.NDArray[np.float32] | None, settings: EventSettings, usable_R: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, int]]:
        """Masks of negative rows and of those only shown, and how many usable ones there are by reason."""
        negative_R, shown_R = (np.zeros(self._table.rows, dtype=np.bool_) for _ in range(2))
        set_aside: dict[str, int] = {}
        if "event_type" in self._table.columns:
            types = self._table.text("event_type")
            by_type = judge_types(types, settings.ignore_types)
            negative_R, shown_R = by_type.negative_R, by_type.shown_R
            of_type = types.filter(pa.array((negative_R | shown_R) & usable_R)).value_counts()
            for entry in sorted(of_type.to_pylist(), key=lambda one: (-one["counts"], one["values"])):
                set_aside[f"by event_type {entry['values']}"] = entry["counts"]
            used = bool(by_type.counts) or bool(shown_R.any())
            self._columns["event_type"] = ColumnUse("event_type", by_type.words, used=used)
            if by_type.unmatched:
                message = (
                    f"ignore_types has {', '.join(map(quoted, by_type.unmatched))}, which no event has as its "
                    "event_type; see that it is spelled as in the table"
                )
                self._log.append(
                    Problem(self._table.file, 0, "event_type", "unknown event type", message, severity="warning")
                )
        if ratings_R is not None:
            by_rating = judge_ratings(ratings_R, settings.min_rating)
            self._rejected_below = by_rating.below
            low_R = by_rating.negative_R & ~negative_R & ~shown_R
            if low := int((low_R & usable_R).sum()):
                set_aside[f"by rating below {by_rating.below:g}"] = low
            negative_R = negative_R | low_R
            self._columns["rating"] = ColumnUse("rating", by_rating.words, used=by_rating.below is not None)
        return negative_R, shown_R, set_aside

    # --- rows that cannot be used -------------------------------------------------------------------------------------

    def _leave_out(self, bad_R: npt.NDArray[np.bool_], kind: str) -> None:
        """Record this kind for rows without an earlier problem."""
        if kind not in self._kinds:
            self._kinds.append(kind)
        self._reason_R[bad_R & (self._reason_R == 0)] = self._kinds.index(kind) + 1

    def _report(
        self, bad_R: npt.NDArray[np.bool_], column: str, kind: str, message: Callable[[str], str], hint: str = ""
    ) -> None:
        rows = np.flatnonzero(bad_R)
        if not len(rows):
            return
        self._leave_out(bad_R, kind)
        report_values(self._log, self._table, rows, column, kind, message, hint=hint)


class _Columns(NamedTuple):
    """The columns of the events, row by row."""

    users: Any
    rows_R: npt.NDArray[np.int64]
    times_R: npt.NDArray[np.int64]
    ties_R: npt.NDArray[np.int64] | None
    ratings_R: npt.NDArray[np.float32] | None
    resolution: int

    def interactions(self, keep_R: npt.NDArray[np.bool_]) -> Interactions:
        return Interactions.from_columns(
            self.users.filter(pa.array(keep_R)),
            self.rows_R[keep_R],
            self.times_R[keep_R],
            None if self.ratings_R is None else self.ratings_R[keep_R],
            ties=None if self.ties_R is None else self.ties_R[keep_R],
            resolution=self.resolution,
        )

    def rated(self, usable_R: npt.NDArray[np.bool_]) -> Interactions:
        """The events with a rating."""
        if self.ratings_R is None or not (rated_R := usable_R & np.isfinite(self.ratings_R)).any():
            return Interactions.empty()
        return self.interactions(rated_R)

    def rejected(self, usable_R: npt.NDArray[np.bool_], negative_R: npt.NDArray[np.bool_]) -> Interactions:
        """The latest event of each pair of user and item, where it is negative."""
        if not (usable_R & negative_R).any():
            return Interactions.empty()
        rows = np.flatnonzero(usable_R)
        users = np.asarray(self.users.take(pa.array(rows)).dictionary_encode().indices, dtype=np.int64)
        keys = [self.times_R[rows], self.rows_R[rows], users]
        if self.ties_R is not None:
            keys.insert(0, self.ties_R[rows])
        order = np.lexsort(keys)
        users, items = users[order], self.rows_R[rows][order]
        last = np.append((np.diff(users) != 0) | (np.diff(items) != 0), True)
        keep_R = np.zeros(len(usable_R), dtype=np.bool_)
        keep_R[rows[order][last]] = True
        return self.interactions(keep_R & negative_R)


def _filled_times(parsed: ParsedTimes | Parsed) -> npt.NDArray[np.int64]:
    return np.where(parsed.empty, NO_TIME, parsed.values).astype(np.int64)
