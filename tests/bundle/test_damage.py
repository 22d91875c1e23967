from __future__ import annotations

import json
import os
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmrec.bundle import BundleWriter, open_bundle
from mmrec.contract.items import Versions
from mmrec.errors import BundleError

from .conftest import FILES, write_bundle

EVERY_FILE = ("manifest.json", *FILES)


def refused(path: Path, *words: str) -> str:
    """Open a damaged bundle; the error must hold each of `words` and end in a mend."""
    with pytest.raises(BundleError) as caught:
        open_bundle(path)
    for word in words:
        assert word in caught.value.message
    assert re.search("make it again|make one with|delete it|versions that are there|must be", caught.value.message)
    return caught.value.message


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 0.999])
def test_one_flipped_byte(root: Path, name: str, where: float) -> None:
    path = open_bundle(root).folder / name
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 0x01
    path.write_bytes(data)
    refused(root, name)


@pytest.mark.parametrize("name", EVERY_FILE)
@pytest.mark.parametrize("keep", [0, 1, 10])
def test_a_truncated_file(root: Path, name: str, keep: int) -> None:
    path = open_bundle(root).folder / name
    path.write_bytes(path.read_bytes()[:keep])
    refused(root, name)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(root: Path, name: str) -> None:
    (open_bundle(root).folder / name).unlink()
    refused(root, name, "is missing")


def test_a_missing_manifest(root: Path) -> None:
    (open_bundle(root).folder / "manifest.json").unlink()
    refused(root, "manifest.json", "missing")


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_file_taken_from_another_version(root: Path, name: str) -> None:
    old = open_bundle(root).folder
    new = write_bundle(root, mark=2)
    assert (old / name).stat().st_size == (new / name).stat().st_size
    shutil.copy(old / name, new / name)
    refused(root, name)


@pytest.mark.parametrize("name", ["extra.bin", "model/extra.bin", "new-folder/extra.bin"])
def test_a_file_that_nobody_listed(root: Path, name: str) -> None:
    path = open_bundle(root).folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    refused(root, name, "does not belong")


def test_a_linked_folder_brought_in_from_elsewhere(root: Path, tmp_path: Path) -> None:
    (open_bundle(root).folder / "more").symlink_to(tmp_path)
    refused(root, "more", "does not belong")


def test_a_pipe_in_place_of_a_file_is_never_opened(root: Path) -> None:
    path = open_bundle(root).folder / "metrics.json"
    path.unlink()
    os.mkfifo(path)
    refused(root, "metrics.json", "not a plain file")


@pytest.mark.parametrize("name", EVERY_FILE)
def test_a_link_to_the_same_content_in_place_of_a_file(root: Path, tmp_path: Path, name: str) -> None:
    path = open_bundle(root).folder / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    refused(root, name, "is a symbolic link")


def test_a_version_folder_under_the_name_of_another(root: Path) -> None:
    old = open_bundle(root).folder
    new = write_bundle(root, mark=2)
    shutil.rmtree(new)
    old.rename(new)
    refused(root, "manifest.json", "mixed")


@pytest.mark.parametrize("version", [2, 0, "1", None, True, 10**30])
def test_an_unknown_format_version(root: Path, version: object) -> None:
    path = open_bundle(root).folder / "manifest.json"
    body = json.loads(path.read_text())
    body["format"] = version
    path.write_text(json.dumps(body))
    refused(root, "manifest.json", "this mmrec reads format 1")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"3",
        b"{",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format": 1, "files": []}',
        b"9" * 10_000,
    ],
)
def test_a_manifest_that_is_something_else(root: Path, text: bytes) -> None:
    (open_bundle(root).folder / "manifest.json").write_bytes(text)
    refused(root, "manifest.json")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd"])
def test_a_manifest_that_lists_files_outside_the_bundle(root: Path, name: str) -> None:
    path = open_bundle(root).folder / "manifest.json"
    body = json.loads(path.read_text())
    body["files"][name] = body["files"].pop("metrics.json")
    path.write_text(json.dumps(body, indent=2, sort_keys=True) + "\n")
    refused(root, "manifest.json", "malformed")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "must be one line"),
        (b"\n", "must be one line"),
        (b"../../somewhere\n", "must be one line"),
        (b"20260131T093000Z-0123456789ab/../x\n", "must be one line"),
        (b"/etc\n", "must be one line"),
        (b"\xff\x00\xff", "must be one line"),
        (b"9" * 1_000_000, "must be one line"),
        (b"20260131T093000Z-0123456789ab\n\n", "must be one line"),
        (b"20260131T093000Z-0123456789ab\n", "which is not in"),
    ],
)
def test_current_points_nowhere(root: Path, content: bytes, words: str) -> None:
    version = open_bundle(root).version
    (root / "CURRENT").write_bytes(content)
    message = refused(root, "CURRENT", words)
    assert version in message
    assert len(message) < 1000


def test_current_is_a_folder(root: Path) -> None:
    (root / "CURRENT").unlink()
    (root / "CURRENT").mkdir()
    refused(root, "CURRENT", "cannot be read")


def publish_file(root: Path, name: str, write: Callable[[Path], object]) -> Path:
    """Publish a bundle of one file that was not made by the writer, with a fitting hash."""
    with BundleWriter(root, preset="p", name="n") as writer:
        write(writer.path(name))
        writer.commit(versions=Versions(), parameters={})
    return root


@pytest.mark.parametrize("text", ["[" * 200_000 + "]" * 200_000, '{"a":' * 65 + "0" + "}" * 65, "{", ""])
def test_json_that_is_nested_too_deeply_or_is_none(tmp_path: Path, text: str) -> None:
    publish_file(tmp_path, "encoders/encoders.json", lambda path: path.write_text(text))
    refused(tmp_path, "encoders/encoders.json", "nested more than 64 deep")


def test_json_as_deep_as_it_may_be(tmp_path: Path) -> None:
    publish_file(tmp_path, "a.json", lambda path: path.write_text("[" * 64 + "]" * 64))
    assert str(open_bundle(tmp_path).read_json("a.json")) == "[" * 64 + "]" * 64


@pytest.mark.parametrize(
    "column",
    [
        pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), ["x" * 10_000]),
        pa.nulls(40_000_000, pa.string()),
        pa.array([np.zeros(10_000_000, np.int32)]),
        pa.array([["x" * 1_000] * 100_000]),
    ],
    ids=["dictionary", "nulls", "numbers in a list", "texts in a list"],
)
def test_a_parquet_file_of_some_kilobytes_that_decodes_to_far_more(tmp_path: Path, column: pa.Array) -> None:
    table = pa.table({"column": column})
    publish_file(tmp_path, "t.parquet", lambda path: pq.write_table(table, path))
    bundle = open_bundle(tmp_path)
    assert bundle.manifest.files["t.parquet"].size < 100_000
    with pytest.raises(BundleError, match=r"t\.parquet decodes to [\d,]+ bytes; a file of its size may"):
        bundle.read_table("t.parquet")


def test_a_parquet_file_in_an_encoding_that_can_repeat_texts_without_a_dictionary(tmp_path: Path) -> None:
    table = pa.table({"title": ["x" * 1_000] * 9})

    def write(path: Path) -> None:
        pq.write_table(table, path, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY")

    publish_file(tmp_path, "t.parquet", write)
    with pytest.raises(BundleError, match=r"t\.parquet has a column 'title' with the encoding DELTA_BYTE_ARRAY"):
        open_bundle(tmp_path).read_table("t.parquet")


def test_a_table_that_repeats_itself_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    field = pa.field("title", pa.string(), metadata={"mmrec.kind": "text"})
    table = pa.table([pa.array(["x" * 100] * 500_000 + [None])], pa.schema([field]))
    with BundleWriter(tmp_path, preset="p", name="n") as writer:
        writer.write_table("t.parquet", table)
        writer.commit(versions=Versions(), parameters={})
    found = open_bundle(tmp_path).read_table("t.parquet")
    assert found.equals(table)
    assert found.schema.field("title").metadata == {b"mmrec.kind": b"text"}


HUGE = struct.pack("<Q", 10**15) + (b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}')


def test_a_safetensors_header_that_claims_a_petabyte_is_refused_by_its_hash_before_it_is_parsed(
    root: Path,
) -> None:
    path = open_bundle(root).folder / "fused.safetensors"
    size = path.stat().st_size
    path.write_bytes(HUGE.ljust(size, b"\0")[:size])
    refused(root, "fused.safetensors", "sha256")


@pytest.mark.parametrize("header_bytes", [10**15, len(HUGE) - 8])
def test_such_a_header_with_a_fitting_hash_is_an_error_and_no_allocation(tmp_path: Path, header_bytes: int) -> None:
    with BundleWriter(tmp_path, preset="p", name="n") as writer:
        writer.path("t.safetensors").write_bytes(struct.pack("<Q", header_bytes) + HUGE[8:])
        writer.commit(versions=Versions(), parameters={})
    bundle = open_bundle(tmp_path)
    with pytest.raises(BundleError, match=r"t\.safetensors is not a readable safetensors file"):
        bundle.read_tensors("t.safetensors")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_anywhere_is_an_error_that_names_the_file(root: Path, data: st.DataObject) -> None:
    folder = next((root / "versions").iterdir())
    name = data.draw(st.sampled_from(EVERY_FILE))
    sound = (folder / name).read_bytes()
    at = data.draw(st.integers(0, len(sound) - 1))
    change = data.draw(st.integers(1, 255))
    try:
        (folder / name).write_bytes(sound[:at] + bytes([sound[at] ^ change]) + sound[at + 1 :])
        refused(root, name)
    finally:
        (folder / name).write_bytes(sound)
    assert open_bundle(root).manifest.name == "tiny"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(noise=st.binary(max_size=300))
def test_any_bytes_as_manifest_or_pointer_are_our_error(root: Path, noise: bytes) -> None:
    folder = next((root / "versions").iterdir())
    for path in (folder / "manifest.json", root / "CURRENT"):
        sound = path.read_bytes()
        try:
            path.write_bytes(noise)
            refused(root)
        finally:
            path.write_bytes(sound)
