"""`mmrec rank`: given items in the order in which a customer would like them."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.customers import CUSTOMER_FLAGS, IDS_RULE, NO_FLAG, HistoryOption, note_customer, read_history
from mmrec.cli.engines import Connection, Place, note_checked, open_engine, print_ranking
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.options import BundleArgument, Compute, Writing
from mmrec.cli.output import Output
from mmrec.contract.requests import RankRequest, RecommendRequest
from mmrec.sdk.options import RankOptions


def rank(
    bundle: BundleArgument = "",
    items: Annotated[
        list[str] | None, typer.Option("--items", metavar="IDS", help=f"The items to rank, at most 10,000. {IDS_RULE}")
    ] = None,
    history: HistoryOption = None,
    *,
    options: Annotated[RankOptions, RequestFlags(RecommendRequest, NO_FLAG, CUSTOMER_FLAGS)],
    connection: Connection,
    compute: Compute,
    writing: Writing,
    output: Output,
) -> None:
    """Put given items in the order in which a customer would like them.

    The order is that of `mmrec recommend` among these items, those of the history included. Ids that the catalogue does
    not have are skipped and named on stderr.

    Example:
        mmrec rank bundle/ --history 1,50,181 --items 172,69,433
        mmrec rank --server localhost:50051 --user 42 --items 172,69,433 --filter 'price < 50' --explain

    Raises:
        InvalidArgumentError: neither `history` nor `user` is given, or a flag breaks a rule.
    """
    ids, ranked = read_history(history, options["user_id"], options["history_events"]), read_ids(items or [], "--items")
    # Checked before the bundle is loaded.
    asked = RecommendRequest(ids, **options)  # type: ignore[arg-type]  # the request makes tuples
    RankRequest(ranked, asked)  # type: ignore[arg-type]
    with open_engine(Place(bundle, connection, compute, writing)) as engine:
        found = engine.rank(ranked, ids, **options)
    if asked.validate_only:
        note_checked(output, found)
        return
    note_customer(output, asked, found)
    if not found.items:
        output.note("none of the items is in the catalogue and passes the filter and --deny")
    output.data(found)
    title = f"Ranked for user {asked.user_id}" if asked.user_id else "Ranked"
    print_ranking(output, title, found.items, explain=asked.explain)
