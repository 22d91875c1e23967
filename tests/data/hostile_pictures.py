"""Pictures made to break, stall or fool a reader. The same ones each time."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache

from PIL import Image

from tests.data.picture_parts import (
    bmp,
    canvas,
    chunk,
    gif,
    noise,
    png,
    replaced,
    riff,
    saved,
    segment,
    sources,
    webp_part,
)

LARGE = 4 * 2**20
"""Bytes of the floods, about: enough for minutes of work where a byte costs more than a look."""

Named = Iterator[tuple[str, bytes]]


@cache
def hostile_pictures() -> dict[str, bytes]:
    """Encoded pictures by name; a reader has to refuse every one."""
    groups = (_cut, _foreign, _bad_png, _bad_jpeg, _bad_gif, _bad_webp, _bad_bmp, _sizes, _floods)
    found: dict[str, bytes] = {}
    for group in groups:
        for name, data in group():
            if name in found:
                raise ValueError(f"{name} is there twice")
            found[name] = data
    return found


# --- the groups -----------------------------------------------------------------------------------------------


def _cut() -> Named:
    """Files cut short, from the signature to shortly before the end."""
    seen = set()
    for name, data in sources().items():
        signature = {"j": 3, "g": 6, "b": 2}.get(name.split()[-1][0], 12 if "webp" in name else 8)
        for share in (0.0, 0.03, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97):
            start = data[: max(signature, int(len(data) * share))]
            if start not in seen:
                yield f"{name}, the first {share:.0%}", start
            seen.add(start)


def _foreign() -> Named:
    """Not one of the five formats, or not really."""
    chance = random.Random(3)
    yield "nothing", b""
    yield "one byte", b"\xff"
    yield "zeros", bytes(1000)
    for size in (2, 12, 100, 5000):
        yield f"{size} random bytes", b"\x01" + chance.randbytes(size - 1)
    for name, start in (
        ("tiff", b"II*\0\x08\0\0\0"),
        ("big-endian tiff", b"MM\0*\0\0\0\x08"),
        ("bigtiff", b"II+\0\x08\0\0\0"),
        ("psd", b"8BPS\0\1\0\0\0\0\0\0\0\3"),
        ("pdf", b"%PDF-1.7\n1 0 obj<</Type/XObject/Subtype/Image>>"),
        ("postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
        ("ico", b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0"),
        ("cur", b"\0\0\2\0\1\0\x10\x10\0\0\1\0\x20\0"),
        ("jpeg 2000", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("jpeg 2000 stream", b"\xff\x4f\xff\x51\0\x29"),
        ("jpeg xl", b"\xff\x0a\x7a\x1f"),
        ("jpeg xl box", b"\0\0\0\x0cJXL \r\n\x87\n"),
        ("avif", b"\0\0\0\x20ftypavif\0\0\0\0mif1"),
        ("heic", b"\0\0\0\x20ftypheic\0\0\0\0mif1"),
        ("video", b"\0\0\0\x20ftypisom\0\0\2\0"),
        ("webm", b"\x1a\x45\xdf\xa3"),
        ("wav", b"RIFF\x24\0\0\0WAVEfmt "),
        ("avi", b"RIFF\x24\0\0\0AVI LIST"),
        ("gzip", b"\x1f\x8b\x08\0"),
        ("zip", b"PK\3\4\x14\0"),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>"),
        (
            "svg with entities",
            b"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]><svg>&b;</svg>",
        ),
        ("html", b"<!doctype html><title>404</title>"),
        ("json", b'{"error": "not found"}'),
        ("script", b"#!/bin/sh\nreboot\n"),
        ("python", b"import os\n"),
        ("pickle", b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x05posix"),
        ("elf", b"\x7fELF\2\1\1"),
        ("netpbm", b"P6\n8 8\n255\n"),
        ("pcx", b"\x0a\5\1\x08"),
        ("tga", b"\0\0\2\0\0\0\0\0\0\0\0\0\x08\0\x08\0\x18\0"),
        ("sgi", b"\x01\xda\1\1"),
        ("dds", b"DDS |\0\0\0"),
        ("fits", b"SIMPLE  =                    T"),
        ("windows metafile", b"\xd7\xcd\xc6\x9a\0\0"),
        ("mng", b"\x8aMNG\r\n\x1a\n"),
        ("jng", b"\x8bJNG\r\n\x1a\n"),
    ):
        yield name, start + bytes(64) if start.isascii() is False or b"\0" in start else start
    yield "png with dos line ends", b"\x89PNG\n\x1a\n" + png()[8:]
    yield "png signature, jpeg inside", b"\x89PNG\r\n\x1a\n" + sources()["jpeg"]
    yield "jpeg signature, png inside", b"\xff\xd8\xff" + png()
    yield "gif signature, script inside", b"GIF89a/*" + bytes(8) + b"*/=1;alert(document.domain)//"
    yield "bmp signature, script inside", b"BM=1;/*" + bytes(40) + b"*/alert(1)"
    yield "bmp signature, text inside", b"BMW and other brands of cars, in a text file that is no picture"
    yield "webp signature, html inside", b"RIFF\x80\0\0\0WEBP<html><script>alert(1)</script></html>" + bytes(64)
    yield "picture behind a line end", b"\n" + png()
    yield "picture in base64", b"iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEElEQVR4nGP8z4APMOGVHRkA"
    yield "data url", b"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSnc"


def _bad_png() -> Named:
    sound = png()
    for at in range(8, 29):
        yield (
            f"png, bit flipped at {at}",
            replaced(sound, at, bytes([sound[at] ^ (0x41 if at in (12, 13, 14, 15) else 1 << at % 8)])),
        )
    yield "png without header", sound[:8] + sound[33:]
    yield "png without pixels", sound[: sound.index(b"IDAT") - 4] + chunk(b"IEND", b"")
    yield "png, header after pixels", sound[:8] + sound[33:-12] + sound[8:33] + sound[-12:]
    yield "png, header of 12 bytes", sound[:8] + chunk(b"IHDR", sound[16:28]) + sound[33:]
    yield "png, header length over the end", replaced(sound, 8, b"\x7f\xff\xff\xff")
    yield "png, header length negative", replaced(sound, 8, b"\xff\xff\xff\xff")
    for depth, colour in ((3, 2), (0, 0), (255, 2), (8, 1), (8, 5), (8, 7), (16, 3), (1, 2), (4, 6), (32, 0)):
        yield f"png, depth {depth} colour {colour}", png(depth=depth, colour=colour, rows=bytes(500))
    yield "png, unknown compression of the filter", png(tail=b"\0\7\0")
    yield "png, pixels are no zlib", png(packed=b"not packed at all, only text here")
    yield "png, pixels are raw deflate", png(packed=zlib.compress(bytes(200))[2:-4])
    yield "png, pixels end early", png(rows=bytes(60))
    yield "png, no pixels at all", png(packed=b"")
    yield "png, unknown row filter", png(rows=(b"\x09" + b"\xff\0\0" * 8) * 8)
    yield "png, damaged block", png(packed=replaced(zlib.compress(noise().tobytes()), 5, b"\xff" * 40))
    yield "png, preset dictionary", png(packed=b"\x78\xf9\0\0\0\1" + zlib.compress(bytes(200))[2:])
    yield "png, transparency of 1 byte", png(before=chunk(b"tRNS", b"\0"))
    yield "png, transparency of grey too short", png(colour=0, before=chunk(b"tRNS", b"\0"))
    yield "png, pixels of another size", png(64, 64, rows=(b"\0" + b"\xff\0\0" * 8) * 8)


def _bad_jpeg() -> Named:
    sound = sources()["jpeg"]
    frame = sound.index(b"\xff\xc0")
    scan = sound.index(b"\xff\xda")
    for what, at, new in (
        ("precision 0", frame + 4, b"\0"),
        ("precision 7", frame + 4, b"\7"),
        ("precision 16", frame + 4, b"\x10"),
        ("no components", frame + 9, b"\0"),
        ("2 components", frame + 9, b"\2"),
        ("255 components", frame + 9, b"\xff"),
        ("frame length 2", frame + 2, b"\0\2"),
        ("frame length 9", frame + 2, b"\0\x09"),
        ("frame length over the end", frame + 2, b"\xff\xff"),
        ("sampling 0", frame + 11, b"\0"),
        ("sampling 15", frame + 11, b"\xff"),
        ("table that is not there", frame + 12, b"\3"),
        ("scan length 2", scan + 2, b"\0\2"),
        ("scan of no components", scan + 4, b"\0"),
        ("scan of 9 components", scan + 4, b"\x09"),
        ("scan of an unknown component", scan + 5, b"\x77"),
        ("scan with tables that are not there", scan + 6, b"\x33"),
        ("lossless", frame + 1, b"\xc3"),
        ("hierarchical", frame + 1, b"\xc5"),
        ("arithmetic lossless", frame + 1, b"\xcb"),
        ("reserved frame", frame + 1, b"\xcf"),
        ("jpeg-ls", frame + 1, b"\xf7"),
        ("end instead of a frame", frame + 1, b"\xd9"),
        ("end instead of a scan", scan + 1, b"\xd9"),
    ):
        yield f"jpeg, {what}", replaced(sound, at, new)
    length = 2 + int.from_bytes(sound[frame + 2 : frame + 4], "big")
    yield "jpeg without frame", sound[:frame] + sound[frame + length :]
    yield "jpeg, two frames", sound[:frame] + sound[frame : frame + length] * 2 + sound[frame + length :]
    yield "jpeg without quantisation", _without(sound, 0xDB)
    yield (
        "jpeg, huffman table of 4,000 codes",
        b"\xff\xd8" + segment(0xC4, b"\0" + b"\xff" * 16 + bytes(4080)) + sound[2:],
    )
    yield "jpeg, huffman table cut short", b"\xff\xd8" + segment(0xC4, b"\0\1") + sound[2:]
    yield "jpeg, quantisation table cut short", b"\xff\xd8" + segment(0xDB, b"\0\1\2") + sound[2:]
    yield "jpeg, quantisation table 9", b"\xff\xd8" + segment(0xDB, b"\x09" + bytes(64)) + sound[2:]
    yield "jpeg without scan", sound[:scan] + b"\xff\xd9"
    yield "jpeg of markers only", b"\xff\xd8\xff\xd9"
    yield "jpeg, nothing after the scan header", sound[: scan + 14]


def _without(jpeg: bytes, marker: int) -> bytes:
    kept, at = [jpeg[:2]], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if jpeg[at + 1] != marker:
            kept.append(jpeg[at:end])
        at = end
    return b"".join([*kept, jpeg[at:]])


def _bad_gif() -> Named:
    sound = sources()["gif"]
    frame = sound.index(b",", 13 + 768)
    yield "gif without frame", sound[:frame] + b";"
    yield "gif, palette only", sound[:frame]
    yield "gif, end at once", b"GIF89a\x08\0\x08\0\0\0\0;"
    yield "gif, frame header cut short", sound[: frame + 6]
    yield "gif, local palette cut short", gif(4, 4)[:19] + b",\0\0\0\0\4\0\4\0\x87" + bytes(40)
    yield "gif, no pixels", sound[: frame + 11] + b"\0;"
    yield "gif, code size 13", sound[: frame + 10] + b"\x0d" + sound[frame + 11 :]
    yield "gif, code size 255", sound[: frame + 10] + b"\xff" + sound[frame + 11 :]
    yield "gif, codes that are not there", gif(60, 40)[:-5] + b"\x40" + b"\xff" * 64 + b"\0;"
    yield "gif, fewer pixels than it says", gif(60, 40)
    yield "gif, extension without end", sound[:frame] + b"!\xfe\xff" + bytes(200)
    yield "gif, extensions only", sound[:frame] + b"!\xfe\3abc\0" * 9


def _bad_webp() -> Named:
    lossy, lossless = webp_part(sources()["webp"]), webp_part(sources()["lossless webp"])
    yield "webp without chunks", riff()
    yield "webp, unknown chunk first", riff((b"JUNK", bytes(40)), lossy)
    yield "webp, exif first", riff((b"EXIF", bytes(40)), lossy)
    yield "webp, canvas only", riff(canvas(60, 40))
    yield "webp, canvas of another size", riff(canvas(61, 40, 0), lossy)
    yield "webp, riff size 0", riff(lossy, size=0)
    yield "webp, riff size 12", riff(lossy, size=12)
    yield "webp, riff size over the end", riff(lossy, size=len(riff(lossy)) + 1000)
    yield "webp, riff size negative", riff(lossy, size=0xFFFFFFFF)
    yield "webp, chunk size over the end", replaced(riff(lossy), 16, b"\xff\xff\xff\x7f")
    yield "webp, chunk size 0", replaced(riff(lossy), 16, bytes(4))
    yield "webp, start code wrong", replaced(riff(lossy), 23, b"\0\0\0")
    yield "webp, not a key frame", replaced(riff(lossy), 20, bytes([riff(lossy)[20] | 1]))
    yield "webp, first partition over the end", replaced(riff(lossy), 20, b"\xf0\xff\xff")
    yield "webp, lossless signature wrong", replaced(riff(lossless), 20, b"\0")
    yield "webp, lossless version 7", replaced(riff(lossless), 24, bytes([riff(lossless)[24] | 0xE0]))
    yield "webp, lossless pixels are zeros", riff((b"VP8L", lossless[1][:5] + bytes(60)))
    yield "webp, lossless pixels are ones", riff((b"VP8L", lossless[1][:5] + b"\xff" * 60))
    animated = saved(noise(), "WEBP", save_all=True, append_images=[noise().rotate(180)], lossless=True)
    at = animated.index(b"ANMF")
    yield "webp, animation without frames", animated[:at]
    yield "webp, frame outside of the canvas", replaced(animated, at + 8, b"\xff\xff\0")
    yield "webp, frame without pixels", riff(canvas(60, 40, 2), (b"ANIM", bytes(6)), (b"ANMF", bytes(16)))


def _bad_bmp() -> Named:
    body = noise(8, 8).tobytes()
    yield "bmp, header only", bmp(8, 8)
    yield "bmp, 1 byte missing", bmp(8, 8, body=body[:-1])
    for header in (0, 11, 13, 39, 41, 128, 2**31):
        yield f"bmp, header of {header} bytes", bmp(8, 8, header=header, body=body)
    for bits in (0, 2, 3, 15, 48, 64, 65535):
        yield f"bmp, {bits} bits", bmp(8, 8, bits=bits, body=body * 4)
    for packing in (4, 5, 6, 11, 255):
        yield f"bmp, packing {packing}", bmp(8, 8, packing=packing, body=body)
    yield "bmp, unknown colour masks", bmp(8, 8, bits=32, packing=3, body=struct.pack("<III", 7, 77, 777) + body * 2)
    yield "bmp, masks of 8 bits", bmp(8, 8, bits=8, packing=3, body=bytes(12) + body * 6)
    yield "bmp, 4 billion colours", bmp(8, 8, bits=8, colours=2**32 - 1, body=body)
    yield "bmp, pixels beyond the end", bmp(8, 8, offset=2**31, body=body)
    yield "bmp, run lengths end early", bmp(8, 8, bits=8, packing=1, offset=1078, body=bytes(1024) + b"\4\1")
    yield "bmp, run lengths of nothing", bmp(8, 8, bits=8, packing=1, offset=1078, body=bytes(1024))
    yield "bmp, packed nibbles end early", bmp(8, 8, bits=4, packing=2, offset=118, body=bytes(64) + b"\4\1")


def _sizes() -> Named:
    """Sizes that are not there, not allowed, or not possible."""
    huge = ((0, 0), (0, 8), (8, 0), (12_000, 12_000), (65_535, 65_535), (50_000, 1), (1, 50_000), (10_000, 5_001))
    scan = sources()["jpeg"]
    frame = scan.index(b"\xff\xc0")
    for width, height in huge:
        size = f"{width} x {height}"
        yield f"png, {size}", png(width, height, rows=b"\0" * 100)
        yield f"jpeg, {size}", replaced(scan, frame + 5, struct.pack(">HH", height, width))
        yield f"progressive, {size}", _resized(sources()["progressive"], width, height)
        yield f"gif, {size}", gif(width, height)
        yield f"bmp, {size}", bmp(width, height, body=bytes(100))
    for width, height in ((2**31 - 1, 2**31 - 1), (2**32 - 1, 2**32 - 1), (2**31, 1)):
        yield f"png, {width} x {height}", png(width, height, rows=b"\0" * 100)
        yield f"bmp, {width} x {height}", bmp(width, height, body=bytes(100))
    yield "bmp, -8 x 8", bmp(-8, 8, body=bytes(300))
    yield "bmp, 8 x -100,000,000", bmp(8, -100_000_000, body=bytes(300))
    yield "bmp, 8 x -2,147,483,648", bmp(8, -(2**31), body=bytes(300))
    yield (
        "old bmp, 65,535 x 65,535",
        b"BM" + struct.pack("<IHHIIHHHH", 26, 0, 0, 26, 12, 65535, 65535, 1, 24) + bytes(99),
    )
    yield "old bmp, 0 x 0", b"BM" + struct.pack("<IHHIIHHHH", 26, 0, 0, 26, 12, 0, 0, 1, 24) + bytes(99)
    yield "gif, frame larger than the screen", gif(1, 1, frame=(0, 0, 12_000, 12_000))
    yield "gif, frame far outside", gif(1, 1, frame=(65_535, 65_535, 1, 1))
    yield "png, allowed size without pixels", png(7000, 7000, rows=b"\0" * 100)
    yield "jpeg, allowed size without pixels", replaced(scan, frame + 5, struct.pack(">HH", 7000, 7000))[: frame + 200]
    yield "gif, allowed size without pixels", gif(7000, 7000)
    yield "bmp, allowed size without pixels", bmp(7000, 7000, body=bytes(100))
    yield (
        "bmp, run lengths of an allowed size",
        bmp(7000, 7000, bits=8, packing=1, offset=1078, body=bytes(1024) + b"\0\0" * 9),
    )
    lossless = bytearray(riff(webp_part(sources()["lossless webp"])))
    for width, height in ((16_384, 16_384), (1, 16_384), (16_384, 1)):
        lossless[21:25] = ((width - 1) | (height - 1) << 14).to_bytes(4, "little")
        yield f"lossless webp, {width} x {height}", bytes(lossless)
    lossy = riff(webp_part(sources()["webp"]))
    for width, height in ((0, 0), (0, 40), (16_383, 16_383), (16_383, 1)):
        yield f"webp, {width} x {height}", replaced(lossy, 26, struct.pack("<HH", width, height))
    for width, height in ((2**24, 2**24), (2**24, 1), (65_536, 65_535), (12_000, 12_000)):
        yield f"webp, canvas {width} x {height}", riff(canvas(width, height), webp_part(sources()["webp"]))
    yield "webp, allowed canvas without frames", riff(canvas(7000, 7000, 2), (b"ANIM", bytes(6)))


def _resized(jpeg: bytes, width: int, height: int) -> bytes:
    return replaced(jpeg, jpeg.index(b"\xff\xc2") + 5, struct.pack(">HH", height, width))


def _floods() -> Named:
    """Small or allowed sizes, and work without end."""
    sound = png()
    yield "png of a million empty chunks", sound[:33] + chunk(b"abCd", b"") * (LARGE // 12) + sound[33:]
    yield "png of a million empty pixel chunks", sound[:33] + chunk(b"IDAT", b"") * (LARGE // 12) + sound[33:]
    yield "png of a million texts", sound[:33] + chunk(b"tEXt", b"a\0b") * (LARGE // 15) + sound[33:]
    jpeg = sources()["jpeg"]
    yield "jpeg of five million comments", b"\xff\xd8" + b"\xff\xfe\0\2" * (LARGE // 4) + jpeg[2:]
    yield "jpeg of two million exifs", b"\xff\xd8" + b"\xff\xe1\0\x08Exif\0\0" * (LARGE // 10) + jpeg[2:]
    yield "jpeg of zeros", b"\xff\xd8\xff\xe0" + bytes(LARGE)
    yield "jpeg, fill bytes and no picture", b"\xff\xd8" + b"\xff" * LARGE
    flat = saved(Image.new("L", (2000, 2000), 77), "JPEG", progressive=True)
    last = flat[flat.rindex(b"\xff\xda") : -2]
    yield "jpeg of a million scans", flat[:-2] + last * (LARGE // len(last)) + flat[-2:]
    yield "jpeg of 70 scans", flat[:-2] + last * (70 - flat.count(b"\xff\xda")) + flat[-2:]
    yield "gif of ten million comment blocks", gif(2, 2, before=b"!\xfe" + b"\1a" * (LARGE // 2) + b"\0")
    yield "gif of seven million extensions", gif(2, 2, before=b"!\1\0" * (LARGE // 3))
    yield "gif of zeros", b"GIF89a\2\0\2\0\0\0\0" + bytes(LARGE)
    yield (
        "bmp of ten million runs",
        bmp(4000, 4000, bits=8, packing=1, offset=1078, body=bytes(1024) + b"\1\5" * (LARGE // 2)),
    )
    yield (
        "bmp of ten million runs of nothing",
        bmp(10, 10, bits=8, packing=1, offset=1078, body=bytes(1024) + b"\x0a\5" + b"\xff\5" * (LARGE // 2)),
    )
    yield (
        "bmp of short runs and line ends",
        bmp(7000, 7000, bits=8, packing=1, offset=1078, body=bytes(1024) + b"\1\5\0\0" * 7000),
    )
