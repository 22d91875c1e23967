"""Collects the items of a shop, writes them as the items table of a dataset folder, and counts their picture hosts.

Items are added one by one with any columns, and are kept in a temporary file until all columns are known, so that
memory grows only with the ids. Columns in which no item has a value are not
written. Knows nothing of the formats that items come from.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from mmrec.contract.rules import MAX_ID_CHARS, MAX_TEXT_CHARS
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.writing import PictureHost, TableWriter

_NO_HOST = "no host"
_FIXED_COLUMNS = ("item_id", "title", "description", "image")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class ShopItems:
    """Collects items for one table.

    Args:
        scratch: Temporary file, replaced if it exists and removed at the end.
        order: Column names in the order of the table; other columns follow in the order of their first value.
        tally: Counts the rejected items.

    Attributes:
        count: Items added.
        hosts: Items by the host of their first picture.
    """

    def __init__(self, scratch: Path, order: Sequence[str], tally: LeftOutTally) -> None:
        self.count = 0
        self.hosts: Counter[str] = Counter()
        self._tally = tally
        self._ids: set[str] = set()
        self._columns: dict[str, bool] = dict.fromkeys((*_FIXED_COLUMNS, *order), False)
        self._path = scratch
        self._file = scratch.open("w", encoding="utf-8")

    def __enter__(self) -> ShopItems:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._ids

    def add(self, item: Mapping[str, str], place: str) -> bool:
        """Add an item, unless it has no usable id or no content; returns whether it was added.

        Args:
            item: Text by column; '' for none.
            place: Where it stands, for messages.
        """
        item_id = item.get("item_id", "")
        if why := self._rejection_reason(item_id, item):
            self._tally.row(why, f"{item_id!r:.80} at {place}" if item_id else place)
            return False
        values = {name: value for name, value in item.items() if value}
        for name in ("title", "description"):
            if len(values.get(name, "")) > MAX_TEXT_CHARS:
                self._tally.value(f"ends of texts after {MAX_TEXT_CHARS:,} characters", values[name], place)
                values[name] = values[name][:MAX_TEXT_CHARS]
        for name in values:
            self._columns[name] = True
        if "://" in values.get("image", ""):
            self.hosts[host_of(values["image"])] += 1
        self._ids.add(item_id)
        self.count += 1
        self._file.write(json.dumps(values) + "\n")
        return True

    def _rejection_reason(self, item_id: str, item: Mapping[str, str]) -> str:
        if not item_id:
            return "items without an id"
        if len(item_id) > MAX_ID_CHARS or _CONTROL.search(item_id):
            return f"items whose id is longer than {MAX_ID_CHARS} characters or holds a control character"
        if item_id in self._ids:
            return "items whose id was there before"
        if not any(item.get(name) for name in _FIXED_COLUMNS[1:]):
            return "items without a title, a description and a picture"
        return ""

    def write(self, table: Path) -> int:
        """Write the items table; returns the number of its rows. No item can be added afterwards."""
        self._file.close()
        names = [name for name, used in self._columns.items() if used]
        columns: dict[str, Any] = dict.fromkeys(names, pa.string())
        with self._path.open(encoding="utf-8") as lines, TableWriter(table, columns) as writer:
            for line in lines:
                writer.add(dict.fromkeys(names, "") | json.loads(line))
        return writer.rows

    @property
    def picture_hosts(self) -> tuple[PictureHost, ...]:
        """The hosts with the number of items, most first."""
        return tuple(PictureHost(host, count) for host, count in self.hosts.most_common())


def picture_notes(out: Path, hosts: Iterable[PictureHost]) -> list[str]:
    """A sentence for the user about pictures named by URL, with the command that fetches them; none without any."""
    found = list(hosts)
    if not found:
        return []
    named = ", ".join(f"{host.host} ({host.pictures:,})" for host in found[:10])
    more = f" and {len(found) - 10:,} more" if len(found) > 10 else ""
    places = [urlsplit(f"//{host.host}") for host in found[:10] if host.host != _NO_HOST]
    flags = "".join(f" --hosts {name}" for name in dict.fromkeys(place.hostname for place in places))
    ports = {place.port for place in places if place.port is not None}
    # --port replaces the default ports, so they must be named too.
    usual = {80, 443} if any(place.port is None for place in places) else set()
    flags += "".join(f" --port {port}" for port in sorted(ports | usual)) if ports else ""
    return [
        f"{sum(host.pictures for host in found):,} items name their picture by URL, on {named}{more}; if you trust "
        f"these hosts, fetch them with:\n  mmrec fetch {out}{flags}"
    ]


def host_of(url: str) -> str:
    """The host of a URL, for counting, with its port if it is an unusual one; 'no host' where it names none."""
    try:
        place = urlsplit(url)
        host, port = place.hostname or _NO_HOST, place.port
    except ValueError:
        return _NO_HOST
    if host == _NO_HOST or port in (None, 80, 443):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
