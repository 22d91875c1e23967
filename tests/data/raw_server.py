"""A server on a real port of this machine that answers each path with exactly the bytes it is told to."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

Pieces = Callable[[], Iterable[bytes]]


def reply(body: bytes, *headers: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """A whole HTTP reply; `length` is what it says its length is."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class RawServer:
    """Answers until it is closed; a path it does not know gets 404.

    Attributes:
        paths: What each path is answered with: bytes, or a function that gives them in pieces, each sent when it
            is made.
        requests: Head of every request so far, as text.
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.paths: dict[str, bytes | Pieces] = {}
        self.requests: list[str] = []
        self._context = context
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.01)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> RawServer:
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closing.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def wait(self, seconds: float) -> None:
        """For pieces that take their time; cut short when the server closes."""
        self._closing.wait(seconds)

    def url(self, path: str, host: str = "shop.example") -> str:
        return f"{'https' if self._context else 'http'}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
                self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            # Whoever asks goes away whenever they like.
            with contextlib.suppress(OSError):
                if self._context is None:
                    self._answer(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secure:
                        self._answer(secure)

    def _answer(self, connection: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(4096)
            if not piece:
                return
            head += piece
        text = head.decode("latin-1")
        self.requests.append(text)
        answer = self.paths.get(text.split(" ")[1].partition("?")[0], reply(b"", status="404 Not Found"))
        for piece in [answer] if isinstance(answer, bytes) else answer():
            if self._closing.is_set():
                return
            connection.sendall(piece)
