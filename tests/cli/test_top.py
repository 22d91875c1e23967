"""`mmrec top`, as a person calls it."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from mmrec.contract.events import UserEvent
from mmrec.errors import NotFoundError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.commands import Done, run_here, start
from tests.fake_engine import FakeEngine


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Done:
    return run_here(["top", *arguments], capsys)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The metrics of a server that has answered something."""
    config = ServerConfig(port=0, changes_in_memory=True, metrics_port=0)
    with BackgroundServer(FakeEngine, config) as server, Client(server.target) as client:
        for _ in range(4):
            client.recommend(["item-1"])
        with pytest.raises(NotFoundError):
            client.similar("nothing")
        client.record_events([UserEvent("item-2", "view", "u", recommendation_id="r-1")])
        yield server.metrics_address


def test_once_prints_what_came_since_the_start(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run([address, "--once"], capsys)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line for line in lines if line in ("Server", "Calls", "Work", "Stages of calls")] == [
        "Server",
        "Calls",
        "Work",
        "Stages of calls",
    ]
    facts = dict(line.split("  ", 1) for line in lines[3 : lines.index("Calls") - 1])
    assert facts["bundle"].strip() == "fake"
    assert facts["versions"].strip() == "model m1, catalogue c1, codebook b1"
    assert facts["items"].strip() == "20"
    assert facts["click-through"].strip() == "25.0% of 4 recommended lists"


def test_json_has_the_same_as_numbers(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run([address, "--json"], capsys)
    found = json.loads(out)
    assert (code, list(found)) == (0, ["Server", "Calls", "Work", "Stages of calls"])
    by_method = {row["method"]: row for row in found["Calls"]}
    assert sorted(by_method) == ["Recommend", "RecordEvents", "SimilarItems"]
    assert by_method["SimilarItems"]["a second"] == by_method["SimilarItems"]["failed a second"] > 0
    assert (by_method["Recommend"]["calls"], by_method["Recommend"]["failed a second"]) == (4, 0)
    assert 0 < by_method["Recommend"]["p50 ms"] <= by_method["Recommend"]["p99 ms"]
    (recommend,) = [row for row in found["Work"] if row["kind"] == "recommend"]
    assert (recommend["waiting"], recommend["a batch"]) == (0, 1)
    assert [row["stage"] for row in found["Stages of calls"]] == ["arrive", "decode", "encode", "queue", "run"]


def test_in_a_terminal_it_goes_on_until_ctrl_c(address: str) -> None:
    reader, terminal = os.openpty()
    with start("top", address, "--interval", "0.1", stdout=Path(os.ttyname(terminal))) as command:
        shown = b""
        while shown.count(b"SimilarItems") < 3:
            shown += os.read(reader, 65_536)
        command.send_signal(signal.SIGINT)
        # A program that writes to a terminal which nobody reads would wait.
        threading.Thread(target=_drain, args=(reader,), daemon=True).start()
        assert command.wait(60) == 0
    os.close(terminal)


def _drain(reader: int) -> None:
    with suppress(OSError):
        while os.read(reader, 65_536):
            pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["127.0.0.1:1"], "stdout is no terminal, which the live view needs; pass --once"),
        (["127.0.0.1:1", "--interval", "0"], "interval is 0; it must be from 0.1 to 3,600 seconds"),
        (["nowhere", "--once"], "'nowhere' is no address"),
        (["127.0.0.1:1", "--once"], "is there an mmrec serve with --metrics 127.0.0.1:1?"),
    ],
)
def test_what_cannot_be_shown(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(arguments, capsys)
    assert code in (2, 5)
    assert out == ""
    assert message in err


@pytest.mark.parametrize("text", ["up 1\n", "<html>no metrics</html>"])
def test_another_program_at_the_address(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as other:
        thread = threading.Thread(target=other.serve_forever)
        thread.start()
        code, _, err = _run([f"127.0.0.1:{other.server_port}", "--once"], capsys)
        other.shutdown()
        thread.join()
    assert code != 0
    assert "check the port" in err
