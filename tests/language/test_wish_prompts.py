"""What a pretrained LLM reads of a history and a wish; the tokenizer has a token for each byte, and one for "ab"."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from mmrec.errors import InvalidArgumentError
from mmrec.generator.instructions import WORDS
from mmrec.language.wish_prompts import WishPrompts
from tests.language.tiny_models import tiny_tokenizer

TOKENIZER: tokenizers.Tokenizer = tiny_tokenizer().backend_tokenizer
HISTORY = np.array([4, 7, 2], np.int32)
BEHIND, AFTER = "A customer chose ", ". What comes next?"
ASKED = ". Now the customer says: "


def prompts(positions: int = 4096, max_history: int = 50) -> WishPrompts:
    return WishPrompts(TOKENIZER, positions, max_history)


def shown(codes: Sequence[int]) -> str:
    """Words as they are, items as their rows in angle brackets."""
    return "".join(f"<{code}>" if code >= 0 else TOKENIZER.decode([WORDS - code]) for code in codes)


def test_a_wish_stands_behind_the_items_of_the_history() -> None:
    codes = prompts().codes(HISTORY, "a cab")
    assert shown(codes) == f"{BEHIND}<4><7><2>{ASKED}a cab{AFTER}"
    # Words are tokenised together: "ab" is one token.
    assert len(codes) == len(BEHIND) + 3 + len(ASKED) + 4 + len(AFTER)


def test_a_wish_without_a_history() -> None:
    assert shown(prompts().codes(HISTORY[:0], "a cab")) == "A customer says: a cab. What should be recommended?"


def test_of_a_long_history_the_last_items_are_read() -> None:
    assert shown(prompts(max_history=2).codes(HISTORY, "x")) == f"{BEHIND}<7><2>{ASKED}x{AFTER}"
    words = len(BEHIND) + len(ASKED) + len(AFTER)
    codes = prompts(positions=words + 16).codes(np.arange(100, dtype=np.int32), "12345")
    assert len(codes) == words + 16
    assert shown(codes).startswith(f"{BEHIND}<89><90>")


def test_a_long_wish_is_cut_after_so_many_tokens() -> None:
    long = "abc" * 1000
    assert shown(prompts().codes(HISTORY, long)) == f"{BEHIND}<4><7><2>{ASKED}{'abc' * 128}{AFTER}"
    words = len(BEHIND) + len(ASKED) + len(AFTER)
    narrow = prompts(positions=words + 20).codes(np.arange(100, dtype=np.int32), long)
    assert len(narrow) == words + 20
    assert shown(narrow).endswith(f"<99>{ASKED}{'abc' * 5}{AFTER}")


def test_a_model_without_room_for_a_wish_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="reads 64 tokens, and the words around a wish are 60; pass a model"):
        prompts(positions=64)


def test_the_tokenizer_is_kept_as_one_file(tmp_path: Path) -> None:
    prompts().save(tmp_path / "tokenizer.json")
    again = WishPrompts(tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json")), 4096, 50)
    assert again.codes(HISTORY, "a cab").tolist() == prompts().codes(HISTORY, "a cab").tolist()
