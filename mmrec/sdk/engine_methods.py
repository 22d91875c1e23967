"""The methods of `mmrec.sdk.methods` without a server, for `mmrec.Recommender` and other engines."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, Unpack

from mmrec.contract.conversation import BEGINNING, NO_STATE, ConversationState, ConverseRequest
from mmrec.contract.engine import Engine
from mmrec.sdk import options as keywords
from mmrec.sdk.connection import DEFAULT_TIMEOUT_S
from mmrec.sdk.conversation import Conversation
from mmrec.sdk.methods import Methods
from mmrec.sdk.rpcs import Rpc
from mmrec.sdk.transport import EngineTransport

Q = TypeVar("Q")
R = TypeVar("R")


class EngineMethods(Methods, Engine):
    """Adds the methods to a class that implements `Engine`. There are no deadlines: `timeout` is ignored."""

    def converse(
        self,
        history: Iterable[str] = (),
        *,
        state: ConversationState = NO_STATE,
        timeout: float | None = None,
        **options: Unpack[keywords.ConverseOptions],
    ) -> Conversation:
        """Begin a conversation with a customer, or go on with one; see `Client.converse`.

        Args:
            history: Item ids of the customer's events, oldest first; they are never shown.
            state: The state of a conversation that is taken up again; by default it begins.
            timeout: Ignored.
            options: The other fields of `ConverseRequest`.

        Raises:
            InvalidArgumentError: an argument breaks a rule.
        """
        request = ConverseRequest(BEGINNING, state, history, **options)  # type: ignore[arg-type]
        return Conversation(EngineTransport(self), request, DEFAULT_TIMEOUT_S)

    def _call(self, rpc: Rpc[Q, R], request: Q, timeout: float | None) -> R:
        *_, reply = rpc.messages(self, request)
        return reply
