"""Every finding of a check, written to a file as it is found: JSON lines, or CSV.

Unit of work: some findings. Memory does not grow with their number. Knows nothing of datasets.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from mmrec.data.problems import Problem
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.disk_errors import refusals_as_errors

_COLUMNS = tuple(entry.name for entry in fields(Problem))


class ProblemFile:
    """A file of findings with the columns file, row, column, kind, message and severity, closed at the end of `with`.

    Args:
        path: Ends in ``.jsonl`` or ``.csv``; replaced if it is there.

    Attributes:
        written: Number of findings so far.

    Raises:
        InvalidArgumentError: it has another suffix, is a folder, or its folder does not exist.
        FailedPreconditionError: the disk refuses it.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in (".jsonl", ".csv"):
            raise InvalidArgumentError(
                f"problems are written as JSON lines or CSV; {str(path)!r} must end in .jsonl or .csv", field="problems"
            )
        self._path = path
        self.written = 0
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else "is in a folder that is not there"
            raise InvalidArgumentError(f"{str(path)!r} {what}; name another file", field="problems")
        with refusals_as_errors(path=path):
            self._file = path.open("w", encoding="utf-8", newline="")
        self._rows = csv.writer(self._file) if path.suffix == ".csv" else None
        if self._rows is not None:
            self._rows.writerow(_COLUMNS)

    def write(self, problems: Sequence[Problem]) -> None:
        """Append findings.

        Raises:
            FailedPreconditionError: the disk is full.
        """
        with refusals_as_errors(path=self._path):
            if self._rows is not None:
                self._rows.writerows([getattr(problem, name) for name in _COLUMNS] for problem in problems)
            else:
                self._file.writelines(json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in problems)
        self.written += len(problems)

    def __enter__(self) -> ProblemFile:
        return self

    def __exit__(self, *_: object) -> None:
        with refusals_as_errors(path=self._path):
            self._file.close()
