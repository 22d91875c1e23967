"""TLS and mTLS with certificates made by the openssl program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError, UnavailableError
from mmrec.sdk.client import Client
from mmrec.sdk.connection import Tls
from mmrec_serving import BackgroundServer, ServerConfig
from tests.fake_engine import FakeEngine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority (ca), a certificate of localhost (server) and one of a caller (caller), as .pem and .key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl program to make certificates with")
    made = tmp_path_factory.mktemp("tls")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=made, check=True, capture_output=True)

    key = ("-newkey", "rsa:2048", "-nodes")
    run(
        "req",
        "-x509",
        *key,
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-days",
        "2",
        "-subj",
        "/CN=authority",
    )
    (made / "names.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n", encoding="ascii")
    for name in ("server", "caller"):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "2", "-extfile", "names.cnf"),
        )
    return made


def _config(folder: Path, *, mutual: bool = False) -> ServerConfig:
    return ServerConfig(
        port=0,
        tls_cert=folder / "server.pem",
        tls_key=folder / "server.key",
        client_ca=folder / "ca.pem" if mutual else None,
    )


def test_a_client_that_trusts_the_authority_gets_through(folder: Path) -> None:
    with (
        BackgroundServer(FakeEngine, _config(folder)) as server,
        Client(server.target, tls=Tls(ca=folder / "ca.pem")) as client,
    ):
        assert client.info().items == 20


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_does_not_is_told_that_no_server_answers(folder: Path, tls: bool) -> None:
    with (
        BackgroundServer(FakeEngine, _config(folder)) as server,
        Client(server.target, tls=tls) as client,
        pytest.raises(UnavailableError, match="no mmrec server answers"),
    ):
        client.info()


def test_with_mutual_tls_only_callers_with_a_certificate_get_through(folder: Path) -> None:
    own = Tls(ca=folder / "ca.pem", cert=folder / "caller.pem", key=folder / "caller.key")
    with BackgroundServer(FakeEngine, _config(folder, mutual=True)) as server:
        with Client(server.target, tls=own) as client:
            assert client.info().items == 20
        with Client(server.target, tls=Tls(ca=folder / "ca.pem")) as client, pytest.raises(UnavailableError):
            client.info()


def test_files_that_are_not_there_are_named(folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nowhere\.pem"):
        Client("localhost:1", tls=Tls(ca=folder / "nowhere.pem"))
    config = ServerConfig(port=0, tls_cert=folder / "nowhere.pem", tls_key=folder / "server.key")
    with pytest.raises(NotFoundError, match=r"nowhere\.pem"), BackgroundServer(FakeEngine, config):
        pass


def test_files_that_are_no_certificates_are_refused_at_the_start(folder: Path) -> None:
    (folder / "noise.pem").write_text("noise", encoding="ascii")
    config = ServerConfig(port=0, tls_cert=folder / "noise.pem", tls_key=folder / "noise.pem")
    with pytest.raises(FailedPreconditionError, match="do not work together"), BackgroundServer(FakeEngine, config):
        pass


def test_a_key_of_another_certificate_is_no_taken_port(folder: Path) -> None:
    config = ServerConfig(port=0, tls_cert=folder / "server.pem", tls_key=folder / "caller.key")
    with pytest.raises(FailedPreconditionError, match=r"tls_key .*caller\.key.* do not work together"):
        BackgroundServer(FakeEngine, config).__enter__()


def test_a_certificate_without_its_key_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="a cert and no key"):
        Tls(cert="cert.pem")
