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

__all__ = ["ProblemFile"]

_COLUMNS = tuple(entry.name for entry in fields(Problem))


class ProblemFile:
    """A file of findings with the columns file, row, column, kind, message and severity, closed at the end of `with`.

    Args:
        path: Ends in ``.jsonl`` or ``.csv``; replaced if it is there.

    Attributes:
        written: Findings so far.

    Raises:
        InvalidArgumentError: it has another ending, or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix not in (".jsonl", ".csv"):
            raise InvalidArgumentError(
                f"problems are written as JSON lines or CSV; {str(path)!r} must end in .jsonl or .csv", field="problems"
            )
        self._path = path
        self.written = 0
        try:
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as err:
            raise self._refused(err) from err
        self._rows = csv.writer(self._file) if path.suffix == ".csv" else None
        if self._rows is not None:
            self._rows.writerow(_COLUMNS)

    def write(self, problems: Sequence[Problem]) -> None:
        """Write some findings after those before.

        Raises:
            InvalidArgumentError: the disk is full.
        """
        try:
            if self._rows is not None:
                self._rows.writerows([getattr(problem, name) for name in _COLUMNS] for problem in problems)
            else:
                self._file.writelines(json.dumps(asdict(problem), ensure_ascii=False) + "\n" for problem in problems)
        except OSError as err:
            raise self._refused(err) from err
        self.written += len(problems)

    def __enter__(self) -> ProblemFile:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as err:
            raise self._refused(err) from err

    def _refused(self, err: OSError) -> InvalidArgumentError:
        return InvalidArgumentError(
            f"{str(self._path)!r} cannot be written ({err.strerror or err}); name another file", field="problems"
        )
