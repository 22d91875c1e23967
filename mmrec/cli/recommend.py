"""`mmrec recommend`: the next items for a customer."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.options import (
    CaOption,
    DeviceOption,
    DtypeOption,
    JsonFlag,
    KOption,
    QuietFlag,
    ServerOption,
    TimeoutOption,
    TlsFlag,
    TokenOption,
)
from mmrec.cli.output import Output
from mmrec.cli.session import Place, open_engine, print_ranking, read_ids
from mmrec.errors import InvalidArgumentError
from mmrec.types import DEFAULT_K, Fallback

__all__ = ["recommend"]

_IDS_RULE = """Commas separate ids; an id that holds a comma goes in double quotes: '"a,b",c'. May be repeated."""


def recommend(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")] = "",
    history: Annotated[
        list[str] | None,
        typer.Option("--history", metavar="IDS", help=f"Items acted on, oldest first. {_IDS_RULE}"),
    ] = None,
    user: Annotated[
        str,
        typer.Option("--user", metavar="ID", help="A user of the dataset: their history, then --history."),
    ] = "",
    k: KOption = DEFAULT_K,
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="IDS", help="Nothing but these items. As --history."),
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option("--deny", metavar="IDS", help="None of these items. As --history.")
    ] = None,
    include_seen: Annotated[
        bool, typer.Option("--include-seen", help="Items of the history may be recommended again.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which channel and which history item each score rests on.")
    ] = False,
    server: ServerOption = "",
    token: TokenOption = "",
    tls: TlsFlag = False,
    ca: CaOption = "",
    timeout: TimeoutOption = 10.0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """Recommend the next items for a customer.

    Ids that the catalogue does not have are skipped and named on stderr. With no known item in the history
    the most popular items come back, and stderr says so.

    Example:
        mmrec recommend bundle/ --history 1,50,181 --k 5
        mmrec recommend --server localhost:50051 --user 42 --deny 7 --explain

    Raises:
        InvalidArgumentError: neither `history` nor `user` is given.
    """
    if history is None and not user:
        raise InvalidArgumentError(
            "neither --history nor --user is given; name the customer with one of them or both "
            "(--history '' recommends to a stranger)"
        )
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.recommend(
            read_ids(history or [], "--history"),
            user_id=user,
            k=k,
            allow=read_ids(allow or [], "--allow"),
            deny=read_ids(deny or [], "--deny"),
            include_seen=include_seen,
            explain=explain,
        )
    if found.missing_ids:
        out.note(f"not in the catalogue, skipped: {', '.join(found.missing_ids)}")
    if found.fallback is not Fallback.NONE:
        out.note("no known item in the history: these are the most popular items")
    out.data(found)
    print_ranking(out, f"Recommended for user {user}" if user else "Recommended", found.items, explain=explain)
