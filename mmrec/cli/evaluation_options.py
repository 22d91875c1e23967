"""Options of both `mmrec evaluate` and `mmrec compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.errors import InvalidArgumentError

SplitOption = Annotated[
    str,
    typer.Option(
        "--split", metavar="leave-one-out|time", help="Which events are held out; left out: as the bundle was fitted."
    ),
]
CutoffsOption = Annotated[
    str, typer.Option("--cutoffs", metavar="K,K,...", help="List lengths to measure at; left out: 5,10,20.")
]
QuestionsOption = Annotated[
    int,
    typer.Option(
        "--questions", metavar="N", help="Users to ask, evenly chosen; 0: all; -1: chosen for speed, all where few."
    ),
]
ReportOption = Annotated[
    str,
    typer.Option("--report", metavar="FOLDER", help="Also write report.md and report.html with plots into it."),
]


def read_cutoffs(text: str) -> tuple[int, ...] | None:
    """``"5,10"`` as numbers; None for an empty text.

    Raises:
        InvalidArgumentError: a part is not an integer.
    """
    if not text:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as err:
        raise InvalidArgumentError(
            f"--cutoffs is {text!r}; it must be whole numbers with commas between them, as in 5,10,20", field="cutoffs"
        ) from err
