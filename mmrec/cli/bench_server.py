"""`mmrec bench-server`: an open-loop load on a running server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.engines import Connection, server_access
from mmrec.cli.option_groups import Defaults
from mmrec.cli.options import KOption
from mmrec.cli.output import Output
from mmrec.errors import InvalidArgumentError

_LATE_MS = 20.0


def bench_server(
    rate: Annotated[
        list[float],
        typer.Option("--rate", metavar="N", help="Calls a second on average; repeated: one rate after the other."),
    ],
    seconds: Annotated[float, typer.Option("--seconds", metavar="S", help="Measured time of each rate.")] = 30.0,
    warmup: Annotated[float, typer.Option("--warmup", metavar="S", help="Time before that.")] = 2.0,
    calls: Annotated[
        str,
        typer.Option(
            "--calls",
            metavar="NAME=SHARE,...",
            help="Kinds of calls and shares: recommend, recommend-many (100 customers), rank, similar, search, items, "
            "duplicates, mismatches.",
        ),
    ] = "recommend=1",
    history: Annotated[
        int,
        typer.Option("--history", metavar="N", help="Items in a history, drawn from the catalogue."),
    ] = 50,
    k: KOption = 10,
    arrivals: Annotated[
        str, typer.Option("--arrivals", metavar="poisson|even", help="Independent times, or equal intervals.")
    ] = "poisson",
    connections: Annotated[int, typer.Option("--connections", metavar="N", help="Connections to the server.")] = 8,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of everything drawn.")] = 0,
    png: Annotated[str, typer.Option("--png", metavar="FILE", help="Draw the results into this file.")] = "",
    *,
    connection: Annotated[Connection, Defaults({"timeout": 2.0})],
    output: Output,
) -> None:
    """Send calls to a running server at planned times, and report what comes of them.

    The load is open: calls are sent at their times, however many others wait, without retries. Latencies are measured
    from the planned times, so that waiting to be sent counts. --timeout is the deadline of each call. --json adds
    histograms, and counts for each second and each kind of call.

    "unanswered" are calls that ended without a word from the server, "hung" those that had not ended 5 s after their
    deadline. "lag" is how late calls were sent (99th percentile): where it is large, the machine of this command is too
    slow for the rate.

    Example:
        mmrec bench-server --server localhost:50051 --rate 100 --seconds 30
        mmrec bench-server --server localhost:50051 --rate 50 --rate 100 --rate 200 --png load.png --json
        mmrec bench-server --server localhost:50051 --rate 80 --calls recommend=8,search=1,duplicates=0.01

    Raises:
        InvalidArgumentError: --server is missing, or a flag breaks a rule.
    """
    if connection.timing:
        raise InvalidArgumentError("--timing is of single calls; the results of a load have latencies", field="timing")
    access = server_access(connection)
    # Quick to import: neither torch nor what a server needs.
    from mmrec.evaluation.load import Load, draw_load, run_load

    loads = [
        Load(
            rate=one,
            seconds=seconds,
            warmup_s=warmup,
            timeout_s=connection.timeout,
            calls=_shares(calls),
            history=history,
            k=k,
            arrivals=arrivals,  # type: ignore[arg-type]  # it is checked there
            connections=connections,
            seed=seed,
        )
        for one in rate
    ]
    results = []
    for load in loads:
        output.note(f"{load.rate:g} calls a second for {load.warmup_s:g} + {load.seconds:g} s ...")
        result = run_load(access.target, load, token=access.token, tls=access.tls)
        results.append(result)
        if result.lag_p99_ms > _LATE_MS:
            output.note(
                f"warning: calls were sent up to {result.lag_p99_ms:.0f} ms late (99th percentile); this machine is "
                "too slow for the rate, or too busy"
            )
    if png:
        draw_load(results, Path(png))
    output.data({"results": results})
    columns = ("rate", "answered/s", "p50 ms", "p99 ms", "refused", "p50 ms", "other", "unanswered", "hung", "lag ms")
    rows = []
    for result in results:
        answered, refused = result.accepted, result.refused
        other = result.calls - result.hung - answered.calls - refused.calls
        rows.append(
            (
                f"{result.load.rate:g}",
                f"{result.goodput_per_s:.1f}",
                *(f"{value:.1f}" for value in (answered.p50_ms, answered.p99_ms)),
                f"{refused.calls:,}",
                f"{refused.p50_ms:.1f}",
                f"{other:,}",
                f"{result.unanswered:,}",
                f"{result.hung:,}",
                f"{result.lag_p99_ms:.1f}",
            )
        )
    output.table("", columns, rows)


def _shares(text: str) -> dict[str, float]:
    shares = {}
    for part in text.split(","):
        name, _, share = part.partition("=")
        try:
            shares[name.strip()] = float(share or 1)
        except ValueError:
            raise InvalidArgumentError(
                f"--calls has {part.strip()!r:.80}; write NAME=SHARE with a number, as in recommend=8,search=1",
                field="calls",
            ) from None
    return shares
