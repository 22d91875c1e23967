"""`mmrec check`: what a dataset folder holds, and everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.options import JsonFlag, QuietFlag
from mmrec.cli.output import Output
from mmrec.errors import InvalidDatasetError

if TYPE_CHECKING:
    from mmrec.data.check import CheckReport

__all__ = ["check"]

_SHOWN_PER_KIND = 5


def check(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset folder, with items.* and events.*.")],
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Look at a dataset: what is in it, and every problem with its file and row.

    Tables are read and pictures decoded as `mmrec fit` would. The exit status is 3 when there are errors;
    warnings alone leave it 0. The screen shows the first problems of each kind, --json has them all.

    Example:
        mmrec check data/movielens
        mmrec check data/movielens --json > report.json
    """
    from mmrec.data.check import check_dataset

    out = Output(json=json, quiet=quiet)
    report = check_dataset(dataset, out.progress())
    out.data(
        {
            **{name: getattr(report, name) for name in report.__dataclass_fields__ if name != "problems"},
            "errors": report.errors,
            "warnings": report.warnings,
            "problems": report.problems,
        }
    )
    out.table(report.dataset, ("what", "value"), _figures(report))
    if report.problems:
        out.table("problems", ("where", "severity", "problem"), _shown(report))
    if report.errors:
        raise InvalidDatasetError(
            f"{report.errors:,} {'error' if report.errors == 1 else 'errors'} in the dataset {dataset!r}"
        )
    warnings = f", {report.warnings:,} {'warning' if report.warnings == 1 else 'warnings'}"
    out.note("no errors" + (warnings if report.warnings else ""))


def _figures(report: CheckReport) -> list[tuple[str, str]]:
    rows = [
        ("users", f"{report.users:,}"),
        ("items", f"{report.items:,}"),
        ("events", f"{report.events:,}"),
        ("items with picture", f"{report.with_picture:.1%}"),
        ("items with words", f"{report.with_words:.1%}"),
        ("first event", report.first or "-"),
        ("last event", report.last or "-"),
        ("order of events", report.time_column or "-"),
        ("density", f"{report.density:.4%}" if report.events else "-"),
        ("errors", f"{report.errors:,}"),
        ("warnings", f"{report.warnings:,}"),
    ]
    if report.without_content:
        rows.insert(5, ("items with neither", f"{report.without_content:,}"))
    if report.event_rows != report.events:
        rows.insert(3, ("events dropped", f"{report.event_rows - report.events:,}"))
    if report.listed_users is not None:
        rows.insert(1, ("users listed", f"{report.listed_users:,}"))
    return rows


def _shown(report: CheckReport) -> list[tuple[str, str, str]]:
    """The first problems of each kind, errors before warnings, and how many more there are."""
    kinds: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for problem in report.problems:
        place = problem.file or report.dataset
        where = f"{place}:{problem.row}" if problem.row else place
        kinds.setdefault((problem.severity, problem.kind), []).append((where, problem.message))
    rows = []
    for (severity, kind), found in sorted(kinds.items(), key=lambda entry: entry[0][0]):
        rows += [(where, severity, message) for where, message in found[:_SHOWN_PER_KIND]]
        if len(found) > _SHOWN_PER_KIND:
            more = len(found) - _SHOWN_PER_KIND
            rows.append(("", severity, f"and {more:,} more of this kind ({kind}); --json has them all"))
    return rows
