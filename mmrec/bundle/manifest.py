"""The manifest of a bundle and its canonical text form. Knows nothing of folders or of the other files.

Sorted keys, two spaces, ASCII, and a digest over all the rest. A manifest whose bytes differ from what
`render_manifest` makes of its content was changed after writing, and is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from mmrec.contract.items import Versions
from mmrec.errors import BundleError, InvalidArgumentError

FORMAT = 1
"""Version of the bundle layout that this code writes, and the only one it reads."""
MANIFEST = "manifest.json"

REMEDY = "copy the bundle afresh from where it was made, or make it again"
"""Remedy for a damaged bundle, in messages."""

_VERSION = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{12}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a bundle.

    Attributes:
        sha256: Hash of its content, 64 hexadecimal digits.
        size: Its length in bytes.
    """

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle is and which files belong to it.

    Attributes:
        version: UTC time of publication and short content hash, as in ``20260131T093000Z-0123456789ab``.
        name: Name of the bundle, usually the dataset's.
        preset: The preset it was fitted with.
        created: UTC time of publication, ISO 8601.
        versions: Version names in replies made with this bundle.
        parameters: What it was fitted with; any JSON object.
        files: Every other file of the version folder by its relative POSIX path.
        format: Version of the layout.
    """

    version: str
    name: str
    preset: str
    created: str
    versions: Versions
    parameters: Mapping[str, Any]
    files: Mapping[str, FileEntry]
    format: int = FORMAT


def is_version(text: str) -> bool:
    """Whether `text` has the form of a version; such a text is always one plain folder name."""
    return _VERSION.fullmatch(text) is not None


def checked_file_name(name: str) -> str:
    """`name`, if it is a relative POSIX path that stays inside the bundle.

    Raises:
        InvalidArgumentError: it is absolute, empty, not in its shortest form, holds ``..``, a backslash or a
            control character, or is the manifest's own name.
    """
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and str(path) == name
    if not plain or path.is_absolute() or not path.parts or ".." in path.parts:
        raise InvalidArgumentError(
            f"{name!r} cannot name a file of a bundle; use a relative path with '/' and without '..', as in "
            "'generator/config.json'",
            field="name",
        )
    if name == MANIFEST:
        raise InvalidArgumentError(f"{MANIFEST!r} is written by commit(); choose another name", field="name")
    return name


def render_manifest(manifest: Manifest) -> bytes:
    """The exact bytes of the manifest file.

    Raises:
        InvalidArgumentError: the parameters hold something JSON does not have (a NaN, an array, a key that is
            no string).
    """
    body = asdict(manifest)
    try:
        digest = hashlib.sha256(_canonical(body)).hexdigest()
        text = _canonical({**body, "digest": digest})
        unchanged = json.loads(text)["parameters"] == _lists(manifest.parameters)
    except (TypeError, ValueError, RecursionError) as err:
        raise InvalidArgumentError(f"the bundle's parameters cannot be written as JSON: {err}") from err
    if not unchanged:
        raise InvalidArgumentError("the bundle's parameters have a key that is no string; JSON keys are strings")
    return text


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Read a manifest's bytes back; `where` names the file in messages.

    Raises:
        BundleError: not JSON, of an unknown format version, with a missing or invalid field, or with bytes that
            differ from what was written.
    """
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as err:
        raise BundleError(f"{where} is not readable JSON; it is damaged: {REMEDY}") from err
    if not isinstance(body, dict):
        raise BundleError(f"{where} holds a JSON {type(body).__name__} where an object belongs: {REMEDY}")
    if body.get("format") != FORMAT or isinstance(body["format"], bool):
        raise BundleError(
            f"{where} has bundle format {body.get('format')!r}; this mmrec reads format {FORMAT}: use the "
            "mmrec version that made the bundle, or make it again with this one"
        )
    try:
        manifest = _from_body(body)
        rendered = render_manifest(manifest)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, InvalidArgumentError) as err:
        raise BundleError(f"{where} has a missing or malformed field ({err}): {REMEDY}") from err
    if rendered != data:
        raise BundleError(f"{where} was changed after it was written (its digest does not match): {REMEDY}")
    return manifest


def _from_body(body: Mapping[str, Any]) -> Manifest:
    files: dict[str, FileEntry] = {}
    for name, entry in body["files"].items():
        size = entry["size"]
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise ValueError(f"size of {name!r}")
        if not _SHA256.fullmatch(entry["sha256"]):
            raise ValueError(f"sha256 of {name!r}")
        files[checked_file_name(name)] = FileEntry(entry["sha256"], size)
    texts = {key: _text(body, key) for key in ("version", "name", "preset", "created")}
    if not is_version(texts["version"]):
        raise ValueError("version")
    if not isinstance(body["parameters"], dict):
        raise ValueError("parameters")
    names = body["versions"]
    versions = Versions(_text(names, "model"), _text(names, "catalogue"), _text(names, "codebook"))
    return Manifest(
        texts["version"],
        texts["name"],
        texts["preset"],
        texts["created"],
        versions,
        body["parameters"],
        files,
    )


def _text(body: Mapping[str, Any], key: str) -> str:
    value = body[key]
    if not isinstance(value, str):
        raise ValueError(key)
    return value


def _canonical(body: Mapping[str, Any]) -> bytes:
    return (json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def _lists(value: Any) -> Any:
    """`value` with tuples as lists, as JSON returns them."""
    if isinstance(value, Mapping):
        return {key: _lists(inner) for key, inner in value.items()}
    return [_lists(inner) for inner in value] if isinstance(value, list | tuple) else value
