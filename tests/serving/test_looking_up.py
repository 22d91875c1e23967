"""Rows, paths of items and items of paths, through a real server on a real port."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.v1 import common_pb2, item_pb2, item_pb2_grpc
from mmrec_serving import BackgroundServer
from tests.fake_engine import VERSIONS, FakeEngine


def test_a_walk_over_the_pages_meets_every_passing_item_exactly_once(client: Client) -> None:
    walked: list[str] = []
    token = ""
    while True:
        page = client.list_items('half = "first"', page_size=3, page_token=token)
        assert (page.total, page.versions) == (10, VERSIONS)
        walked += page.item_ids
        token = page.next_page_token
        if not token:
            break
    assert walked == [f"item-{row}" for row in range(10)]


def test_pages_for_a_client_of_another_language(server: BackgroundServer) -> None:
    with grpc.insecure_channel(server.target) as channel:
        stub = item_pb2_grpc.ItemServiceStub(channel)
        first = stub.ListItems(item_pb2.ListItemsRequest(page_size=15), timeout=10)
        # By id: item-0, item-1, item-10, ..., item-19, item-2, ...
        assert ([item.item_id for item in first.items][-1], first.total_size) == ("item-4", 20)
        last = stub.ListItems(item_pb2.ListItemsRequest(page_token=first.next_page_token), timeout=10)
        assert (next(item.item_id for item in last.items), len(last.items), last.next_page_token) == ("item-5", 5, "")
        with pytest.raises(grpc.RpcError) as failed:
            stub.GetSemanticIds(item_pb2.GetSemanticIdsRequest(codebook_version="b7"), timeout=10)
        assert failed.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        paths = [common_pb2.SemanticId(codes=[7]), common_pb2.SemanticId()]
        reply = stub.ResolveSemanticIds(item_pb2.ResolveSemanticIdsRequest(semantic_ids=paths), timeout=10)
        good, bad = reply.entries
        assert ([item.item_id for item in good.items], good.total_size, good.HasField("status")) == (
            ["item-7"],
            1,
            False,
        )
        assert (list(bad.items), bad.status.code) == ([], grpc.StatusCode.INVALID_ARGUMENT.value[0])


def test_from_an_item_to_its_path_and_back(client: Client) -> None:
    found = client.semantic_ids(["item-7", "ghost", "item-2"], codebook_version="b1")
    assert [entry.semantic_id for entry in found.entries] == [(7, 255, 0), (2, 255, 0)]
    assert found.missing_ids == ("ghost",)
    resolved = client.resolve_semantic_ids([entry.semantic_id for entry in found.entries])
    assert [[item.item_id for item in entry.items] for entry in resolved.entries] == [["item-7"], ["item-2"]]
    assert resolved.versions == VERSIONS


def test_a_path_that_is_refused_keeps_its_place(client: Client) -> None:
    found = client.resolve_semantic_ids([(), (3,), (0, 0, 0, 0)])
    assert [entry.total for entry in found.entries] == [0, 1, 0]
    assert isinstance(found.entries[0].error, InvalidArgumentError)
    assert found.entries[1].error is None
    assert isinstance(found.entries[2].error, InvalidArgumentError)


def test_another_version_of_the_codebooks_is_a_failed_precondition(server: BackgroundServer) -> None:
    async def scenario() -> None:
        async with AsyncClient(server.target) as client:
            with pytest.raises(FailedPreconditionError, match="b7"):
                await client.semantic_ids(["item-1"], codebook_version="b7")
            with pytest.raises(FailedPreconditionError, match="b7"):
                await client.resolve_semantic_ids([(1,)], codebook_version="b7")

    asyncio.run(scenario())


def test_a_look_up_of_very_many_rows_is_done_by_itself(client: Client, engine: FakeEngine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: client.resolve_semantic_ids([(1,)] * 100, page_size=1000), range(8)))
    assert [count for kind, count in engine.asked if kind == "resolve"] == [1] * 8


def test_look_ups_of_several_callers_reach_the_engine_in_batches_of_their_own_kind(
    client: Client, engine: FakeEngine
) -> None:
    client.list_items(page_size=1)
    client.semantic_ids(["item-1"])
    client.resolve_semantic_ids([(1,)])
    assert [kind for kind, _ in engine.asked][-3:] == ["list-items", "semantic-ids", "resolve"]
