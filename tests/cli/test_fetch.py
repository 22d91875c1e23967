"""`mmrec fetch`, run in this process through the program's own entry point."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.commands import status_of
from tests.data.raw_server import RawServer, reply


def _png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "PNG")
    return buffer.getvalue()


def test_from_urls_to_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RawServer() as server:
        server.paths["/1.png"] = reply(_png())
        urls = [server.url("/1.png", "127.0.0.1"), server.url("/2.png", "127.0.0.1")]
        rows = "".join(json.dumps({"item_id": str(n), "image": url}) + "\n" for n, url in enumerate(urls))
        (tmp_path / "items.jsonl").write_text(rows)
        own = ("--port", server.port, "--network", "127.0.0.0/8")
        assert status_of("fetch", tmp_path, "--hosts", "127.0.0.1", *own) == 0
        shown = capsys.readouterr()
        assert "item 1: the picture" in shown.err
        assert "status 404" in shown.err
        assert status_of("fetch", tmp_path, "--hosts", "img.example,127.0.0.1", *own, "--json", "-q") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["urls"], found["fetched"], found["found"], found["failed"], found["items"]) == (2, 0, 1, 1, 2)
    assert [path.suffix for path in (tmp_path / "images").iterdir()] == [".png"]


def test_by_default_no_private_address_and_no_other_port_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RawServer() as server:
        (tmp_path / "items.jsonl").write_text(
            json.dumps({"item_id": "1", "image": server.url("/1", "127.0.0.1")}) + "\n"
        )
        assert status_of("fetch", tmp_path, "--hosts", "127.0.0.1") == 0
        said = capsys.readouterr().err
        assert f"its port {server.port} is not allowed" in said
        assert f"`mmrec fetch --port {server.port}`" in said
        assert status_of("fetch", tmp_path, "--hosts", "127.0.0.1", "--port", server.port) == 0
        said = capsys.readouterr().err
        assert "is not public" in said
        assert "`mmrec fetch --network`" in said
        assert server.requests == []


def test_a_host_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("fetch", tmp_path) == 2
    assert "allow_hosts is empty" in capsys.readouterr().err
