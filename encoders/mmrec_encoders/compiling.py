"""`torch.compile` of a forward pass, with an error that says what is missing. Knows nothing about models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mmrec.errors import FailedPreconditionError


def compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, compiled at its first call for any number of rows."""
    import torch

    result: Callable[..., Any] = torch.compile(forward, dynamic=True)
    return result


@contextmanager
def compiling() -> Iterator[None]:
    """Turns a failed compilation inside the block into an error of ours.

    Raises:
        FailedPreconditionError: there is no compiler here, or the model is beyond it.
    """
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        yield
    except (TorchDynamoException, InvalidCxxCompiler) as err:
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        raise FailedPreconditionError(
            f"torch cannot compile the model here ({reason}); install a C++ compiler (g++ or clang; on a GPU "
            "also triton), or leave compile off"
        ) from err
