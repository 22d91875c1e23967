"""Pictures of calls: how many pixels are taken, and large ones are decoded one by one beside the other calls."""

from __future__ import annotations

import io
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mmrec
from mmrec.contract.changes import UpsertRequest
from mmrec.contract.items import ItemFailure, ItemInput
from mmrec.contract.replies import ItemEmbedding
from mmrec.contract.requests import EmbedRequest, RecommendRequest, SearchBatch, SearchRequest, TagRequest
from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, ResourceExhaustedError
from mmrec_serving import BackgroundServer, ServerConfig
from mmrec_serving.pictures import sent_pictures
from tests.fake_engine import FakeEngine

WAIT_S = 60


def picture(side: int, kind: str = "PNG", colour: int = 1) -> bytes:
    file = io.BytesIO()
    Image.new("1" if kind == "PNG" else "RGB", (side, side), colour).save(file, kind)
    return file.getvalue()


SMALL, LARGE, HUGE = picture(100), picture(1_200), picture(7_000)
JPEG = picture(1_200, "JPEG")


# --- how many pixels ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (EmbedRequest((ItemInput("a", "hat"), *[ItemInput(image=HUGE)] * 21)), "items[21].image"),
        (TagRequest((*[ItemInput(image=HUGE)] * 21,), labels=("a", "b")), "items[20].image"),
        (UpsertRequest(tuple(ItemInput(str(n), image=HUGE) for n in range(60))), "items[20].image"),
        (SearchBatch((SearchRequest("hat"), *[SearchRequest(image=HUGE)] * 21)), "requests[21].image"),
    ],
)
def test_pictures_of_more_than_a_billion_pixels_are_refused_by_their_headers(request_: Any, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        sent_pictures(request_, 1_000_000_000)
    assert [violation.field for violation in refused.value.violations] == [field]
    assert refused.value.message == (
        f"{field} counts 49,000,000 pixels, and the pictures up to it 1,029,000,000; at most 1,000,000,000 pixels are "
        "decoded for one call (a JPEG counts a quarter of its pixels): send fewer pictures in a call, or scale them "
        "down"
    )


def test_what_counts() -> None:
    items = (
        ItemFailure("x", InvalidArgumentError("no")),
        ItemInput("a", image=LARGE),
        ItemInput("b", image=JPEG),
        ItemInput("c", image=b"no picture"),
    )
    assert [sent.pixels for sent in sent_pictures(EmbedRequest(items), 1_800_000)] == [1_440_000, 360_000, 0]
    with pytest.raises(InvalidArgumentError, match=r"items\[2\]\.image counts 360,000 pixels"):
        sent_pictures(EmbedRequest(items), 1_799_999)
    # What a change does not replace is not read.
    assert sent_pictures(UpsertRequest(items, fields=("title",)), 1) == []
    assert [sent.thumbnail for sent in sent_pictures(UpsertRequest(items, fields=("image",)), 2_000_000)] == [True] * 3
    assert sent_pictures(RecommendRequest(), 1) == []


@pytest.mark.parametrize("most", [0, -1, 1.5])
def test_a_limit_that_is_none_is_refused(most: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="max_pixels"):
        ServerConfig(max_pixels=most)


# --- a real bundle --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(demo_bundle: Path) -> Iterator[mmrec.Client]:
    config = ServerConfig(port=0, changes_in_memory=True, max_pixels=5_000_000)
    with (
        BackgroundServer(lambda: mmrec.Recommender.load(demo_bundle, device="cpu"), config) as server,
        mmrec.Client(server.target, timeout=WAIT_S) as client,
    ):
        yield client


def test_a_call_with_too_many_pixels_does_nothing_and_says_what_helps(client: mmrec.Client) -> None:
    items = [ItemInput(f"n{number}", title="Quartz lamp", image=LARGE) for number in range(4)]
    for call in (lambda: client.upsert_items(items), lambda: client.embed(items)):
        with pytest.raises(InvalidArgumentError, match="send fewer pictures in a call, or scale them down") as refused:
            call()
        assert [violation.field for violation in refused.value.violations] == ["items[3].image"]
    assert client.items(["n0"]).missing_ids == ("n0",)
    assert client.upsert_items(items[:3]).done == ("n0", "n1", "n2")


def test_large_pictures_come_to_the_same_as_when_they_are_not_decoded_ahead(
    client: mmrec.Client, demo_bundle: Path
) -> None:
    sent = [ItemInput(image=LARGE), ItemInput(title="mug", image=LARGE[:-40]), ItemInput("c", "cup", image=SMALL)]
    found = client.embed(sent).items
    alone = mmrec.Recommender.load(demo_bundle, device="cpu").embed(sent).items
    for one, other in zip(found, alone, strict=True):
        assert type(one) is type(other)
        if isinstance(one, ItemEmbedding) and isinstance(other, ItemEmbedding):
            np.testing.assert_array_equal(one.vector, other.vector)
    assert isinstance(found[1], ItemFailure)
    assert isinstance(found[1].error, InvalidImageError)
    assert found[1].error.violations[0].field == "items[1].image"


# --- a thread of their own ------------------------------------------------------------------------------------------


class Decoded:
    """What the engine below makes of a picture."""


class DecodingEngine(FakeEngine):
    """Decodes pictures when it is released; what nobody keeps is not in `kept` any more."""

    def __init__(self) -> None:
        super().__init__()
        self.decoding = threading.Semaphore(0)
        self.kept: weakref.WeakSet[Decoded] = weakref.WeakSet()
        self.at_once, self.most, self.pictures = 0, 0, 0
        self.elsewhere: list[bool] = []
        self.kept_when_embedded: list[int] = []

    def decode_ahead(self, picture: bytes, *, thumbnail: bool, decode: object = None) -> Decoded:
        self.elsewhere.append(decode is not None)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        self.decoding.release()
        assert self.release.wait(WAIT_S)
        self.pictures += 1
        self.at_once -= 1
        found = Decoded()
        self.kept.add(found)
        return found

    def embed_many(self, requests: Sequence[EmbedRequest]) -> list[Any]:
        self.kept_when_embedded.append(len(self.kept))
        return super().embed_many(requests)


@pytest.fixture
def engine() -> Iterator[DecodingEngine]:
    made = DecodingEngine()
    yield made
    made.release.set()


def test_other_calls_are_answered_while_a_large_picture_is_decoded(engine: DecodingEngine) -> None:
    with (
        BackgroundServer(lambda: engine) as server,
        mmrec.Client(server.target, timeout=WAIT_S) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        embedded = [pool.submit(client.embed, [ItemInput(f"{n}", image=LARGE)] * 2) for n in range(2)]
        assert engine.decoding.acquire(timeout=WAIT_S)
        assert len(client.recommend(k=2).items) == 2
        assert client.upsert_items([ItemInput("new", title="x")]).done == ("new",)
        assert len(client.embed([ItemInput("small", image=SMALL)]).items) == 1
        assert not any(call.done() for call in embedded)
        engine.release.set()
        assert [len(call.result(WAIT_S).items) for call in embedded] == [2, 2]
        # One by one, each call's own pictures before it, and none of them any longer than that.
        assert (engine.pictures, engine.most) == (4, 1)
        assert engine.kept_when_embedded[0] == 0
        assert min(engine.kept_when_embedded[1:]) >= 2
        client.embed([ItemInput("last", image=LARGE)])
        # The thread that decoded it may be about to let it go when the reply is here.
        until = time.monotonic() + WAIT_S
        while len(engine.kept) > 0:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.parametrize("sandbox", [True, False])
def test_large_pictures_are_decoded_in_another_process_unless_that_is_turned_off(
    engine: DecodingEngine, sandbox: bool
) -> None:
    engine.release.set()
    with (
        BackgroundServer(lambda: engine, ServerConfig(port=0, picture_sandbox=sandbox)) as server,
        mmrec.Client(server.target, timeout=WAIT_S) as client,
    ):
        client.embed([ItemInput("large", image=LARGE), ItemInput("small", image=SMALL)])
    assert engine.elsewhere == [sandbox]


def test_all_calls_together_have_so_many_pixels(engine: DecodingEngine) -> None:
    config = ServerConfig(port=0, max_pixels=1_500_000)
    with (
        BackgroundServer(lambda: engine, config) as server,
        mmrec.Client(server.target, timeout=WAIT_S) as client,
        ThreadPoolExecutor(5) as pool,
    ):
        calls = [pool.submit(client.embed, [ItemInput(image=LARGE)]) for _ in range(5)]
        refused: list[MmrecError] = []
        while not refused:
            refused = [call.exception() for call in calls if call.done()]  # type: ignore[misc]
        assert engine.decoding.acquire(timeout=WAIT_S)
        engine.release.set()
        assert sum(call.exception(WAIT_S) is None for call in calls) == 4
        # What is answered does not count any more.
        assert len(client.embed([ItemInput(image=LARGE)]).items) == 1
    assert [type(error) for error in refused] == [ResourceExhaustedError]
    assert "pictures of 5,760,000 pixels that are not answered yet; with 1,440,000 more" in refused[0].message
