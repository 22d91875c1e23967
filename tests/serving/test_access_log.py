"""Which calls get a line in the log, and that a storm of failures gets few."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.access_log import AccessLog
from mmrec_serving.log_sampling import INTERVAL_S
from tests.fake_engine import FakeEngine

INFO = "/mmrec.v1.SystemService/GetServiceInfo"
SEARCH = "/mmrec.v1.UnderstandingService/SearchItems"
NAME = "mmrec_serving.access"


@pytest.fixture(autouse=True)
def _every_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=NAME)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records if record.name == NAME]


@pytest.mark.parametrize(
    ("logged", "expected"),
    [
        ("none", []),
        ("errors", [("INFO", f"{SEARCH} NOT_FOUND 2.0 ms id=b")]),
        ("all", [("INFO", f"{INFO} OK 1.0 ms id=a"), ("INFO", f"{SEARCH} NOT_FOUND 2.0 ms id=b")]),
    ],
)
def test_what_is_logged_of_which_calls(
    caplog: pytest.LogCaptureFixture, logged: str, expected: list[tuple[str, str]]
) -> None:
    access = AccessLog(logged)  # type: ignore[arg-type]
    access.note(INFO, "OK", 0.001, "a")
    access.note(SEARCH, "NOT_FOUND", 0.002, "b")
    access.close()
    assert lines(caplog) == expected


@pytest.mark.parametrize("logged", ["errors", "all"])
def test_a_storm_of_failures_alike_is_summed_up(caplog: pytest.LogCaptureFixture, logged: str) -> None:
    now, timers = [0.0], []
    access = AccessLog(logged, lambda seconds, call: timers.append((seconds, call)), lambda: now[0])  # type: ignore[arg-type]
    for number in range(100_000):
        access.note(SEARCH, "RESOURCE_EXHAUSTED", 0.0, f"{number}")
    access.note(SEARCH, "INTERNAL", 0.0, "another")
    assert len(lines(caplog)) == 6
    assert lines(caplog)[-1] == ("WARNING", f"{SEARCH} INTERNAL 0.0 ms id=another")
    # Nothing more comes, and it is told all the same.
    ((seconds, call),) = timers
    assert seconds == INTERVAL_S
    call()
    assert lines(caplog)[6:] == [("WARNING", f"{SEARCH} RESOURCE_EXHAUSTED 99995 more within 10 s")]
    for number in range(7):
        access.note(SEARCH, "RESOURCE_EXHAUSTED", 0.0, f"{number}")
    now[0] = INTERVAL_S
    access.note(INFO, "UNAVAILABLE", 0.0, "later")
    assert lines(caplog)[-2] == ("WARNING", f"{SEARCH} RESOURCE_EXHAUSTED 2 more within 10 s")


def test_names_of_methods_that_callers_make_up_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    access = AccessLog("errors")
    for number in range(1_000):
        access.note(f"/mmrec.v1.Made/Up{number}" + 5_000 * "p", "UNIMPLEMENTED", 0.0, "a")
    access.close()
    assert len(lines(caplog)) == 6
    assert max(len(message) for _, message in lines(caplog)) < 300
    assert lines(caplog)[-1][1] == "an unknown method UNIMPLEMENTED 995 more within 10 s"


def test_another_word_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="it must be one of none, errors, all") as refused:
        ServerConfig(access_log="some")  # type: ignore[arg-type]
    assert [violation.field for violation in refused.value.violations] == ["access_log"]


def test_an_overloaded_server_writes_little_and_a_busy_one_nothing(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine, ServerConfig(port=0, max_queue=1)) as server:
        with Client(server.target) as client, ThreadPoolExecutor(2) as pool:
            for _ in range(50):
                client.info()
            assert lines(caplog) == []
            held = pool.submit(client.search, "trap: wait")
            assert engine.entered.wait(30)
            waiting = pool.submit(client.search, "shoe")
            refused = 0
            while refused < 200:
                if waiting.done():  # another call was in the queue before it
                    waiting = pool.submit(client.search, "shoe")
                try:
                    client.info(timeout=0.2)
                except MmrecError as err:
                    refused += err.code == "RESOURCE_EXHAUSTED"
            engine.release.set()
            held.result(30)
            waiting.result(30)
        with grpc.insecure_channel(server.target) as channel, pytest.raises(grpc.RpcError):
            channel.unary_unary("/mmrec.v1.ItemService/Nothing")(b"", timeout=10)
    told = [message for _, message in lines(caplog) if "RESOURCE_EXHAUSTED" in message]
    assert 6 <= len(told) <= 60
    assert sum("more within" in message for message in told) >= 1
    assert any("/mmrec.v1.ItemService/Nothing UNIMPLEMENTED" in message for _, message in lines(caplog))
