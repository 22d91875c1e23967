"""Kills a store at every named failpoint each time it is passed, lets it go on, and prints what came of it as JSON.

One process imports everything and forks a child for each run. What a child has had acknowledged it writes to a log.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from mmrec.errors import MmrecError
from tests.children import die, end_of

Store = TypeVar("Store")


@dataclass(frozen=True)
class Life(Generic[Store]):
    """What a store lives through.

    Attributes:
        file: Name of its file.
        tables: Its tables.
        failpoints: Names of the places at which it dies.
        opened: Opens the store in a folder, with a failpoint, to go on with a step.
        steps: In order; each may be done again after a kill.
    """

    file: str
    tables: Sequence[str]
    failpoints: Sequence[str]
    opened: Callable[[Path, Callable[[str], None], Callable[[], int]], AbstractContextManager[Store]]
    steps: Sequence[Callable[[Store], object]]

    def report(self, work: Path, **more: object) -> None:
        """Print a line of an unbroken run, with `more` in it, and a line for each death."""
        whole = work / "whole"
        assert self._run(whole, work / "whole.log", look=True) == 0
        after = [None, *map(json.loads, _lines(work / "whole.log"))]
        passed = Counter(_lines(work / "whole.passed"))
        print(json.dumps({"passed": passed, "steps": len(after) - 1, **more}), flush=True)
        for name in self.failpoints:
            for hit in range(1, passed[name] + 1):
                folder, log = work / f"{name}-{hit}", work / f"{name}-{hit}.log"
                status = self._run(folder, log, (name, hit))
                done = len(_lines(log))
                found = self._content(folder)
                again = self._run(folder, log)
                line = {
                    "name": name,
                    "status": status,
                    "again": again,
                    "done": done,
                    # What was acknowledged, and of what was not all or nothing.
                    "stands": [at for at in range(len(after)) if after[at] == found],
                    "same": self._content(folder) == after[-1],
                    "left": sorted(path.name for path in folder.iterdir()),
                }
                print(json.dumps(line), flush=True)

    def _content(self, folder: Path) -> Any:
        """Every row of every table; None where there is no store."""
        file = folder / self.file
        if not file.exists():
            return None
        db = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)
        try:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            return [repr(db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()) for table in self.tables]
        finally:
            db.close()

    def _run(self, folder: Path, log: Path, die_at: tuple[str, int] = ("", 0), look: bool = False) -> int:
        """The steps that are not in the log, in a child of its own; see `end_of`."""
        first = len(_lines(log))
        step = first
        hits: Counter[str] = Counter()

        def failpoint(name: str) -> None:
            assert name in self.failpoints
            hits[name] += 1
            if look:
                _write(log.with_suffix(".passed"), name)
            if (name, hits[name]) == die_at:
                die()

        def live() -> None:
            nonlocal step
            with self.opened(folder, failpoint, lambda: step) as store:
                for step in range(first, len(self.steps)):
                    self.steps[step](store)
                    _write(log, json.dumps(self._content(folder) if look else None))

        return end_of(live)


def refuses_in_a_child(write: Callable[[], object]) -> bool:
    """Whether a store that was opened before a fork refuses to write in the child."""

    def refused() -> None:
        with pytest.raises(MmrecError, match="was opened before this process was forked"):
            write()

    return end_of(refused) == 0


def _write(log: Path, line: str) -> None:
    with log.open("a") as file:
        file.write(f"{line}\n")


def _lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []
