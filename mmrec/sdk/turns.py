"""A turn of a conversation in pieces, as it travels over a stream."""

from __future__ import annotations

from dataclasses import replace

from mmrec.contract.conversation import ConversationTurn

_WORDS = 3
"""Words of a piece."""


def turn_pieces(turn: ConversationTurn) -> list[ConversationTurn]:
    """Pieces whose texts join to that of a turn, or of a part of one; the last one has everything else too."""
    words = turn.text.split(" ")
    texts = [" ".join(words[at : at + _WORDS]) for at in range(0, len(words), _WORDS)]
    texts = [*(f"{text} " for text in texts[:-1]), texts[-1]]
    first = (ConversationTurn(text, done=False, worded=turn.worded) for text in texts[:-1])
    return [*first, replace(turn, text=texts[-1])]
