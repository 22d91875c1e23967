"""Wording of statements by a language model, with the checker behind it.

Unit of work: the statements about one item. Knows nothing about how a language model writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from mmrec.contract.items import Statement
from mmrec.language.checker import EvidenceChecker, is_worded


class SentenceWriter(Protocol):
    """A language model that words sentences anew; the batch law holds: as many come back, in the same order."""

    def reword(self, sentences: Sequence[str]) -> list[str]:
        """Other sentences that say the same.

        Args:
            sentences: Plain sentences, each with quoted titles and values that must be kept.
        """
        ...


def word(statements: Sequence[Statement], writer: SentenceWriter, checker: EvidenceChecker) -> tuple[Statement, ...]:
    """The statements as a language model words them; where its sentence is rejected, the plain one stays.

    Each sentence is checked against the evidence of its own statement. A promotion keeps its plain words.

    Args:
        statements: From `mmrec.language.statements`.
        writer: The language model.
        checker: Of the catalogue.
    """
    asked = [place for place, statement in enumerate(statements) if is_worded(statement.kind)]
    worded = list(statements)
    for place, text in zip(asked, writer.reword([statements[place].text for place in asked]), strict=True):
        statement = statements[place]
        if checker.check(text, [statement]) is None:
            worded[place] = replace(statement, text=" ".join(text.split()))
    return tuple(worded)
