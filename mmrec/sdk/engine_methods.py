"""The methods of `mmrec.sdk.methods` in process: for `mmrec.Recommender`, and for any other engine."""

from __future__ import annotations

from typing import TypeVar

from mmrec.contract.engine import Engine
from mmrec.sdk.methods import Methods
from mmrec.sdk.rpcs import Rpc

Q = TypeVar("Q")
R = TypeVar("R")


class EngineMethods(Methods, Engine):
    """The methods, in process, for a class that implements `Engine`. There is no deadline: `timeout` is not looked at.

    `recommend_many`, `search_many`, `similar_many` and `info` are the engine's own.
    """

    def _call(self, rpc: Rpc[Q, R], request: Q, timeout: float | None) -> R:
        return rpc.answer(self, request)
