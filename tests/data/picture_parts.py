"""Picture files put together from their parts, the right ones and the wrong ones."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache
from typing import Any

import numpy as np
from PIL import Image


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, kind, **options)
    return sink.getvalue()


@cache
def noise(width: int = 60, height: int = 40) -> Image.Image:
    pixels = np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@cache
def sources() -> dict[str, bytes]:
    """One picture in every format and main variant."""
    return {
        "jpeg": saved(noise(), "JPEG", quality=90),
        "progressive": saved(noise(), "JPEG", quality=90, progressive=True),
        "grey jpeg": saved(noise().convert("L"), "JPEG"),
        "cmyk jpeg": saved(noise().convert("CMYK"), "JPEG"),
        "png": saved(noise(), "PNG"),
        "palette png": saved(noise().convert("P"), "PNG"),
        "alpha png": saved(noise().convert("RGBA"), "PNG"),
        "webp": saved(noise(), "WEBP", quality=90),
        "lossless webp": saved(noise(), "WEBP", lossless=True),
        "alpha webp": saved(_see_through(), "WEBP", quality=90),
        "gif": saved(noise(), "GIF"),
        "bmp": saved(noise(), "BMP"),
        "palette bmp": saved(noise().convert("P"), "BMP"),
    }


def _see_through() -> Image.Image:
    picture = noise().convert("RGBA")
    picture.putalpha(noise().convert("L"))
    return picture


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int = 8,
    height: int = 8,
    *,
    depth: int = 8,
    colour: int = 2,
    rows: bytes | None = None,
    before: bytes = b"",
    after: bytes = b"",
    interlace: int = 0,
    packed: bytes | None = None,
    tail: bytes = b"\0" * 3,
) -> bytes:
    """A PNG from its parts; red unless told otherwise. `tail` is compression, filter (and `interlace`)."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 1)
    if rows is None:
        pixel = b"\xff\0\0\xff"[:channels] if channels != 1 else b"\0"
        rows = (b"\0" + (pixel * width)[: -(-width * channels * depth // 8)]) * height
    header = struct.pack(">IIBB", width, height, depth, colour) + tail[:2] + bytes([interlace])
    body = chunk(b"IDAT", zlib.compress(rows) if packed is None else packed)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + body + after + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(data) + 2) + data


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@cache
def zeros(size: int) -> bytes:
    """Zlib data of so many zeros, at a small fraction of the size."""
    packer = zlib.compressobj(1)
    block = bytes(2**20)
    return b"".join([*(packer.compress(block) for _ in range(size >> 20)), packer.flush()])


def gif(width: int, height: int, *, frame: tuple[int, int, int, int] | None = None, before: bytes = b"") -> bytes:
    """A GIF of one frame that has four pixels of data, whatever its sizes say."""
    palette = bytes([255, 0, 0, 255, 255, 255])
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + palette
    area = (0, 0, width, height) if frame is None else frame
    # Codes of 3 bits: clear, 0, 0, 0, 0, end.
    return screen + before + b"," + struct.pack("<HHHHB", *area, 0) + b"\2\3\x04\0\x28\0;"


def bmp(
    width: int,
    height: int,
    *,
    bits: int = 24,
    packing: int = 0,
    colours: int = 0,
    offset: int = 54,
    header: int = 40,
    body: bytes = b"",
) -> bytes:
    info = struct.pack(
        "<IIIHHIIiiII", header, width & 0xFFFFFFFF, height & 0xFFFFFFFF, 1, bits, packing, 0, 0, 0, colours, 0
    )
    return b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, offset) + info + body


def riff(*parts: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in parts
    )
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def canvas(width: int, height: int, flags: int = 0x10) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def webp_part(data: bytes) -> tuple[bytes, bytes]:
    """The first picture chunk of a simple WebP."""
    return data[12:16], data[20 : 20 + int.from_bytes(data[16:20], "little")]
