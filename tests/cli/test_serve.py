"""`mmrec serve` before it has a bundle to serve; serving one is tried where bundles are made."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import mmrec
from mmrec.cli.options import Compute, Writing
from mmrec.cli.output import Output
from mmrec.cli.serve import serve
from mmrec.errors import InvalidArgumentError, NotFoundError
from tests.commands import run, start


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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "shop.example"])
def test_a_host_beyond_this_machine_needs_keys(tmp_path: Path, host: str) -> None:
    with pytest.raises(InvalidArgumentError, match="--keys, --token-file or --client-ca, or else --without-keys"):
        serve(str(tmp_path / "nothing"), host=host, compute=Compute(), writing=Writing(), output=Output())


@pytest.mark.parametrize(
    ("mode", "options", "warned"),
    [
        (0o600, {}, []),
        (0o640, {}, ["others may use the token file"]),
        (0o600, {"host": "0.0.0.0"}, ["callers of 0.0.0.0 send their keys unencrypted"]),
        (0o600, {"host": "0.0.0.0", "tls_cert": "cert.pem", "tls_key": "key.pem"}, []),
    ],
)
def test_what_weakens_a_token_is_a_warning(
    tmp_path: Path, mode: int, options: dict[str, str], warned: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret", encoding="utf-8")
    token.chmod(mode)
    with pytest.raises(NotFoundError, match="there is no bundle folder"):
        serve(
            str(tmp_path / "nothing"),
            token_file=str(token),
            compute=Compute(),
            writing=Writing(),
            output=Output(),
            **options,  # type: ignore[arg-type]
        )
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith(f"warning: {words}") for line, words in zip(lines, warned, strict=True)] == [True] * len(
        warned
    )


def test_a_host_beyond_this_machine_may_be_open_to_all_if_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NotFoundError, match="there is no bundle folder"):
        serve(
            str(tmp_path / "nothing"),
            host="0.0.0.0",
            without_keys=True,
            compute=Compute(),
            writing=Writing(),
            output=Output(),
        )
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_a_server_does_not_listen_with_a_file_of_keys_that_it_cannot_use(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.touch(0o600)
    file.write_text("[[keys]\n", encoding="utf-8")
    done = run("serve", tmp_path, "--port", "0", "--keys", file)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: '{file}' is not TOML: ")
    assert done.stdout == ""


def test_another_format_of_the_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="log_format is 'xml'; it must be one of text, json"):
        serve(str(tmp_path), log_format="xml", compute=Compute(), writing=Writing(), output=Output())


@pytest.mark.slow
def test_every_line_of_a_json_log_is_json(demo_bundle: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    token = tmp_path / "token"
    token.write_text("secret", encoding="utf-8")
    token.chmod(0o644)
    options = ("--port", "0", "--log-format", "json", "--access-log", "all", "--token-file", token)
    with start("serve", demo_bundle, *options, stderr=log) as server:
        address = server.stdout.readline().strip()
        with mmrec.Client(address, token="secret", timeout=60) as client:
            client.info()
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["message"] for line in lines if line["logger"] == "mmrec.cli.serve"] == [
        f"others may use the token file '{token}' (mode 644); run: chmod 600 {token}",
        f"listening on {address}, loading {demo_bundle}",
        "stopped",
    ]
    (call,) = [line for line in lines if line["logger"] == "mmrec_serving.access"]
    assert (call["method"], call["code"]) == ("/mmrec.v1.SystemService/GetServiceInfo", "OK")
