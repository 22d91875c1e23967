"""Wording of sentences by a language model, with the checker behind it.

The model gets sentences in which letters stand for titles and values (delexicalisation, Wen et al. 2015). So it cannot
misspell them, and no text of a catalogue, which might give it orders, reaches it. They are put in again before the
check.

Unit of work: plain sentences with their evidence. Knows nothing about how a language model writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from mmrec.contract.engine import Stop, never
from mmrec.contract.items import Statement
from mmrec.language.checker import EvidenceChecker, SuggestedItem, is_worded
from mmrec.language.sentences import MOST_NAMED, TitleOf, shown_column, shown_title

LETTERS = "XYZWVUTS"
"""They stand for titles and values, in the order of their appearance."""
_LETTER = re.compile(rf'["“”]?\b([{LETTERS}])\b["“”]?')


class SentenceWriter(Protocol):
    """A language model that words sentences anew; as many come back, in the same order."""

    def reword(self, sentences: Sequence[str], stop: Stop = never) -> list[str]:
        """Other sentences that say the same.

        Args:
            sentences: Plain sentences, in which a letter in quotes, such as "X", stands for a title or a value.
            stop: Whether to end now; a sentence that is not finished then may be cut, or empty.
        """
        ...


class Draft(NamedTuple):
    """A sentence to be worded anew.

    Attributes:
        text: The sentence with letters.
        names: What each letter stands for.
        evidence: What it may say.
    """

    text: str
    names: Mapping[str, str]
    evidence: Statement | SuggestedItem


def draft_of(statement: Statement, title_of: TitleOf) -> Draft | None:
    """The draft of a statement; None where its sentence has not the titles that the items have now."""
    text, names = statement.text, dict[str, str]()
    titles = [shown_title(item_id, title_of(item_id)) for item_id in statement.item_ids[:MOST_NAMED]]
    begin = 0
    for letter, name in zip(LETTERS, filter(None, (*titles, statement.value)), strict=False):
        at = text.find(f'"{name}"', begin)
        if at < 0:
            return None
        names[letter] = name
        text = f'{text[:at]}"{letter}"{text[at + len(name) + 2 :]}'
        begin = at + 3
    return Draft(text, names, statement)


def draft_of_suggestion(item: SuggestedItem) -> Draft:
    """The draft of a sentence that suggests an item."""
    names = {LETTERS[0]: item.title}
    facts = []
    for letter, (column, value) in zip(LETTERS[1:], item.facts, strict=False):
        names[letter] = value
        facts.append(f'its {shown_column(column)} is "{letter}"')
    told = f": {' and '.join(facts)}" if facts else ""
    return Draft(f'I suggest "{LETTERS[0]}"{told}.', names, item)


def worded(drafts: Sequence[Draft], writer: SentenceWriter, checker: EvidenceChecker, stop: Stop = never) -> list[str]:
    """The sentences of a language model; empty where one is rejected.

    Args:
        drafts: What is to be said.
        writer: The language model.
        checker: Of the catalogue.
        stop: See `SentenceWriter`.
    """
    texts = writer.reword([draft.text for draft in drafts], stop)
    return [_accepted(draft, text, checker) for draft, text in zip(drafts, texts, strict=True)]


def word(
    statements: Sequence[Statement],
    writer: SentenceWriter,
    checker: EvidenceChecker,
    title_of: TitleOf,
    stop: Stop = never,
) -> tuple[Statement, ...]:
    """The statements as a language model words them; where its sentence is rejected, the plain one stays.

    Each sentence is checked against the evidence of its own statement. A promotion keeps its plain words.

    Args:
        statements: From `mmrec.language.statements`.
        writer: The language model.
        checker: Of the catalogue.
        title_of: Titles of the items.
        stop: See `SentenceWriter`.
    """
    found = list(statements)
    tried = {place: draft_of(one, title_of) for place, one in enumerate(statements) if is_worded(one.kind)}
    drafts = {place: draft for place, draft in tried.items() if draft is not None}
    for place, text in zip(drafts, worded(list(drafts.values()), writer, checker, stop), strict=True):
        if text not in ("", statements[place].text):
            found[place] = replace(statements[place], text=text, worded=True)
    return tuple(found)


def _accepted(draft: Draft, text: str, checker: EvidenceChecker) -> str:
    """The text with its names, on one line; empty if it is rejected."""
    used = _LETTER.findall(text)
    if len(used) > len(set(used)):
        return ""  # nobody says the same name twice in a sentence
    if isinstance(draft.evidence, SuggestedItem) and LETTERS[0] in draft.names and LETTERS[0] not in used:
        return ""  # it does not say what it suggests
    named = _LETTER.sub(lambda found: f'"{draft.names[found[1]]}"' if found[1] in draft.names else found[0], text)
    flat = " ".join(named.split())
    return "" if checker.check(flat, [draft.evidence]) is not None else flat
