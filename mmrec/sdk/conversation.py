"""A conversation with a customer over one stream: `Client.converse` and `Recommender.converse` make it.

The asyncio twin, `mmrec.sdk.aio_conversation`, is generated from this module by scripts/generate_sdk.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

from mmrec.contract.conversation import ConversationState, ConversationTurn, ConverseRequest
from mmrec.sdk.rpcs import CONVERSE
from mmrec.sdk.streams import Stream
from mmrec.sdk.transport import Transport


class Conversation:
    """One conversation. Use it as a context manager, or call `close`.

    The state is kept here and sent with each message, so that it can be stored, edited and taken up later, by any
    server: the other side keeps none. When the stream breaks, the next message opens another one.

    Args:
        transport: Carries the stream.
        request: Everything that stays the same; its text is not sent.
        timeout: Timeout of each part of a turn, in seconds.

    Attributes:
        state: The state after the last turn; may be replaced by an edited one between two turns.
    """

    def __init__(self, transport: Transport, request: ConverseRequest, timeout: float) -> None:
        self._transport = transport
        self._request = request
        self._timeout = timeout
        self._stream: Stream | None = None
        self.state: ConversationState = request.state

    def say(self, text: str = "", *, image: bytes | str | os.PathLike[str] | None = None) -> ConversationTurn:
        """Say something, and wait for the whole turn that answers it.

        Args:
            text: What the customer says, at most 2,000 characters; may be empty beside a picture.
            image: An encoded picture that the customer shows, or the path of one.

        Raises:
            InvalidArgumentError: an argument or the state breaks a rule.
            MmrecError: another of the classes of `mmrec.errors`; the state is the one before.
        """
        said, turn = "", ConversationTurn("")
        for piece in self.pieces(text, image=image):
            said, turn = said + piece.text, piece
        return replace(turn, text=said)

    def pieces(
        self, text: str = "", *, image: bytes | str | os.PathLike[str] | None = None
    ) -> Iterator[ConversationTurn]:
        """The parts of a turn as they come: parts of its text, and at last, with `done`, its items and state.

        Where a language model words the text, a sentence begins to come when the whole of it was written and checked.

        Args:
            text: As for `say`.
            image: As for `say`.

        Raises:
            MmrecError: as `say`.
        """
        request = replace(self._request, text=text, image=image, state=self.state)  # type: ignore[arg-type]
        stream = self._stream
        if stream is None:
            stream = self._stream = self._transport.stream(CONVERSE.path, self._timeout)
        done = False
        try:
            stream.send(CONVERSE.encode_request(request))
            while not done:
                piece = CONVERSE.decode_reply(stream.receive())
                done = piece.done
                if done:
                    self.state = piece.state
                yield piece
        finally:
            if not done:  # it broke, or was left: what is still under way answers nothing that is said later
                self._stream = None
                stream.close()

    def close(self) -> None:
        """End the stream; the state stays."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
