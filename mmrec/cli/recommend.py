"""`mmrec recommend`: the next items for a customer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

import typer

from mmrec.cli.engines import Place, note_fallback, open_engine, print_ranking, read_ids, shown_ids
from mmrec.cli.options import (
    CaOption,
    DeviceOption,
    DtypeOption,
    FilterOption,
    JsonFlag,
    KOption,
    QuietFlag,
    RelaxedFlag,
    ServerOption,
    TimeoutOption,
    TlsFlag,
    TokenOption,
)
from mmrec.cli.output import Output
from mmrec.contract.items import Fallback, FilterMode
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import Promotion, RecommendRequest
from mmrec.contract.rules import DEFAULT_K
from mmrec.errors import InvalidArgumentError

_IDS_RULE = """Commas separate ids; an id that holds a comma goes in double quotes: '"a,b",c'. May be repeated."""

_PROMOTION = re.compile(r"\s*(\d*\.?\d+)?([+-]\d*\.?\d+)?\s+(?=\S)", re.ASCII)


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
    filter: FilterOption = "",
    relaxed: RelaxedFlag = False,
    diversity: Annotated[
        float, typer.Option("--diversity", metavar="0..1", help="0: best first; 1: as different as possible.")
    ] = 0.0,
    exploration: Annotated[
        float, typer.Option("--exploration", metavar="0..1", help="Share of the places that goes to new items.")
    ] = 0.0,
    exploration_column: Annotated[
        str, typer.Option("--exploration-column", metavar="NAME", help="The date column of --exploration-max-age.")
    ] = "",
    exploration_max_age: Annotated[
        float,
        typer.Option("--exploration-max-age", metavar="DAYS", help="Explore no items older than this; 0: any age."),
    ] = 0.0,
    popularity_damping: Annotated[
        float, typer.Option("--popularity-damping", metavar="0..1", help="How much popular items are held back.")
    ] = 0.0,
    promote: Annotated[
        list[str] | None,
        typer.Option(
            "--promote",
            metavar="'SHARE[+BOOST] CONDITION'",
            help="Give at least this share of the places to items that pass, and add this to their scores; either "
            "number may be left out. May be repeated.",
        ),
    ] = None,
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

    Ids that the catalogue does not have are skipped and named on stderr. Where nothing is known of the customer, the
    most popular items come back, and where no item is left, none do; stderr says which, and why.

    Example:
        mmrec recommend bundle/ --history 1,50,181 --k 5
        mmrec recommend --server localhost:50051 --user 42 --deny 7 --explain
        mmrec recommend bundle/ --user 42 --filter 'price < 50' --promote '0.2 brand = "Acme"' --diversity 0.3

    Raises:
        InvalidArgumentError: neither `history` nor `user` is given, or a flag breaks a rule.
    """
    if history is None and not user:
        raise InvalidArgumentError(
            "neither --history nor --user is given; name the customer with one of them or both "
            "(--history '' recommends to a stranger)"
        )
    # Made here too, so that a bad flag is refused before a bundle is loaded.
    asked = RecommendRequest(
        history=tuple(read_ids(history or [], "--history")),
        user_id=user,
        k=k,
        allow=tuple(read_ids(allow or [], "--allow")),
        deny=tuple(read_ids(deny or [], "--deny")),
        include_seen=include_seen,
        explain=explain,
        filter=filter,
        filter_mode=FilterMode.RELAXED if relaxed else FilterMode.STRICT,
        diversity=diversity,
        exploration=exploration,
        exploration_column=exploration_column,
        exploration_max_age_days=exploration_max_age,
        popularity_damping=popularity_damping,
        promotions=_promotions(promote or []),
    )
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.recommend(
            asked.history,
            user_id=asked.user_id,
            k=asked.k,
            allow=asked.allow,
            deny=asked.deny,
            include_seen=asked.include_seen,
            filter=asked.filter,
            filter_mode=asked.filter_mode,
            diversity=asked.diversity,
            exploration=asked.exploration,
            exploration_column=asked.exploration_column,
            exploration_max_age_days=asked.exploration_max_age_days,
            popularity_damping=asked.popularity_damping,
            promotions=asked.promotions,
            explain=asked.explain,
        )
    if found.missing_ids:
        out.note(f"not in the catalogue, skipped: {shown_ids(found.missing_ids)}")
    if found.fallback in (Fallback.POPULARITY, Fallback.POPULARITY_FILTER_RELAXED):
        out.note(f"{_nothing_known(asked, found)}: these are the most popular items")
    note_fallback(out, found)
    if not found.items:
        out.note(_nothing_left(asked))
    out.data(found)
    print_ranking(out, f"Recommended for user {user}" if user else "Recommended", found.items, explain=explain)


def _nothing_known(asked: RecommendRequest, found: Recommendations) -> str:
    """Why a list is not the customer's own."""
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


def _promotions(values: Sequence[str]) -> tuple[Promotion, ...]:
    """What each use of --promote asks for: a share, a boost or both, and a condition."""
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
