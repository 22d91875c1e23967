"""Texts about recommendations, true and false, for measuring the checker: other wordings, and planted lies.

Unit of work: one statement. Knows nothing about how the checker decides.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mmrec.contract.items import Statement, StatementKind

# Slots: {a} the titles of the evidence, {v} the value, {c} the column, {n} the number of customers.
WORDINGS: Mapping[StatementKind, Sequence[str]] = {
    StatementKind.HISTORY: (
        "Because you chose {a}, this may be for you.",
        "We recommend this based on {a} from your history.",
        "Your taste for {a} suggests this one.",
        "Since {a} is among your past choices, you might enjoy this too.",
        "You picked {a} earlier, so here is another one you may like.",
        "This goes well with {a}.",
        "If you liked {a}, give this a try.",
        "A natural next step after {a}.",
        "It fits with {a} in your history.",
        "Recommended for fans of {a}.",
        "Having enjoyed {a}, you will probably find this interesting.",
        "Our suggestion rests on {a}.",
    ),
    StatementKind.TOGETHER: (
        "{n} people who chose {a} also chose this.",
        "{n} other customers with {a} went for this as well.",
        "Among those who picked {a}, {n} users picked this too.",
        "Chosen by {n} customers who also chose {a}.",
        "{n} shoppers have both {a} and this.",
        "This was selected by {n} customers who selected {a}.",
    ),
    StatementKind.ATTRIBUTE: (
        "Like {a}, it has {v} as its {c}.",
        "It shares the {c} {v} with {a}.",
        "{v} is its {c}, just like {a}.",
        "Its {c} is {v}, the same as that of {a}.",
        "Since you liked {a}, here is another with the {c} {v}.",
        "With {v} among its {c}, it matches {a} from your history.",
        "You seem to enjoy {v}: {a} has it too.",
        "It has something in common with {a}: the {c} {v}.",
        "Another {v} pick, in line with {a}.",
        "The {c} includes {v}, as it does for {a}.",
    ),
    StatementKind.PICTURE: (
        "It looks like {a}.",
        "Its picture is similar to that of {a}.",
        "Visually, this is close to {a} from your history.",
        "The image resembles {a}.",
        "Its cover is reminiscent of {a}.",
    ),
    StatementKind.WORDS: (
        "Its description is similar to that of {a}.",
        "The text about it reads like {a}.",
        "It is described in words close to those of {a}.",
        "Its description resembles {a} from your history.",
    ),
    StatementKind.POPULARITY: (
        "{n} customers chose this.",
        "Chosen by {n} people.",
        "{n} users have picked it.",
        "A favourite of {n} customers.",
    ),
}
LATER_WORDINGS: Mapping[StatementKind, Sequence[str]] = {
    StatementKind.HISTORY: (
        "We thought of this because {a} is in your history.",
        "You went for {a}, and this is in a similar vein.",
        "Chosen with {a} in mind.",
        "{a} led us to this.",
        "This one follows from your interest in {a}.",
        "Based on your history with {a}, this could be for you.",
        "People with your taste in {a} tend to like it.",
        "Picked for you on account of {a}.",
    ),
    StatementKind.TOGETHER: (
        "It was also chosen by {n} customers who chose {a}.",
        "{n} people picked it alongside {a}.",
        "Of those with {a}, {n} customers took this as well.",
        "{n} users who liked {a} got this too.",
    ),
    StatementKind.ATTRIBUTE: (
        "You may like that its {c} is {v}, as with {a}.",
        "{a} and this one share the {c} {v}.",
        "Its {c} has {v} in it, which is also true of {a}.",
        "Looking at {a}, you may want another with {v} as the {c}.",
        "Here is more {v}, since you chose {a}.",
        "As in {a}, the {c} is {v}.",
    ),
    StatementKind.PICTURE: ("Its image is close to the one of {a}.", "On the outside it reminds us of {a}."),
    StatementKind.WORDS: ("The wording of its description is close to {a}.", "What is written about it matches {a}."),
    StatementKind.POPULARITY: ("So far {n} customers have chosen it.", "It is the choice of {n} users."),
}
"""Written after the word list of the checker was last changed."""
_NEGATED = (
    ("it has ", "it does not have "),
    ("It has ", "It never has "),
    (" is ", " is not "),
    (" are ", " are hardly "),
    (" chose ", " didn't choose "),
    ("resembles", "does not resemble"),
    ("Because of ", "In spite of "),
    ("because of ", "despite "),
    ("Like ", "Unlike "),
    (" like ", " unlike "),
    (" also ", " never "),
    ("goes well with", "goes badly with"),
    ("Because you chose", "Because you never chose"),
    ("based on", "not based on"),
)
_INVENTED = (
    "and it won three awards",
    "and it is the best of its kind",
    "and costs less than both",
    "with free delivery today",
    "and everybody loves it",
    "starring the same people",
    "which most of your friends chose",
    "and it is the newest one",
    "which is only available this week",
    "and it lasts two hours",
    "made in Italy",
    "rated five stars",
    "and you rated that one highly",
    "because you live in the city",
)
_ROLES = (
    "{a} is suggested because of this item in your history.",
    "You chose this before {a}.",
    "Because you already chose this, we recommend {a}.",
    "This is in your history, so we suggest {a}.",
)
_SWAPPED_KINDS: Mapping[StatementKind, str] = {
    StatementKind.HISTORY: "Its picture resembles that of {a}.",
    StatementKind.TOGETHER: "Its text resembles that of {a} from your history.",
    StatementKind.ATTRIBUTE: "Its picture resembles that of {a} from your history.",
    StatementKind.PICTURE: "Its text resembles that of {a} from your history.",
    StatementKind.WORDS: "Its picture resembles that of {a} from your history.",
    StatementKind.POPULARITY: "It is new here.",
}


class Facts(NamedTuple):
    """What lies are made of.

    Attributes:
        titles: Titles of the catalogue.
        values: Values of each column.
        title_of: Titles by id.
    """

    titles: Sequence[str]
    values: Mapping[str, Sequence[str]]
    title_of: Mapping[str, str]


class Writer(NamedTuple):
    """Writes about one statement, in one of several styles each time.

    Attributes:
        statement: What is written about.
        facts: Titles and values.
        rng: Decides styles, and which titles are named.
        others: Further statements about the same item.
    """

    statement: Statement
    facts: Facts
    rng: random.Random
    others: Sequence[Statement] = ()

    def titles(self) -> list[str]:
        """One or two titles of the evidence."""
        return [self.facts.title_of[item_id] for item_id in self.statement.item_ids[: self.rng.choice((1, 1, 2))]]

    def write(
        self,
        wording: str,
        *,
        titles: Sequence[str] | None = None,
        value: str | None = None,
        column: str | None = None,
        count: int | None = None,
    ) -> str:
        """A wording with its slots filled: by the statement's own facts but for those that are given."""
        titles = self.titles() if titles is None else titles
        value = self.statement.value if value is None else value
        column = self.statement.column if column is None else column
        count = self.statement.count if count is None else count
        quote = self.rng.choice(('"', '"', ""))
        slots = {
            "a": " and ".join(f"{quote}{title}{quote}" for title in titles),
            "v": f"{quote}{value}{quote}",
            "c": column.replace("_", " "),
            "n": f"{count:,}" if self.rng.random() < 0.5 or count > 99 else in_words(count),
        }
        text = wording.format(**slots)
        text = text[:1].upper() + text[1:]
        style = self.rng.random()
        if style < 0.15:
            return text.lower()
        if style < 0.3:
            return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
        return text


def true_texts(statement: Statement, facts: Facts, rng: random.Random, *, later: bool) -> list[str]:
    """Other wordings of a statement, each written in one of several ways."""
    writer = Writer(statement, facts, rng)
    return [writer.write(wording) for wording in _wordings(statement, LATER_WORDINGS if later else WORDINGS)]


def _wordings(statement: Statement, known: Mapping[StatementKind, Sequence[str]]) -> Sequence[str]:
    return known.get(statement.kind, ()) if statement.kind else ()


_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(number: int) -> str:
    """A number below 100 in words."""
    if number < 20:
        return _ONES[number]
    ones = f"-{_ONES[number % 10]}" if number % 10 else ""
    return _TENS[number // 10 - 2] + ones


# --- lies -------------------------------------------------------------------------------------------------------------

Accepts = Callable[[str, Statement], bool]


def _wrong_title(wording: str, writer: Writer) -> str:
    if "{a}" not in wording:
        return ""
    own = {writer.facts.title_of[item_id].casefold() for item_id in writer.statement.item_ids}
    wrong = writer.rng.choice(writer.facts.titles)
    if wrong.casefold() in own:
        return ""
    titles = writer.titles()
    titles[writer.rng.randrange(len(titles))] = wrong
    return writer.write(wording, titles=titles)


def _wrong_value(wording: str, writer: Writer) -> str:
    if "{v}" not in wording:
        return ""
    wrong = writer.rng.choice(writer.facts.values[writer.statement.column])
    return writer.write(wording, value=wrong) if wrong != writer.statement.value else ""


def _wrong_column(wording: str, writer: Writer) -> str:
    if "{c}" not in wording:
        return ""
    others = [column for column in writer.facts.values if column != writer.statement.column]
    return writer.write(wording, column=writer.rng.choice(others))


def _wrong_number(wording: str, writer: Writer) -> str:
    if "{n}" not in wording:
        return ""
    wrong = max(1, writer.statement.count + writer.rng.choice((-10, -2, -1, 1, 2, 10, 100)))
    return writer.write(wording, count=wrong) if wrong != writer.statement.count else ""


def _negated(wording: str, writer: Writer) -> str:
    options = [(old, new) for old, new in _NEGATED if old in wording]
    if not options:
        return ""
    old, new = writer.rng.choice(options)
    return writer.write(wording.replace(old, new, 1))


def _swapped(wording: str, writer: Writer) -> str:
    """The titles, or the value, of another statement about the same item."""
    own, facts, rng = writer.statement, writer.facts, writer.rng
    options = [
        other
        for other in writer.others
        if (set(other.item_ids) - set(own.item_ids) and "{a}" in wording)
        or (other.value and other.value != own.value and "{v}" in wording)
    ]
    if not options:
        return ""
    other = rng.choice(options)
    foreign = [item_id for item_id in other.item_ids if item_id not in own.item_ids]
    if foreign and "{a}" in wording and (not other.value or rng.random() < 0.5):
        title = facts.title_of[rng.choice(foreign)]
        known = {facts.title_of[item_id] for item_id in own.item_ids}
        return writer.write(wording, titles=[title]) if title not in known else ""
    if other.value and other.value != own.value and "{v}" in wording:
        return writer.write(wording, value=other.value)
    return ""


def _other_kind(wording: str, writer: Writer) -> str:
    kind = writer.statement.kind
    return writer.write(_SWAPPED_KINDS[kind]) if kind in _SWAPPED_KINDS else ""


def _invented(wording: str, writer: Writer) -> str:
    return writer.write(f"{wording.rstrip('.!')} {writer.rng.choice(_INVENTED)}.")


def _wrong_role(wording: str, writer: Writer) -> str:
    return writer.write(writer.rng.choice(_ROLES)) if writer.statement.item_ids else ""


LIES: Mapping[str, Callable[[str, Writer], str]] = {
    "wrong title": _wrong_title,
    "wrong value": _wrong_value,
    "wrong column": _wrong_column,
    "wrong number": _wrong_number,
    "negated": _negated,
    "swapped between statements": _swapped,
    "another kind of claim": _other_kind,
    "invented clause": _invented,
    "roles exchanged": _wrong_role,
}


def lie_about(kind: str, writer: Writer, accepts: Accepts) -> str:
    """A false text of one kind; empty where the statement gives no occasion for it.

    It is put into a wording whose true form the checker accepts, so that it is the lie that is to be caught.
    """
    wordings = [*_wordings(writer.statement, WORDINGS), *_wordings(writer.statement, LATER_WORDINGS)]
    writer.rng.shuffle(wordings)
    for wording in wordings:
        if accepts(writer.write(wording), writer.statement):
            return LIES[kind](wording, writer)
    return ""
