from __future__ import annotations

import inspect

import pytest

from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.calls import EngineCalls
from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer
from tests.contracts import assert_change_contract, assert_engine_contract, assert_twins
from tests.fake_engine import FakeEngine

KNOWN = ["item-3", "item-4", "item-9"]


def test_the_fake_engine_is_an_engine() -> None:
    assert_engine_contract(FakeEngine(), KNOWN)
    assert_change_contract(FakeEngine(), KNOWN)


def test_calls_are_the_same_in_process_and_through_both_clients_and_a_server() -> None:
    engine = FakeEngine()
    with BackgroundServer(lambda: engine) as server:
        assert_twins(engine, KNOWN, server.target)


PUBLIC = [
    "close",
    "delete_items",
    "duplicates",
    "embed",
    "info",
    "items",
    "list_items",
    "mismatches",
    "recommend",
    "recommend_many",
    "resolve_semantic_ids",
    "search",
    "search_many",
    "semantic_ids",
    "similar",
    "similar_many",
    "stream_upserts",
    "tag",
    "upsert_items",
]


def test_both_clients_have_the_same_methods() -> None:
    for kind in (Client, AsyncClient):
        assert sorted(name for name in vars(kind) if not name.startswith("_")) == PUBLIC


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "stream_upserts"])
def test_both_clients_take_the_same_arguments_and_say_the_same(name: str) -> None:
    blocking, awaited = getattr(Client, name), getattr(AsyncClient, name)
    assert inspect.signature(blocking) == inspect.signature(awaited)
    assert blocking.__doc__ == awaited.__doc__


def test_both_clients_stream_alike() -> None:
    blocking, awaited = inspect.signature(Client.stream_upserts), inspect.signature(AsyncClient.stream_upserts)
    assert Client.stream_upserts.__doc__ == AsyncClient.stream_upserts.__doc__
    assert list(blocking.parameters) == list(awaited.parameters)
    for name, parameter in blocking.parameters.items():
        twin = awaited.parameters[name]
        assert (parameter.kind, parameter.default) == (twin.kind, twin.default)
        assert parameter.annotation == twin.annotation or name == "batches"


@pytest.mark.parametrize(
    "name",
    [
        "delete_items",
        "duplicates",
        "embed",
        "items",
        "list_items",
        "mismatches",
        "recommend",
        "resolve_semantic_ids",
        "search",
        "semantic_ids",
        "similar",
        "tag",
        "upsert_items",
    ],
)
def test_the_calls_in_process_take_the_arguments_of_the_client_but_for_the_timeout(name: str) -> None:
    client = dict(inspect.signature(getattr(Client, name)).parameters)
    client.pop("timeout")
    in_process = inspect.signature(getattr(EngineCalls, name)).parameters
    assert list(client) == list(in_process)
    assert [p.default for p in client.values()] == [p.default for p in in_process.values()]
