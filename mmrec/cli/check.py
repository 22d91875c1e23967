"""`mmrec check`: validates a dataset folder, and shows how it is read."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.output import Output
from mmrec.errors import InvalidDatasetError

if TYPE_CHECKING:
    from mmrec.data.check import CheckReport
    from mmrec.data.problems import ProblemGroup

_SHOWN_PER_KIND = 3
_SHOWN_CHARS = 30
_COLUMNS = ("column", "read as", "words", "distinct", "missing", "examples", "remark")


def check(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Dataset folder, with items.* and events.*.")],
    problems: Annotated[
        str,
        typer.Option("--problems", metavar="FILE", help="Write every problem, row by row, to a .jsonl or .csv file."),
    ] = "",
    *,
    output: Output,
) -> None:
    """Validate a dataset: its contents, how each column is read, rows that are left out, and problems with their fixes.

    Tables are read and pictures decoded as by `mmrec fit`. The words of three items are shown as the text encoder gets
    them. The exit status is 3 if there are errors; warnings alone leave it 0. The last line says which errors make
    other commands refuse the dataset; rows with other errors are left out, up to a tenth of a table. Problems are
    counted by kind, with the first few of each; --problems writes all of them.

    Example:
        mmrec check data/movielens
        mmrec check data/movielens --json > report.json
        mmrec check data/movielens --problems problems.csv
    """
    from mmrec.data.check import check_dataset
    from mmrec.data.problem_file import ProblemFile
    from mmrec.data.problems import fatal_groups

    with ExitStack() as stack:
        file = stack.enter_context(ProblemFile(Path(problems))) if problems else None
        report = check_dataset(dataset, output.progress(), every=file.write if file is not None else None)
    if file is not None:
        output.note(f"wrote {file.written:,} problems to {problems}")
    output.data(
        {name: getattr(report, name) for name in report.__dataclass_fields__}
        | {"errors": report.errors, "warnings": report.warnings, "refused_for": _kinds(fatal_groups(report.problems))}
    )
    output.table(report.dataset, ("what", "value"), _figures(report))
    if report.tables:
        output.table("How the rows are used", ("file", "use", "rows", "share"), _rows(report))
    if report.event_columns:
        output.table(
            "How the events are read", ("column", "read as"), [(use.column, use.words) for use in report.event_columns]
        )
    if report.columns:
        output.table("How the columns of the items are read", _COLUMNS, _columns(report))
    if report.words:
        output.table("Words of three items", ("item", "words"), [(entry.item_id, entry.text) for entry in report.words])
    if report.problems:
        output.table("Problems", ("severity", "rows", "where", "problem"), _problems(report))
    if report.errors:
        refused_for = ", ".join(_kinds(fatal_groups(report.problems)))
        raise InvalidDatasetError(
            f"{report.errors:,} {'error' if report.errors == 1 else 'errors'} in the dataset {dataset!r}"
            + (f"; other commands refuse it until these are fixed: {refused_for}" if refused_for else "")
        )
    warnings = f", {report.warnings:,} {'warning' if report.warnings == 1 else 'warnings'}"
    output.note("no errors" + (warnings if report.warnings else ""))


def _kinds(groups: Iterable[ProblemGroup]) -> list[str]:
    return list(dict.fromkeys(group.kind for group in groups))


def _figures(report: CheckReport) -> list[tuple[str, str]]:
    repeats = report.repeats
    rows = [
        ("items", f"{report.items:,}"),
        ("items with picture", f"{report.with_picture:.1%}"),
        ("items with words", f"{report.with_words:.1%}"),
        ("items with neither", f"{report.without_content:,}"),
        ("items with an event", f"{report.with_events:.1%}"),
        ("users", f"{report.users:,}"),
        ("users with 3 or more events", f"{report.users_with_three:,}"),
        ("events", f"{report.events:,}"),
        ("first event", report.first or "-"),
        ("last event", report.last or "-"),
        ("order of events", report.time_column or "-"),
        ("events of an item the user had before", _share(repeats.earlier, repeats.events)),
        ("of these, exact repeats (same user, item, time)", _share(repeats.exact, repeats.events)),
        ("density", f"{report.density:.4%}" if report.events else "-"),
        ("errors", f"{report.errors:,}"),
        ("warnings", f"{report.warnings:,}"),
    ]
    if report.listed_users is not None:
        rows.insert(5, ("users listed (their columns have no effect)", f"{report.listed_users:,}"))
    return rows


def _columns(report: CheckReport) -> list[tuple[str, ...]]:
    return [
        (
            column.name,
            column.kind + (", by dataset.toml" if column.configured else ""),
            "yes" if column.words else "no",
            f"{column.distinct:,}",
            f"{column.missing:.1%}",
            "; ".join(
                _cut(raw) if raw == read else f"{_cut(raw)} -> {_cut(read) or '?'}" for raw, read in column.examples
            ),
            column.remark,
        )
        for column in report.columns
    ]


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


def _rows(report: CheckReport) -> list[tuple[str, str, str, str]]:
    rows = []
    for table in report.tables:
        entries = [("used", table.used)]
        entries += [(f"left out: {kind}", count) for kind, count in table.left_out.items()]
        entries += [(f"excluded: {kind}", count) for kind, count in table.set_aside.items()]
        rows += [
            (table.file, words, f"{count:,}", f"{count / table.rows:.1%}" if table.rows else "-")
            for words, count in entries
        ]
    return rows


def _problems(report: CheckReport) -> list[tuple[str, str, str, str]]:
    """The first problems of each kind, errors before warnings."""
    rows = []
    for group in sorted(report.problems, key=lambda group: group.severity):
        rows += _group_rows(group, report.dataset)
    return rows


def _group_rows(group: ProblemGroup, dataset: str) -> list[tuple[str, str, str, str]]:
    head: tuple[str, str, str] = (group.severity, f"{group.count:,}", group.file or dataset)
    rows: list[tuple[str, str, str, str]] = []
    examples = group.examples[:_SHOWN_PER_KIND]
    if group.count > 1:
        rows.append((*head, f"{group.kind}:"))
        head = ("", "", "")
    for problem in examples:
        place = problem.file or dataset
        rows.append((head[0], head[1], f"{place}:{problem.row}" if problem.row else place, problem.message))
    if group.count > len(examples):
        rows.append(("", "", "", f"and {group.count - len(examples):,} more of this kind; --problems FILE writes all"))
    if group.hint:
        rows.append(("", "", "", f"hint: {group.hint}"))
    return rows


def _share(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})" if whole else "-"
