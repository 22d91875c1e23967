"""Reduces picture files to their pixels and reads their size, to protect the decoder.

Other content of a file (texts, colour profiles, thumbnails, comments, further frames, data after the end) is not needed
here, and a malicious file can use it to cost a decoder minutes and gigabytes. So it is removed, and the size is read
before decoding. The running time is linear in the size of the file. Knows nothing of decoders.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from mmrec.errors import InvalidImageError

_MAX_PNG_CHUNKS = 50_000
_MAX_JPEG_SEGMENTS = 4096
_MAX_JPEG_SCANS = 64
"""An empty scan still visits every pixel. Encoders write about ten."""
_MAX_GIF_BLOCKS = 100_000
_MAX_RLE_PIXELS = 4_000_000
_MAX_RLE_BYTES = 2**21
"""The decoder of run-length coded BMPs is an interpreted loop."""

_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf"})
_JPEG_MARKER = re.compile(rb"\xff([\x01-\xfe])")
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # TEM, RST0-7, SOI: no length follows
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_TABLES = frozenset({0xC4, 0xCC, 0xDB, 0xDD})  # Huffman, arithmetic, quantisation, restart interval
_JPEG_NOTES = {0xE0: b"JFIF\0", 0xE1: b"Exif\0\0", 0xEE: b"Adobe"}
"""Segments with the colour profile and the orientation; the first of each is kept."""


class Pixels(NamedTuple):
    """A picture file reduced to its pixels.

    Attributes:
        data: The file.
        width: Pixels, from the header.
        height: Pixels, from the header.
    """

    data: bytes
    width: int
    height: int


def only_pixels(name: str, data: bytes) -> Pixels:
    """A file of the named format, see `mmrec.data.pictures.picture_format`, reduced to its first picture.

    Orientation and transparency stay.

    Raises:
        ValueError: its structure is damaged.
        InvalidImageError: it would take a decoder too long.
    """
    if name == "PNG":
        return _png(data)
    if name == "JPEG":
        return _jpeg(data)
    if name == "GIF":
        return _gif(data)
    return _webp(data) if name == "WebP" else _bmp(data)


def _png(data: bytes) -> Pixels:
    if data[12:16] != b"IHDR":
        raise ValueError("the first chunk is not IHDR")
    parts, at = [data[:8]], 8
    for _ in range(_MAX_PNG_CHUNKS):
        kind = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if kind in _PNG_KEPT:
            parts.append(data[at:end])
        if kind == b"IEND" or end >= len(data):  # the decoder reports a truncated file
            width, height = (int.from_bytes(data[i : i + 4], "big") for i in (16, 20))
            return Pixels(b"".join(parts), width, height)
        at = end
    raise InvalidImageError(f"the PNG picture has more than {_MAX_PNG_CHUNKS:,} chunks; save it again")


def _jpeg(data: bytes) -> Pixels:
    parts, at = [b"\xff\xd8"], 2
    size: tuple[int, int] | None = None
    expected_notes = dict(_JPEG_NOTES)
    for _ in range(_MAX_JPEG_SEGMENTS):
        found = _JPEG_MARKER.search(data, at)
        if found is None:
            break
        marker, at = found[1][0], found.end()
        if marker in _JPEG_ALONE:
            continue
        if marker == 0xDA and size is not None:
            parts.append(_jpeg_scans(data, at - 2))
            return Pixels(b"".join(parts), *size)
        length = int.from_bytes(data[at : at + 2], "big")
        segment = data[at - 2 : at + length]
        if marker in _JPEG_FRAMES:
            if size is not None or length < 8:
                break
            size = int.from_bytes(segment[7:9], "big"), int.from_bytes(segment[5:7], "big")
        if marker in _JPEG_FRAMES or marker in _JPEG_TABLES:
            parts.append(segment)
        elif segment[4:].startswith(expected_notes.get(marker, b"never")):
            del expected_notes[marker]
            parts.append(segment)
        at += max(length, 2)
    raise ValueError("no scan is found")


def _jpeg_scans(data: bytes, start: int) -> bytes:
    """From the first scan to the end of the picture. In coded pixels, FF is never followed by one of these bytes."""
    end = data.find(b"\xff\xd9", start)
    end = len(data) if end < 0 else end + 2
    scans = data.count(b"\xff\xda", start, end)
    if scans > _MAX_JPEG_SCANS:
        raise InvalidImageError(
            f"the JPEG picture has {scans:,} scans; at most {_MAX_JPEG_SCANS} are decoded: save it again"
        )
    return data[start:end]


def _gif(data: bytes) -> Pixels:
    width, height = (int.from_bytes(data[i : i + 2], "little") for i in (6, 8))
    start = at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    control = b""
    blocks = 0
    while blocks < _MAX_GIF_BLOCKS and at < len(data):
        blocks += 1
        begin = at
        if data[at] == 0x2C:
            frame = [int.from_bytes(data[i : i + 2], "little") for i in range(at + 1, at + 9, 2)]
            # A frame that is larger than the screen makes the decoder enlarge the screen.
            size = max(width, frame[0] + frame[2]), max(height, frame[1] + frame[3])
            return Pixels(data[:start] + control + data[at:], *size)
        if data[at] == 0x3B:
            break
        if data[at] != 0x21:
            at += 1
            continue
        at += 2
        while at < len(data) and data[at] and blocks < _MAX_GIF_BLOCKS:
            at += 1 + data[at]
            blocks += 1
        at += 1
        if data[begin + 1 : begin + 3] == b"\xf9\4":
            control = data[begin:at]
    raise ValueError("no frame is found")


def _webp(data: bytes) -> Pixels:
    kind = data[12:16]
    if kind == b"VP8 " and len(data) >= 30:
        width, height = (int.from_bytes(data[i : i + 2], "little") & 0x3FFF for i in (26, 28))
        return Pixels(data, width, height)
    if kind == b"VP8X" and len(data) >= 30:
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        return Pixels(data, width, height)
    if kind == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return Pixels(data, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    raise ValueError("the first chunk is no picture")


def _bmp(data: bytes) -> Pixels:
    if len(data) < 26:
        raise ValueError("the header is cut short")
    if int.from_bytes(data[14:18], "little") == 12:
        width, height = (int.from_bytes(data[i : i + 2], "little") for i in (18, 20))
        return Pixels(data, width, height)
    width = int.from_bytes(data[18:22], "little")
    height = abs(int.from_bytes(data[22:26], "little", signed=True))  # negative: the top row comes first
    if data[30:34] in (b"\1\0\0\0", b"\2\0\0\0") and (width * height > _MAX_RLE_PIXELS or len(data) > _MAX_RLE_BYTES):
        raise InvalidImageError(
            f"the picture is a run-length coded BMP of {width} x {height} pixels and {len(data):,} bytes; of these at "
            f"most {_MAX_RLE_PIXELS:,} pixels and {_MAX_RLE_BYTES:,} bytes are decoded: save it as PNG"
        )
    return Pixels(data, width, height)
