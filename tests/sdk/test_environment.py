"""Clients that environment variables describe."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mmrec.errors import InvalidArgumentError, NotFoundError, UnauthenticatedError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.sdk.connection import Tls
from mmrec.sdk.environment import access_from_env
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine

TARGET = {"MMREC_TARGET": "localhost:50051"}


def test_a_token_s_file_is_read_for_each_call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("s3cret\n", encoding="ascii")
    with BackgroundServer(FakeEngine, ServerConfig(port=0, token="s3cret")) as server:
        monkeypatch.setenv("MMREC_TARGET", server.target)
        monkeypatch.setenv("MMREC_TOKEN_FILE", str(file))
        with Client.from_env() as client:
            assert client.info().items == 20
            file.write_text("another\n", encoding="ascii")
            with pytest.raises(UnauthenticatedError):
                client.info()
            file.unlink()
            with pytest.raises(NotFoundError, match="MMREC_TOKEN_FILE is "):
                client.info()


def test_the_asyncio_client_of_the_environment_calls_the_server_with_its_token(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> int:
        async with AsyncClient.from_env(timeout=5.0) as client:
            return (await client.info()).items

    with BackgroundServer(FakeEngine, ServerConfig(port=0, token="s3cret")) as server:
        monkeypatch.setenv("MMREC_TARGET", server.target)
        monkeypatch.setenv("MMREC_TOKEN", "s3cret")
        assert asyncio.run(scenario()) == 20


def test_nothing_but_the_target_must_be_set_and_what_is_empty_is_not() -> None:
    assert access_from_env(TARGET) == ("localhost:50051", None, False)
    assert access_from_env({**TARGET, "MMREC_TOKEN": "", "MMREC_TLS": "", "MMREC_TLS_CA": ""}) == (
        "localhost:50051",
        None,
        False,
    )


@pytest.mark.parametrize(("word", "tls"), [("1", True), ("true", True), ("0", False), ("False", False)])
def test_tls_is_switched(word: str, tls: bool) -> None:
    assert access_from_env({**TARGET, "MMREC_TLS": word}).tls is tls


def test_files_and_names_of_tls_imply_it(tmp_path: Path) -> None:
    paths = {name: str(tmp_path / name) for name in ("CA", "CERT", "KEY")}
    for path in paths.values():
        Path(path).write_text("PEM", encoding="ascii")
    files = {f"MMREC_TLS_{name}": path for name, path in paths.items()}
    assert access_from_env({**TARGET, **files, "MMREC_TLS_SERVER_NAME": "shop"}).tls == Tls(
        ca=paths["CA"], cert=paths["CERT"], key=paths["KEY"], server_name="shop"
    )


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "MMREC_TARGET is not set; set it to the server's host:port, as in MMREC_TARGET=localhost:50051"),
        ({**TARGET, "MMREC_TOKEN": "a", "MMREC_TOKEN_FILE": "b"}, "both MMREC_TOKEN and MMREC_TOKEN_FILE are set"),
        ({**TARGET, "MMREC_TOKEN": "two words"}, "MMREC_TOKEN: token is empty or has characters other than"),
        ({**TARGET, "MMREC_TLS": "perhaps"}, "MMREC_TLS is 'perhaps'; set it to 1 or 0, or leave it out"),
        ({**TARGET, "MMREC_TLS": "0", "MMREC_TLS_SERVER_NAME": "a"}, "MMREC_TLS is '0' and MMREC_TLS_SERVER_NAME is"),
        ({**TARGET, "MMREC_TLS_CERT": "a.pem"}, "MMREC_TLS_CERT is set and MMREC_TLS_KEY is not; set both, or neither"),
        ({**TARGET, "MMREC_TLS_KEY": "a.key"}, "MMREC_TLS_KEY is set and MMREC_TLS_CERT is not; set both, or neither"),
    ],
)
def test_a_variable_that_breaks_a_rule_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        access_from_env(variables)
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize("name", ["MMREC_TOKEN_FILE", "MMREC_TLS_CA"])
def test_a_file_that_is_missing_is_named_with_its_variable(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"{name} is .*/nowhere', which cannot be read: No such file"):
        access_from_env({**TARGET, name: str(tmp_path / "nowhere")})


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_token_s_file_without_a_token_is_named_with_its_variable(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=r"^MMREC_TOKEN_FILE"):
        access_from_env({**TARGET, "MMREC_TOKEN_FILE": str(tmp_path / "token")})
