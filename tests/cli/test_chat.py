"""`mmrec chat` on a bundle and on a server: one message a line, one answer a line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from tests.commands import Done, run_here

pytestmark = pytest.mark.slow


def _chat(said: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Done:
    monkeypatch.setattr("sys.stdin", io.StringIO(said))
    return run_here(["chat", *arguments], capsys)


def test_a_piped_conversation(
    demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = _chat("go ahead\n\nanother one, just pick one\n", [str(demo_bundle)], monkeypatch, capsys)
    assert (status, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [["I", "suggest"], ["I", "suggest"]]


def test_a_conversation_with_a_server_as_json(
    demo_server: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--server", demo_server, "--history", "p0001", "--filter", 'item_id = "p0007"', "--json"]
    status, out, _ = _chat("go ahead\nanother\n", arguments, monkeypatch, capsys)
    first, second = json.loads(out)["turns"]
    assert status == 0
    assert [scored["item"]["item_id"] for scored in first["items"]] == ["p0007"]
    assert second["items"] == []
    assert second["state"]["rejected_ids"] == ["p0007"]


@pytest.mark.parametrize(
    ("said", "arguments", "message"),
    [
        ("", ["bundle"], "there is no"),
        ("hello\n", [], "neither a bundle nor --server is given"),
        ("hello\n", ["bundle", "-k", "-1"], "k is -1"),
    ],
)
def test_mistakes(
    said: str,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = _chat(said, arguments, monkeypatch, capsys)
    assert status != 0
    assert out == ""
    assert message in err


def test_when_nothing_is_said(
    demo_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = _chat("\n\n", [str(demo_bundle)], monkeypatch, capsys)
    assert (status, out) == (2, "")
    assert "nothing was said; type a message" in err
