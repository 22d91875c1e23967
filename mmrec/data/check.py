"""Looks at a whole dataset folder, pictures included, and reports what is there and everything wrong with it.

Knows nothing about terminals. Tables are read the way `read_dataset` reads them, so a dataset without errors
here is used whole there; pictures are decoded one by one, in a few threads (Pillow lets go of the interpreter
meanwhile).
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from mmrec.data.catalogue import Catalogue
from mmrec.data.interactions import Interactions
from mmrec.data.loading import Loaded, load_tables
from mmrec.data.pictures import PictureStore, decode_picture, is_url
from mmrec.data.problems import Problem, shown
from mmrec.errors import InvalidDatasetError, InvalidImageError
from mmrec.progress import NO_PROGRESS, Progress

__all__ = ["CheckReport", "check_dataset"]

_THREADS = 8
_AT_ONCE = 1024
"""Pictures handed to the threads in one go, so that a million of them need no million futures."""
_SMALL = 64
"""A JPEG is decoded at a fraction of its size: every byte is still read, at an eighth of the time."""


@dataclass(frozen=True)
class CheckReport:
    """What was found in a dataset folder.

    Attributes:
        dataset: The folder.
        items: Items with a usable id.
        users: Users with at least one usable event.
        events: Usable events.
        event_rows: Rows of the events table, the unusable ones included.
        listed_users: Rows of the users table; None when there is no such table.
        with_picture: Share of the items whose picture was decoded, 0 to 1.
        with_words: Share of the items with a title, a description or an attribute, 0 to 1.
        without_content: Items that have no words and name no picture: nothing is like them.
        time_column: ``timestamp``, ``position``, or '' without events.
        first: Date of the earliest event (UTC, ISO-8601); '' without timestamps.
        last: Date of the latest event.
        density: Distinct user-item pairs among all possible ones, 0 to 1.
        problems: Every finding.
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
    time_column: str
    first: str
    last: str
    density: float
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> int:
        """Number of problems that cost a row or the dataset."""
        return sum(problem.severity == "error" for problem in self.problems)

    @property
    def warnings(self) -> int:
        """Number of problems that cost nothing."""
        return len(self.problems) - self.errors


def check_dataset(path: str | os.PathLike[str], progress: Progress = NO_PROGRESS) -> CheckReport:
    """Read every table and decode every picture of a dataset folder.

    Raises:
        NotFoundError: there is no such folder. Everything else is a problem in the report.
    """
    root = Path(path)
    progress.start("tables")
    loaded = load_tables(root)
    catalogue, interactions = loaded.catalogue, loaded.interactions
    items = len(catalogue) if catalogue is not None else 0
    progress.finish(f"{items:,} items, {loaded.events:,} events")
    problems = list(loaded.problems)
    decoded = _check_pictures(root, loaded, problems, progress)
    first, last = _dates(interactions) if loaded.time_column == "timestamp" else ("", "")
    if last and 19_000_000 < interactions.times_E.min() <= interactions.times_E.max() < 21_000_000:
        message = "all timestamps are like 20240531, read as seconds since 1970; write dates as 2024-05-31"
        problems.append(Problem(loaded.events_file, 0, "timestamp", "doubtful timestamp", message, severity="warning"))
    return CheckReport(
        dataset=str(root),
        items=items,
        users=interactions.users,
        events=interactions.events,
        event_rows=loaded.events,
        listed_users=loaded.user_rows,
        with_picture=decoded / items if items else 0.0,
        with_words=float(catalogue.has_words().mean()) if catalogue is not None else 0.0,
        without_content=0 if catalogue is None else _without_content(catalogue),
        time_column=loaded.time_column,
        first=first,
        last=last,
        density=_density(interactions, items),
        problems=tuple(problems),
    )


def _without_content(catalogue: Catalogue) -> int:
    return sum(not words and not ref for words, ref in zip(catalogue.has_words(), catalogue.images, strict=True))


def _check_pictures(root: Path, loaded: Loaded, problems: list[Problem], progress: Progress) -> int:
    """Decode the picture of every item that names one; the number of items whose picture is sound."""
    if loaded.catalogue is None:
        return 0
    rows_of: dict[str, list[int]] = defaultdict(list)
    for row, ref in enumerate(loaded.catalogue.images):
        if ref:
            rows_of[ref].append(row)
    urls = [ref for ref in rows_of if is_url(ref)]
    if urls:
        count = sum(len(rows_of.pop(ref)) for ref in urls)
        message = f"{count:,} pictures are URLs, which are not fetched; save them in images/ to have them used"
        problems.append(Problem(loaded.items_file, 0, "image", "picture not fetched", message, severity="warning"))
    if not rows_of:
        return 0
    sound = 0
    found: list[Problem] = []
    progress.start("pictures", len(rows_of), "pictures")
    with PictureStore(root) as store:
        try:
            for ref, (kind, message) in _looked_at(store, rows_of):
                progress.advance()
                if not kind:
                    sound += len(rows_of[ref])
                    continue
                for row in rows_of[ref]:
                    line = int(loaded.item_lines_N[row])
                    found.append(Problem(loaded.items_file, line, "image", kind, message))
        except InvalidDatasetError as err:
            problems.append(Problem("images.zip", 0, "", "unreadable archive", err.message))
    progress.finish(f"{sound:,} items with a sound picture")
    problems += sorted(found, key=lambda problem: problem.row)
    return sound


def _looked_at(store: PictureStore, refs: Iterable[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each reference with the kind and message of its problem, both empty when the picture is sound."""

    def look(ref: str) -> tuple[str, tuple[str, str]]:
        try:
            data = store.read(ref)
            if data is None:
                message = f"image is {shown(ref)}, which is neither in images/ nor in images.zip; add the file"
                return ref, ("missing picture", message)
            decode_picture(data, size_hint=_SMALL)
        except InvalidImageError as err:
            return ref, ("unreadable picture", f"image is {shown(ref)}: {err.message}")
        return ref, ("", "")

    rest = iter(refs)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        while chunk := list(islice(rest, _AT_ONCE)):
            yield from pool.map(look, chunk)


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
