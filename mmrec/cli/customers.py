"""Options and notes of the commands that take a customer: a history, a user, and what a recommendation is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from mmrec.cli.engines import note_fallback, note_missing
from mmrec.cli.id_lists import read_ids
from mmrec.cli.option_groups import Flag
from mmrec.cli.output import Output
from mmrec.contract.items import Fallback
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import HistoryEvent, Promotion, RecommendRequest
from mmrec.errors import InvalidArgumentError

IDS_RULE = """Commas separate ids; an id that holds a comma goes in double quotes: '"a,b",c'. May be repeated."""

HistoryOption = Annotated[
    list[str] | None,
    typer.Option("--history", metavar="IDS", help=f"Items acted on, oldest first. {IDS_RULE}"),
]

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


NO_FLAG = ("beam_width", "item_fields", "expected_versions")
"""Fields of a `RecommendRequest` that are for programs."""


def _events(values: Sequence[str]) -> tuple[HistoryEvent, ...]:
    """Each use of --event: what is after the last = is the rating where it is a number, and else the type."""
    events = []
    for value in values:
        item_id, _, said = value.rpartition("=")
        if not item_id or not said:
            raise InvalidArgumentError(
                f"--event is {value!r:.200}; write ID=TYPE or ID=RATING, as in 50=dismiss or 50=4.5",
                field="history_events",
            )
        try:
            events.append(HistoryEvent(item_id, rating=float(said)))
        except ValueError:
            events.append(HistoryEvent(item_id, said))
    return tuple(events)


CUSTOMER_FLAGS = {
    "user_id": Flag("--user", "ID"),
    "history_events": Flag(
        "--event",
        "ID=TYPE",
        "What the customer did after --history, oldest first: an item with the type of event, such as dismiss, or with "
        "a rating. May be repeated.",
        lambda values: _events(values or ()),
    ),
    "channel_weights": Flag("--channel-weight"),
    "attribute_weights": Flag("--attribute-weight"),
    "exploration_max_age_days": Flag("--exploration-max-age", "DAYS"),
    "ignored_conditions": Flag(
        "--ignore",
        "CONDITION",
        "A condition that --instruction would make, and is not to make. May be repeated.",
        lambda values: tuple(values or ()),
    ),
    "promotions": Flag(
        "--promote",
        "'SHARE[+BOOST] CONDITION'",
        "Give at least this share of the positions to items that pass, and add this boost to their scores; either "
        "number may be left out. May be repeated.",
        lambda values: _promotions(values or ()),
    ),
}
"""How fields of a `RecommendRequest` are given."""


def read_history(history: list[str] | None, user_id: str, events: Iterable[HistoryEvent] = ()) -> list[str]:
    """The ids of --history.

    Raises:
        InvalidArgumentError: the customer is not named at all, or the ids cannot be read.
    """
    if history is None and not user_id and not events:
        raise InvalidArgumentError(
            "neither --history nor --user is given; name the customer with one of them or both "
            "(--history '' for a new customer)"
        )
    return read_ids(history or [], "--history")


def note_customer(output: Output, asked: RecommendRequest, found: Recommendations) -> None:
    """Note on stderr which ids are unknown, and what a list rests on that is not personalised."""
    note_missing(output, found.missing_ids)
    if found.fallback in (Fallback.POPULARITY, Fallback.POPULARITY_FILTER_RELAXED):
        output.note(f"{_nothing_known(asked)}: these are the most popular items")
    note_fallback(output, found)


def _nothing_known(asked: RecommendRequest) -> str:
    """Why a list is not personalised."""
    reasons = []
    if asked.user_id:
        reasons.append(f"no events of user {asked.user_id!r} are known")
    if asked.history:
        reasons.append("no item of the history is in the catalogue")
    if asked.history_events:
        reasons.append("no item that was taken in an event is in the catalogue")
    return " and ".join(reasons) or "the history is empty"
