"""`mmrec recommend`: the next items for a customer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from mmrec.cli.engines import Connection, Place, note_fallback, open_engine, print_ranking, shown_ids
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import Flag, RequestFlags
from mmrec.cli.options import Compute
from mmrec.cli.output import Output
from mmrec.contract.items import Fallback
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.sdk.options import RecommendOptions

_IDS_RULE = """Commas separate ids; an id that holds a comma goes in double quotes: '"a,b",c'. May be repeated."""

_PROMOTION = re.compile(r"\s*(\d*\.?\d+)?([+-]\d*\.?\d+)?\s+(?=\S)", re.ASCII)


def _promotions(values: Sequence[str]) -> tuple[Promotion, ...]:
    """Each use of --promote: a share, a boost or both, and a condition."""
    promotions = []
    for value in values:
        found = _PROMOTION.match(value)
        share, boost = found.groups() if found else (None, None)
        if found is None or (share is None and boost is None):
            raise InvalidArgumentError(
                f"--promote is {value!r:.200}; it begins with a share, a boost or both, as in "
                "'0.2 brand = \"Acme\"', '+0.5 brand = \"Acme\"' or '0.2+0.5 brand = \"Acme\"'",
                field="promotions",
            )
        promotions.append(Promotion((), value[found.end() :], float(share or 0), float(boost or 0)))
    return tuple(promotions)


_FLAGS = {
    "user_id": Flag("--user", "ID"),
    "exploration_max_age_days": Flag("--exploration-max-age", "DAYS"),
    "promotions": Flag(
        "--promote",
        "'SHARE[+BOOST] CONDITION'",
        "Give at least this share of the positions to items that pass, and add this boost to their scores; either "
        "number may be left out. May be repeated.",
        lambda values: _promotions(values or ()),
    ),
}


def recommend(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")] = "",
    history: Annotated[
        list[str] | None,
        typer.Option("--history", metavar="IDS", help=f"Items acted on, oldest first. {_IDS_RULE}"),
    ] = None,
    *,
    options: Annotated[RecommendOptions, RequestFlags(RecommendRequest, ("beam_width",), _FLAGS)],
    connection: Connection,
    compute: Compute,
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
    if history is None and not options["user_id"]:
        raise InvalidArgumentError(
            "neither --history nor --user is given; name the customer with one of them or both "
            "(--history '' for a new customer)"
        )
    ids = read_ids(history or [], "--history")
    # Checked before the bundle is loaded.
    asked = RecommendRequest(ids, **options)  # type: ignore[arg-type]  # the request makes tuples
    with open_engine(Place(bundle, connection, compute)) as engine:
        found = engine.recommend(ids, **options)
    if found.missing_ids:
        output.note(f"not in the catalogue, skipped: {shown_ids(found.missing_ids)}")
    if found.fallback in (Fallback.POPULARITY, Fallback.POPULARITY_FILTER_RELAXED):
        output.note(f"{_nothing_known(asked, found)}: these are the most popular items")
    note_fallback(output, found)
    if not found.items:
        output.note(_nothing_left(asked))
    output.data(found)
    title = f"Recommended for user {asked.user_id}" if asked.user_id else "Recommended"
    print_ranking(output, title, found.items, explain=asked.explain)


def _nothing_known(asked: RecommendRequest, found: Recommendations) -> str:
    """Why a list is not personalised."""
    reasons = []
    if asked.user_id:
        reasons.append(f"no events of user {asked.user_id!r} are known")
    if asked.history:
        reasons.append("no item of the history is in the catalogue")
    return " and ".join(reasons) or "the history is empty"


def _nothing_left(asked: RecommendRequest) -> str:
    """Why a list is empty."""
    if asked.include_seen:
        return "no item passes the filter and the lists"
    if asked.filter or asked.allow or asked.deny:
        return "no item passes the filter and the lists that is not in the history; --include-seen keeps those as well"
    return "every item is in the history; --include-seen recommends them again"
