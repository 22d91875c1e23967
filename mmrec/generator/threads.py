"""One thread for work so small that a second one costs more than it brings.

Works on sizes; knows nothing about models. A small batch is a few hundred short operations. Two threads that share some
of them wait for each other at the end of each, and where the cores have other work as well, they wait long: a request
of one history then takes several times as long as by one thread alone. Four threads and more are worth their waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

FEW_ROWS = 64
"""Rows of a product up to which it may be small."""

FEW_PRODUCTS = 1 << 23
"""Multiplications of the largest product up to which all of them are small: about 0.1 ms."""


@contextmanager
def single_thread_if_small(rows: int, weights: int) -> Iterator[None]:
    """Inside, this thread computes by itself if PyTorch has two threads and the products are small.

    The number is one of the calling thread; others keep theirs.

    Args:
        rows: Of the products.
        weights: Of the largest matrix that they are multiplied with.
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
