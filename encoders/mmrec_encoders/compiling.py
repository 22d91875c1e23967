"""`torch.compile` of a forward pass, with an error that tells what is missing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mmrec.errors import FailedPreconditionError


def compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, compiled at its first call for any number of rows.

    The first call raises `FailedPreconditionError` if there is no compiler, or the model cannot be compiled.
    """
    import torch

    run: Callable[..., Any] = torch.compile(forward, dynamic=True)
    works = False

    @functools.wraps(forward)
    def call(*args: Any, **named: Any) -> Any:
        nonlocal works
        if works:
            return run(*args, **named)
        try:
            result = run(*args, **named)
        except RuntimeError as err:
            reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
            raise FailedPreconditionError(
                f"torch cannot compile the model here ({reason}); install a C++ compiler (g++ or clang; on a GPU "
                "also triton), or leave compile off"
            ) from err
        works = True
        return result

    return call
