"""Making a store smaller inside an open transaction: one change an item, and none that the base holds.

Unit of work: a slice that is small enough for others to be recorded between two. Knows nothing of transactions.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mmrec_serving.change_log.failpoints import Failpoint
from mmrec_serving.change_log.reading import counting, folded_up, read_change
from mmrec_serving.change_log.rows import COLUMNS, pack, to_microseconds

_ITEMS = 200
_CHANGES = 1000
_REPLACE = (
    f"INSERT OR REPLACE INTO changes (sequence, recorded_us, {', '.join(COLUMNS)}) VALUES (?, ?{', ?' * len(COLUMNS)})"
)


def compact_slice(
    db: sqlite3.Connection, folder: Path, upto: int, after_item: str, failpoint: Failpoint
) -> tuple[int, str]:
    """Fold up the changes of some items.

    Args:
        db: In a transaction.
        folder: For the messages.
        upto: Changes after this number are left as they are.
        after_item: Items up to this id have been done.
        failpoint: For tests.

    Returns:
        How many changes are gone, and the item to go on after; empty where this was the last slice.
    """
    items = db.execute(
        "SELECT item_id FROM changes WHERE item_id > ? AND sequence <= ? GROUP BY item_id HAVING count(*) > 1"
        " ORDER BY item_id LIMIT ?",
        (after_item, upto, _ITEMS),
    ).fetchall()
    gone = 0
    for (item_id,) in items:
        numbers = counting(db, item_id, upto)
        kept = numbers
        if len(numbers) > 1:
            left = folded_up([read_change(db, folder, number) for number in numbers])
            kept = [entry.sequence for entry in left]
            if len(kept) < len(numbers):
                for entry in left:
                    row = (entry.sequence, to_microseconds(entry.recorded_at), *pack(entry.change))
                    db.execute(_REPLACE, row)
        failpoint("mid-compaction")
        marks = ", ".join("?" * len(kept))
        gone += db.execute(
            f"DELETE FROM changes WHERE item_id = ? AND sequence <= ? AND sequence NOT IN ({marks})",
            (item_id, upto, *kept),
        ).rowcount
    return gone, items[-1][0] if len(items) == _ITEMS else ""


def drop_slice(db: sqlite3.Connection, upto: int) -> int:
    """Drop some of the changes up to this number, the first ones; how many, 0 where there are none left."""
    return db.execute(
        "DELETE FROM changes WHERE sequence IN (SELECT sequence FROM changes WHERE sequence <= ? ORDER BY sequence"
        " LIMIT ?)",
        (upto, _CHANGES),
    ).rowcount
