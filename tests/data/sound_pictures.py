"""Odd pictures that can be seen all the same, with the colours that are seen. The same ones each time."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import NamedTuple

import numpy as np
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
    webp_part,
    zeros,
)

Colour = tuple[int, int, int]
RED, GREEN, BLUE, WHITE, BLACK, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255,) * 3, (0,) * 3, (128,) * 3


class Sound(NamedTuple):
    """A picture and what is seen of it.

    Attributes:
        data: The encoded file.
        colours: Red, green and blue by place.
        size: Width and height.
        loss: By how much each may differ.
    """

    data: bytes
    colours: dict[tuple[int, int], Colour]
    size: tuple[int, int] = (8, 8)
    loss: int = 0


@cache
def sound_pictures() -> dict[str, Sound]:
    """Encoded pictures by name; a reader has to show every one."""
    return {**_pngs(), **_jpegs(), **_gifs(), **_webps(), **_bmps()}


def _plain(data: bytes, colour: Colour, loss: int = 0) -> Sound:
    return Sound(data, {(0, 0): colour, (7, 0): colour, (3, 4): colour, (7, 7): colour}, loss=loss)


def _pngs() -> dict[str, Sound]:
    halves = b"".join(b"\0" + b"\xf0" for _ in range(8))
    row = b"\0" + b"\xff\0\0" * 8
    palette = chunk(b"PLTE", bytes([*RED, *GREEN, *BLUE]))
    text = zlib.compress(b"some words")
    bomb = zeros(128 * 2**20)
    control = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(
        b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 0, 0, 1, 10, 0, 0)
    )
    second = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 1, 8, 8, 0, 0, 1, 10, 0, 0)) + chunk(
        b"fdAT", struct.pack(">I", 2) + zlib.compress(bytes(200))
    )
    exif = _exif(6)[6:]
    found = {
        "png, black and white": Sound(
            png(depth=1, colour=0, rows=halves), {(0, 0): WHITE, (3, 7): WHITE, (4, 0): BLACK, (7, 7): BLACK}
        ),
        "png, 2-bit grey": _plain(png(depth=2, colour=0, rows=(b"\0\xaa\xaa") * 8), (170, 170, 170)),
        "png, 4-bit grey": _plain(png(depth=4, colour=0, rows=(b"\0" + b"\x88" * 4) * 8), (136, 136, 136)),
        "png, grey": _plain(png(colour=0, rows=(b"\0" + b"\x80" * 8) * 8), GREY),
        "png, 16-bit grey": _plain(png(depth=16, colour=0, rows=(b"\0" + b"\x80\x12" * 8) * 8), GREY),
        "png, 16-bit colours": _plain(png(depth=16, rows=(b"\0" + b"\xff\xff\0\0\0\0" * 8) * 8), RED),
        "png, grey, half seen through": _plain(png(colour=4, rows=(b"\0" + b"\0\x7f" * 8) * 8), GREY),
        "png, 16-bit grey, not seen": _plain(png(depth=16, colour=4, rows=bytes(33 * 8)), WHITE),
        "png, red, half seen through": _plain(png(colour=6, rows=(b"\0" + b"\xff\0\0\x7f" * 8) * 8), (255, 128, 128)),
        "png, 16-bit red, not seen": _plain(png(depth=16, colour=6, rows=(b"\0" + b"\xff\xff" + bytes(62)) * 8), WHITE),
        "png, palette": _plain(png(colour=3, before=palette, rows=(b"\0" + b"\1" * 8) * 8), GREEN),
        "png, 1-bit palette": Sound(png(colour=3, depth=1, before=palette, rows=halves), {(0, 0): GREEN, (7, 7): RED}),
        "png, 4-bit palette": _plain(png(colour=3, depth=4, before=palette, rows=(b"\0" + b"\x22" * 4) * 8), BLUE),
        "png, palette with a hole": _plain(
            png(colour=3, before=palette + chunk(b"tRNS", b"\xff\0"), rows=(b"\0" + b"\1" * 8) * 8), WHITE
        ),
        "png, palette half seen through": _plain(
            png(colour=3, before=palette + chunk(b"tRNS", b"\x7f"), rows=(b"\0" + b"\0" * 8) * 8), (255, 128, 128)
        ),
        "png, index beyond the palette": _plain(png(colour=3, before=palette, rows=(b"\0" + b"\xc8" * 8) * 8), BLACK),
        "png without its palette": _plain(png(colour=3, rows=(b"\0" + b"\x80" * 8) * 8), BLACK),
        "png, grey of which one is a hole": _plain(png(colour=0, before=chunk(b"tRNS", b"\0\0")), WHITE),
        "png, colours of which one is a hole": _plain(png(before=chunk(b"tRNS", b"\0\xff\0\0\0\0")), WHITE),
        "png, interlaced": _plain(png(interlace=1, rows=_interlaced()), RED),
        "png, every row filter": _plain(
            png(rows=row + (b"\1\xff\0\0" + bytes(21)) + (b"\2" + bytes(24)) * 2 + (b"\4" + bytes(24)) * 4), RED
        ),
        "png, turned": Sound(png(8, 4, before=chunk(b"eXIf", exif)), {(0, 0): RED, (3, 7): RED}, (4, 8)),
        "png, turned by a note after the pixels": Sound(
            png(8, 4, after=chunk(b"eXIf", exif)), {(0, 0): RED, (3, 7): RED}, (4, 8)
        ),
        "png, exif that is none": _plain(png(before=chunk(b"eXIf", b"nonsense")), RED),
        "png, zTXt bomb": _plain(png(before=chunk(b"zTXt", b"a\0\0" + bomb)), RED),
        "png, iTXt bomb": _plain(png(before=chunk(b"iTXt", b"a\0\1\0\0\0" + bomb)), RED),
        "png, iCCP bomb": _plain(png(before=chunk(b"iCCP", b"a\0\0" + bomb)), RED),
        "png, zTXt bomb after the pixels": _plain(png(after=chunk(b"zTXt", b"a\0\0" + bomb)), RED),
        "png, pixel bomb": _plain(png(packed=_more(row * 8, 128 * 2**20)), RED),
        "png, texts": _plain(png(before=chunk(b"tEXt", b"a\0b") * 200 + chunk(b"zTXt", b"c\0\0" + text)), RED),
        "png, unknown compression of a text": _plain(png(before=chunk(b"zTXt", b"a\0\7" + text)), RED),
        "png, colour profile that is none": _plain(png(before=chunk(b"iCCP", b"a\0\7nothing")), RED),
        "png, notes cut short": _plain(
            png(before=b"".join(chunk(kind, b"\0") for kind in (b"gAMA", b"cHRM", b"pHYs", b"sRGB", b"sBIT", b"tIME"))),
            RED,
        ),
        "png, checksum of a note wrong": _plain(png(before=chunk(b"tEXt", b"a\0b")[:-4] + b"1234"), RED),
        "png, checksum of the pixels wrong": _plain(replaced(png(), png().index(b"IEND") - 8, b"1234"), RED),
        "png, length of the pixels over the end": _plain(replaced(png(), 33, b"\x7f\xff\xff\xff"), RED),
        "png without an end": _plain(png()[:-12], RED),
        "png, a script behind it": _plain(png() + b"<script>alert(1)</script>", RED),
        "png, a zip behind it": _plain(png() + b"PK\3\4" + bytes(9000), RED),
        "png, animated": _plain(png(before=control, after=second), RED),
        "png, animation of no frames": _plain(png(before=chunk(b"acTL", bytes(8))), RED),
        "png, animation of four billion frames": _plain(png(before=chunk(b"acTL", b"\xff" * 8)), RED),
        "png, two animation headers": _plain(png(before=chunk(b"acTL", bytes(7) + b"\1") * 2), RED),
        "png, animation header cut short": _plain(png(before=chunk(b"acTL", b"\0")), RED),
        "png, frame out of its order": _plain(png(before=control.replace(b"fcTL\0\0\0\0", b"fcTL\0\0\0\7")), RED),
        "png, frame outside of the picture": _plain(
            png(before=chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 900, 900, 9, 9, 1, 10, 0, 0))), RED
        ),
        "png in many chunks": _plain(_in_pieces(row * 8), RED),
    }
    return found


def _interlaced() -> bytes:
    """Rows of a red 8 x 8 picture in the order of Adam7."""
    passes = ((1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4))
    return b"".join((b"\0" + b"\xff\0\0" * width) * height for width, height in passes)


def _more(start: bytes, zeros_after: int) -> bytes:
    """Zlib data of the start and of many zeros."""
    packer = zlib.compressobj(1)
    block = bytes(2**20)
    return b"".join(
        [packer.compress(start), *(packer.compress(block) for _ in range(zeros_after >> 20)), packer.flush()]
    )


def _in_pieces(rows: bytes) -> bytes:
    whole = png(rows=rows)
    at = whole.index(b"IDAT") - 4
    packed = zlib.compress(rows)
    pieces = b"".join(chunk(b"IDAT", packed[i : i + 1]) + chunk(b"IDAT", b"") for i in range(len(packed)))
    return whole[:at] + pieces + whole[-12:]


def _exif(orientation: int, order: str = "<", entries: bytes = b"", count: int = 1) -> bytes:
    tiff = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HIH", 42, 8, count)
    return b"Exif\0\0" + tiff + entries + struct.pack(f"{order}HHIHHI", 0x0112, 3, 1, orientation, 0, 0)


def _jpegs() -> dict[str, Sound]:
    red = saved(Image.new("RGB", (8, 8), RED), "JPEG", quality=95)

    def noted(*notes: tuple[int, bytes]) -> bytes:
        return red[:2] + b"".join(segment(marker, data) for marker, data in notes) + red[2:]

    cyclic = _exif(1, entries=struct.pack("<HHII", 0x8769, 4, 1, 8), count=2)
    huge = _exif(1, entries=struct.pack("<HHII", 0x011A, 5, 2**31, 8), count=2)
    flipped = saved(Image.fromarray(_corner()), "JPEG", quality=95)
    cmyk = saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95)
    plain = {
        "jpeg": red,
        "jpeg, progressive": saved(Image.new("RGB", (8, 8), RED), "JPEG", quality=95, progressive=True),
        "jpeg, restart markers": saved(Image.new("RGB", (8, 8), RED), "JPEG", quality=95, restart_marker_blocks=1),
        "jpeg, rgb inside": saved(Image.new("RGB", (8, 8), RED), "JPEG", quality=95, keep_rgb=True),
        "jpeg, cmyk": cmyk,
        "jpeg, no colour left out": saved(Image.new("RGB", (8, 8), RED), "JPEG", quality=95, subsampling=0),
        "jpeg, a script behind it": red + b"<?php system($_GET[0]); ?>",
        "jpeg, a zip behind it": red + b"PK\3\4" + bytes(9000),
        "jpeg, another one behind it": red + saved(noise(), "JPEG"),
        "jpeg, a script inside": noted((0xFE, b"*/=1;alert(document.domain)/*")),
        "jpeg, fill bytes": red[:2] + b"\xff" * 500 + red[2:],
        "jpeg, rubbish between segments": red[:20] + bytes(500) + red[20:],
        "jpeg, a thumbnail": noted((0xE0, b"JFXX\0\x10" + saved(noise(), "JPEG"))),
        "jpeg, many comments": noted(*((0xFE, b"comment"),) * 900),
        "jpeg, colour profile that is none": noted((0xE2, b"ICC_PROFILE\0\1\1nothing")),
        "jpeg, 200 parts of a colour profile": noted(*((0xE2, b"ICC_PROFILE\0\1\xff" + bytes(900)),) * 200),
        "jpeg, several pictures announced": noted((0xE2, b"MPF\0II*\0\x08\0\0\0\xff\xff")),
        "jpeg, layers announced": noted((0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff")),
        "jpeg, orientation 0": noted((0xE1, _exif(0))),
        "jpeg, orientation 9": noted((0xE1, _exif(9))),
        "jpeg, orientation 65,535": noted((0xE1, _exif(65535))),
        "jpeg, exif that is none": noted((0xE1, b"Exif\0\0nonsense")),
        "jpeg, exif cut short": noted((0xE1, b"Exif\0\0II*\0")),
        "jpeg, exif directory beyond the end": noted((0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
        "jpeg, exif of 65,535 entries": noted((0xE1, _exif(1)[:14] + b"\xff\xff")),
        "jpeg, exif that leads to itself": noted((0xE1, cyclic)),
        "jpeg, exif with a huge count": noted((0xE1, huge)),
        "jpeg, 300 exifs": noted(*((0xE1, _exif(1) + bytes(9000)),) * 300),
        "jpeg, xmp": noted((0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><!ENTITY a SYSTEM 'file:///etc/passwd'>")),
    }
    turned = {
        f"jpeg, turned, {name}": Sound(
            flipped[:2] + b"".join(segment(0xE1, part) for part in parts) + flipped[2:],
            {(0, 0): BLACK, (7, 7): RED},
            loss=12,
        )
        for name, parts in (
            ("little-endian", [_exif(3)]),
            ("big-endian", [_exif(3, ">")]),
            ("the first note counts", [_exif(3), _exif(1)]),
            ("behind 100 other entries", [_exif(3, entries=bytes(1200), count=101)]),
        )
    }
    return {
        **{name: _plain(data, RED, 6) for name, data in plain.items()},
        "jpeg, grey": _plain(saved(Image.new("L", (8, 8), 128), "JPEG", quality=95), GREY, 3),
        "jpeg, progressive in grey, 60 scans": _plain(_many_scans(), (77,) * 3, 3),
        **turned,
    }


def _corner() -> np.ndarray:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4, :4] = RED
    return pixels


def _many_scans() -> bytes:
    flat = saved(Image.new("L", (8, 8), 77), "JPEG", progressive=True, quality=95)
    last = flat[flat.rindex(b"\xff\xda") : -2]
    return flat[:-2] + last * (60 - flat.count(b"\xff\xda")) + flat[-2:]


def _gifs() -> dict[str, Sound]:
    red, blue = Image.new("RGB", (8, 8), RED), Image.new("RGB", (8, 8), BLUE)
    data = saved(red, "GIF")
    frame = data.index(b",")
    hole = Image.new("P", (8, 8), 0)
    hole.putpalette([*RED, *GREEN])
    small = gif(8, 8, frame=(2, 2, 2, 2))
    many = saved(red, "GIF", save_all=True, append_images=[blue, red] * 150, duration=20)
    return {
        "gif": _plain(data, RED),
        "gif of 1987": _plain(b"GIF87a" + data[6:], RED),
        "gif, see-through": _plain(saved(hole, "GIF", transparency=0), WHITE),
        "gif, interlaced": _plain(saved(red, "GIF", interlace=True), RED),
        "gif, greys without a palette": _plain(_without_palette(data, frame), BLACK),
        "gif, 301 frames": _plain(many, RED),
        "gif, second frame damaged": _plain(many[: many.index(b",", frame + 40) + 6], RED),
        "gif, frame smaller than the screen": Sound(small, {(2, 2): RED, (3, 3): RED}),
        "gif, frame larger than the screen": Sound(gif(1, 1, frame=(0, 0, 2, 2)), {(1, 1): RED}, (2, 2)),
        "gif, end missing": _plain(data[:-1], RED),
        "gif, a script behind it": _plain(data + b"<script>alert(1)</script>", RED),
        "gif, comments": _plain(data[:frame] + b"!\xfe" + (b"\xffa" + bytes(254)) * 200 + b"\0" + data[frame:], RED),
        "gif, repeated for ever": _plain(data[:frame] + b"!\xff\x0bNETSCAPE2.0\3\1\0\0\0" + data[frame:], RED),
        "gif, zeros between blocks": _plain(data[:frame] + bytes(90) + data[frame:], RED),
        "gif, control block of another size": _plain(data[:frame] + b"!\xf9\1\1\0" + data[frame:], RED),
        "gif, hole beyond the palette": _plain(data[:frame] + b"!\xf9\4\1\0\0\xff\0" + data[frame:], RED),
    }


def _without_palette(data: bytes, frame: int) -> bytes:
    return data[:10] + b"\0" + data[11:13] + data[frame:]


def _webps() -> dict[str, Sound]:
    red = Image.new("RGB", (8, 8), RED)
    lossless = saved(red, "WEBP", lossless=True)
    lossy = saved(red, "WEBP", quality=90)
    clear = saved(Image.new("RGBA", (8, 8), (255, 0, 0, 0)), "WEBP", lossless=True, exact=True)
    animated = saved(red, "WEBP", save_all=True, append_images=[Image.new("RGB", (8, 8), BLUE)] * 40, lossless=True)
    flat = saved(Image.new("RGB", (8, 4), RED), "WEBP", lossless=True)
    part = webp_part(lossless)
    return {
        "webp": _plain(lossy, RED, 6),
        "webp, lossless": _plain(lossless, RED),
        "webp, not seen": _plain(clear, WHITE),
        "webp, half seen through": _plain(
            saved(Image.new("RGBA", (8, 8), (255, 0, 0, 127)), "WEBP", lossless=True), (255, 128, 128)
        ),
        "webp, 41 frames": _plain(animated, RED),
        "webp, extended": _plain(riff(canvas(8, 8, 0), part), RED),
        "webp, turned": Sound(
            riff(
                canvas(8, 4, 8),
                webp_part(flat),
                (b"EXIF", _exif(6)[6:]),
            ),
            {(0, 0): RED, (3, 7): RED},
            (4, 8),
        ),
        "webp, exif that is none": _plain(riff(canvas(8, 8, 8), part, (b"EXIF", b"nonsense")), RED),
        "webp, colour profile that is none": _plain(riff(canvas(8, 8, 32), (b"ICCP", bytes(99)), part), RED),
        "webp, unknown chunk": _plain(riff(canvas(8, 8, 0), part, (b"JUNK", bytes(5000))), RED),
        "webp, a script behind it": _plain(lossless + b"<script>alert(1)</script>", RED),
    }


def _bmps() -> dict[str, Sound]:
    blue_green_red = b"\0\0\xff"
    palette = b"\0\0\xff\0" + b"\0\xff\0\0"
    padded = palette + bytes(1016)
    rows24 = blue_green_red * 64
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    top_red = (blue_green_red * 8) * 4 + (b"\xff\0\0" * 8) * 4
    core = b"BM" + struct.pack("<IHHIIHHHH", 26 + 192, 0, 0, 26, 12, 8, 8, 1, 24) + rows24
    wide = struct.pack("<IIIHHIIiiII", 124, 8, 8, 1, 24, 0, 0, 0, 0, 0, 0) + bytes(84)
    return {
        "bmp": _plain(bmp(8, 8, body=rows24), RED),
        "bmp, top row first": Sound(bmp(8, -8, body=top_red), {(0, 0): RED, (7, 7): BLUE}),
        "bmp, bottom row first": Sound(bmp(8, 8, body=top_red), {(0, 0): BLUE, (7, 7): RED}),
        "bmp, 32 bits": _plain(bmp(8, 8, bits=32, body=b"\0\0\xff\0" * 64), RED),
        "bmp, 16 bits": _plain(bmp(8, 8, bits=16, body=b"\0\x7c" * 64), RED),
        "bmp, 16 bits with masks": _plain(bmp(8, 8, bits=16, packing=3, offset=66, body=masks + b"\0\xf8" * 64), RED),
        "bmp, 8 bits": _plain(bmp(8, 8, bits=8, offset=1078, body=padded + b"\1" * 64), GREEN),
        "bmp, 4 bits": _plain(bmp(8, 8, bits=4, offset=118, body=palette + bytes(56) + b"\x11" * 32), GREEN),
        "bmp, 1 bit": _plain(bmp(8, 8, bits=1, offset=62, body=palette + b"\xff\0\0\0" * 8), GREEN),
        "bmp, index beyond the palette": _plain(
            bmp(8, 8, bits=8, colours=2, offset=62, body=palette + b"\7" * 64), BLACK
        ),
        "bmp, run lengths": _plain(
            bmp(8, 8, bits=8, packing=1, offset=1078, body=padded + b"\x08\1\0\0" * 8 + b"\0\1"), GREEN
        ),
        "bmp, run lengths of nibbles": _plain(
            bmp(8, 8, bits=4, packing=2, offset=118, body=palette + bytes(56) + b"\x08\x11\0\0" * 8 + b"\0\1"), GREEN
        ),
        "bmp of os/2": _plain(core, RED),
        "bmp, largest header": _plain(b"BM" + struct.pack("<IHHI", 330, 0, 0, 138) + wide + rows24, RED),
        "bmp, file size wrong": _plain(replaced(bmp(8, 8, body=rows24), 2, b"\xff" * 4), RED),
        "bmp, something behind it": _plain(bmp(8, 8, body=rows24 + b"<script>"), RED),
    }
