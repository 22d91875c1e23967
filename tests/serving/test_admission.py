"""API keys at a real server: scopes of every RPC, rates, expiry, and keys that come and go while it runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import grpc
import pytest

from mmrec.contract.items import ItemInput
from mmrec.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    MmrecError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
)
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.sdk.rpcs import METHODS
from mmrec.sdk.status import DETAILS_KEY, error_from_trailer
from mmrec_serving import BackgroundServer, Server, ServerConfig
from mmrec_serving.admission import SCOPES, Admission, TokenBucket
from mmrec_serving.api_keys import ApiKey, Scope, add_key, sha256_of
from tests.fake_engine import FakeEngine

NAMES = {"read": "reader", "events": "tracker", "write": "writer", "admin": "operator"}
METHODS_OF = {
    "read": {
        "Recommend",
        "BatchRecommend",
        "RankItems",
        "Converse",
        "EmbedUser",
        "Explain",
        "PredictRating",
        "SimilarItems",
        "BatchSimilarItems",
        "SearchItems",
        "BatchSearchItems",
        "TagItems",
        "FindDuplicates",
        "FindMismatches",
        "EmbedItems",
        "GetItems",
        "ListItems",
        "GetSemanticIds",
        "ResolveSemanticIds",
        "GetServiceInfo",
    },
    "events": {"RecordEvents"},
    "write": {"UpsertItems", "StreamUpsertItems", "DeleteItems"},
    "admin": {"ListEvents", "DeleteUser"},
}


def key(name: str, *scopes: str, **limits: Any) -> ApiKey:
    """A key whose secret is its name and ``-key``."""
    return ApiKey(name, sha256_of(f"{name}-key"), frozenset(map(Scope, scopes)), **limits)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    for one in (
        *(key(name, scope) for scope, name in NAMES.items()),
        key("slow", "read", rate=0.001, burst=2),
        key("stream", "write", rate=1000.0, burst=1),
        key("old", "read", expires=date(2020, 1, 31)),
    ):
        add_key(path, one)
    return path


@pytest.fixture
def config(file: Path) -> ServerConfig:
    return ServerConfig(port=0, changes_in_memory=True, keys=file, token="s3cret", access_log="all")


def hat(item_id: str) -> list[ItemInput]:
    return [ItemInput(item_id, "hat")]


def until(holds: Callable[[], bool]) -> None:
    """Wait for what a thread of the server does soon."""
    pause = threading.Event()
    for _ in range(600):
        if holds():
            return
        pause.wait(0.05)
    raise AssertionError("it has not come about within 30 s")


def error_of(channel: grpc.Channel, path: str, secret: str) -> MmrecError | None:
    """How a call with an empty message ends; None: well."""
    call = channel.stream_stream(path)(iter([b""]), timeout=30, metadata=(("authorization", f"Bearer {secret}"),))
    try:
        list(call)
    except grpc.RpcError as err:
        details = dict(err.trailing_metadata() or ())[DETAILS_KEY]
        assert isinstance(details, bytes)
        return error_from_trailer(details)
    return None


# --- scopes ---------------------------------------------------------------------------------------------------


def test_every_rpc_of_the_contract_has_its_scope() -> None:
    assert set(SCOPES) == {method.path for method in METHODS}
    by_scope = {
        scope.value: {path.rpartition("/")[2] for path, needed in SCOPES.items() if needed is scope} for scope in Scope
    }
    assert by_scope == METHODS_OF


@pytest.mark.parametrize("scope", ["read", "events", "write", "admin"])
def test_a_key_may_do_what_its_scope_says_and_nothing_else(server: BackgroundServer, scope: str) -> None:
    with grpc.insecure_channel(server.target) as channel:
        errors = {method.path: error_of(channel, method.path, f"{NAMES[scope]}-key") for method in METHODS}
    allowed = {path.rpartition("/")[2] for path, err in errors.items() if not isinstance(err, PermissionDeniedError)}
    assert allowed == METHODS_OF[scope]
    assert not any(isinstance(err, UnauthenticatedError) for err in errors.values())


def test_a_denied_call_names_the_scope_and_the_key_but_not_its_secret(server: BackgroundServer) -> None:
    with Client(server.target, token="reader-key") as client, pytest.raises(PermissionDeniedError) as denied:
        client.delete_items(["item-1"])
    assert denied.value.message == (
        "DeleteItems needs the scope 'write', and the key 'reader' has read; use a key with that scope"
    )


def test_the_single_token_has_every_scope(server: BackgroundServer) -> None:
    with grpc.insecure_channel(server.target) as channel:
        errors = [error_of(channel, method.path, "s3cret") for method in METHODS]
    assert [err for err in errors if isinstance(err, PermissionDeniedError | UnauthenticatedError)] == []


@pytest.mark.parametrize("secret", ["reader-keY", "reader", sha256_of("reader-key"), "x"])
def test_what_is_no_key_of_the_server_is_refused(server: BackgroundServer, secret: str) -> None:
    with Client(server.target, token=secret) as client, pytest.raises(UnauthenticatedError) as refused:
        client.info()
    assert refused.value.message == "the token is not the server's; pass the right one"


def test_another_scheme_is_refused_and_an_unknown_method_is_told_to_callers_with_a_key(
    server: BackgroundServer,
) -> None:
    with grpc.insecure_channel(server.target) as channel:
        call = channel.unary_unary("/mmrec.v1.SystemService/GetServiceInfo")
        with pytest.raises(grpc.RpcError) as failed:
            call(b"", metadata=(("authorization", "Basic reader-key"),), timeout=30)
        assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED
        unknown = "/mmrec.v1.SystemService/Nothing"
        assert getattr(error_of(channel, unknown, "reader-key"), "code", "") == "UNIMPLEMENTED"
        assert getattr(error_of(channel, unknown, "nobody"), "code", "") == "UNAUTHENTICATED"


def test_an_expired_key_is_named(server: BackgroundServer) -> None:
    with Client(server.target, token="old-key") as client, pytest.raises(UnauthenticatedError) as refused:
        client.info()
    assert refused.value.message == "the key 'old' expired after 2020-01-31; pass another one"


def test_a_key_is_valid_on_its_last_day(file: Path) -> None:
    metadata = (("authorization", "Bearer old-key"),)
    assert Admission(file, today=lambda: date(2020, 1, 31)).identify(metadata).key.name == "old"
    with pytest.raises(UnauthenticatedError, match="expired"):
        Admission(file, today=lambda: date(2020, 2, 1)).identify(metadata)


# --- rates ----------------------------------------------------------------------------------------------------


def test_tokens_come_at_the_rate_and_add_up_to_the_burst() -> None:
    now = [0.0]
    bucket = TokenBucket(50.0, 2, lambda: now[0])
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.02]
    now[0] = 0.02
    assert [bucket.take(), bucket.take()] == [0.0, 0.02]
    now[0] = 100.0
    assert [bucket.take() for _ in range(3)] == [0.0, 0.0, 0.02]


def test_a_borrowed_token_is_waited_for_afterwards() -> None:
    now = [0.0]
    bucket = TokenBucket(4.0, 1, lambda: now[0])
    assert [bucket.borrow() for _ in range(3)] == [0.0, 0.25, 0.5]
    assert bucket.take() == 0.75
    now[0] = 0.75
    assert bucket.take() == 0.0


def test_who_calls_too_often_is_told_when_to_come_back_and_others_are_not_affected(server: BackgroundServer) -> None:
    with Client(server.target, token="slow-key") as client, Client(server.target, token="reader-key") as other:
        assert [client.info().items for _ in range(2)] == [20, 20]
        with pytest.raises(ResourceExhaustedError) as refused:
            client.info()
        # A thousand seconds for a call, less what has passed of them.
        wait_s = refused.value.retry_after_s
        assert wait_s is not None
        assert 900 < wait_s <= 1000
        assert refused.value.message == (
            f"the key 'slow' may make 0.001 calls a second, and 2 at once; try again in {round(1000 * wait_s)} ms"
        )
        assert other.info().items == 20


def test_a_call_that_is_denied_does_not_count(server: BackgroundServer) -> None:
    with Client(server.target, token="slow-key") as client:
        for _ in range(5):
            with pytest.raises(PermissionDeniedError):
                client.delete_items(["item-1"])
        assert [client.info().items for _ in range(2)] == [20, 20]


def test_a_stream_over_the_rate_goes_on_slower(server: BackgroundServer) -> None:
    with Client(server.target, token="stream-key") as client:
        replies = list(client.stream_upserts([hat(f"new-{n}") for n in range(5)]))
    assert [reply.done for reply in replies] == [("new-0",), ("new-1",), ("new-2",), ("new-3",), ("new-4",)]


def test_messages_of_a_stream_count_as_calls(file: Path) -> None:
    admission = Admission(file)
    caller = admission.identify((("authorization", "Bearer slow-key"),))
    path = "/mmrec.v1.RecommendationService/Converse"
    caller.admit(path)
    assert caller.admit_message(path) == 0.0
    assert 900 < caller.admit_message(path) <= 1000
    with pytest.raises(ResourceExhaustedError):
        caller.admit(path)


# --- keys that come and go --------------------------------------------------------------------------------------


def test_a_key_that_is_added_or_removed_counts_soon_without_a_restart(server: BackgroundServer, file: Path) -> None:
    def answered(secret: str) -> bool:
        with Client(server.target, token=secret) as client, suppress(UnauthenticatedError):
            return client.info().items == 20
        return False

    assert not answered("late-key")
    add_key(file, key("late", "read"))
    until(lambda: answered("late-key"))
    file.unlink()
    add_key(file, key("late", "read"))
    until(lambda: not answered("reader-key"))
    assert answered("late-key")
    assert answered("s3cret")


def test_a_broken_file_leaves_the_keys_as_they_were_and_the_log_says_so(
    server: BackgroundServer, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def told(words: str) -> bool:
        return any(record.levelname == "ERROR" and words in record.getMessage() for record in caplog.records)

    whole = file.read_text(encoding="utf-8")
    with Client(server.target, token="reader-key") as client:
        for break_it, words in (
            (lambda: file.write_text(whole + "[[keys]\n", encoding="utf-8"), "is not TOML"),
            (file.unlink, "cannot read the API keys"),
        ):
            break_it()
            until(lambda words=words: told(words))  # type: ignore[misc]
            assert client.info().items == 20
    assert told("the API keys before stay valid, because the file cannot be used")


def test_a_removed_key_ends_its_stream(server: BackgroundServer, file: Path) -> None:
    def batches() -> Iterator[list[ItemInput]]:
        yield hat("new-1")
        file.unlink()
        add_key(file, key("other", "write"))
        with Client(server.target, token="writer-key") as probe:

            def is_gone() -> bool:
                try:
                    probe.delete_items(["nothing"])
                except UnauthenticatedError:
                    return True
                return False

            until(is_gone)
        yield hat("new-2")

    with Client(server.target, token="writer-key") as client, pytest.raises(UnauthenticatedError) as ended:
        list(client.stream_upserts(batches()))
    assert ended.value.answered == 1


def test_a_limit_goes_on_when_the_file_is_read_again_and_begins_anew_when_it_changes(file: Path) -> None:
    admission = Admission(file, every_s=3600)
    admission.start()
    metadata = (("authorization", "Bearer slow-key"),)

    def rewrite(rate: float) -> None:
        file.unlink()
        add_key(file, key(f"mark-{rate}", "read"))
        add_key(file, key("slow", "read", rate=rate, burst=2))
        admission.reload()
        secret = (("authorization", f"Bearer mark-{rate}-key"),)

        def is_read() -> bool:
            with suppress(UnauthenticatedError):
                return admission.identify(secret).key.name == f"mark-{rate}"
            return False

        until(is_read)

    try:
        for _ in range(2):
            admission.identify(metadata).admit("")
        rewrite(0.001)
        with pytest.raises(ResourceExhaustedError):
            admission.identify(metadata).admit("")
        rewrite(0.002)
        admission.identify(metadata).admit("")
    finally:
        admission.close()


def test_a_reload_of_the_server_reads_a_file_that_looks_unchanged(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="mmrec_serving.admission")

    def read_again() -> list[str]:
        return [record.getMessage() for record in caplog.records if record.name == "mmrec_serving.admission"]

    async def run() -> None:
        server = Server(FakeEngine, ServerConfig(port=0, keys=file))
        await server.start()
        await server.ready()
        assert read_again() == []
        server.reload()
        await asyncio.to_thread(until, lambda: bool(read_again()))
        await server.stop()

    asyncio.run(run())
    assert read_again() == [f"the API keys were read again from {file}; there are 7"]


@pytest.mark.parametrize(
    ("spoil", "kind"), [(Path.unlink, NotFoundError), (lambda path: path.chmod(0o666), FailedPreconditionError)]
)
def test_a_server_does_not_start_with_a_file_that_cannot_be_used(
    file: Path, spoil: Callable[[Path], object], kind: type[MmrecError]
) -> None:
    spoil(file)
    with pytest.raises(kind), BackgroundServer(FakeEngine, ServerConfig(port=0, keys=file)):
        raise AssertionError("it has started")


def test_a_client_takes_another_key_without_being_made_anew(server: BackgroundServer) -> None:
    given = ["tracker-key"]
    with Client(server.target, token=lambda: given[-1]) as client:
        with pytest.raises(PermissionDeniedError, match="the key 'tracker' has events"):
            client.info()
        given.append("reader-key")
        assert client.info().items == 20
        with pytest.raises(PermissionDeniedError, match="the key 'reader' has read"):
            list(client.stream_upserts([hat("new-1")]))
        given.append("writer-key")
        assert [reply.done for reply in client.stream_upserts([hat("new-1")])] == [("new-1",)]


def test_a_client_for_asyncio_takes_another_key_too(server: BackgroundServer) -> None:
    given = ["tracker-key"]

    async def run() -> None:
        async with AsyncClient(server.target, token=lambda: given[-1]) as client:
            with pytest.raises(PermissionDeniedError, match="the key 'tracker' has events"):
                await client.info()
            given.append("writer-key")
            replies = [reply async for reply in client.stream_upserts([hat("new-1")])]
            assert [reply.done for reply in replies] == [("new-1",)]

    asyncio.run(run())


def test_what_a_function_for_the_token_raises_or_returns_is_told(server: BackgroundServer) -> None:
    def broken() -> str:
        raise ValueError("the vault is closed")

    with Client(server.target, token=broken) as client:
        with pytest.raises(ValueError, match="the vault is closed"):
            client.info()
        with pytest.raises(ValueError, match="the vault is closed"):
            list(client.stream_upserts([hat("new-1")]))
    with Client(server.target, token=lambda: "two words") as client, pytest.raises(InvalidArgumentError) as refused:
        client.info()
    assert "two words" not in refused.value.message


# --- the log --------------------------------------------------------------------------------------------------


def test_the_access_log_names_the_key_and_never_shows_it(
    server: BackgroundServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Client(server.target, token="reader-key") as client:
        client.info()
        with pytest.raises(PermissionDeniedError):
            client.delete_items(["item-1"])
    with Client(server.target, token="a-stolen-key") as client, pytest.raises(UnauthenticatedError):
        client.info()
    until(lambda: sum(record.name == "mmrec_serving.access" for record in caplog.records) == 3)
    told = [record.getMessage() for record in caplog.records if record.name == "mmrec_serving.access"]
    assert [(line.split()[0].rpartition("/")[2], line.split()[1], line.partition(" key=")[2]) for line in told] == [
        ("GetServiceInfo", "OK", "reader"),
        ("DeleteItems", "PERMISSION_DENIED", "reader"),
        ("GetServiceInfo", "UNAUTHENTICATED", ""),
    ]
    assert "reader-key" not in caplog.text
    assert "a-stolen-key" not in caplog.text
    assert sha256_of("reader-key") not in caplog.text
