"""`mmrec recommend`: the next items for a customer."""

from __future__ import annotations

from typing import Annotated

from mmrec.cli.customers import CUSTOMER_FLAGS, NO_FLAG, HistoryOption, note_customer, read_history
from mmrec.cli.engines import Connection, Place, note_checked, open_engine, print_ranking
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.options import BundleArgument, Compute, Writing
from mmrec.cli.output import Output
from mmrec.contract.requests import RecommendRequest
from mmrec.sdk.options import RecommendOptions


def recommend(
    bundle: BundleArgument = "",
    history: HistoryOption = None,
    *,
    options: Annotated[RecommendOptions, RequestFlags(RecommendRequest, NO_FLAG, CUSTOMER_FLAGS)],
    connection: Connection,
    compute: Compute,
    writing: Writing,
    output: Output,
) -> None:
    """Recommend the next items for a customer.

    Ids that the catalogue does not have are skipped and named on stderr. For a customer without known events, the most
    popular items are returned; stderr says so, and why if the list is empty.

    Example:
        mmrec recommend bundle/ --history 1,50,181 --k 5
        mmrec recommend --server localhost:50051 --user 42 --deny 7 --explain
        mmrec recommend bundle/ --user 42 --filter 'price < 50' --promote '0.2 brand = "Acme"' --diversity 0.3

    Raises:
        InvalidArgumentError: neither `history` nor `user` is given, or a flag breaks a rule.
    """
    ids = read_history(history, options["user_id"], options["history_events"])
    # Checked before the bundle is loaded.
    asked = RecommendRequest(ids, **options)  # type: ignore[arg-type]  # the request makes tuples
    with open_engine(Place(bundle, connection, compute, writing)) as engine:
        found = engine.recommend(ids, **options)
    if asked.validate_only:
        note_checked(output, found)
        return
    note_customer(output, asked, found)
    if not found.items:
        output.note(_nothing_left(asked))
    output.data(found)
    title = f"Recommended for user {asked.user_id}" if asked.user_id else "Recommended"
    print_ranking(output, title, found.items, explain=asked.explain)


def _nothing_left(asked: RecommendRequest) -> str:
    """Why a list is empty."""
    if asked.include_seen:
        return "no item passes the filter and the lists"
    if asked.filter or asked.allow or asked.deny:
        return "no item passes the filter and the lists that is not in the history; --include-seen keeps those as well"
    return "every item is in the history; --include-seen recommends them again"
