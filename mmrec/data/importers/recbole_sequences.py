"""RecBole's files of sequences, as its sequential benchmarks have them: in each row a history (`item_id_list`, ids
divided by spaces) and what came next (`item_id`), which is the last event.

Such files often repeat themselves: every beginning of a sequence is a row of its own, or every window of the last fifty
events. Rows of one user that are part of what is there add nothing and are counted, rows that go on from it are joined
to it, and all others follow on it in the order of the file. Without a column of users, each row is a user.

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

_BATCH = 10_000


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
        notes: Gets what a person should know.
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
        for who, history, target in zip(users, histories, targets, strict=True):
            number += 1
            place = f"{name}, row {number}"
            items = [*history.split(), *([target] if target else [])]
            if not who or not items:
                tally.row("rows without a user or without items", place)
            elif who not in sequences:
                sequences[who] = items
            else:
                joined = join_sequences(sequences[who], items)
                if len(joined) in (len(sequences[who]), len(items)):
                    tally.row("rows that are part of a longer sequence of the same user", place)
                sequences[who] = joined
        progress.advance(batch.num_rows)
    if not sequences:
        raise InvalidDatasetError(f"{name} has no rows with items; there is nothing to import")
    if not user:
        notes.append(f"{name} has no column of users; each of its rows became a user")
    notes.append(f"{name} holds sequences; the order of their items became the order of events")
    return len(sequences), *_write(sequences, table)


def join_sequences(known: Sequence[str], more: Sequence[str]) -> list[str]:
    """Two sequences of one user as one.

    Args:
        known: What is there.
        more: What comes; the part of it that is the end of `known` is taken to be the same events if it is at least
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
    """Count the values of columns that nothing is made of.

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
    """Ids of the items, and the number of events."""
    kinds = {"user_id": pa.string(), "item_id": pa.string(), "position": pa.int64()}
    waiting: dict[str, list[Any]] = {name: [] for name in kinds}
    used: dict[str, None] = {}
    with TableWriter(table, kinds) as writer:
        for who, items in sequences.items():
            waiting["user_id"] += [who] * len(items)
            waiting["item_id"] += items
            waiting["position"] += range(len(items))
            used.update(dict.fromkeys(items))
            if len(waiting["user_id"]) >= _BATCH:
                writer.write(waiting)
                waiting = {name: [] for name in kinds}
        if waiting["user_id"]:
            writer.write(waiting)
    return pa.array(used, pa.string()), writer.rows
