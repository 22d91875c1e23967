"""Pictures from strangers: every allowed format is read, everything else is refused in our own words."""

from __future__ import annotations

import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmrec.data.pictures import PictureStore, decode_picture
from mmrec.errors import InvalidDatasetError, InvalidImageError

Encode = Callable[..., bytes]
WHITE = (255, 255, 255)


def _noise(width: int = 60, height: int = 40) -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_every_allowed_format_becomes_rgb(encoded: Encode, kind: str) -> None:
    picture = decode_picture(encoded(_noise(), kind))
    assert (picture.mode, picture.size) == ("RGB", (60, 40))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_one_pixel_is_a_picture(encoded: Encode, kind: str) -> None:
    assert decode_picture(encoded(Image.new("RGB", (1, 1), WHITE), kind)).getpixel((0, 0)) == WHITE


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_picture_cut_short_is_refused(encoded: Encode, kind: str, share: float) -> None:
    data = encoded(_noise(), kind)
    with pytest.raises(InvalidImageError, match=r"damaged|cut short"):
        decode_picture(data[: max(12, int(len(data) * share))])


def test_a_144_megapixel_png_is_refused_from_its_header(encoded: Encode) -> None:
    data = encoded(Image.new("1", (12_000, 12_000)))
    with pytest.raises(InvalidImageError, match="12000 x 12000 pixels; at most 50,000,000"):
        decode_picture(data)


def test_a_webp_over_the_limit_is_refused_before_its_canvas_is_made(encoded: Encode) -> None:
    data = bytearray(encoded(Image.new("RGBA", (4, 4)), "WEBP", lossless=True))
    bits = int.from_bytes(data[21:25], "little") & ~0xFFFFFFF
    data[21:25] = (bits | 16_000 << 14 | 16_000).to_bytes(4, "little")
    with pytest.raises(InvalidImageError, match="16001 x 16001 pixels"):
        decode_picture(bytes(data))


def test_a_gif_that_declares_65535_by_65535_is_refused(encoded: Encode) -> None:
    data = encoded(kind="GIF")
    with pytest.raises(InvalidImageError, match="65535 x 65535 pixels"):
        decode_picture(data[:6] + struct.pack("<HH", 65535, 65535) + data[10:])


def test_the_pixel_limit_can_be_lower(encoded: Encode) -> None:
    with pytest.raises(InvalidImageError, match="at most 63 pixels"):
        decode_picture(encoded(), max_pixels=63)


def test_a_strip_that_scaling_would_blow_up_is_refused(encoded: Encode) -> None:
    with pytest.raises(InvalidImageError, match="50000 x 1 pixels; its longer side"):
        decode_picture(encoded(Image.new("L", (50_000, 1))))


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"", "empty"),
        (b"hello", "text"),
        (b"\0" * 64, "unknown format"),
        (b"II*\0" + b"\0" * 60, "TIFF"),
        (b"MM\0*" + b"\0" * 60, "TIFF"),
        (b"8BPS\0\1" + b"\0" * 60, "PSD"),
        (b"%PDF-1.7", "PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"<!doctype html><title>404</title>", "HTML"),
        (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"\0\0\0\x20ftypheic", "HEIC"),
        (b"PK\3\4", "zip"),
    ],
)
def test_another_format_is_refused_by_name(data: bytes, name: str) -> None:
    with pytest.raises(InvalidImageError, match=name):
        decode_picture(data)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P-transparent", "L-transparent"])
def test_transparent_parts_are_white(encoded: Encode, mode: str) -> None:
    if mode == "P-transparent":
        data = encoded(Image.new("P", (5, 5), 0), transparency=b"\0")
    elif mode == "L-transparent":
        data = encoded(Image.new("L", (5, 5), 0), transparency=0)
    else:
        data = encoded(Image.new(mode, (5, 5)))
    assert decode_picture(data).getpixel((2, 2)) == WHITE


def test_cmyk_is_converted(encoded: Encode) -> None:
    data = encoded(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    red, green, blue = np.asarray(decode_picture(data))[4, 4].tolist()
    assert red > 200
    assert max(green, blue) < 60


def test_16_bit_grey_is_scaled_not_clipped(encoded: Encode) -> None:
    grey = Image.fromarray(np.full((5, 5), 0x8000, dtype=np.uint16))
    assert decode_picture(encoded(grey)).getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_of_an_animation_the_first_frame_counts(encoded: Encode, kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255))]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert decode_picture(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(encoded: Encode, orientation: int) -> None:
    upright = Image.new("RGB", (32, 16))
    upright.paste((255, 255, 255), (0, 0, 16, 8))
    # How a camera held that way would have stored it.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation in undo else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(encoded(stored, "JPEG", quality=95, exif=exif))
    assert picture.size == (32, 16)
    assert np.asarray(picture.convert("L"))[4, 8] > 200
    assert np.asarray(picture.convert("L"))[12, 24] < 50


@pytest.mark.parametrize("exif", [b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense", b"Exif\0\0MM\0*"])
def test_damaged_exif_does_not_hurt_the_picture(encoded: Encode, exif: bytes) -> None:
    assert decode_picture(encoded(kind="JPEG", exif=exif)).size == (8, 8)


def test_a_jpeg_is_decoded_small_but_never_below_the_hint(encoded: Encode) -> None:
    data = encoded(Image.new("RGB", (1600, 1200)), "JPEG")
    assert decode_picture(data, size_hint=224).size == (400, 300)


def test_random_damage_never_gets_out_as_anything_but_our_error(encoded: Encode) -> None:
    chance = random.Random(5)
    messages: list[str] = []
    sources = [encoded(_noise(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")]
    for _ in range(500):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.choice((1, 4, 16))):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            decode_picture(bytes(data), max_pixels=1_000_000)
        except InvalidImageError as err:
            messages.append(err.message)
    assert messages
    assert not [message for message in messages if "0x" in message or "PIL" in message]


# --- the store ----------------------------------------------------------------------------------------------


def _zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.fixture(params=["folder", "zip", "zip with images/"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PictureStore:
    files = {"1.jpg": b"one", "deep/2.jpg": b"two"}
    if request.param == "folder":
        (tmp_path / "images" / "deep").mkdir(parents=True)
        for name, data in files.items():
            (tmp_path / "images" / name).write_bytes(data)
    else:
        prefix = "images/" if request.param == "zip with images/" else ""
        _zip(tmp_path / "images.zip", {prefix + name: data for name, data in files.items()})
    return PictureStore(tmp_path)


@pytest.mark.parametrize(
    ("ref", "data"),
    [
        ("1.jpg", b"one"),
        ("images/1.jpg", b"one"),
        ("./images/1.jpg", b"one"),
        ("images/deep/2.jpg", b"two"),
        ("deep\\2.jpg", b"two"),
        ("3.jpg", None),
        ("", None),
        ("deep", None),
        ("https://example.org/1.jpg", None),
        ("file:///etc/passwd", None),
        ("data:image/png;base64,AAAA", None),
    ],
)
def test_a_reference_names_the_same_picture_with_and_without_images(
    store: PictureStore, ref: str, data: bytes | None
) -> None:
    with store:
        assert store.read(ref) == data
        assert store.has(ref) == (data is not None)


@pytest.mark.parametrize("ref", ["../secret", "images/../../secret", "/etc/passwd", "..\\secret", "C:\\secret", "a\0b"])
def test_a_reference_out_of_the_dataset_is_refused(store: PictureStore, ref: str) -> None:
    with store:
        assert not store.has(ref)
        with pytest.raises(InvalidImageError, match="leads out of the dataset"):
            store.read(ref)


def test_an_archive_entry_that_unpacks_too_large_is_refused_unread(tmp_path: Path) -> None:
    _zip(tmp_path / "images.zip", {"bomb.png": b"\0" * (21 * 2**20)})
    assert (tmp_path / "images.zip").stat().st_size < 100_000
    with PictureStore(tmp_path) as store, pytest.raises(InvalidImageError, match="22,020,096 bytes"):
        store.read("bomb.png")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK\3\4 not really")
    with PictureStore(tmp_path) as store, pytest.raises(InvalidDatasetError, match="not a readable zip"):
        store.read("1.jpg")


def test_a_damaged_entry_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("1.jpg", b"some bytes of a picture")
    data = (tmp_path / "images.zip").read_bytes().replace(b"some bytes", b"SOME BYTES")
    (tmp_path / "images.zip").write_bytes(data)
    with PictureStore(tmp_path) as store, pytest.raises(InvalidImageError, match="damaged or encrypted"):
        store.read("1.jpg")


def test_many_threads_read_one_archive(tmp_path: Path) -> None:
    files = {f"{i}.bin": bytes([i]) * 5000 for i in range(100)}
    _zip(tmp_path / "images.zip", files)
    with PictureStore(tmp_path) as store, ThreadPoolExecutor(8) as pool:
        assert list(pool.map(store.read, files)) == list(files.values())


def test_a_store_can_be_handed_to_another_process(store: PictureStore) -> None:
    with store:
        assert store.read("1.jpg") == b"one"
        with pickle.loads(pickle.dumps(store)) as copy:
            assert copy.read("1.jpg") == b"one"


def test_the_folder_is_asked_before_the_archive(tmp_path: Path) -> None:
    _zip(tmp_path / "images.zip", {"1.jpg": b"packed", "2.jpg": b"packed"})
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").write_bytes(b"loose")
    with PictureStore(tmp_path) as store:
        assert (store.read("1.jpg"), store.read("2.jpg")) == (b"loose", b"packed")


def test_decoding_leaves_pillow_as_it_was(encoded: Encode) -> None:
    before = Image.MAX_IMAGE_PIXELS
    decode_picture(encoded())
    assert before == Image.MAX_IMAGE_PIXELS
