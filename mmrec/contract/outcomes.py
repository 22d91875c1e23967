"""Errors as values, so that a failed request does not fail the others of its batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from mmrec.errors import MmrecError

P = ParamSpec("P")
R = TypeVar("R")


def outcome(answer: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R | MmrecError:
    """What `answer` returns, or the `MmrecError` that it raises."""
    try:
        return answer(*args, **kwargs)
    except MmrecError as err:
        return err
