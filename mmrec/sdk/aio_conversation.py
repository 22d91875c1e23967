"""The asyncio twin of `mmrec.sdk.conversation`.

Generated: do not edit; run scripts/generate_sdk.py.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from types import TracebackType

from mmrec.contract.conversation import ConversationState, ConversationTurn, ConverseRequest
from mmrec.sdk.aio_transport import AsyncTransport
from mmrec.sdk.rpcs import CONVERSE
from mmrec.sdk.streams import AsyncStream


class AsyncConversation:
    """One conversation. Use it as a context manager, or await `close`.

    The state is kept here and sent with each message, so that it can be stored, edited and taken up later, by any
    server: the other side keeps none. When the stream breaks, the next message opens another one.

    Args:
        transport: Carries the stream.
        request: Everything that stays the same; its text is not sent.
        timeout: Timeout of each part of a turn, in seconds.

    Attributes:
        state: The state after the last turn; may be replaced by an edited one between two turns.
    """

    def __init__(self, transport: AsyncTransport, request: ConverseRequest, timeout: float) -> None:
        self._transport = transport
        self._request = request
        self._timeout = timeout
        self._stream: AsyncStream | None = None
        self.state: ConversationState = request.state

    async def say(self, text: str = "", *, image: bytes | str | os.PathLike[str] | None = None) -> ConversationTurn:
        """Say something, and wait for the whole turn that answers it.

        Args:
            text: What the customer says, at most 2,000 characters; may be empty beside a picture.
            image: An encoded picture that the customer shows, or the path of one.

        Raises:
            InvalidArgumentError: an argument or the state breaks a rule.
            MmrecError: another of the classes of `mmrec.errors`; the state is the one before.
        """
        said, turn = "", ConversationTurn("")
        async for piece in self.pieces(text, image=image):
            said, turn = said + piece.text, piece
        return replace(turn, text=said)

    async def pieces(
        self, text: str = "", *, image: bytes | str | os.PathLike[str] | None = None
    ) -> AsyncIterator[ConversationTurn]:
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
            stream = self._stream = await self._transport.stream(CONVERSE.path, self._timeout)
        done = False
        try:
            await stream.send(CONVERSE.encode_request(request))
            while not done:
                piece = CONVERSE.decode_reply(await stream.receive())
                done = piece.done
                if done:
                    self.state = piece.state
                yield piece
        finally:
            if not done:  # it broke, or was left: what is still under way answers nothing that is said later
                self._stream = None
                await stream.close()

    async def close(self) -> None:
        """End the stream; the state stays."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def __aenter__(self) -> AsyncConversation:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
