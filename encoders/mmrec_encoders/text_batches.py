"""Batches of texts of similar length, up to a token budget.

A batch costs its longest text times the number of texts, so padding is wasted work; but a forward pass has a fixed cost
too. A text joins the batch of the next longer one while its padding is cheaper than another pass.
"""

# Axes: N texts, B texts of one batch, D dimensions

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.background import between_steps, wants_small_steps
from mmrec_encoders.protocols import Vectors
from mmrec_encoders.weights import unit_rows

if TYPE_CHECKING:
    import torch

_WINDOW = 16384
"""Texts that are tokenized at once."""
_CHARS_PER_TOKEN = 64
"""No tokenizer makes longer tokens on average; characters beyond are cut before tokenizing."""
# Token budget of a pass, and padding that is cheaper than another pass. A CPU works best from its caches; a GPU has to
# be filled, and starting a pass costs as much as thousands of tokens.
_CPU_TOKENS, _GPU_TOKENS = (2048, 64), (16384, 4096)
_STEP_TOKENS = 256
"""Token budget of a pass in the background: some milliseconds on a CPU."""


def clean_text(text: str, max_tokens: int) -> str:
    """A text cut to what `max_tokens` can hold, without unpaired surrogates, which tokenizers refuse."""
    return text[: max_tokens * _CHARS_PER_TOKEN].encode("utf-8", "replace").decode("utf-8")


def encode_windows(
    texts: Sequence[str], max_tokens: int, dim: int, encode: Callable[[list[str]], torch.Tensor]
) -> Vectors:
    """Unit vectors of texts, a few thousand at a time. Shape: (N, dim), float32.

    Args:
        texts: Of any number.
        max_tokens: What the model can hold; see `clean_text`.
        dim: Length of a vector.
        encode: Vectors of some cleaned texts. Shape: (N, dim).

    Raises:
        InvalidArgumentError: it is a single text.
    """
    import torch

    if isinstance(texts, str):
        raise InvalidArgumentError("texts is a single string; pass a list of strings", field="texts")
    if not texts:
        return np.zeros((0, dim), np.float32)
    with torch.inference_mode():
        windows = [
            unit_rows(encode([clean_text(text, max_tokens) for text in texts[at : at + _WINDOW]]))
            for at in range(0, len(texts), _WINDOW)
        ]
    return np.concatenate(windows)


def encode_batches(
    lengths_N: npt.NDArray[np.int64],
    forward: Callable[[npt.NDArray[np.int64]], torch.Tensor],
    device: torch.device,
    *,
    batch_size: int,
    token_budget: int = 0,
) -> torch.Tensor:
    """Vectors of all texts, batch by batch.

    Args:
        lengths_N: Tokens of each text, N at least 1. Shape: (N,), int64.
        forward: Vectors of the texts at some positions. Shape: (B,) to (B, D).
        device: Of the model.
        batch_size: Maximum texts in a batch.
        token_budget: Maximum tokens in a batch, padding included; 0 to choose by device.

    Returns:
        Shape: (N, D).
    """
    import torch

    budget, padding = _CPU_TOKENS if device.type == "cpu" else _GPU_TOKENS
    if wants_small_steps():
        budget = min(budget, _STEP_TOKENS)
    rows_ND: torch.Tensor | None = None
    for rows_B in token_batches(
        lengths_N, token_budget=token_budget or budget, batch_size=batch_size, padding_allowed=padding
    ):
        between_steps()
        vectors_BD = forward(rows_B)
        if rows_ND is None:
            rows_ND = vectors_BD.new_empty((len(lengths_N), vectors_BD.shape[1]))
        rows_ND[torch.from_numpy(rows_B).to(device)] = vectors_BD
    assert rows_ND is not None
    return rows_ND


def token_batches(
    lengths_N: npt.NDArray[np.int64], *, token_budget: int, batch_size: int, padding_allowed: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Split texts into batches, the longest first, so that running out of memory shows at once.

    Args:
        lengths_N: Tokens of each text. Shape: (N,), int64.
        token_budget: Maximum tokens in a batch, padding included; a single text may have more.
        batch_size: Maximum texts in a batch.
        padding_allowed: Padding tokens in a batch that are cheaper than another pass.

    Yields:
        Positions of the texts of a batch, the longest first. Shape: (B,), int64. Every text is in one batch.
    """
    order_N = np.argsort(-lengths_N, kind="stable")
    sorted_N = lengths_N[order_N].tolist()
    start, padding = 0, 0
    for at, length in enumerate(sorted_N):
        longest = sorted_N[start]
        padding += longest - length
        full = at - start >= batch_size or (at - start + 1) * longest > token_budget
        if at > start and (full or padding > padding_allowed):
            yield order_N[start:at]
            start, padding = at, 0
    if len(order_N):
        yield order_N[start:]
