"""MovieLens into a dataset folder: 100K, 1M, 10M, and the CSV releases (latest, latest-small, 20M, 25M, 32M).

The names of the files show the release. Titles stay as they are, ``Matrix, The (1999)``; the year becomes a column,
genres are joined by ``|``; the genre ``(no genres listed)`` is left out. Columns, files and rows that are not imported
are counted.

Source: the README of each release, https://grouplens.org/datasets/movielens/
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.streams import decoded, read_batches
from mmrec.data.writing import ImportSummary, TableWriter, dataset_folder, write_table
from mmrec.errors import InvalidDatasetError, NotFoundError
from mmrec.runtime.progress import NO_PROGRESS, Progress

_EVENTS: dict[str, Any] = {
    "user_id": pa.string(),
    "item_id": pa.string(),
    "rating": pa.float32(),
    "timestamp": pa.int64(),
}
_UNUSED_COLUMNS = ("release date", "video release date", "IMDb URL")
"""Columns of u.item that are not imported, except that the release date gives a year where the title has none."""
_YEAR = re.compile(r"\((\d{4})(?:[-–]\d{0,4})?\)\s*$")
_AGES = {
    "1": "under 18",
    "18": "18-24",
    "25": "25-34",
    "35": "35-44",
    "45": "45-49",
    "50": "50-55",
    "56": "56+",
}
_OCCUPATIONS = (
    "other",
    "academic or educator",
    "artist",
    "clerical or admin",
    "college or grad student",
    "customer service",
    "doctor or health care",
    "executive or managerial",
    "farmer",
    "homemaker",
    "K-12 student",
    "lawyer",
    "programmer",
    "retired",
    "sales or marketing",
    "scientist",
    "self-employed",
    "technician or engineer",
    "tradesman or craftsman",
    "unemployed",
    "writer",
)


def import_movielens(
    source: Path,
    out: Path,
    progress: Progress = NO_PROGRESS,
    *,
    table_format: str = "parquet",
    overwrite: bool = False,
) -> ImportSummary:
    """Write a MovieLens release as a dataset folder.

    Args:
        source: The unpacked folder, or the ``.zip`` as downloaded.
        out: The dataset folder to make.
        progress: Reports each stage.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: there is no such source.
        InvalidDatasetError: the source is no MovieLens release or is damaged, or `out` is not free.
    """
    try:
        with _Source(source) as files, dataset_folder(out, overwrite=overwrite) as folder:
            return _import(files, folder, table_format, progress)._replace(out=out)
    except (zipfile.BadZipFile, zlib.error, csv.Error, EOFError) as err:
        raise InvalidDatasetError(f"{str(source)!r} is damaged; download it again") from err


def _import(files: _Source, folder: Path, table_format: str, progress: Progress) -> ImportSummary:
    release = _release(files)
    tally = LeftOutTally()
    progress.start("films")
    items = _items(files, release, tally)
    if not items["item_id"]:
        raise InvalidDatasetError(f"{release.items} in {str(files.path)!r} has no films; download it again")
    write_table(folder / f"items.{table_format}", _as_table(items))
    progress.finish(f"{len(items['item_id']):,} films")
    if release.users in files.names:
        write_table(folder / f"users.{table_format}", _as_table(_users(files, release, tally)))
    before = tally.found
    progress.start("ratings", unit="ratings")
    users = pa.array([], pa.string())
    films = pa.array(items["item_id"], pa.string())
    with TableWriter(folder / f"events.{table_format}", _EVENTS) as writer:
        for batch in _ratings(files, release):
            rated = _usable(batch, films, release.events, tally)
            try:
                writer.write(rated)
            except pa.ArrowInvalid as err:
                raise InvalidDatasetError(
                    f"{release.events} has a rating or timestamp that is not a number; download it again"
                ) from err
            users = pc.unique(pa.concat_arrays([users, pc.unique(rated.column("user_id"))]))
            progress.advance(batch.num_rows)
    progress.finish(f"{writer.rows:,} ratings")
    if not writer.rows:
        why = tally.reasons(before)
        raise InvalidDatasetError(
            f"{release.events} has no ratings of films ({why or 'it is empty'}); download it again"
        )
    for name in sorted(files.names - {release.items, release.events, release.users, "u.genre"}):
        tally.file(name)
    return ImportSummary(folder, len(items["item_id"]), len(users), writer.rows, **tally.summary())


def _usable(batch: Any, films: Any, name: str, tally: LeftOutTally) -> Any:
    """The ratings with a user and a listed film."""
    named = pc.and_(*(pc.not_equal(batch.column(name), "") for name in ("user_id", "item_id")))
    listed = pc.is_in(batch.column("item_id"), value_set=films)
    for what, bad in (
        ("ratings without a user or a film", pc.invert(named)),
        ("ratings of films that are not in the list", pc.and_(named, pc.invert(listed))),
    ):
        left = batch.filter(bad)
        if left.num_rows:
            tally.row(what, f"{left.column('item_id')[0].as_py()!r} in {name}", left.num_rows)
    return batch.filter(pc.and_(named, listed))


def _as_table(columns: dict[str, list[str]]) -> Any:
    return pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()})


class _Release(NamedTuple):
    """File names and format of a release."""

    items: str
    events: str
    users: str
    columns: tuple[str, ...]
    delimiter: str
    header: int


def _release(files: _Source) -> _Release:
    if {"u.data", "u.item"} <= files.names:
        return _Release("u.item", "u.data", "u.user", tuple(_EVENTS), "\t", 0)
    if {"ratings.dat", "movies.dat"} <= files.names:
        # The separator is '::'; with ':' every second field is empty.
        columns = ("user_id", "_1", "item_id", "_2", "rating", "_3", "timestamp")
        return _Release("movies.dat", "ratings.dat", "users.dat", columns, ":", 0)
    if {"ratings.csv", "movies.csv"} <= files.names:
        return _Release("movies.csv", "ratings.csv", "", tuple(_EVENTS), ",", 1)
    raise InvalidDatasetError(
        f"{str(files.path)!r} is no MovieLens release; it must hold u.data and u.item (100K), ratings.dat "
        "and movies.dat (1M, 10M), or ratings.csv and movies.csv (latest, 20M, 25M, 32M)"
    )


def _ratings(files: _Source, release: _Release) -> Iterator[Any]:
    with files.open(release.events) as file:
        yield from read_batches(
            release.events,
            file,
            release.columns,
            tuple(_EVENTS),
            delimiter=release.delimiter,
            skip_rows=release.header,
            quoted=release.delimiter == ",",
        )


def _items(files: _Source, release: _Release, tally: LeftOutTally) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {"item_id": [], "title": [], "year": [], "genres": []}
    known: set[str] = set()
    names = _genre_names(files) if release.items == "u.item" else []
    for number, fields in _rows(files, release.items):
        if release.items == "u.item":
            _check_fields(release.items, number, fields, 5 + len(names))
            item_id, title, released = fields[:3]
            flags = fields[5:]
            flagged = [name for name, flag in zip(names, flags, strict=True) if flag == "1"]
            genres = [name for name in flagged if name != "unknown"]
            found = _YEAR.search(title)
            year = found[1] if found else released[-4:]
        else:
            _check_fields(release.items, number, fields, 3)
            item_id, title = fields[0], "::".join(fields[1:-1])
            genres = [genre for genre in fields[-1].split("|") if genre and genre != "(no genres listed)"]
            found = _YEAR.search(title)
            year = found[1] if found else ""
        place = f"{release.items}:{number}"
        if item_id in known:
            tally.row("films whose id was there before", f"{item_id!r} at {place}")
            continue
        known.add(item_id)
        if release.items == "u.item":
            for column, value in zip(_UNUSED_COLUMNS, fields[2:5], strict=True):
                if value.strip():
                    tally.column(f"{release.items}: {column}", value, place)
        for values, value in zip(columns.values(), (item_id, title.strip(), year, "|".join(genres)), strict=True):
            values.append(value)
    return columns


def _genre_names(files: _Source) -> list[str]:
    if "u.genre" not in files.names:
        raise InvalidDatasetError(f"{str(files.path)!r} has no u.genre, which names the genres of u.item")
    return [fields[0] for _, fields in _rows(files, "u.genre")]


def _users(files: _Source, release: _Release, tally: LeftOutTally) -> dict[str, list[str]]:
    columns: dict[str, list[str]] = {"user_id": [], "age": [], "gender": [], "occupation": []}
    for number, fields in _rows(files, release.users):
        _check_fields(release.users, number, fields, 5)
        if release.users == "u.user":
            user_id, age, gender, occupation = fields[:4]
        else:
            user_id, gender, age, code = fields[:4]
            age = _AGES.get(age, age)
            known = code.isdecimal() and int(code) < len(_OCCUPATIONS)
            occupation = _OCCUPATIONS[int(code)] if known else code
        if fields[4].strip():
            tally.column(f"{release.users}: zip code", fields[4], f"{release.users}:{number}")
        for column, value in zip(columns.values(), (user_id, age, gender, occupation), strict=True):
            column.append(value)
    return columns


def _rows(files: _Source, name: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of each row of a small file."""
    with files.open(name) as file:
        text = decoded(file.read())
    if name.endswith(".csv"):
        reader = csv.reader(io.StringIO(text, newline=""))
        next(reader, None)
        yield from ((reader.line_num, row) for row in reader if row)
        return
    separator = "::" if name.endswith(".dat") else "|"
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield number, line.rstrip("\r").split(separator)


def _check_fields(name: str, number: int, fields: list[str], expected: int) -> None:
    if len(fields) < expected or (name == "u.item" and len(fields) != expected):
        raise InvalidDatasetError(
            f"{name}:{number}: the row has {len(fields)} fields instead of {expected}; download it again"
        )


class _Source:
    """The files of a release by their bare names, from a folder or a zip archive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        self._files: dict[str, str | Path] = {}

    def __enter__(self) -> _Source:
        if self.path.is_dir():
            found = [path for path in (*self.path.glob("*/*"), *self.path.glob("*")) if path.is_file()]
            self._files = {path.name: path for path in found}
        elif self.path.is_file():
            try:
                self._archive = zipfile.ZipFile(self.path)
            except (zipfile.BadZipFile, OSError) as err:
                raise InvalidDatasetError(
                    f"{str(self.path)!r} is no zip archive; give the unpacked folder, or the zip"
                ) from err
            names = [name for name in self._archive.namelist() if not name.startswith("__MACOSX")]
            self._files = {name.rsplit("/", 1)[-1]: name for name in names if not name.endswith("/")}
        else:
            raise NotFoundError(f"{str(self.path)!r} does not exist; give the folder or zip of MovieLens")
        return self

    def __exit__(self, *_: object) -> None:
        if self._archive is not None:
            self._archive.close()

    @property
    def names(self) -> set[str]:
        return set(self._files)

    def open(self, name: str) -> IO[bytes]:
        place = self._files[name]
        if isinstance(place, Path):
            return place.open("rb")
        assert self._archive is not None  # names of archives are strings
        try:
            return self._archive.open(place)
        except RuntimeError as err:  # zipfile's error when a password is needed
            raise InvalidDatasetError(f"{str(self.path)!r} is encrypted; unpack it and give the folder") from err
