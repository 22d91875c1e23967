"""`mmrec serve` before it has a bundle to serve; serving one is tried where bundles are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.cli.options import Compute, Writing
from mmrec.cli.output import Output
from mmrec.cli.serve import serve
from mmrec.errors import InvalidArgumentError, NotFoundError


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no bundle folder"):
        serve(str(tmp_path / "nothing"), compute=Compute(), writing=Writing(), output=Output())


def test_a_port_that_is_none_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="port is 70000"):
        serve(str(tmp_path), port=70_000, compute=Compute(), writing=Writing(), output=Output())


def test_a_token_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot read a token"):
        serve(str(tmp_path), token_file=str(tmp_path / "token"), compute=Compute(), writing=Writing(), output=Output())


@pytest.mark.parametrize("text", ["", " \n"])
def test_an_empty_token_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match="is empty"):
        serve(str(tmp_path), token_file=str(tmp_path / "token"), compute=Compute(), writing=Writing(), output=Output())


@pytest.mark.parametrize("text", ["localhost", "localhost:", "127.0.0.1:x", "9464.5", ":-1"])
def test_an_address_of_metrics_without_a_port_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"pass HOST:PORT, such as 0\.0\.0\.0:9464, or a port alone"):
        serve(str(tmp_path), metrics=text, compute=Compute(), writing=Writing(), output=Output())


@pytest.mark.parametrize("text", ["70000", ":70000", "[::1]:70000"])
def test_a_port_of_metrics_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="metrics_port is 70000"):
        serve(str(tmp_path), metrics=text, compute=Compute(), writing=Writing(), output=Output())
