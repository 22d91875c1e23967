"""`mmrec top`: what a running server does, in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.output import Output, printable
from mmrec.errors import InvalidArgumentError, UnavailableError

if TYPE_CHECKING:
    from rich.console import Group

    from mmrec.evaluation.server_overview import OverviewTable


def top(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the server's metrics are.")],
    once: Annotated[bool, typer.Option("--once", help="Print the time since the server was started, and end.")] = False,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", help="Between two readings, 0.1 to 3,600.")
    ] = 2.0,
    *,
    output: Output,
) -> None:
    """Show what a running server does: calls, queues, batches, stages, stores, caches and click-through.

    It reads the metrics of `mmrec serve --metrics HOST:PORT` and shows what changed since the last reading, until
    Ctrl-C. With --once, or --json, it shows what came since the server was started, and ends.

    Example:
        mmrec top localhost:9464
        mmrec top localhost:9464 --once
        mmrec top localhost:9464 --json

    Raises:
        InvalidArgumentError: a flag breaks a rule, or stdout is no terminal.
        UnavailableError: nobody answers there.
        FailedPreconditionError: what answers is no mmrec server.
    """
    if not 0.1 <= interval <= 3600:
        raise InvalidArgumentError(f"interval is {interval:g}; it must be from 0.1 to 3,600 seconds", field="interval")
    once = once or output.json
    if not once and not sys.stdout.isatty():
        raise InvalidArgumentError("stdout is no terminal, which the live view needs; pass --once", field="once")
    from mmrec.evaluation.server_overview import overview, read_metrics

    reading = read_metrics(address)
    if once:
        tables = overview(reading)
        rows = {table.title: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables}
        output.data(rows)
        for table in tables:
            output.table(table.title, table.columns, [[_cell(value) for value in row] for row in table.rows])
        return
    _show(address, interval)


def _show(address: str, interval: float) -> None:
    from rich.live import Live

    from mmrec.evaluation.server_overview import overview, read_metrics

    before = read_metrics(address)
    view = _drawn(address, overview(before))
    with Live(view, screen=True, auto_refresh=False) as live:
        try:
            while True:
                live.update(view, refresh=True)
                time.sleep(interval)
                try:
                    now = read_metrics(address)
                except UnavailableError as err:  # it may be started again
                    view = _drawn(err.message, [])
                    continue
                view, before = _drawn(address, overview(now, before)), now
        except KeyboardInterrupt:
            return


def _drawn(title: str, tables: list[OverviewTable]) -> Group:
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    drawn: list[Table | Text] = [Text(printable(title), style="bold")]
    for table in tables:
        shown = Table(title=table.title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for place, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if place and table.title != "Server" else "left")
        for row in table.rows:
            shown.add_row(*(Text(printable(_cell(value))) for value in row))
        drawn.append(shown)
    return Group(*drawn)


def _cell(value: str | float | None) -> str:
    """A cell as text: counts whole, rates and times with one digit."""
    if isinstance(value, float):
        return f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else value or ""
