"""Checks a whole dataset folder, pictures included, and reports its contents and every problem.

Knows nothing about terminals. Tables are read as `read_dataset` reads them, so a dataset without errors here is used
whole there; pictures are decoded in a few threads (Pillow releases the interpreter lock). A report stays small: it
counts findings by kind, and a callback gets all of them.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.column_check import ColumnCheck, check_columns
from mmrec.data.column_report import ColumnReport, WordsExample
from mmrec.data.interactions import Interactions
from mmrec.data.loading import Loaded, load_tables
from mmrec.data.pictures import PictureStore, decode_picture, is_url
from mmrec.data.problems import Problem, ProblemGroup, ProblemLog, quoted
from mmrec.data.repeated_events import Repeats
from mmrec.data.summary import ColumnUse, TableSummary
from mmrec.errors import InvalidDatasetError, InvalidImageError
from mmrec.runtime.progress import NO_PROGRESS, Progress

_THREADS = 8
_BATCH = 1024
"""Pictures given to the threads at a time, which bounds the number of futures."""
_DECODE_SIDE = 64
"""Side in pixels at which a JPEG is decoded: every byte is still read, in an eighth of the time."""
_WARN_EXACT, _WARN_CONSECUTIVE = 0.01, 0.05
"""Shares of repeated events, in [0, 1], from which on there is a warning."""
_MIN_EVENTS = 3
"""Fewest events of a user that `mmrec fit` can hold some out of."""


@dataclass(frozen=True)
class CheckReport:
    """Contents and problems of a dataset folder.

    Attributes:
        dataset: The folder.
        items: Items that are used.
        users: Users with at least one event that is used.
        events: Events that are used.
        event_rows: Rows of the events table, those that are not used included.
        listed_users: Rows of the users table; None when there is no such table.
        with_picture: Share of the items whose picture was decoded, 0 to 1.
        with_words: Share of the items with a title, a description or a value in another column of words, 0 to 1.
        without_content: Items without words and without a picture: no similar items can be found for them.
        with_events: Share of the items that are in an event, 0 to 1.
        users_with_three: Users with 3 events or more, of whom `mmrec fit` can hold some out.
        time_column: ``timestamp``, ``position``, or '' without events.
        first: Date of the earliest event (UTC, ISO-8601); '' without timestamps.
        last: Date of the latest event.
        density: Distinct user-item pairs among all possible ones, 0 to 1.
        columns: How each attribute of the items is read.
        words: The words of three items, as the text encoder gets them without a ``--template``.
        repeats: Events that repeat earlier ones.
        tables: How many rows of items and events are used, left out or excluded.
        event_columns: How the columns of the events are read.
        problems: Every finding, counted by kind.
    """

    dataset: str
    items: int
    users: int
    events: int
    event_rows: int
    listed_users: int | None
    with_picture: float
    with_words: float
    without_content: int
    with_events: float
    users_with_three: int
    time_column: str
    first: str
    last: str
    density: float
    columns: tuple[ColumnReport, ...]
    words: tuple[WordsExample, ...]
    repeats: Repeats
    tables: tuple[TableSummary, ...]
    event_columns: tuple[ColumnUse, ...]
    problems: tuple[ProblemGroup, ...]

    @property
    def examples(self) -> tuple[Problem, ...]:
        """The first findings of every kind."""
        return tuple(problem for group in self.problems for problem in group.examples)

    @property
    def errors(self) -> int:
        """Number of findings that make a row, a picture or the dataset unusable."""
        return sum(group.count for group in self.problems if group.severity == "error")

    @property
    def warnings(self) -> int:
        """Number of findings that leave everything usable."""
        return sum(group.count for group in self.problems if group.severity == "warning")


def check_dataset(
    path: str | os.PathLike[str],
    progress: Progress = NO_PROGRESS,
    *,
    every: Callable[[Sequence[Problem]], None] | None = None,
    now: datetime.datetime | None = None,
) -> CheckReport:
    """Read every table and decode every picture of a dataset folder.

    Args:
        path: The folder.
        progress: Reports the pictures.
        every: Called with all findings, some at a time; the report holds the first few of each kind.
        now: Time with a zone; later events get a warning. None: the current time.

    Raises:
        NotFoundError: there is no such folder.
        InvalidDatasetError: ``dataset.toml`` cannot be used. Everything else is a problem in the report.
    """
    root = Path(path)
    log = ProblemLog(every)
    progress.start("tables")
    loaded = load_tables(root, log, now)
    catalogue, events = loaded.catalogue, loaded.events
    interactions, event_rows = events.interactions, events.summary.rows
    items = len(catalogue) if catalogue is not None else 0
    progress.finish(f"{items:,} items, {event_rows:,} events")
    column_check = ColumnCheck()
    if catalogue is not None:
        column_check = check_columns(catalogue, loaded.settings, loaded.items_file, loaded.item_lines_N)
        log.extend(column_check.problems)
    repeats = _check_repeats(loaded, log)
    decoded = _check_pictures(root, loaded, log, progress)
    first, last = _dates(interactions) if events.time_column == "timestamp" else ("", "")
    return CheckReport(
        dataset=str(root),
        items=items,
        users=interactions.users,
        events=interactions.events,
        event_rows=event_rows,
        listed_users=loaded.user_rows,
        with_picture=decoded / items if items else 0.0,
        with_words=float(column_check.has_words_N.mean()) if items else 0.0,
        without_content=_without_content(catalogue, column_check) if catalogue is not None else 0,
        with_events=len(np.unique(interactions.items_E)) / items if items else 0.0,
        users_with_three=int((interactions.lengths_U >= _MIN_EVENTS).sum()),
        time_column=events.time_column,
        first=first,
        last=last,
        density=_density(interactions, items),
        columns=column_check.columns,
        words=column_check.words,
        repeats=repeats,
        tables=loaded.summary.tables,
        event_columns=loaded.summary.event_columns,
        problems=log.groups,
    )


def _without_content(catalogue: Catalogue, column_check: ColumnCheck) -> int:
    return sum(not words and not ref for words, ref in zip(column_check.has_words_N, catalogue.images, strict=True))


def _check_repeats(loaded: Loaded, log: ProblemLog) -> Repeats:
    """Count repeated events, and warn where so many distort training and evaluation."""
    repeats = loaded.events.repeats

    def warn(kind: str, count: int, words: str) -> None:
        message = f"{count:,} of {repeats.events:,} events ({count / repeats.events:.1%}) {words}"
        log.append(Problem(loaded.events_file, 0, "", kind, message, severity="warning"))

    if repeats.events and repeats.exact >= _WARN_EXACT * repeats.events:
        warn(
            "repeated event",
            repeats.exact,
            "are exact repeats of another one (same user, item and time); keep one of each, unless each stands for a "
            "piece that was bought",
        )
    consecutive = repeats.consecutive - repeats.exact
    if repeats.events and consecutive >= _WARN_CONSECUTIVE * repeats.events:
        warn(
            "item again",
            consecutive,
            "are of the item that the user had just before; if these are reloads of one page, keep the first of each, "
            "for what is learned from them is that the next item is the last one",
        )
    return repeats


def _check_pictures(root: Path, loaded: Loaded, log: ProblemLog, progress: Progress) -> int:
    """Decode the picture of every item that names one; returns the number of items with a sound picture."""
    if loaded.catalogue is None:
        return 0
    encoded = pa.array(loaded.catalogue.images, pa.large_string()).dictionary_encode()
    refs: list[str] = encoded.dictionary.to_pylist()
    codes_N = np.asarray(encoded.indices, dtype=np.int64)
    items_P = np.bincount(codes_N, minlength=len(refs))
    store = PictureStore(root)
    unfetched = {place for place, ref in enumerate(refs) if is_url(ref) and not store.has(ref)}
    if unfetched:
        urls = sum(int(items_P[place]) for place in unfetched)
        message = f"{urls:,} pictures are URLs that were not fetched; `mmrec fetch {root} --hosts HOST` brings them in"
        log.append(Problem(loaded.items_file, 0, "image", "picture not fetched", message, severity="warning"))
    checked = [place for place, ref in enumerate(refs) if ref and place not in unfetched]
    if not checked:
        return 0
    missing_P = np.zeros(len(refs), dtype=np.bool_)
    unreadable: dict[int, str] = {}
    sound = 0
    progress.start("pictures", len(checked), "pictures")
    with store:
        try:
            for place, found in zip(checked, _picture_errors(store, (refs[place] for place in checked)), strict=True):
                progress.advance()
                if found is None:
                    missing_P[place] = True
                elif found:
                    unreadable[place] = found
                else:
                    sound += int(items_P[place])
        except InvalidDatasetError as err:
            log.append(Problem("images.zip", 0, "", "unreadable archive", err.message))
    progress.finish(f"{sound:,} items with a sound picture")

    def report(kind: str, bad_P: npt.NDArray[np.bool_], message: Callable[[int], str]) -> None:
        rows = np.flatnonzero(bad_P[codes_N])
        log.add_rows(
            loaded.items_file,
            loaded.item_lines_N[rows],
            "image",
            kind,
            lambda places: map(message, codes_N[rows[places]].tolist()),
            place=loaded.items_places.of,
        )

    unreadable_P = np.zeros(len(refs), dtype=np.bool_)
    unreadable_P[list(unreadable)] = True
    report("unreadable picture", unreadable_P, lambda place: f"image is {quoted(refs[place])}: {unreadable[place]}")
    report(
        "missing picture",
        missing_P,
        lambda place: f"image is {quoted(refs[place])}, which is neither in images/ nor in images.zip; add the file",
    )
    return sound


def _picture_errors(store: PictureStore, refs: Iterable[str]) -> Iterator[str | None]:
    """The error of each picture: None where it is missing, '' where it is sound."""

    def picture_error(ref: str) -> str | None:
        try:
            data = store.read(ref)
            if data is None:
                return None
            decode_picture(data, size_hint=_DECODE_SIDE)
        except InvalidImageError as err:
            return err.message
        return ""

    rest = iter(refs)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        while chunk := list(islice(rest, _BATCH)):
            yield from pool.map(picture_error, chunk)


def _dates(interactions: Interactions) -> tuple[str, str]:
    if not interactions.events:
        return "", ""
    ends = np.array([interactions.times_E.min(), interactions.times_E.max()]).astype("datetime64[s]")
    first, last = np.datetime_as_string(ends, unit="D").tolist()
    return first, last


def _density(interactions: Interactions, items: int) -> float:
    if not interactions.events:
        return 0.0
    pairs = np.unique(interactions.users_E * items + interactions.items_E)
    return float(len(pairs) / (interactions.users * items))
