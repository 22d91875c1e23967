"""Finds the file that a picture reference names among the existing names.

The same name can be written in several ways: composed or decomposed letters (NFC, NFD), ``\\`` or ``/``, ``%20`` for a
space, ``?v=1`` after it, ``./``, ``/`` or ``images/`` before it, one folder around everything. An exact match wins;
otherwise the one name that is equal up to these spellings; several such names are an error. Case always counts. Knows
nothing of what is in the files.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import PurePosixPath
from urllib.parse import unquote
from zipfile import ZipInfo

from mmrec.errors import InvalidImageError

STORED_SUFFIXES = {"JPEG": "jpg", "PNG": "png", "WebP": "webp", "GIF": "gif", "BMP": "bmp"}
"""Suffix of a stored picture by its format."""
_SUFFIX = r"\.(?:jpe?g|png|webp|gif|bmp|tiff?|avif|heic)"
_QUERY = re.compile(rf"({_SUFFIX})[?#].*$", re.IGNORECASE | re.DOTALL)
_PICTURE_LIST = re.compile(rf"[^|;,]+{_SUFFIX}\s*(?:[|;,]\s*[^|;,]+{_SUFFIX}\s*)+", re.IGNORECASE)
_UTF8_FLAG = 0x800


class PictureNames:
    """Names of the pictures of a folder or an archive.

    Args:
        names: Paths inside it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        top = _shared_top(names := list(names))
        self._by_key: dict[str, list[str]] = defaultdict(list)
        self._by_folded_key: dict[str, list[str]] = defaultdict(list)
        for name in names:
            for key in {_key(name), _key(name[len(top) :])}:
                self._by_key[key].append(name)
                self._by_folded_key[key.casefold()].append(name)

    def find(self, ref: str) -> str | None:
        """The name that equals a reference up to its spelling; None for none.

        Raises:
            InvalidImageError: several names do.
        """
        found = self._by_key.get(_key(ref), ())
        if len(found) > 1:
            names = " and ".join(repr(name) for name in sorted(found)[:3])
            raise InvalidImageError(
                f"the picture {ref!r} can be {names}, which differ in how their names are written alone; write one"
            )
        return found[0] if found else None

    def in_another_case(self, ref: str) -> str | None:
        """A name that differs from a reference only in case; None for none."""
        found = self._by_folded_key.get(_key(ref).casefold(), ())
        return min(found) if found else None


def inner_name(name: str) -> str:
    """A path inside ``images``, without that prefix."""
    return PurePosixPath(name.replace("\\", "/").lstrip("/")).as_posix().removeprefix("images/")


def stored_stem(url: str) -> str:
    """The name, without its suffix, under which the picture of a URL is stored. 32 hexadecimal digits."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def stored_names(url: str) -> tuple[str, ...]:
    """The names that the stored picture of a URL can have."""
    stem = stored_stem(url)
    return tuple(f"{stem}.{suffix}" for suffix in STORED_SUFFIXES.values())


def entry_names(info: ZipInfo) -> tuple[str, ...]:
    """The names that an archive entry may have, the likeliest first."""
    name = inner_name(info.filename)
    if info.flag_bits & _UTF8_FLAG or info.filename.isascii():
        return (name,)
    try:
        # Some programs write UTF-8 without the flag; `zipfile` then decodes it as code page 437.
        return (inner_name(info.filename.encode("cp437").decode("utf-8")), name)
    except UnicodeError:
        return (name,)


def list_message(ref: str) -> str:
    """The error message for a reference that is a list; '' for any other."""
    if ref.lstrip().startswith("["):
        try:
            values = json.loads(ref)
        except ValueError:
            values = None
        first = values[0] if isinstance(values, list) and values and isinstance(values[0], str) else "1.jpg"
    elif _PICTURE_LIST.fullmatch(ref.strip()):
        first = re.split(r"[|;,]", ref)[0].strip()
    else:
        return ""
    return f"the picture {ref!r:.200} is a list; one path is wanted, as in {first!r:.100}"


def _key(name: str) -> str:
    """The normal form of all spellings of a name."""
    plain = _QUERY.sub(r"\1", name)
    with suppress(UnicodeDecodeError):
        plain = unquote(plain, errors="strict")
    return inner_name(unicodedata.normalize("NFC", plain))


def _shared_top(names: list[str]) -> str:
    """The folders that all names begin with, with the last ``/``; '' for none."""
    if not names:
        return ""
    first, last = min(names).split("/")[:-1], max(names).split("/")[:-1]
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return "".join(f"{folder}/" for folder in first[:shared])
