"""`mmrec bench-server`, as a person calls it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmrec_serving import BackgroundServer
from tests.commands import Done, run_here
from tests.fake_engine import FakeEngine


@pytest.fixture
def server() -> Iterator[BackgroundServer]:
    with BackgroundServer(FakeEngine) as running:
        yield running


def _run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Done:
    return run_here(["bench-server", *arguments], capsys)


_SHORT = ["--seconds", "0.5", "--warmup", "0", "--timeout", "20", "--history", "3", "--arrivals", "even"]


def test_rates_are_sent_one_after_the_other_and_drawn(
    server: BackgroundServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png = tmp_path / "load.png"
    arguments = ["--server", server.target, "--rate", "10", "--rate", "20", *_SHORT, "--png", str(png)]
    status, out, err = _run(arguments, capsys)
    assert status == 0
    assert "20 calls a second for 0 + 0.5 s" in err
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [["10", "10.0"], ["20", "20.0"]]
    assert png.read_bytes().startswith(b"\x89PNG")


def test_json_has_every_kind_of_call(server: BackgroundServer, capsys: pytest.CaptureFixture[str]) -> None:
    mix = ["--calls", "recommend=3, items=1", "--seed", "4"]
    status, out, _ = _run(["--server", server.target, "--rate", "40", *_SHORT, *mix, "--json", "-q"], capsys)
    assert status == 0
    (result,) = json.loads(out)["results"]
    assert result["load"]["calls"] == {"recommend": 3.0, "items": 1.0}
    assert set(result["by_call"]) == {"recommend", "items"}
    assert result["codes"]["OK"]["calls"] == result["calls"] == 20


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rate", "1"], "--server is not given"),
        (["--server", "localhost:1", "--rate", "1", "--calls", "search=much"], "--calls has 'search=much'"),
        (["--server", "localhost:1", "--rate", "-1"], "rate is -1.0; it must be over 0"),
    ],
)
def test_flags_that_break_a_rule_are_named(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = _run(arguments, capsys)
    assert status == 2
    assert words in err


def test_times_of_single_calls_are_not_of_a_load(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = _run(["--server", "localhost:1", "--rate", "1", "--timing"], capsys)
    assert (status, out) == (2, "")
    assert "--timing is of single calls" in err
