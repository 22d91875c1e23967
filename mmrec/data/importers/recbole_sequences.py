"""RecBole's files of sequences, as in its sequential benchmarks: each row has a history (`item_id_list`, ids separated
by spaces) and the next item (`item_id`), which is the last event.

Such files often repeat events: every prefix of a sequence is a row, or every window of the last fifty events. Rows of
one user that are contained in the known sequence are counted and left out, rows that overlap its end extend it, and all
others are appended in the order of the file. Without a column of users, each row is a user.

Unit of work: one file. Knows nothing of the other columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.writing import TableWriter
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import Progress


def write_sequences(
    name: str,
    batches: Iterable[Any],
    user: str,
    table: Path,
    tally: LeftOutTally,
    notes: list[str],
    progress: Progress,
) -> tuple[int, Any, int]:
    """Write the events of a file of sequences, with `position` as their order.

    Args:
        name: What to call the file in messages.
        batches: Its rows as text (pyarrow RecordBatches) with `item_id_list` and perhaps `item_id`.
        user: The column of users; '' for none.
        table: The events table to write.
        tally: Counts rows and columns that are left out.
        notes: Receives sentences for the user.
        progress: Reports rows.

    Returns:
        Number of users, ids of the items used (pyarrow array), number of events.

    Raises:
        InvalidDatasetError: no row has an item.
    """
    sequences: dict[str, list[str]] = {}
    number = 0
    for batch in batches:
        names = batch.schema.names
        count_columns(batch, [other for other in names if other not in (user, "item_id_list", "item_id")], name, tally)
        histories = batch.column("item_id_list").to_pylist()
        targets = batch.column("item_id").to_pylist() if "item_id" in names else [""] * len(histories)
        users = batch.column(user).to_pylist() if user else [f"row{number + row + 1}" for row in range(len(histories))]
        for user_id, history, target in zip(users, histories, targets, strict=True):
            number += 1
            place = f"{name}, row {number}"
            items = [*history.split(), *([target] if target else [])]
            if not user_id or not items:
                tally.row("rows without a user or without items", place)
            elif user_id not in sequences:
                sequences[user_id] = items
            else:
                joined = join_sequences(sequences[user_id], items)
                if len(joined) in (len(sequences[user_id]), len(items)):
                    tally.row("rows that are part of a longer sequence of the same user", place)
                sequences[user_id] = joined
        progress.advance(batch.num_rows)
    if not sequences:
        raise InvalidDatasetError(f"{name} has no rows with items; there is nothing to import")
    if not user:
        notes.append(f"{name} has no column of users; each of its rows became a user")
    notes.append(f"{name} holds sequences; the order of their items became the order of events")
    return len(sequences), *_write(sequences, table)


def join_sequences(known: Sequence[str], more: Sequence[str]) -> list[str]:
    """Merge two sequences of one user.

    Args:
        known: The sequence so far.
        more: The next one; a prefix of it that equals the end of `known` counts as the same events if it is at least
            half of `more`.
    """
    longer, shorter = (known, more) if len(known) >= len(more) else (more, known)
    width = len(shorter)
    if any(list(longer[at : at + width]) == list(shorter) for at in range(len(longer) - width + 1)):
        return list(longer)
    least = max(1, (len(more) + 1) // 2)
    for overlap in range(min(len(known), len(more)), least - 1, -1):
        if list(known[-overlap:]) == list(more[:overlap]):
            return [*known, *more[overlap:]]
    return [*known, *more]


def count_columns(batch: Any, names: Iterable[str], file: str, tally: LeftOutTally) -> None:
    """Count the values of columns that are not imported.

    Args:
        batch: Columns of text (pyarrow RecordBatch).
        names: Which of them.
        file: For messages.
        tally: Gets the counts.
    """
    for name in names:
        tally.empty_column(name)
        values = batch.column(name).filter(pc.not_equal(batch.column(name), ""))
        if len(values):
            tally.column(name, values[0].as_py(), file, len(values))


def _write(sequences: dict[str, list[str]], table: Path) -> tuple[Any, int]:
    """Write the events table; returns the ids of the items and the number of events."""
    kinds = {"user_id": pa.string(), "item_id": pa.string(), "position": pa.int64()}
    used: dict[str, None] = {}
    with TableWriter(table, kinds) as writer:
        for user_id, items in sequences.items():
            for position, item_id in enumerate(items):
                writer.add({"user_id": user_id, "item_id": item_id, "position": position})
            used.update(dict.fromkeys(items))
    return pa.array(used, pa.string()), writer.rows
