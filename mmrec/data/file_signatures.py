"""Recognises the real format of a file by its first bytes.

Unit of work: the start of one file. The results are sentences for a person: what the file is, and how to make
it readable. Knows nothing of rows and columns.
"""

from __future__ import annotations

import json
import re

from mmrec.data.table_files import PACKINGS

HEAD_BYTES = 2**18
"""Bytes read from the start of a file."""

_COMPRESSIONS = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bz2"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\xfd7zXZ\x00", "xz"),
)
_UNSUPPORTED = (
    (b"\xd0\xcf\x11\xe0", "is an Excel or Office file; save it as CSV"),
    (b"SQLite format 3\x00", "is an SQLite database; export its table as CSV"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive; unpack it"),
    (b"Rar!", "is a RAR archive; unpack it"),
    (b"%PDF", "is a PDF; export its table as CSV"),
    (b"ARROW1\x00\x00", "is a Feather (Arrow IPC) file; write it as Parquet"),
    (b"ORC", "is an ORC file; write it as Parquet"),
    (b"Obj\x01", "is an Avro file; write it as Parquet"),
    (b"\x89HDF", "is an HDF5 file; write it as Parquet"),
    (b"\x80\x04\x95", "is a Python pickle, which is never loaded; write it as Parquet"),
)
_SUFFIX_OF = {packer: suffix for suffix, packer in PACKINGS.items()}


def is_parquet(head: bytes) -> bool:
    """Whether a file starts as Parquet does."""
    return head.startswith(b"PAR1")


def packing_problem(head: bytes, name: str, packing: str) -> str:
    """Why a file is not compressed as its name says; '' where it is.

    Args:
        head: The first bytes of the file, still compressed.
        name: Its name.
        packing: The suffix in `PACKINGS` that its name has, or ''.
    """
    packer = next((packer for magic, packer in _COMPRESSIONS if head.startswith(magic)), "")
    if packer == PACKINGS.get(packing, "") or (PACKINGS.get(packing) == "brotli" and not packer):
        return ""  # brotli files have no magic bytes
    plain = name[: len(name) - len(packing)]
    if packer:
        if packer not in _SUFFIX_OF:
            return f"is packed with {packer}, which is not read; unpack it"
        return f"is packed with {packer}; name it {plain + _SUFFIX_OF[packer]!r}, or unpack it"
    found = _unsupported_format(head, plain)
    remedy = f"it {found}" if found else f"if it is not packed at all, name it {plain!r}"
    return f"cannot be read: it is not a whole {PACKINGS[packing]} file; write it again, or, {remedy}"


def content_problem(head: bytes, name: str, kind: str) -> str:
    """Why the content is not of the format that the name says, with the remedy; '' where it may be.

    Args:
        head: The first bytes, decompressed.
        name: Name of the file.
        kind: One of `FORMATS`.
    """
    found = _unsupported_format(head, name)
    if kind == "parquet":
        if is_parquet(head):
            return ""
        return f"is not a readable Parquet file; {'it ' + found if found else 'write it again, or export it as CSV'}"
    if found:
        return found
    if is_parquet(head):
        return f"is a Parquet file; name it {_stem(name) + '.parquet'!r}"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if kind == "jsonl":
        if re.match(rb"\[\s*\{", start):
            return "is one JSON array; write one object on each line, without the brackets and commas around them"
        if re.match(rb"\{\s*[\r\n]", start):
            return "is JSON over several lines; write each object on one line"
    elif start.startswith((b"{", b"[")) and _is_json(start):
        return f"is JSON; write one object on each line, and name it {_stem(name) + '.jsonl'!r}"
    return ""


def _unsupported_format(head: bytes, name: str) -> str:
    """The format of a file that is not supported; '' where it looks like text or Parquet."""
    for encoding, marks in (("UTF-32", (b"\xff\xfe\0\0", b"\0\0\xfe\xff")), ("UTF-16", (b"\xff\xfe", b"\xfe\xff"))):
        if head.startswith(marks):
            return f"is {encoding}; tables are UTF-8, so save it again as UTF-8"
    if head.startswith((b"PK\3\4", b"PK\5\6")):
        if b"[Content_Types].xml" in head or b"xl/" in head or name.lower().endswith((".xlsx", ".xlsm")):
            return "is an Excel workbook; save it as CSV"
        if b"opendocument" in head:
            return "is an OpenDocument file; save it as CSV"
        return "is a zip archive; unpack it"
    for magic, words in _UNSUPPORTED:
        if head.startswith(magic):
            return words
    if head[257:262] == b"ustar":
        return "is a tar archive; unpack it"
    start = head[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page; download the table itself"
    if start.startswith((b"<?xml", b"<rss", b"<feed")):
        return "is XML; write it as CSV"
    sample = head[:4096]
    if len(sample) >= 8 and not is_parquet(head) and sample.count(0) > 0.3 * len(sample):
        encoding = "UTF-32" if sample.count(0) > 0.7 * len(sample) else "UTF-16"
        return f"looks like {encoding}; tables are UTF-8, so save it again as UTF-8"
    return ""


def _is_json(start: bytes) -> bool:
    line = start.partition(b"\n")[0].strip()
    if re.match(rb"[\[{]\s*([\[{\"]|$)", line) is None:
        return False
    try:
        return isinstance(json.loads(line), dict | list)
    except (ValueError, RecursionError):
        return line in (b"[", b"{") or line.startswith((b'{"', b'[{"'))


def _stem(name: str) -> str:
    return name.partition(".")[0]
