"""Runs small batches on one CPU thread.

A small batch is a few hundred short operations. Two threads synchronise at the end of each; on busy cores a request of
one history then takes several times as long as with a single thread. With four threads or more, the gain outweighs the
waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FEW_ROWS = 64
"""Maximum rows of a small matrix product."""

FEW_PRODUCTS = 1 << 23
"""Maximum multiplications of a small matrix product: about 0.1 ms."""


@contextmanager
def single_thread_if_small(rows: int, weights: int) -> Iterator[None]:
    """Within the block, use one thread if PyTorch has two and the matrix products are small.

    The setting applies to the calling thread only.

    Args:
        rows: Rows of the products.
        weights: Elements of the largest weight matrix.
    """
    threads = torch.get_num_threads()
    if threads != 2 or rows > FEW_ROWS or rows * weights > FEW_PRODUCTS:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
