"""RecBole atomic files into a dataset folder: ``NAME.inter``, and where they are there ``NAME.item`` and
``NAME.user``.

The first line of an atomic file names and types its columns, as in ``item_id:token``; columns are divided by
tabs, entries of a sequence (`token_seq`, `float_seq`) by spaces. Sequences become lists joined by ``|``,
except a title or a description, whose words stay words.

Source: https://recbole.io/docs/user_guide/data/atomic_files.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.importers.streams import read_batches
from mmrec.data.writing import ImportSummary, TableWriter, dataset_folder
from mmrec.errors import InvalidDatasetError, NotFoundError
from mmrec.progress import NO_PROGRESS, Progress

__all__ = ["import_recbole"]

_TITLES = ("title", "movie_title", "item_name", "name")
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
        progress: Told about each stage.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: there is no such source.
        InvalidDatasetError: a file is missing or damaged, or `out` is not free.
    """
    inter = _find_inter(source)
    notes: list[str] = []
    with dataset_folder(out, overwrite=overwrite) as folder:
        progress.start("interactions", unit="interactions")
        users, used, events = _write_events(inter, folder / f"events.{table_format}", notes, progress)
        progress.finish(f"{events:,} interactions")
        items = _write_items(inter.with_suffix(".item"), folder / f"items.{table_format}", used, notes)
        if inter.with_suffix(".user").is_file():
            _write_users(inter.with_suffix(".user"), folder / f"users.{table_format}")
    return ImportSummary(out, items, users, events, 0, tuple(notes))


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


def _write_events(inter: Path, table: Path, notes: list[str], progress: Progress) -> tuple[int, Any, int]:
    """Number of users, ids of the items used (pyarrow array), number of events."""
    names = {column.name for column in _header(inter)}
    for name in ("user_id", "item_id"):
        if name not in names:
            raise InvalidDatasetError(
                f"{inter.name} has no column {name}; rename the right one of {', '.join(sorted(names))}"
            )
    kinds = {"user_id": pa.string(), "item_id": pa.string()}
    if "timestamp" in names:
        kinds["timestamp"] = pa.float64()
    else:
        kinds["position"] = pa.int64()
        notes.append(f"{inter.name} has no timestamp; the order of its rows became the order of events")
    if "rating" in names:
        kinds["rating"] = pa.float64()
    users = items = pa.array([], pa.string())
    with TableWriter(table, kinds) as writer:
        for batch in _batches(inter):
            columns = {name: batch.column(name) for name in kinds if name in names}
            if "position" in kinds:
                columns["position"] = pa.array(np.arange(writer.rows, writer.rows + batch.num_rows))
            for name in {"timestamp", "rating"} & columns.keys():
                columns[name] = _floats(inter.name, name, columns[name])
            writer.write(pa.table(columns))
            users = pc.unique(pa.concat_arrays([users, batch.column("user_id")]))
            items = pc.unique(pa.concat_arrays([items, batch.column("item_id")]))
            progress.advance(batch.num_rows)
    if not writer.rows:
        raise InvalidDatasetError(f"{inter.name} has no rows; there is nothing to import")
    return len(users), items, writer.rows


def _floats(file: str, name: str, column: Any) -> Any:
    empty = pc.equal(column, "")
    bad = pc.filter(column, pc.invert(pc.or_(empty, pc.match_substring_regex(column, _NUMBER))))
    if len(bad):
        raise InvalidDatasetError(f"{file}: {name} is {bad[0].as_py()!r}; it must be a number or empty")
    return pc.if_else(empty, pa.scalar(None, pa.string()), column).cast(pa.float64())


def _write_items(path: Path, table: Path, used: Any, notes: list[str]) -> int:
    columns = _header(path) if path.is_file() else [_Column("item_id", "token")]
    names = [column.name for column in columns]
    if "item_id" not in names:
        raise InvalidDatasetError(f"{path.name} has no column item_id; the columns are {', '.join(names)}")
    title = next((name for name in _TITLES if name in names), "")
    renamed = ["title" if name == title else name for name in names]
    known = pa.array([], pa.string())
    with TableWriter(table, dict.fromkeys(renamed, pa.string())) as writer:
        for batch in _batches(path) if path.is_file() else ():
            values = [_joined(batch.column(column.name), column, {title, "description"}) for column in columns]
            writer.write(pa.table(dict(zip(renamed, values, strict=True))))
            known = pa.concat_arrays([known, batch.column("item_id")])
        bare = used.filter(pc.invert(pc.is_in(used, value_set=known)))
        if len(bare):
            empty = pa.array([""] * len(bare), pa.string())
            writer.write(pa.table({name: bare if name == "item_id" else empty for name in renamed}))
            if path.is_file():
                notes.append(f"{len(bare):,} items have interactions and no row in {path.name}")
    return writer.rows


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
