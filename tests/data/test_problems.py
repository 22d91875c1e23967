"""Findings are counted, the first few are kept, and whoever wants all of them gets each once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from mmrec.data.problems import Problem, ProblemLog, raise_if_fatal
from mmrec.errors import InvalidDatasetError


def test_findings_of_one_kind_are_one_group() -> None:
    log = ProblemLog()
    log.extend(Problem("a.csv", row, "x", "odd", f"row {row}") for row in range(2, 12))
    log.append(Problem("a.csv", 0, "y", "odd", "another column", severity="warning"), hint="look there")
    first, second = log.groups
    assert (first.count, [problem.row for problem in first.examples], first.hint) == (10, [2, 3, 4, 5, 6], "")
    assert (second.column, second.count, second.severity, second.hint) == ("y", 1, "warning", "look there")


def test_only_what_is_read_is_put_into_words() -> None:
    worded: list[int] = []

    def messages(places: npt.NDArray[np.int64]) -> Iterator[str]:
        worded.extend(places.tolist())
        return (f"place {place}" for place in places)

    log = ProblemLog()
    log.add_rows("a.csv", np.arange(2, 1_000_002), "x", "odd", messages, hint="all of them")
    (group,) = log.groups
    assert (group.count, group.hint, group.examples[4].message) == (1_000_000, "all of them", "place 4")
    assert worded == [0, 1, 2, 3, 4]


def test_whoever_wants_all_of_them_gets_each_once() -> None:
    handed: list[Problem] = []
    log = ProblemLog(handed.extend)
    log.append(Problem("a.csv", 1, "", "other", "first"))
    log.add_rows("a.csv", np.arange(2, 150_002), "x", "odd", lambda places: (f"place {place}" for place in places))
    assert [handed[1].row, handed[-1].row, len(handed)] == [2, 150_001, 150_001]
    assert handed[-1].message == "place 149999"


def test_a_refusal_says_the_words_of_the_report() -> None:
    log = ProblemLog()
    log.append(Problem("a.csv", 3, "item_id", "duplicate item id", "item_id '1' was there before, at 2"), hint="a hint")
    log.append(Problem("a.csv", 4, "x", "bad rating", "costs a row"))
    with pytest.raises(InvalidDatasetError) as refused:
        raise_if_fatal("shop", log.groups)
    assert refused.value.message.splitlines()[1:] == [
        "  a.csv:3: item_id '1' was there before, at 2",
        "  a hint",
        "`mmrec check shop` shows what is wrong, `mmrec check shop --problems FILE` every row",
    ]
