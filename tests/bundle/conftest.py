"""A small bundle of format 1 with one file of each kind, made by the real writer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mmrec.bundle import BundleWriter
from mmrec.contract.items import Versions

FILES = ("catalogue.parquet", "fused.safetensors", "metrics.json", "model/card.md")


def write_bundle(root: Path, *, mark: int = 1, at: Callable[[str], None] = lambda step: None) -> Path:
    """Publish a version whose every file depends on `mark` and has the same size for any one-digit mark."""
    with BundleWriter(root, preset="embedded", name="tiny", at=at) as writer:
        writer.write_json("metrics.json", {"ndcg@10": mark / 2})
        writer.write_tensors("fused.safetensors", {"fused_ND": np.full((2, 3), mark, np.float32)})
        writer.write_table("catalogue.parquet", pa.table({"item_id": ["007", "8"], "mark": [mark, mark]}))
        writer.write_text("model/card.md", f"# Tiny, mark {mark}\n")
        return writer.commit(versions=Versions("m1", "c1", "b1"), parameters={"mark": mark, "levels": [3, 256]})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bundle root with one published version, mark 1."""
    write_bundle(tmp_path / "bundle")
    return tmp_path / "bundle"
