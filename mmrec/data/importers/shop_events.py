"""Writes the events of a shop's customers as the events table of a dataset folder, from one of two kinds of CSV:

* columns `user_id`, `item_id`, `timestamp`, and optionally `event_type` and `rating`;
* Shopify's orders export: Name, Email, Created at, Lineitem name, Lineitem sku and so on. Each line of an order is a
  ``purchase``; cancelled, refunded and voided orders are left out.

E-mail addresses and telephone numbers do not get into the dataset: such a user id is replaced by a pseudonym, a hash
with a random key that is made for each import and not kept. Knows nothing of products; `ItemNames` maps names to items.

Source: https://help.shopify.com/en/manual/fulfillment/managing-orders/exporting-orders
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from mmrec.contract.rules import MAX_ID_CHARS
from mmrec.data.importers.delimited_rows import QuotedText
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.shop_values import timestamp_of
from mmrec.data.writing import TableWriter
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import Progress

_COLUMNS = ("user_id", "item_id", "timestamp", "event_type", "rating")
_ORDERS = (
    "name",
    "email",
    "phone",
    "created at",
    "cancelled at",
    "financial status",
    "lineitem sku",
    "lineitem name",
)
_FIRST_LINE_ONLY = _ORDERS[1:6]
"""Fields that only the first line of an order has."""
_CANCELLED_STATUSES = ("refunded", "voided")


class ItemNames:
    """Names by which events refer to items: ids, and other names that belong to one item only."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def add(self, name: str, item_id: str, *, own: bool = False) -> None:
        """Map a name to an item; with `own` the name is its id and takes precedence."""
        if own:
            self._ids[name] = item_id
        elif name:
            known = self._aliases.setdefault(name, item_id)
            if known != item_id:
                self._aliases[name] = ""

    def find(self, name: str) -> str | None:
        """Id of the item; '' when several items have the name, None when none has."""
        return self._ids.get(name, self._aliases.get(name))


class ShopEvents(NamedTuple):
    """users, events: how many were written.  notes: sentences for the user."""

    users: int
    events: int
    notes: tuple[str, ...]


class _Event(NamedTuple):
    user: str
    names: tuple[str, ...]
    timestamp: str
    event_type: str
    rating: str


def write_shop_events(
    source: Path | None, table: Path, names: ItemNames, tally: LeftOutTally, progress: Progress
) -> ShopEvents:
    """Write the events of a file.

    Args:
        source: CSV or tab-separated text, gzipped or not; None: the dataset has no events.
        table: The events table to write.
        names: Names of the items.
        tally: Counts rows, values and columns that are left out.
        progress: Reports rows.

    Raises:
        NotFoundError: there is no such file.
        InvalidDatasetError: it is of neither kind, damaged, or none of its rows can be used.
    """
    if source is None:
        return ShopEvents(0, 0, ())
    before = tally.found
    rows = _Rows(source, tally)
    writer = TableWriter(table, rows.kinds)
    users = set[str]()
    pseudonyms = _Pseudonyms()
    order, ordered_items = ("", ""), set[str]()
    progress.start("events", unit="rows")
    with writer:
        for place, event in rows:
            progress.advance()
            if (item_id := _item(event, place, names, tally)) is None:
                continue
            timestamp = timestamp_of(event.timestamp)
            if timestamp is None:
                what = "events whose timestamp is no moment" if event.timestamp else "events without a timestamp"
                tally.row(what, f"{event.timestamp[:40]!r} at {place}" if event.timestamp else place)
            elif len(event.user) > MAX_ID_CHARS:
                tally.row(f"events whose user id has more than {MAX_ID_CHARS} characters", place)
            else:
                if order != (event.user, event.timestamp):
                    order, ordered_items = (event.user, event.timestamp), set()
                if rows.are_orders and item_id in ordered_items:
                    # Two sizes of one product are two lines, and one purchase of it.
                    tally.row("further lines of an order for the same item", place)
                    continue
                ordered_items.add(item_id)
                user = pseudonyms.user(event.user, rows.are_orders)
                users.add(user)
                rating = _rating(event.rating, place, tally)
                writer.add(dict(zip(_COLUMNS, (user, item_id, timestamp, event.event_type, rating), strict=True)))
    progress.finish(f"{writer.rows:,} events")
    if not writer.rows:
        why = tally.reasons(before) or "it has no rows"
        raise InvalidDatasetError(f"no row of {str(source)!r} can be used as an event: {why}")
    notes: tuple[str, ...] = ()
    if pseudonyms.count:
        notes = (
            f"users called by an e-mail address or telephone number ({pseudonyms.count:,}) got pseudonyms, hashes with "
            "a key made for this import and not kept; another import gives other pseudonyms",
        )
    return ShopEvents(len(users), writer.rows, notes)


class _Rows:
    """The events of a file of either kind, each with its place."""

    def __init__(self, source: Path, tally: LeftOutTally) -> None:
        self._text = QuotedText(source, tally)
        self._tally = tally
        columns = [" ".join(name.lower().replace("_", " ").split()) for name in self._text.columns]
        at = {name: place for place, name in reversed(list(enumerate(columns)))}
        self.are_orders = "created at" in at and ("lineitem sku" in at or "lineitem name" in at)
        wanted = _ORDERS if self.are_orders else [name.replace("_", " ") for name in _COLUMNS]
        if not self.are_orders and (missing := [name for name in _COLUMNS[:3] if name.replace("_", " ") not in at]):
            raise InvalidDatasetError(
                f"{str(source)!r} has no column {' and no '.join(missing)}; a file of events has the columns user_id, "
                "item_id and timestamp, or is an orders export of Shopify (Name, Email, Created at, Lineitem sku)"
            )
        self._at = {name: at[name] for name in wanted if name in at}
        self._unused = [place for place in range(len(columns)) if place not in self._at.values()]
        optional = ("event_type",) if self.are_orders else _COLUMNS[3:]
        present = [name for name in optional if self.are_orders or name.replace("_", " ") in at]
        self.kinds: dict[str, Any] = {name: pa.string() for name in (*_COLUMNS[:3], *present)}
        if "rating" in self.kinds:
            self.kinds["rating"] = pa.float64()
        for place in self._unused:
            tally.empty_column(self._text.columns[place])

    def __iter__(self) -> Iterator[tuple[str, _Event]]:
        order: dict[str, str] = {}
        for row in self._text:
            for place in self._unused:
                if value := row.values[place].strip():
                    # Values of orders are personal data, which must not get into messages.
                    self._tally.column(self._text.columns[place], "…" if self.are_orders else value, row.place)
            fields = {name: row.values[place].strip() for name, place in self._at.items()}
            if not self.are_orders:
                yield from self._plain(fields, row.place)
                continue
            if fields.get("name") and fields["name"] != order.get("name"):
                order = fields
            yield from self._line(fields, order, row.place)

    def _plain(self, fields: dict[str, str], place: str) -> Iterator[tuple[str, _Event]]:
        user, item = fields["user id"], fields["item id"]
        if not user or not item:
            self._tally.row("events without a user or an item", place)
            return
        rest = (fields["timestamp"], fields.get("event type", ""), fields.get("rating", ""))
        yield place, _Event(user, (item,), *rest)

    def _line(self, fields: dict[str, str], order: dict[str, str], place: str) -> Iterator[tuple[str, _Event]]:
        known = {name: fields.get(name) or order.get(name, "") for name in _FIRST_LINE_ONLY}
        user = known["email"].lower() or known["phone"]
        names = tuple(filter(None, (fields.get("lineitem sku", ""), fields.get("lineitem name", ""))))
        if not names:
            self._tally.row("lines of orders without an item", place)
        elif known["cancelled at"]:
            self._tally.row("lines of orders that were cancelled", place)
        elif known["financial status"].lower() in _CANCELLED_STATUSES:
            self._tally.row("lines of orders that were refunded or voided", place)
        elif not user:
            self._tally.row("lines of orders without an e-mail address and a telephone number", place)
        else:
            yield place, _Event(user, names, known["created at"], "purchase", "")


def _item(event: _Event, place: str, names: ItemNames, tally: LeftOutTally) -> str | None:
    found = [names.find(name) for name in event.names]
    if item_id := next(filter(None, found), None):
        return item_id
    what = "events of items whose name several items have" if "" in found else "events of items that are not there"
    tally.row(what, f"{event.names[0][:80]!r} at {place}")
    return None


def _rating(text: str, place: str, tally: LeftOutTally) -> float | None:
    if not text:
        return None
    try:
        rating = float(text)
        if abs(rating) < 1e30:
            return rating
    except ValueError:
        pass
    tally.value("ratings that are no numbers", text, place)
    return None


class _Pseudonyms:
    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._seen: set[str] = set()

    def user(self, name: str, always: bool) -> str:
        """The user's id in the dataset: the name, or a pseudonym if it is an address or `always` is set."""
        if not always and "@" not in name:
            return name
        pseudonym = "u" + hashlib.blake2b(name.strip().lower().encode(), key=self._key, digest_size=12).hexdigest()
        self._seen.add(pseudonym)
        return pseudonym

    @property
    def count(self) -> int:
        return len(self._seen)
