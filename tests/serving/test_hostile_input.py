"""Hostile and careless input against a real bundle behind a real `mmrec serve`: a clear error or a sensible result, and
the server is still up afterwards.
"""

import io
import struct
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from mmrec import Client
from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, NotFoundError
from mmrec.types import Fallback, ItemEmbedding, ItemFailure


@pytest.fixture
def client(demo_server: str) -> Iterator[Client]:
    with Client(demo_server, timeout=60) as client:
        yield client
        # Whatever a test did: the server answers the next customer.
        assert len(client.recommend([], k=3).items) == 3


def encoded(picture: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def hundred_megapixel_png() -> bytes:
    """A well-formed 12,000 x 12,000 PNG of a few kilobytes that would take 432 MB decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (1 + 1_500) * 12_000, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


JPEG = encoded(Image.effect_noise((120, 90), 60).convert("RGB"), "JPEG")


def test_a_picture_of_one_pixel_is_a_picture(client: Client) -> None:
    assert len(client.search(image=encoded(Image.new("RGB", (1, 1), "red"), "PNG"), k=2).items) == 2


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (JPEG[: len(JPEG) // 2], "damaged|truncated|cut"),
        (hundred_megapixel_png(), "pixels"),
        (b"GIF89a" + b"\0" * 30, None),
        (b"%PDF-1.7 not a picture", None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"\0" * 100_000, None),
    ],
    ids=["truncated", "100-megapixels", "gif-header", "pdf", "svg", "zeros"],
)
def test_a_picture_that_cannot_be_read_safely_is_refused(client: Client, data: bytes, words: str | None) -> None:
    with pytest.raises(InvalidImageError, match=words) as caught:
        client.search(image=data)
    assert "0x" not in caught.value.message
    assert [violation.field for violation in caught.value.violations] == ["image"]

    entries = client.embed([{"title": "mug"}, {"title": "lamp", "image": data}]).items
    assert isinstance(entries[0], ItemEmbedding)
    assert isinstance(entries[1], ItemFailure)
    assert isinstance(entries[1].error, InvalidImageError)


def test_a_megabyte_of_text_is_refused_and_a_long_text_is_not(client: Client) -> None:
    with pytest.raises(InvalidArgumentError, match="at most 100,000"):
        client.search("word " * 200_000)
    assert len(client.search("word " * 15_000, k=1).items) == 1


@pytest.mark.parametrize("text", ["\0\x01\x02", "🦜" * 500, "'; DROP TABLE items; --", "<script>", "عربى 中文"])
def test_odd_words_find_something(client: Client, text: str) -> None:
    assert len(client.search(text, k=4).items) == 4


def test_ids_that_do_not_exist(client: Client) -> None:
    ghosts = [f"ghost-{n}" for n in range(500)]
    found = client.recommend(ghosts, k=5)
    assert found.fallback is Fallback.POPULARITY
    assert found.missing_ids == tuple(ghosts)
    with pytest.raises(NotFoundError):
        client.similar("../../etc/passwd")


def test_no_customer_at_all_gets_popular_items(client: Client) -> None:
    assert client.recommend().fallback is Fallback.POPULARITY


def test_zero_means_the_default_and_too_many_means_all(client: Client) -> None:
    assert len(client.recommend(k=0).items) == 10
    assert len(client.recommend(k=10**9).items) == 60
    assert len(client.search("mug", k=10**9).items) == 60
    with pytest.raises(InvalidArgumentError, match="k is -1"):
        client.recommend(k=-1)


def test_a_history_longer_than_is_read(client: Client) -> None:
    known = client.recommend(k=20).item_ids
    assert client.recommend(list(known) * 200, k=5).item_ids == client.recommend(list(known) * 50, k=5).item_ids


def test_nothing_to_embed_or_look_up(client: Client) -> None:
    assert client.embed([]).items == ()
    assert client.items([]).items == ()
    with pytest.raises(MmrecError):
        client.search("   ")
