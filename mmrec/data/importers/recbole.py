"""RecBole atomic files into a dataset folder: ``NAME.inter``, and where they are there ``NAME.item`` and
``NAME.user``.

The first line of an atomic file names and types its columns, as in ``item_id:token``; columns are divided by
tabs, entries of a sequence (`token_seq`, `float_seq`) by spaces. Sequences become lists joined by ``|``,
except a title or a description, which stays a text. Files of sequences, with an `item_id_list`, are read by
`mmrec.data.importers.recbole_sequences`. Everything that is left out is counted.

Source: https://recbole.io/docs/user_guide/data/atomic_files.html
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.recbole_sequences import count_columns, write_sequences
from mmrec.data.importers.shop_values import timestamp_of
from mmrec.data.importers.streams import read_batches
from mmrec.data.writing import ImportSummary, TableWriter, dataset_folder
from mmrec.errors import InvalidDatasetError, NotFoundError
from mmrec.runtime.progress import NO_PROGRESS, Progress

_TITLES = ("title", "movie_title", "item_name", "name")
_KINDS = (".inter", ".item", ".user", ".link", ".kg", ".net")
_TYPES = ("token", "float", "token_seq", "float_seq")
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?$"


class _Column(NamedTuple):
    name: str
    kind: str


def import_recbole(
    source: Path,
    out: Path,
    progress: Progress = NO_PROGRESS,
    *,
    table_format: str = "parquet",
    overwrite: bool = False,
) -> ImportSummary:
    """Write RecBole atomic files as a dataset folder.

    Items that occur in interactions and have no row in the ``.item`` file get a row with nothing but their
    id.

    Args:
        source: The folder with the atomic files, or the ``.inter`` file itself.
        out: The dataset folder to make.
        progress: Reports each stage.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: there is no such source.
        InvalidDatasetError: a file is missing or damaged, or `out` is not free.
    """
    inter = _find_inter(source)
    tally = LeftOutTally()
    notes: list[str] = []
    with dataset_folder(out, overwrite=overwrite) as folder:
        progress.start("interactions", unit="interactions")
        users, used, events = _write_events(inter, folder / f"events.{table_format}", tally, notes, progress)
        progress.finish(f"{events:,} interactions")
        found = {kind: _beside(inter, kind) for kind in ("item", "user")}
        items = _write_items(found["item"], folder / f"items.{table_format}", used, tally, notes)
        if found["user"].is_file():
            _write_users(found["user"], folder / f"users.{table_format}")
    for path in sorted(inter.parent.iterdir()):
        if path.suffix in _KINDS and path.is_file() and path not in (inter, *found.values()):
            tally.file(path.name)
    return ImportSummary(out, items, users, events, **tally.summary(*notes))


def _beside(inter: Path, kind: str) -> Path:
    """The ``.item`` or ``.user`` file; for ``NAME.train.inter`` that of NAME if there is no ``NAME.train.item``."""
    own = inter.with_suffix(f".{kind}")
    return own if own.is_file() else inter.with_name(f"{inter.name.partition('.')[0]}.{kind}")


def _find_inter(source: Path) -> Path:
    if source.is_file() and source.suffix == ".inter":
        return source
    if not source.exists():
        raise NotFoundError(f"{str(source)!r} does not exist; give the folder with the atomic files")
    found = sorted(source.glob("*.inter")) if source.is_dir() else []
    if len(found) != 1:
        what = f"{len(found)} .inter files" if found else "no .inter file"
        raise InvalidDatasetError(f"{str(source)!r} holds {what}; give the one .inter file to import")
    return found[0]


def _write_events(
    inter: Path, table: Path, tally: LeftOutTally, notes: list[str], progress: Progress
) -> tuple[int, Any, int]:
    """Number of users, ids of the items used (pyarrow array), number of events."""
    names = [column.name for column in _header(inter)]
    user = next((name for name in ("user_id", "session_id") if name in names), "")
    is_sequences = "item_id_list" in names
    for name, there in (("user_id", user or is_sequences), ("item_id", "item_id" in names or is_sequences)):
        if not there:
            raise InvalidDatasetError(
                f"{inter.name} has no column {name}; rename the right one of {', '.join(sorted(names))}"
            )
    if user == "session_id":
        notes.append(f"{inter.name} has no user_id; its session_id became the user")
    if is_sequences:
        return write_sequences(inter.name, _batches(inter), user, table, tally, notes, progress)
    taken = {"user_id": user, "item_id": "item_id"}
    kinds = {"user_id": pa.string(), "item_id": pa.string()}
    if "timestamp" in names:
        kinds["timestamp"] = pa.float64()
    else:
        kinds["position"] = pa.int64()
        notes.append(f"{inter.name} has no timestamp; the order of its rows became the order of events")
    if "rating" in names:
        kinds["rating"] = pa.float64()
    others = [name for name in names if name not in (*taken.values(), "timestamp", "rating")]
    for name in others:
        tally.empty_column(name)
    users = items = pa.array([], pa.string())
    with TableWriter(table, kinds) as writer:
        for batch in _batches(inter):
            progress.advance(batch.num_rows)
            count_columns(batch, others, inter.name, tally)
            batch = _with_ids(batch, tuple(taken.values()), f"rows of {inter.name} without a user or an item", tally)
            columns = {name: batch.column(taken.get(name, name)) for name in kinds if name != "position"}
            if "position" in kinds:
                columns["position"] = pa.array(np.arange(writer.rows, writer.rows + batch.num_rows))
            if "timestamp" in columns:
                columns["timestamp"] = _floats(inter.name, "timestamp", _as_seconds(columns["timestamp"]))
                missing = columns["timestamp"].null_count
                if missing:
                    tally.value("timestamps that are empty", "", inter.name, missing)
            if "rating" in columns:
                columns["rating"] = _floats(inter.name, "rating", columns["rating"])
            writer.write(pa.table(columns))
            users = pc.unique(pa.concat_arrays([users, columns["user_id"]]))
            items = pc.unique(pa.concat_arrays([items, columns["item_id"]]))
    if not writer.rows:
        raise InvalidDatasetError(f"{inter.name} has no rows to import ({tally.reasons() or 'it is empty'})")
    return len(users), items, writer.rows


def _with_ids(batch: Any, names: tuple[str, ...], what: str, tally: LeftOutTally) -> Any:
    """The rows in which none of the columns is empty."""
    good = pc.not_equal(batch.column(names[0]), "")
    for name in names[1:]:
        good = pc.and_(good, pc.not_equal(batch.column(name), ""))
    left = batch.filter(pc.invert(good))
    if left.num_rows:
        tally.row(what, repr(tuple(left.column(name)[0].as_py() for name in names)), left.num_rows)
    return batch.filter(good)


def _as_seconds(column: Any) -> Any:
    """Timestamps as numbers, dates converted; other texts stay, and are refused later."""
    words = pc.and_(pc.not_equal(column, ""), pc.invert(pc.match_substring_regex(column, _NUMBER)))
    if not pc.any(words).as_py():
        return column
    encoded = column.dictionary_encode()
    times = []
    for text in encoded.dictionary.to_pylist():
        timestamp = timestamp_of(text)
        is_date = timestamp is not None and timestamp.endswith("Z")
        times.append(repr(datetime.fromisoformat(timestamp).timestamp()) if timestamp is not None and is_date else text)
    return pa.array(times, pa.string()).take(encoded.indices)


def _floats(file: str, name: str, column: Any) -> Any:
    empty = pc.equal(column, "")
    bad = pc.filter(column, pc.invert(pc.or_(empty, pc.match_substring_regex(column, _NUMBER))))
    if len(bad):
        raise InvalidDatasetError(f"{file}: {name} is {bad[0].as_py()!r}; it must be a number or empty")
    return pc.if_else(empty, pa.scalar(None, pa.string()), column).cast(pa.float64())


def _write_items(path: Path, table: Path, used: Any, tally: LeftOutTally, notes: list[str]) -> int:
    columns = _header(path) if path.is_file() else [_Column("item_id", "token")]
    names = [column.name for column in columns]
    if "item_id" not in names:
        raise InvalidDatasetError(f"{path.name} has no column item_id; the columns are {', '.join(names)}")
    title = next((name for name in _TITLES if name in names), "")
    renamed = ["title" if name == title else name for name in names]
    known: dict[str, None] = {}
    with TableWriter(table, dict.fromkeys(renamed, pa.string())) as writer:
        for batch in _batches(path) if path.is_file() else ():
            batch = _with_ids(batch, ("item_id",), f"rows of {path.name} without an item_id", tally)
            batch = _without_duplicates(batch, known, path.name, tally)
            values = [_joined(batch.column(column.name), column, {title, "description"}) for column in columns]
            writer.write(pa.table(dict(zip(renamed, values, strict=True))))
        bare = used.filter(pc.invert(pc.is_in(used, value_set=pa.array(known, pa.string()))))
        if len(bare):
            empty = pa.array([""] * len(bare), pa.string())
            writer.write(pa.table({name: bare if name == "item_id" else empty for name in renamed}))
            if path.is_file():
                notes.append(f"{len(bare):,} items have interactions and no row in {path.name}")
    return writer.rows


def _without_duplicates(batch: Any, known: dict[str, None], name: str, tally: LeftOutTally) -> Any:
    """The rows whose item is not in `known`, which gets their ids."""
    keep = []
    for item_id in batch.column("item_id").to_pylist():
        keep.append(item_id not in known)
        if not keep[-1]:
            tally.row(f"rows of {name} whose item_id was there before", repr(item_id))
        known[item_id] = None
    return batch.filter(pa.array(keep, pa.bool_()))


def _write_users(path: Path, table: Path) -> None:
    columns = _header(path)
    with TableWriter(table, {column.name: pa.string() for column in columns}) as writer:
        for batch in _batches(path):
            writer.write(
                pa.table({column.name: _joined(batch.column(column.name), column, set()) for column in columns})
            )


def _joined(values: Any, column: _Column, words: set[str]) -> Any:
    if column.kind in ("token_seq", "float_seq") and column.name not in words:
        return pc.replace_substring_regex(pc.utf8_trim_whitespace(values), " +", "|")
    return values


def _header(path: Path) -> list[_Column]:
    try:
        with path.open("rb") as file:
            line = file.readline().decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as err:
        raise InvalidDatasetError(f"{str(path)!r} is not readable as UTF-8 text; download it again") from err
    columns = [_Column(*field.rpartition(":")[::2]) for field in line.split("\t")]
    for column, field in zip(columns, line.split("\t"), strict=True):
        if not column.name or column.kind not in _TYPES:
            raise InvalidDatasetError(
                f"{path.name}:1: the header holds {field!r}; a column is name:type, the type one of {', '.join(_TYPES)}"
            )
    if len({column.name for column in columns}) != len(columns):
        raise InvalidDatasetError(f"{path.name}:1: the header names a column twice; keep one of them")
    return columns


def _batches(path: Path) -> Any:
    names = [column.name for column in _header(path)]
    with path.open("rb") as file:
        yield from read_batches(path.name, file, names, names, delimiter="\t", skip_rows=1, quoted=False)
