from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.bundle.manifest import FileEntry, Manifest, checked_file_name, parse_manifest, render_manifest
from mmrec.contract.items import Versions
from mmrec.errors import BundleError, InvalidArgumentError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
ENTRIES = st.builds(FileEntry, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 2**63))


def _is_plain(name: str) -> bool:
    try:
        return bool(checked_file_name(name))
    except InvalidArgumentError:
        return False


NAMES = st.text(min_size=1, max_size=30).filter(_is_plain)
MANIFESTS = st.builds(
    Manifest,
    version=st.from_regex(r"\A[0-9]{8}T[0-9]{6}Z-[0-9a-f]{12}\Z"),
    name=st.text(),
    preset=st.text(),
    created=st.text(),
    versions=st.builds(Versions, st.text(), st.text(), st.text()),
    parameters=st.dictionaries(st.text(), JSON, max_size=5),
    files=st.dictionaries(NAMES, ENTRIES, max_size=5),
)


@given(MANIFESTS)
def test_a_manifest_survives_being_written_and_read(manifest: Manifest) -> None:
    data = render_manifest(manifest)
    assert parse_manifest(data, "manifest.json") == manifest
    assert render_manifest(parse_manifest(data, "manifest.json")) == data


@given(MANIFESTS, st.data())
def test_a_changed_manifest_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    text = bytearray(render_manifest(manifest))
    text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BundleError, match=r"^here/manifest\.json"):
        parse_manifest(bytes(text), "here/manifest.json")


@given(st.binary(max_size=200) | JSON.map(lambda value: repr(value).encode()))
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(BundleError, match=r"^manifest\.json"):
        parse_manifest(data, "manifest.json")


def test_tuples_in_parameters_become_lists() -> None:
    parameters: dict[str, Any] = {"prefixes": (64, 128), "deep": {"levels": (3, (256,))}}
    version = "20260131T093000Z-0123456789ab"
    manifest = Manifest(version, "n", "p", "", Versions(), parameters, {})
    assert parse_manifest(render_manifest(manifest), "m").parameters == {
        "prefixes": [64, 128],
        "deep": {"levels": [3, [256]]},
    }
