"""The methods of `mmrec.sdk.methods` without a server, for `mmrec.Recommender` and other engines."""

from __future__ import annotations

from typing import TypeVar

from mmrec.contract.engine import Engine
from mmrec.sdk.methods import Methods
from mmrec.sdk.rpcs import Rpc

Q = TypeVar("Q")
R = TypeVar("R")


class EngineMethods(Methods, Engine):
    """Adds the methods to a class that implements `Engine`. There are no deadlines: `timeout` is ignored."""

    def _call(self, rpc: Rpc[Q, R], request: Q, timeout: float | None) -> R:
        return rpc.answer(self, request)
