"""`mmrec explain`: in words, why items would be recommended to a customer."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.customers import CUSTOMER_FLAGS, IDS_RULE, NO_FLAG, HistoryOption, read_history
from mmrec.cli.engines import Connection, Place, note_checked, note_missing, open_engine, shown_ids
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import RequestFlags
from mmrec.cli.options import BundleArgument, Compute, Writing
from mmrec.cli.output import Output
from mmrec.contract.requests import ExplainRequest, RecommendRequest
from mmrec.sdk.options import ExplainOptions


def explain(
    bundle: BundleArgument = "",
    items: Annotated[
        list[str] | None,
        typer.Option("--items", metavar="IDS", help=f"The items to explain, at most 100. {IDS_RULE}"),
    ] = None,
    history: HistoryOption = None,
    language: Annotated[str, typer.Option("--language", metavar="TAG", help="en; others are not built.")] = "",
    *,
    options: Annotated[ExplainOptions, RequestFlags(RecommendRequest, NO_FLAG, CUSTOMER_FLAGS)],
    connection: Connection,
    compute: Compute,
    writing: Writing,
    output: Output,
) -> None:
    """Say in words why items would be recommended to a customer, and what each statement rests on.

    A statement names only what is at hand: items of the history, values that they share with the item, a likeness of
    pictures or words, numbers of customers, what the words of --instruction ask for, a promotion. With --language-model
    the first two sentences of an item are worded by it; one that names anything else is replaced by that of the
    template. Ids that the catalogue does not have are skipped and named on stderr.

    Example:
        mmrec explain bundle/ --history 1,50,181 --items 172,69
        mmrec explain bundle/ --history 1,50,181 --items 172 --language-model smollm2-135m
        mmrec explain --server localhost:50051 --user 42 --items 172 --json

    Raises:
        InvalidArgumentError: neither `history` nor `user` is given, or a flag breaks a rule.
    """
    ids, explained = (
        read_history(history, options["user_id"], options["history_events"]),
        read_ids(items or [], "--items"),
    )
    # Checked before the bundle is loaded.
    customer = RecommendRequest(ids, **options)  # type: ignore[arg-type]  # the request makes tuples
    ExplainRequest(explained, customer, language)  # type: ignore[arg-type]
    with open_engine(Place(bundle, connection, compute, writing)) as engine:
        found = engine.explain(explained, ids, language=language, **options)
    if customer.validate_only:
        note_checked(output, found)
        return
    note_missing(output, found.missing_ids)
    output.data(found)
    for one in found.explanations:
        rows = [
            [
                statement.kind.value if statement.kind else "",
                statement.text,
                float(statement.share),
                shown_ids(statement.item_ids),
            ]
            for statement in one.statements
        ]
        output.table(one.item_id, ["kind", "statement", "share", "history items"], rows)
        if not rows:
            output.note(f"nothing speaks for {shown_ids([one.item_id])}")
