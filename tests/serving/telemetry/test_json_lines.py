"""Lines of the log as JSON."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import grpc
import pytest

from mmrec.errors import InternalError
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.telemetry.calls import begin_call
from mmrec_serving.telemetry.json_lines import JsonLines
from tests.fake_engine import FakeEngine


def record(message: str, *args: object, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("mmrec_serving.x", logging.WARNING, "file", 1, message, args, None)
    made.created = 1717149600.25
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_a_record_is_one_line() -> None:
    line = JsonLines().format(record("two\nlines of %s", "Zoë"))
    assert "\n" not in line
    assert line.isascii()
    assert json.loads(line) == {
        "time": "2024-05-31T10:00:00.250Z",
        "level": "WARNING",
        "logger": "mmrec_serving.x",
        "message": "two\nlines of Zoë",
    }


def test_fields_and_a_traceback_stand_beside_the_message() -> None:
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError:
        failed = record("failed", fields={"code": "INTERNAL", "ms": 1.5}, exc_info=sys.exc_info())
    found = json.loads(JsonLines().format(failed))
    assert (found["code"], found["ms"]) == ("INTERNAL", 1.5)
    assert found["exception"].endswith("ZeroDivisionError: why")


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the loggers of a server write."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("mmrec_serving")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_calls_of_a_real_server_and_where_more_is_said_of_a_failure(log: io.StringIO) -> None:
    with BackgroundServer(FakeEngine, ServerConfig(port=0, access_log="all")) as server:
        with grpc.insecure_channel(server.target) as channel:
            info = channel.unary_unary("/mmrec.v1.SystemService/GetServiceInfo")
            info(b"", timeout=10, metadata=(("x-request-id", "mine"),))
        with Client(server.target) as client, pytest.raises(InternalError) as failed:
            client.search("trap: raise")
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    good, bad = [line for line in lines if line["logger"] == "mmrec_serving.access"]
    assert good.pop("ms") >= 0
    assert {name: good[name] for name in ("level", "method", "code", "request_id")} == {
        "level": "INFO",
        "method": "/mmrec.v1.SystemService/GetServiceInfo",
        "code": "OK",
        "request_id": "mine",
    }
    assert (bad["level"], bad["code"], bad["error_id"]) == ("WARNING", "INTERNAL", failed.value.error_id)
    (more,) = [line for line in lines if line["logger"] == "mmrec_serving.failures"]
    assert more["error_id"] == failed.value.error_id
    assert "ZeroDivisionError" in more["message"]


def test_a_line_that_is_logged_while_a_call_runs_has_its_id() -> None:
    def in_a_call() -> str:
        begin_call((), "/mmrec.v1.ItemService/GetItems", "mine", None)
        return JsonLines().format(record("said"))

    assert json.loads(copy_context().run(in_a_call))["request_id"] == "mine"
    assert "request_id" not in json.loads(JsonLines().format(record("said")))
