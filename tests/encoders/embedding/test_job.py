from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import sqlite3
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.data.dataset import read_dataset
from mmrec.data.fetching import FetchConfig
from mmrec.errors import (
    BundleError,
    FailedPreconditionError,
    InvalidArgumentError,
    InvalidDatasetError,
    ModelNotAvailableError,
    NotFoundError,
)
from mmrec_encoders.embedding.config import EmbedConfig
from mmrec_encoders.embedding.encoding import Counts
from mmrec_encoders.embedding.folder import OutputFolder
from mmrec_encoders.embedding.job import embed_dataset
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.item_encoder_files import load_item_encoder
from mmrec_encoders.small_clip import SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig
from mmrec_encoders.training import ItemEncoderConfig
from tests.encoders.contracts import assert_unit_rows, drawn
from tests.encoders.encoding import features_of

pytestmark = pytest.mark.slow

QUICK = ItemEncoderConfig(
    SmallClipConfig(shape=SmallClipShape(dim=16, width=4, image_size=32), epochs=1, batch_size=8),
    FusionConfig(dimension=16, prefixes=(8,), steps=2, batch_size=4),
)


def config_for(encoders: Path, **changes: Any) -> EmbedConfig:
    plain = EmbedConfig(encoders=encoders, device="cpu", dtype="float32", shard_rows=5, workers=0)
    return replace(plain, **changes)


def vectors_of(out: Path) -> np.ndarray:
    column = pq.read_table(out).column("embedding").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


def letters_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "_dead-letter.jsonl").read_text().splitlines()]


def content(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file() and ".cache" not in path.parts
    }


# --- what comes out -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_every_usable_item_has_the_vector_that_the_encoders_make(
    catalogue: Path, encoders: Path, tmp_path: Path, workers: int
) -> None:
    summary = embed_dataset(catalogue, tmp_path / "out", config_for(encoders, workers=workers))
    assert (summary.rows, summary.items, summary.with_picture, summary.with_words) == (14, 12, 10, 12)
    assert (summary.shards, summary.shards_written, summary.finished, summary.dimension) == (3, 3, True, 16)
    table = pq.read_table(tmp_path / "out")
    assert table.column("item_id").to_pylist() == [f"i{n}" for n in range(14) if n not in (8, 9)]
    assert [i for i, has in enumerate(table.column("has_picture").to_pylist()) if not has] == [4, 6]
    assert_unit_rows(vectors_of(tmp_path / "out"), 12, 16)
    # The rows that cannot be items are taken out, so that the whole-catalogue way can read the rest.
    lines = (catalogue / "items.tsv").read_text().splitlines(keepends=True)
    (catalogue / "items.tsv").write_text("".join(lines[:9] + lines[11:]))
    data, encoder = read_dataset(catalogue, max_left_out=1.0), load_item_encoder(encoders, "cpu", "float32")
    assert encoder.fusion is not None
    expected = encoder.fusion.fuse(features_of(encoder, data.catalogue, data.pictures))
    np.testing.assert_allclose(vectors_of(tmp_path / "out"), expected, atol=2e-5)


def test_the_files_say_what_is_in_them(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = embed_dataset(catalogue, out, config_for(encoders))
    assert sorted(path.name for path in out.iterdir()) == [
        ".cache",
        ".lock",
        "_dead-letter.jsonl",
        "_job.json",
        "_manifest.json",
        "part-00000.parquet",
        "part-00001.parquet",
        "part-00002.parquet",
    ]
    manifest = json.loads((out / "_manifest.json").read_text())
    assert (manifest["items"], manifest["with_picture"], manifest["dead_letters"]) == (12, 10, 4)
    assert [entry["items"] for entry in manifest["shards"]] == [5, 3, 4]
    for entry in manifest["shards"]:
        data = (out / entry["file"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    note = json.loads(pq.read_schema(out / "part-00001.parquet").metadata[b"mmrec"])
    assert (note["shard"], note["items"], note["dimension"], note["store"], note["vectors"]) == (
        1,
        3,
        16,
        "float32",
        "fused",
    )
    assert note["fingerprints"] == summary.fingerprints == manifest["fingerprints"]
    assert set(note["fingerprints"]) == {"image", "text", "fusion", "words", "preparation"}
    assert note["fingerprints"]["fusion"].startswith("fusion@")


def test_what_cannot_be_used_is_in_the_dead_letter_file_with_the_reason(
    catalogue: Path, encoders: Path, tmp_path: Path
) -> None:
    summary = embed_dataset(catalogue, tmp_path / "out", config_for(encoders))
    letters = letters_of(tmp_path / "out")
    assert [(e["item_id"], e["row"], e["field"], e["embedded"]) for e in letters] == [
        ("i4", 6, "image", True),
        ("i6", 8, "image", True),
        ("", 10, "item_id", False),
        ("i9", 11, "", False),
    ]
    assert [e["reason"] for e in letters] == [
        "the picture starts like a GIF file, but its header is damaged",
        "the picture '6.png' is not in the dataset folder; put the file into images/",
        "item_id is empty; every item needs an id",
        "the item has neither words nor a picture; fill one of title, description and image",
    ]
    assert summary.failed == 4
    assert [letter._asdict() for letter in summary.examples] == letters


@pytest.mark.parametrize("store", ["float32", "float16"])
def test_pyarrow_pandas_and_duckdb_read_the_folder(catalogue: Path, encoders: Path, tmp_path: Path, store: str) -> None:
    out = tmp_path / "out"
    embed_dataset(catalogue, out, config_for(encoders, store=store))
    field = pq.read_schema(out / "part-00000.parquet").field("embedding")
    assert field.type == pa.list_(pa.float32() if store == "float32" else pa.float16(), 16)
    by_arrow = vectors_of(out)
    frame = pd.read_parquet(out)
    assert list(frame.columns) == ["item_id", "embedding", "has_picture", "has_words"]
    assert frame.embedding[0].dtype == store
    np.testing.assert_array_equal(np.stack(frame.embedding), by_arrow)
    rows = duckdb.sql(f"SELECT item_id, embedding FROM '{out}/*.parquet' ORDER BY item_id").fetchall()
    assert [item_id for item_id, _ in rows] == sorted(frame.item_id)
    by_id = dict(zip(frame.item_id, by_arrow, strict=True))
    for item_id, vector in rows:
        np.testing.assert_array_equal(np.array(vector, np.float32), by_id[item_id].astype(np.float32))
    np.testing.assert_allclose(np.linalg.norm(by_arrow.astype(np.float32), axis=1), 1, atol=2e-3)


def test_a_prefix_is_the_start_of_the_whole(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    for dimension in (0, 8):
        embed_dataset(catalogue, tmp_path / f"{dimension}", config_for(encoders, dimension=dimension))
    start = vectors_of(tmp_path / "0")[:, :8]
    expected = start / np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors_of(tmp_path / "8"), expected, atol=1e-6)


@pytest.mark.parametrize(("side", "items", "dimension"), [("image", 10, 32), ("text", 12, 24)])
def test_one_side_alone_needs_no_fusion(
    catalogue: Path, image_model: Path, text_model: Path, tmp_path: Path, side: str, items: int, dimension: int
) -> None:
    config = EmbedConfig(
        vectors=side, image_model=str(image_model), text_model=str(text_model), device="cpu", workers=0
    )
    summary = embed_dataset(catalogue, tmp_path / "out", config)
    assert (summary.items, summary.dimension) == (items, dimension)
    assert_unit_rows(vectors_of(tmp_path / "out"), items, dimension)
    reasons = {letter["item_id"]: letter["reason"] for letter in letters_of(tmp_path / "out")}
    assert ("has no words" if side == "text" else "has no picture") in reasons["i9"]
    assert {name for name, value in summary.fingerprints.items() if value} == (
        {"image", "preparation"} if side == "image" else {"text", "words"}
    )


# --- computed once ------------------------------------------------------------------------------------------


def write_hundred(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    lines = ["item_id\ttitle\timage"]
    for number in range(100):
        drawn(36, 36, (number * 2, 255 - number, number), number % 7).save(root / "images" / f"{number}.png")
        lines.append(f"{number}\tMug number {number}\t{number}.png")
    (root / "items.tsv").write_text("\n".join(lines) + "\n")
    return root


def test_a_nightly_run_over_a_catalogue_in_which_one_in_a_hundred_changed_does_that_much_work(
    encoders: Path, tmp_path: Path
) -> None:
    shop = write_hundred(tmp_path / "shop")
    config = config_for(encoders, shard_rows=20, cache=tmp_path / "cache", workers=1)
    first = embed_dataset(shop, tmp_path / "monday", config)
    assert first.work == "100 rows: 100 pictures and 100 texts encoded, 0 + 0 taken from earlier runs"
    shutil.copytree(tmp_path / "cache", tmp_path / "as-it-was")
    drawn(36, 36, (9, 9, 9), 3).save(shop / "images" / "42.png")
    text = (shop / "items.tsv").read_text().replace("Mug number 42", "Cup number 42")
    (shop / "items.tsv").write_text(text)
    # What a run that knew nothing would give.
    embed_dataset(shop, tmp_path / "afresh", replace(config, cache=None))
    # Into the same folder, and into another one.
    for name, cache, shards in (("monday", "cache", 1), ("tuesday", "as-it-was", 5)):
        second = embed_dataset(shop, tmp_path / name, replace(config, cache=tmp_path / cache))
        assert second.work == "100 rows: 1 pictures and 1 texts encoded, 99 + 99 taken from earlier runs"
        assert second.shards_written == shards
        np.testing.assert_allclose(vectors_of(tmp_path / name), vectors_of(tmp_path / "afresh"), atol=2e-5)


def test_a_run_in_which_nothing_changed_writes_nothing(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "out", config_for(encoders)
    embed_dataset(catalogue, out, config)
    before = {path: path.stat().st_mtime_ns for path in out.glob("[p_]*") if path.name != "_dead-letter.jsonl"}
    again = embed_dataset(catalogue, out, config)
    assert (again.shards, again.shards_written, again.items) == (3, 0, 12)
    assert again.counts == Counts(pictures_known=10, texts_known=12)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_pictures_and_texts_that_repeat_are_computed_once(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    for workers in (0, 1):
        summary = embed_dataset(catalogue, tmp_path / f"{workers}", config_for(encoders, workers=workers))
        assert summary.counts == Counts(pictures_encoded=8, pictures_repeated=2, texts_encoded=11, texts_repeated=1)
    vectors = vectors_of(tmp_path / "0")
    np.testing.assert_array_equal(vectors, vectors_of(tmp_path / "1"))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_vector_that_is_known_and_turns_out_damaged_is_computed_again(
    catalogue: Path, encoders: Path, tmp_path: Path, workers: int
) -> None:
    config = config_for(encoders, cache=tmp_path / "cache", workers=workers)
    embed_dataset(catalogue, tmp_path / "first", config)
    with sqlite3.connect(tmp_path / "cache" / "cache.sqlite") as db:
        changed = db.execute("UPDATE vectors SET vector = zeroblob(length(vector)) WHERE id % 2").rowcount
    db.close()
    summary = embed_dataset(catalogue, tmp_path / "second", config)
    assert summary.counts.pictures_encoded + summary.counts.texts_encoded == changed == 10
    np.testing.assert_allclose(vectors_of(tmp_path / "second"), vectors_of(tmp_path / "first"), atol=2e-5)


def test_a_damaged_cache_is_told_of_and_filled_again(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    config = config_for(encoders, cache=tmp_path / "cache")
    embed_dataset(catalogue, tmp_path / "first", config)
    (tmp_path / "cache" / "cache.sqlite").write_bytes(b"\0" * 10_000)
    notes: list[str] = []
    summary = embed_dataset(catalogue, tmp_path / "second", config, note=notes.append)
    assert (len(notes), summary.counts.pictures_encoded) == (1, 8)
    assert "was renamed to cache.damaged-1.sqlite" in notes[0]
    assert content(tmp_path / "first") == content(tmp_path / "second")


# --- going on -----------------------------------------------------------------------------------------------


def test_a_stop_leaves_off_after_a_shard_and_the_same_call_goes_on(
    catalogue: Path, encoders: Path, tmp_path: Path
) -> None:
    config = config_for(encoders, workers=1)
    embed_dataset(catalogue, tmp_path / "whole", config)
    out = tmp_path / "out"
    first = embed_dataset(catalogue, out, config, stop=lambda: True)
    assert (first.finished, first.shards, first.rows) == (False, 1, 5)
    assert not (out / "_manifest.json").exists()
    second = embed_dataset(catalogue, out, config)
    assert (second.finished, second.shards, second.shards_written) == (True, 3, 2)
    assert content(out) == content(tmp_path / "whole")


def test_a_damaged_shard_is_made_again(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "out", config_for(encoders)
    embed_dataset(catalogue, out, config)
    before = content(out)
    path = out / "part-00001.parquet"
    whole = path.read_bytes()
    (out / "part-00002.parquet").write_bytes(b"PAR1")
    for at in range(4, len(whole), len(whole) // 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        embed_dataset(catalogue, out, config)
        assert content(out) == before


def test_a_damaged_shard_of_an_unfinished_job_is_made_again(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    out, config = tmp_path / "out", config_for(encoders)
    embed_dataset(catalogue, out, config)
    before = content(out)
    (out / "_manifest.json").unlink()
    path = out / "part-00001.parquet"
    whole = path.read_bytes()
    # In a value of a vector, and in the description in the footer.
    for at in (whole.index(vectors_of(path)[1].tobytes()) + 9, whole.index(b'"items": 3') + 9):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert embed_dataset(catalogue, out, config).shards_written == 1
        assert content(out) == before
        (out / "_manifest.json").unlink()


def test_a_catalogue_that_became_shorter_leaves_no_shard_behind(
    catalogue: Path, encoders: Path, tmp_path: Path
) -> None:
    out, config = tmp_path / "out", config_for(encoders)
    embed_dataset(catalogue, out, config)
    lines = (catalogue / "items.tsv").read_text().splitlines(keepends=True)
    (catalogue / "items.tsv").write_text("".join(lines[:6]))
    summary = embed_dataset(catalogue, out, config)
    assert (summary.shards, summary.shards_written) == (1, 0)
    assert [path.name for path in out.glob("part-*")] == ["part-00000.parquet"]
    assert len(pq.read_table(out)) == 5


def test_another_job_is_refused_by_name_and_replaced_when_asked(
    catalogue: Path, encoders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    embed_dataset(catalogue, out, config_for(encoders))
    before = content(out)
    other = config_for(encoders, dimension=8, store="float16")
    with pytest.raises(InvalidArgumentError, match=r"dimension was 16 and is 8; store was 'float32' and is 'float16'"):
        embed_dataset(catalogue, out, other)
    assert content(out) == before
    summary = embed_dataset(catalogue, out, replace(other, overwrite=True))
    assert (summary.shards_written, summary.counts.pictures_encoded) == (3, 0)
    assert vectors_of(out).shape == (12, 8)


def test_a_second_writer_is_refused_while_the_first_is_at_work(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with OutputFolder(out), pytest.raises(FailedPreconditionError, match="another process is writing to"):
        embed_dataset(catalogue, out, config_for(encoders))
    assert embed_dataset(catalogue, out, config_for(encoders)).finished


def test_a_full_disk_is_one_sentence_and_the_same_call_goes_on(
    catalogue: Path, encoders: Path, tmp_path: Path, small_disk: Path
) -> None:
    config = config_for(encoders, cache=tmp_path / "cache")
    embed_dataset(catalogue, tmp_path / "whole", replace(config, cache=tmp_path / "other"))
    filler = small_disk / "filler"
    out = small_disk / "out"

    def fill(name: str) -> None:
        if name == "before-shard-write" and (out / "part-00000.parquet").exists() and not filler.exists():
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 1024)
                except OSError:
                    pass

    with pytest.raises(FailedPreconditionError, match=r"No space left on device; free disk space, .* same command"):
        embed_dataset(catalogue, out, config, failpoint=fill)
    assert [path.name for path in out.glob("*part*")] == ["part-00000.parquet"]
    filler.unlink()
    assert embed_dataset(catalogue, out, config).shards_written == 2
    assert content(out) == content(tmp_path / "whole")


def test_a_full_disk_under_the_cache_is_one_sentence_too(encoders: Path, tmp_path: Path, small_disk: Path) -> None:
    shop = write_hundred(tmp_path / "shop")
    filler = small_disk / "filler"
    config = config_for(encoders, cache=small_disk / "cache")

    def fill(name: str) -> None:
        if name == "before-cache-commit" and not filler.exists():
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"\0" * 1024)
                except OSError:
                    pass

    with pytest.raises(FailedPreconditionError, match=r"the cache .* cannot be used: .*free disk space"):
        embed_dataset(shop, tmp_path / "out", config, failpoint=fill)
    filler.unlink()
    assert embed_dataset(shop, tmp_path / "out", config).items == 100


def test_a_file_over_the_allowed_size_is_one_sentence(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(name: str) -> None:
        if name == "before-shard-write":
            resource.setrlimit(resource.RLIMIT_FSIZE, (600, limits[1]))

    try:
        with pytest.raises(FailedPreconditionError, match=r"cannot write .*part-00000\.parquet': File too large"):
            embed_dataset(catalogue, tmp_path / "out", config_for(encoders), failpoint=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "out").glob("*part*")) == []
    assert embed_dataset(catalogue, tmp_path / "out", config_for(encoders)).shards_written == 3


def test_a_folder_that_cannot_be_written_is_refused_and_left_as_it_is(
    catalogue: Path, encoders: Path, tmp_path: Path, small_disk: Path, remount: Any
) -> None:
    embed_dataset(catalogue, small_disk / "out", config_for(encoders, cache=tmp_path / "cache"))
    before = content(small_disk / "out")
    remount("ro")
    try:
        for name in ("out", "new"):
            with pytest.raises(FailedPreconditionError, match="Read-only file system; free disk space, or choose"):
                embed_dataset(catalogue, small_disk / name, config_for(encoders, cache=tmp_path / "cache"))
        with pytest.raises(FailedPreconditionError, match=r"the cache .* cannot be used"):
            embed_dataset(catalogue, tmp_path / "out", config_for(encoders, cache=small_disk / "cache"))
    finally:
        remount("rw")
    assert content(small_disk / "out") == before


# --- where pictures come from -------------------------------------------------------------------------------


def test_folder_archive_and_table_give_the_same_vectors(catalogue: Path, encoders: Path, tmp_path: Path) -> None:
    config = config_for(encoders, workers=1)
    embed_dataset(catalogue, tmp_path / "folder", config)
    archived = tmp_path / "archived"
    archived.mkdir()
    shutil.copy(catalogue / "items.tsv", archived)
    with zipfile.ZipFile(archived / "images.zip", "w") as archive:
        for path in sorted((catalogue / "images").iterdir()):
            archive.write(path, f"images/{path.name}")
    embed_dataset(archived, tmp_path / "archive", config)
    table = tmp_path / "table"
    table.mkdir()
    lines = [line.split("\t") for line in (catalogue / "items.tsv").read_text().splitlines()]
    pictures = [catalogue / "images" / fields[3] if fields[3] else Path() for fields in lines[1:]]
    columns = {name: [fields[i] for fields in lines[1:]] for i, name in enumerate(lines[0][:3])}
    columns["image_bytes"] = [path.read_bytes() if path.is_file() else None for path in pictures]
    pq.write_table(pa.table(columns), table / "items.parquet")
    embed_dataset(table, tmp_path / "bytes", config)
    expected = vectors_of(tmp_path / "folder")
    np.testing.assert_array_equal(vectors_of(tmp_path / "archive"), expected)
    np.testing.assert_array_equal(vectors_of(tmp_path / "bytes"), expected)


@pytest.fixture
def web(catalogue: Path) -> Iterator[tuple[str, list[str]]]:
    """Address of a server of the catalogue's pictures, and what it was asked for."""
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(catalogue / "images"))

        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()


def write_urls(catalogue: Path, address: str, root: Path) -> Path:
    """The same catalogue, its pictures named by URL."""
    root.mkdir()
    lines = [line.split("\t") for line in (catalogue / "items.tsv").read_text().splitlines()]
    text = ["\t".join([*fields[:3], f"{address}/{fields[3]}" if fields[3] else ""]) for fields in lines[1:]]
    (root / "items.tsv").write_text("\n".join(["\t".join(lines[0]), *text]) + "\n")
    return root


def test_urls_are_fetched_only_when_asked_for(
    catalogue: Path, encoders: Path, tmp_path: Path, web: tuple[str, list[str]]
) -> None:
    address, asked = web
    write_urls(catalogue, address, tmp_path / "urls")
    refused = embed_dataset(tmp_path / "urls", tmp_path / "none", config_for(encoders, workers=1))
    assert (refused.with_picture, asked) == (0, [])
    assert "is a URL that was not fetched; `mmrec fetch` brings it in" in letters_of(tmp_path / "none")[0]["reason"]
    fetch = FetchConfig(("127.0.0.1",), ports=(int(address.rpartition(":")[2]),), allow_addresses=("127.0.0.0/8",))
    fetched = embed_dataset(tmp_path / "urls", tmp_path / "out", config_for(encoders, workers=1, fetch=fetch))
    assert fetched.with_picture == 10
    embed_dataset(catalogue, tmp_path / "expected", config_for(encoders, workers=1))
    np.testing.assert_array_equal(vectors_of(tmp_path / "out"), vectors_of(tmp_path / "expected"))


def test_a_run_that_goes_on_fetches_nothing_twice_and_the_next_run_everything(
    catalogue: Path, encoders: Path, tmp_path: Path, web: tuple[str, list[str]]
) -> None:
    address, asked = web
    shop, out = write_urls(catalogue, address, tmp_path / "urls"), tmp_path / "out"
    fetch = FetchConfig(("127.0.0.1",), ports=(int(address.rpartition(":")[2]),), allow_addresses=("127.0.0.0/8",))
    config = config_for(encoders, fetch=fetch)
    embed_dataset(shop, out, config, stop=lambda: True)
    assert (out / ".fetched.sqlite").is_file()
    # The one that is no picture is asked for again: next time it may be one.
    first = {path for path in asked if path != "/4.png"}
    assert first == {"/0.png", "/1.png", "/2.png", "/3.png"}
    asked.clear()
    assert embed_dataset(shop, out, config).finished
    assert not first & set(asked)
    assert "/13.png" in asked
    assert not list(out.glob(".fetched*"))
    asked.clear()
    assert embed_dataset(shop, out, config).shards_written == 0
    assert first <= set(asked)


# --- encoders that are trained first ------------------------------------------------------------------------


def test_without_encoders_they_are_trained_once_and_kept(catalogue: Path, text_model: Path, tmp_path: Path) -> None:
    config = EmbedConfig(
        image_model="small", text_model=str(text_model), device="cpu", shard_rows=5, workers=0, training=QUICK
    )
    out = tmp_path / "out"
    first = embed_dataset(catalogue, out, config)
    assert (first.items, first.with_picture, first.dimension) == (12, 10, 16)
    assert (out / "_encoders" / "fusion.safetensors").is_file()
    before = content(out)
    again = embed_dataset(catalogue, out, config)
    assert (again.shards_written, content(out)) == (0, before)
    with pytest.raises(InvalidArgumentError, match="seed was 0 and is 1"):
        embed_dataset(catalogue, out, replace(config, seed=1))
    # The same encoders can be used for another folder, and give the same vectors.
    moved = replace(config, text_model=None, encoders=out / "_encoders", cache=tmp_path / "cache")
    embed_dataset(catalogue, tmp_path / "other", moved)
    np.testing.assert_array_equal(vectors_of(tmp_path / "other"), vectors_of(out))


def test_training_on_a_part_of_the_catalogue(catalogue: Path, text_model: Path, tmp_path: Path) -> None:
    config = EmbedConfig(
        text_model=str(text_model), device="cpu", shard_rows=5, workers=0, training=QUICK, training_items=6
    )
    summary = embed_dataset(catalogue, tmp_path / "out", config)
    assert summary.items == 12
    assert_unit_rows(vectors_of(tmp_path / "out"), 12, 16)


def test_a_template_names_the_words(catalogue: Path, text_model: Path, tmp_path: Path) -> None:
    config = EmbedConfig(vectors="text", text_model=str(text_model), device="cpu", template="{title}", workers=0)
    summary = embed_dataset(catalogue, tmp_path / "out", config)
    assert (summary.fingerprints["words"], summary.counts.texts_repeated) == ("{title}", 1)
    with pytest.raises(InvalidArgumentError, match="names 'brand'; the columns are"):
        embed_dataset(catalogue, tmp_path / "other", replace(config, template="{brand}"))
    assert not (tmp_path / "other").exists()


def _shop(root: Path, rows: str, settings: str = "") -> Path:
    root.mkdir(exist_ok=True)
    (root / "items.csv").write_text(f"item_id,title,brand,price,note\n{rows}")
    (root / "dataset.toml").write_text(settings)
    return root


def test_the_first_rows_decide_which_columns_are_words_and_later_runs_keep_to_it(
    text_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmrec_encoders.embedding.words.FIRST_ROWS", 2)
    rows = "1,Hat,Acme,5 EUR,x\n2,Cap,Umbrella,7 EUR,y\n3,Shoe,,on request,z\n"
    shop = _shop(tmp_path / "shop", rows)
    config = EmbedConfig(vectors="text", text_model=str(text_model), device="cpu", workers=0)
    assert embed_dataset(shop, tmp_path / "out", config).fingerprints["words"] == '["brand", "note"]'
    # Tomorrow the table begins with rows that would decide otherwise.
    _shop(shop, "4,Boot,,ask us,\n5,Belt,7,ask us,\n" + rows)
    summary = embed_dataset(shop, tmp_path / "out", config)
    assert summary.fingerprints["words"] == '["brand", "note"]'
    assert (summary.counts.texts_encoded, summary.counts.texts_known) == (2, 3)
    assert embed_dataset(shop, tmp_path / "new", config).fingerprints["words"] == '["price", "note"]'


def test_the_settings_of_the_dataset_say_what_is_words(text_model: Path, tmp_path: Path) -> None:
    rows = "1,Hat,Acme,5 EUR,x\n2,Cap,Umbrella,7 EUR,y\n"
    shop = _shop(tmp_path / "shop", rows, '[words]\nleave_out = ["note"]\n')
    config = EmbedConfig(vectors="text", text_model=str(text_model), device="cpu", workers=0)
    assert embed_dataset(shop, tmp_path / "out", config).fingerprints["words"] == '["brand"]'
    _shop(shop, rows, '[words]\ntemplate = "{title} of {brand}"\n')
    with pytest.raises(InvalidArgumentError, match=r"fingerprints\.words was"):
        embed_dataset(shop, tmp_path / "out", config)
    assert embed_dataset(shop, tmp_path / "new", config).fingerprints["words"] == "{title} of {brand}"
    trained = EmbedConfig(text_model=str(text_model), device="cpu", workers=0, training=QUICK)
    _shop(shop, rows, '[words]\nleave_out = ["note"]\n')
    assert embed_dataset(shop, tmp_path / "fused", trained).fingerprints["words"] == '["brand"]'
    assert load_item_encoder(tmp_path / "fused" / "_encoders", "cpu").words.columns == ("brand",)


# --- mistakes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": "both"}, "vectors is 'both'; it must be one of fused, image, text"),
        ({"store": "float64"}, "store is 'float64'; it must be one of float32, float16"),
        ({"engine": "spark"}, "engine is 'spark'; it must be one of local, ray"),
        ({"shard_rows": 0}, "shard_rows is 0; it must be 1 to 1,000,000"),
        ({"workers": -2}, "workers is -2; it must be 0 to 256"),
        ({"dimension": 100}, "dimension is 100; it must be one of 0, 64, 128, 256"),
        ({"vectors": "text", "dimension": 64}, "vectors of one modality cannot be shortened"),
        ({"bundle": Path("b"), "encoders": Path("e")}, "pass one of them"),
    ],
)
def test_a_wrong_configuration_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        EmbedConfig(**changes)
    assert message in caught.value.message


def test_a_place_that_is_something_else_is_refused_and_not_touched(
    catalogue: Path, encoders: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidArgumentError, match="which is a file; name a folder"):
        embed_dataset(catalogue, tmp_path / "file", config_for(encoders))
    before = content(catalogue)
    with pytest.raises(InvalidArgumentError, match=r"contains 'events.tsv', 'images', 'items.tsv' and no embedding"):
        embed_dataset(catalogue, catalogue, config_for(encoders, overwrite=True))
    assert content(catalogue) == before


def test_what_is_asked_of_the_wrong_encoders_is_refused_before_anything_is_written(
    catalogue: Path, encoders: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(InvalidArgumentError, match="dimension is 64; it must be 0"):
        embed_dataset(catalogue, out, config_for(encoders, dimension=64))
    with pytest.raises(InvalidArgumentError, match="were trained with None; leave it out"):
        embed_dataset(catalogue, out, config_for(encoders, template="{title}"))
    with pytest.raises(NotFoundError, match=r"not a folder; name one with encoders\.json"):
        embed_dataset(catalogue, out, config_for(tmp_path / "nowhere"))
    with pytest.raises(BundleError):
        embed_dataset(catalogue, out, config_for(catalogue))
    with pytest.raises(InvalidArgumentError, match="small image encoder must be trained first"):
        embed_dataset(catalogue, out, EmbedConfig(vectors="image", image_model="small"))
    with pytest.raises(ModelNotAvailableError):
        embed_dataset(catalogue, out, EmbedConfig(vectors="text", text_model=str(tmp_path / "nowhere")))
    assert not out.exists()


def test_a_dataset_that_is_not_there_or_is_empty_leaves_no_folder(encoders: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        embed_dataset(tmp_path / "nowhere", tmp_path / "out", config_for(encoders))
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "items.csv").write_text("item_id,title\n")
    with pytest.raises(InvalidDatasetError, match="has no rows"):
        embed_dataset(tmp_path / "shop", tmp_path / "out", config_for(encoders))
    assert not (tmp_path / "out" / "_manifest.json").exists()


def test_a_catalogue_of_words_alone(encoders: Path, tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "items.jsonl").write_text('{"item_id": "1", "title": "Mug"}\n{"item_id": "2"}\n')
    summary = embed_dataset(tmp_path / "shop", tmp_path / "out", config_for(encoders))
    assert (summary.items, summary.with_picture, summary.failed) == (1, 0, 1)
    assert_unit_rows(vectors_of(tmp_path / "out"), 1, 16)
