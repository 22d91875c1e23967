"""What a caller that asks for it is told of the time that a real server took."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import grpc
import pytest

import mmrec
from mmrec.errors import InvalidArgumentError, NotFoundError
from mmrec.sdk.aio import AsyncClient
from mmrec.sdk.client import Client
from mmrec.v1 import recommendation_pb2
from mmrec_serving import BackgroundServer
from tests.fake_engine import FakeEngine
from tests.serving.test_pictures import picture
from tests.serving.test_wording import WordyEngine, Writer

RECOMMEND, SIMILAR = "/mmrec.v1.RecommendationService/Recommend", "/mmrec.v1.UnderstandingService/SimilarItems"
STAGES = ["arrive", "decode", "queue", "run", "encode"]


def trailer(target: str, *metadata: tuple[str, str]) -> dict[str, str]:
    with grpc.insecure_channel(target) as channel:
        request = recommendation_pb2.RecommendRequest(history=["item-1"]).SerializeToString()
        _, call = channel.unary_unary(RECOMMEND).with_call(request, timeout=10, metadata=metadata)
        return dict(call.trailing_metadata() or ())


def test_any_client_can_ask_by_metadata(server: BackgroundServer) -> None:
    found = trailer(server.target, ("mmrec-timing", "1"), ("x-request-id", "mine"))
    assert found["x-request-id"] == "mine"
    assert re.sub(r"\d+\.\d{3}", "N", found["mmrec-timing"]) == ", ".join(f"{n};dur=N" for n in [*STAGES, "total"])


def test_who_does_not_ask_is_told_nothing(server: BackgroundServer) -> None:
    assert set(trailer(server.target)) == {"x-request-id"}
    assert set(trailer(server.target, ("mmrec-timing", "0"))) == {"x-request-id"}


def told(timings: Sequence[mmrec.CallTiming]) -> list[tuple[str, list[str]]]:
    assert all(0 < sum(timing.stages.values()) <= timing.total < 30 for timing in timings)
    return [(timing.method, list(timing.stages)) for timing in timings]


def test_a_client_passes_the_times_of_each_call_on_also_of_a_failed_one(server: BackgroundServer) -> None:
    timings: list[mmrec.CallTiming] = []
    with Client(server.target, on_timing=timings.append) as client:
        client.recommend(["item-1"])
        with pytest.raises(NotFoundError):
            client.similar("nothing")
        with pytest.raises(InvalidArgumentError):
            # It has as many details as a trailer holds.
            client.similar("item-1", filter='half = "' + "漢" * 2_000)
    assert told(timings) == [(RECOMMEND, STAGES), (SIMILAR, STAGES[:-1]), (SIMILAR, STAGES[:-1])]


def test_an_asyncio_client_does_too(server: BackgroundServer) -> None:
    timings: list[mmrec.CallTiming] = []

    async def ask() -> None:
        async with AsyncClient(server.target, on_timing=timings.append) as client:
            await client.recommend(["item-1"])
            with pytest.raises(NotFoundError):
                await client.similar("nothing")

    asyncio.run(ask())
    assert told(timings) == [(RECOMMEND, STAGES), (SIMILAR, STAGES[:-1])]


class Decoding(FakeEngine):
    def decode_ahead(self, picture: bytes, *, thumbnail: bool, decode: object = None) -> None:
        pass


def test_decoding_of_large_pictures_is_a_stage_of_its_own() -> None:
    timings: list[mmrec.CallTiming] = []
    with BackgroundServer(Decoding) as server, Client(server.target, on_timing=timings.append) as client:
        client.embed([mmrec.ItemInput("a", image=picture(1_100))])
        client.embed([mmrec.ItemInput("a", image=picture(900))])
    assert [list(timing.stages) for timing in timings] == [[*STAGES[:2], "pictures", *STAGES[2:]], STAGES]


def test_words_of_a_language_model_are_a_stage_of_their_own() -> None:
    timings: list[mmrec.CallTiming] = []
    writer = Writer()
    writer.go_on.set()
    with (
        BackgroundServer(lambda: WordyEngine(writer)) as server,
        Client(server.target, on_timing=timings.append) as client,
    ):
        client.explain(["item-1"], history=["item-0"])
    assert [set(timing.stages) for timing in timings] == [{*STAGES, "word"}]
