"""Wishes as a pretrained LLM reads them when it is served: by templates of the task ``wish``, which it was trained on.

The history is one token for each item, and the words are the model's own tokens; both stand in one sequence, whose last
state answers. Unit of work: one history and one wish. Knows nothing about requests and scores.
"""

# Axes: T positions, H items of a history

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers

from mmrec.errors import InvalidArgumentError
from mmrec.generator.instructions import WORDS
from mmrec.language.instruction_templates import read_tasks
from mmrec.language.instructions import Part, filled

TASK = "wish"
MOST_TOKENS = 256
"""Most tokens of a wish that are read."""
_LEAST_ROOM = 16
_HISTORY = (Part(item_id="history"),)


class WishPrompts:
    """Puts a wish behind a history.

    Args:
        tokenizer: Of the LLM.
        positions: Most positions that the LLM reads.
        max_history: Most items of a history that it reads.

    Raises:
        InvalidArgumentError: a template leaves next to no position for the wish.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, positions: int, max_history: int) -> None:
        self._tokenizer = tokenizer
        self._positions = positions
        self._max_history = max_history
        templates = [one.input for task in read_tasks() if task.name == TASK for one in task.templates if one.seen]
        self._behind_history = next(parts for parts in templates if parts[1::2] == ("history", "wish"))
        self._alone = next(parts for parts in templates if parts[1::2] == ("wish",))
        taken = max(len(self._filled(parts, "", [])) for parts in (self._behind_history, self._alone))
        if taken + _LEAST_ROOM > positions:
            raise InvalidArgumentError(
                f"the language model reads {positions:,} tokens, and the words around a wish are {taken:,}; pass a "
                f"model that reads {taken + _LEAST_ROOM:,} or more"
            )
        self._most_tokens = min(MOST_TOKENS, (positions - taken) // 2)

    def codes(self, history: npt.NDArray[np.int32], wish: str) -> npt.NDArray[np.int64]:
        """What the LLM reads, coded as `mmrec.generator.instructions.Instructions.inputs` are.

        A wish is cut after `MOST_TOKENS` tokens, or after half of what the template leaves of the model's positions, if
        that is fewer. Of the history, the last items are read that then have room.

        Args:
            history: Catalogue rows, oldest first; may be empty. Shape: (H,).
            wish: In words.

        Returns:
            Shape: (T,), int64; at most the positions of the model.
        """
        read = self._tokenizer.encode(wish, add_special_tokens=False)
        if len(read.ids) > self._most_tokens:
            wish = wish[: read.offsets[self._most_tokens - 1][1]]
        template = self._behind_history if len(history) else self._alone
        room = min(self._max_history, self._positions - len(self._filled(template, wish, [])))
        return np.array(self._filled(template, wish, history[-room:].tolist()), np.int64)

    def save(self, path: Path) -> None:
        """Write the tokenizer, as JSON."""
        self._tokenizer.save(str(path))

    def _filled(self, template: tuple[str, ...], wish: str, rows: Sequence[int]) -> list[int]:
        codes: list[int] = []
        for part in filled(template, {"history": _HISTORY, "wish": (Part(wish),)}):
            if part.is_token:
                codes += rows
            else:
                ids = self._tokenizer.encode(part.words, add_special_tokens=False).ids
                codes += [WORDS - token for token in ids]
        return codes
