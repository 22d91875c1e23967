"""Hostile and careless input against a real bundle behind a real `mmrec serve`: a clear error or a sensible result, and
the server is still up afterwards.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import pytest
from PIL import Image

from mmrec import Client
from mmrec.contract.items import Fallback, ItemFailure
from mmrec.contract.replies import ItemEmbedding
from mmrec.errors import InvalidArgumentError, InvalidImageError, MmrecError, NotFoundError


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


HOSTILE_FILTERS = [
    "(" * 5000,
    "NOT " * 2000 + "category:*",
    " OR ".join(["category = 1"] * 3000),
    'category = "' + "x" * 9000,
    "category = 'a'; DROP TABLE items",
    "__class__ = 1",
    "category = \x00",
    "category:" + "*" * 500,
    '"\u202e" = "\u0000"',
    "x" * 20_000,
]


def _refusal(ask: Callable[[], object]) -> InvalidArgumentError | None:
    try:
        ask()
    except InvalidArgumentError as err:
        return err
    return None


@pytest.mark.parametrize("condition", HOSTILE_FILTERS, ids=range(len(HOSTILE_FILTERS)))
def test_a_hostile_filter_is_refused_by_field_or_answered(client: Client, condition: str) -> None:
    for ask in (
        lambda: client.search("mug", filter=condition),
        lambda: client.similar("p0001", filter=condition),
        lambda: client.duplicates(filter=condition),
        lambda: client.mismatches(filter=condition),
    ):
        refused = _refusal(ask)
        assert refused is None or [violation.field for violation in refused.violations] == ["filter"]
        assert refused is None or len(refused.message) < 1000


def test_a_vector_of_another_space_is_refused(client: Client) -> None:
    for vector in ([1.0] * 255, [1.0] * 257, [0.0] * 256, [float("inf")] * 256, [1e39] * 256):
        with pytest.raises(InvalidArgumentError) as refused:
            client.search(vector=vector)
        assert [violation.field for violation in refused.value.violations] == ["vector"]
    assert len(client.search(vector=[1e-38] * 256, k=3).items) == 3


def test_odd_labels_and_templates_are_labels_and_templates(client: Client) -> None:
    labels = ["\0", "🦜", "{label}", "{column}", "{0.__class__}", "عربى", "a" * 1000, "%s", "mug"]
    found = client.tag([{"title": "mug"}], labels=labels, templates=["{label} {x} {0}", "{label}{label}"], k=1000)
    assert sorted(tag.label for tag in found.items[0].tags) == sorted(labels)
    with pytest.raises(InvalidArgumentError) as refused:
        client.tag([{"title": "mug"}], labels=["a"], templates=["{label} as {column}"])
    assert [violation.field for violation in refused.value.violations] == ["templates"]


def test_pictures_to_tag_fail_one_by_one(client: Client) -> None:
    entries = client.tag(
        [{"title": "mug"}, {"image": hundred_megapixel_png()}, {"image": JPEG}], labels=["mug", "lamp"]
    ).items
    assert [isinstance(entry, ItemFailure) for entry in entries] == [False, True, False]
    assert isinstance(entries[1], ItemFailure)
    assert isinstance(entries[1].error, InvalidImageError)
    assert entries[1].error.violations[0].field == "items[1].image"


@pytest.mark.parametrize("token", ["A" * 28, "=" * 28, "\n", "ä", "x" * 1001, "//8=" * 7])
def test_a_page_token_that_is_none_is_refused(client: Client, token: str) -> None:
    for ask in (lambda: client.search("mug", page_token=token), lambda: client.mismatches(page_token=token)):
        with pytest.raises(InvalidArgumentError) as refused:
            ask()
        assert [violation.field for violation in refused.value.violations] == ["page_token"]


def test_nothing_to_embed_or_look_up(client: Client) -> None:
    assert client.embed([]).items == ()
    assert client.items([]).items == ()
    with pytest.raises(MmrecError):
        client.search("   ")
