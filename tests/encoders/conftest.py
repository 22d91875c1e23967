"""Tiny encoders, each made once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig, train_small_clip
from tests.encoders.shop import write_encoder_bundle, write_shop

SHAPE = SmallClipShape(dim=32, width=4)


@pytest.fixture(scope="session")
def minilm() -> SentenceTextEncoder:
    return SentenceTextEncoder(SentenceTextConfig(MINILM, device="cpu", dtype="float32", batch_size=16))


@pytest.fixture(scope="session")
def small_clip() -> SmallClipEncoder:
    """Trained for two passes, so that its normalisation statistics are not the initial ones."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (24, 3, 72, 72), dtype=np.uint8)
    words = rng.normal(size=(24, 8)).astype(np.float32)
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    return train_small_clip(pictures, words, SmallClipConfig(shape=SHAPE, epochs=2, batch_size=8), device="cpu")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("shop") / "shop")


@pytest.fixture(scope="session")
def encoder_bundle(
    shop: Path, small_clip: SmallClipEncoder, minilm: SentenceTextEncoder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_encoder_bundle(tmp_path_factory.mktemp("bundle") / "bundle", shop, small_clip, minilm)
