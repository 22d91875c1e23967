"""`mmrec rate`: how a customer would rate given items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from mmrec.cli.customers import IDS_RULE
from mmrec.cli.engines import Connection, Place, note_missing, open_engine
from mmrec.cli.id_lists import read_ids
from mmrec.cli.options import BundleArgument, Compute
from mmrec.cli.output import Output
from mmrec.contract.requests import HistoryEvent, RatingRequest
from mmrec.errors import InvalidArgumentError


def rate(
    bundle: BundleArgument = "",
    items: Annotated[
        list[str] | None, typer.Option("--items", metavar="IDS", help=f"The items to rate, at most 1,000. {IDS_RULE}")
    ] = None,
    history: Annotated[
        list[str] | None,
        typer.Option(
            "--history",
            metavar="ID=RATING,...",
            help="What the customer did, oldest first: ids with their ratings, or alone where there is none.",
        ),
    ] = None,
    user: Annotated[
        str, typer.Option("--user", metavar="ID", help="A user of the training data, whose stored ratings are read.")
    ] = "",
    *,
    connection: Connection,
    compute: Compute,
    output: Output,
) -> None:
    """Predict how a customer would rate items, with standard deviations.

    Nothing is trained: a rating that is given with --history counts at once, and replaces the stored one of the same
    item. Ids that the catalogue does not have are skipped and named on stderr. Without --user and --history the ratings
    are those of the average user.

    Example:
        mmrec rate bundle/ --history 50=5,181=4.5,1 --items 172,69,433
        mmrec rate --server localhost:50051 --user 42 --items 172,69,433

    Raises:
        FailedPreconditionError: the bundle was fitted without ratings.
        InvalidArgumentError: a flag breaks a rule, or a rating lies outside the range of the dataset's ratings.
    """
    ids, events = read_ids(items or [], "--items"), _events(read_ids(history or [], "--history"))
    # Checked before the bundle is loaded.
    RatingRequest(ids, events, user)  # type: ignore[arg-type]  # the request makes tuples
    with open_engine(Place(bundle, connection, compute)) as engine:
        found = engine.predict_ratings(ids, history=events, user_id=user)
    note_missing(output, found.missing_ids)
    output.data(found)
    rows = [
        [one.item_id, f"{one.rating:.2f}", "" if one.deviation is None else f"{one.deviation:.2f}"]
        for one in found.ratings
    ]
    output.table(f"Ratings of user {user}" if user else "Ratings", ("item", "rating", "deviation"), rows)


def _events(entries: Sequence[str]) -> list[HistoryEvent]:
    """Each entry of --history: what is after the last = is the rating, where it is a number."""
    events = []
    for entry in entries:
        item_id, equals, number = entry.rpartition("=")
        if not equals:
            events.append(HistoryEvent(entry))
            continue
        try:
            events.append(HistoryEvent(item_id, rating=float(number)))
        except ValueError:
            raise InvalidArgumentError(
                f"--history has {entry!r:.80}, with {number!r:.80} for the rating; write ID=RATING with a number, "
                "as in 50=4.5, or the id alone"
            ) from None
    return events
