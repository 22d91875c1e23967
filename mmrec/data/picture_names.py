"""Finds the file that a reference to a picture means among the names that are there.

The same name can be written in several ways: composed or decomposed letters (NFC, NFD), ``\\`` or ``/``, ``%20`` for a
space, ``?v=1`` behind it, ``./``, ``/`` or ``images/`` in front, one folder around everything. A name that is there as
it stands is meant; otherwise the one that is the same but for these ways is; where there are several, nobody can
tell. Letters that differ in case are never taken for each other. Knows nothing of what is in the files.
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
_BEHIND = re.compile(rf"({_SUFFIX})[?#].*$", re.IGNORECASE | re.DOTALL)
_SEVERAL = re.compile(rf"[^|;,]+{_SUFFIX}\s*(?:[|;,]\s*[^|;,]+{_SUFFIX}\s*)+", re.IGNORECASE)
_UTF8_FLAG = 0x800


class PictureNames:
    """Names of the pictures of a folder or an archive.

    Args:
        names: Paths inside it.
    """

    def __init__(self, names: Iterable[str]) -> None:
        top = self._top = _shared_top(names := list(names))
        self._same: dict[str, list[str]] = defaultdict(list)
        self._any_case: dict[str, list[str]] = defaultdict(list)
        for name in names:
            for key in {_key(name), _key(name[len(top) :])}:
                self._same[key].append(name)
                self._any_case[key.casefold()].append(name)

    def find(self, ref: str) -> str | None:
        """The name that a reference means, which is not there as it stands; None for none.

        Raises:
            InvalidImageError: it can mean several.
        """
        found = self._same.get(_key(ref), ())
        if len(found) > 1:
            shown = " and ".join(repr(name) for name in sorted(found)[:3])
            raise InvalidImageError(
                f"the picture {ref!r} can be {shown}, which differ in how their names are written alone; write one"
            )
        return found[0] if found else None

    def in_another_case(self, ref: str) -> str | None:
        """A name that differs from a reference in the case of letters alone; None for none."""
        found = self._any_case.get(_key(ref).casefold(), ())
        return min(found) if found else None


def inner_name(name: str) -> str:
    """A name inside the pictures, without ``images/`` and its like in front."""
    return PurePosixPath(name.replace("\\", "/").lstrip("/")).as_posix().removeprefix("images/")


def stored_stem(url: str) -> str:
    """The name, without its suffix, under which the picture of a URL is stored. 32 hexadecimal digits."""
    return hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def stored_names(url: str) -> tuple[str, ...]:
    """The names that the stored picture of a URL can have."""
    stem = stored_stem(url)
    return tuple(f"{stem}.{suffix}" for suffix in STORED_SUFFIXES.values())


def entry_names(info: ZipInfo) -> tuple[str, ...]:
    """The names that an entry of an archive may have been packed under, the likeliest first."""
    name = inner_name(info.filename)
    if info.flag_bits & _UTF8_FLAG or info.filename.isascii():
        return (name,)
    try:
        # Packed by a program that writes UTF-8 and does not say so, and read as code page 437.
        return (inner_name(info.filename.encode("cp437").decode("utf-8")), name)
    except UnicodeError:
        return (name,)


def list_message(ref: str) -> str:
    """What is wrong with a reference that is a list; '' for one that is none."""
    if ref.lstrip().startswith("["):
        try:
            values = json.loads(ref)
        except ValueError:
            values = None
        first = values[0] if isinstance(values, list) and values and isinstance(values[0], str) else "1.jpg"
    elif _SEVERAL.fullmatch(ref.strip()):
        first = re.split(r"[|;,]", ref)[0].strip()
    else:
        return ""
    return f"the picture {ref!r:.200} is a list; one path is wanted, as in {first!r:.100}"


def _key(name: str) -> str:
    """The form that all spellings of a name share."""
    plain = _BEHIND.sub(r"\1", name)
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
