"""Which texts share a forward pass: neighbours in length, up to a budget of tokens. Knows nothing about models.

A batch costs what its longest text costs times the number of texts, so padding is work thrown away; a pass of
its own costs a little too. A text joins the batch of the next longer one while the padding that this brings is
cheaper than another pass.
"""

# Axes: N texts, B texts of one batch

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def token_batches(
    lengths_N: npt.NDArray[np.int64], *, token_budget: int, batch_size: int, padding_allowed: int
) -> Iterator[npt.NDArray[np.int64]]:
    """Split texts into batches, the longest first, so that a lack of memory shows at once.

    Args:
        lengths_N: Tokens of each text. Shape: (N,), int64.
        token_budget: Most tokens in a batch, padding included; a single text may have more.
        batch_size: Most texts in a batch.
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
