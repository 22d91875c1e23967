"""A program for the tests: serves the fake engine, and says on stdout where, when it is busy, and its end."""

from __future__ import annotations

from mmrec_serving import ServerConfig, serve
from tests.fake_engine import FakeEngine


class TellingEngine(FakeEngine):
    def spring(self, text: str) -> None:
        print("busy", flush=True)
        super().spring(text)


if __name__ == "__main__":
    serve(
        TellingEngine,
        ServerConfig(port=0, grace_s=20.0),
        on_ready=lambda address: print(address, flush=True),
    )
    print("stopped", flush=True)
