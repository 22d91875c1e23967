"""The batch law, for every kind of encoder in every number format it runs in."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig
from mmrec_encoders.protocols import ImageEncoder, TextEncoder
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipEncoder
from tests.encoders.contracts import PICTURES, TEXTS, assert_cosines, assert_image_encoder, assert_text_encoder
from tests.encoders.models import (
    bert_folder,
    mistral_plain,
    open_clip_folder,
    open_clip_resnet_folder,
    qwen3_embedder,
    qwen3_plain,
)

TEXT_KINDS = ["minilm", "qwen3", "qwen3-plain", "mistral-plain", "bert-plain", "clip"]
DTYPES = ["float32", "bfloat16", "float16"]
# The small encoder has one format only.
IMAGES = [*((kind, dtype) for kind in ("vit", "resnet") for dtype in DTYPES), ("small", "float32")]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {
        "qwen3": qwen3_embedder(root / "qwen3"),
        "qwen3-plain": qwen3_plain(root / "qwen3-plain"),
        "mistral-plain": mistral_plain(root / "mistral-plain"),
        "bert-plain": bert_folder(root / "bert-plain"),
        "clip": open_clip_folder(root / "clip"),
        "vit": root / "clip",
        "resnet": open_clip_resnet_folder(root / "resnet"),
    }


def text_encoder(kind: str, folders: dict[str, Path], dtype: str, device: str = "cpu") -> TextEncoder:
    if kind == "clip":
        return ClipTextEncoder(OpenClipConfig(f"local-dir:{folders[kind]}", device=device, dtype=dtype, batch_size=16))
    model = MINILM if kind == "minilm" else str(folders[kind])
    # float16 is emulated on a CPU, and the packaged model is a whole one.
    limit = 12 if (kind, dtype, device) == ("minilm", "float16", "cpu") else 128
    return SentenceTextEncoder(
        SentenceTextConfig(model, device=device, dtype=dtype, batch_size=16, token_budget=600, max_tokens=limit)
    )


def image_encoder(
    kind: str, folders: dict[str, Path], dtype: str, small: SmallClipEncoder, tmp: Path, device: str = "cpu"
) -> ImageEncoder:
    if kind == "small":
        small.save(tmp / "image.safetensors")
        return SmallClipEncoder.load(tmp / "image.safetensors", device=device)
    return OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folders[kind]}", device=device, dtype=dtype, batch_size=16))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_text_encoder_obeys_the_batch_law(kind: str, dtype: str, folders: dict[str, Path]) -> None:
    assert_text_encoder(text_encoder(kind, folders, dtype), dtype)


@pytest.mark.parametrize(("kind", "dtype"), IMAGES)
def test_an_image_encoder_obeys_the_batch_law(
    kind: str, dtype: str, folders: dict[str, Path], small_clip: SmallClipEncoder, tmp_path: Path
) -> None:
    assert_image_encoder(image_encoder(kind, folders, dtype, small_clip, tmp_path), dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("kind", TEXT_KINDS[1:])
def test_a_narrow_format_is_close_to_float32_under_the_same_fingerprint(
    kind: str, dtype: str, folders: dict[str, Path]
) -> None:
    narrow, wide = text_encoder(kind, folders, dtype), text_encoder(kind, folders, "float32")
    assert narrow.fingerprint == wide.fingerprint
    assert_cosines(narrow.encode(TEXTS), wide.encode(TEXTS), 0.99)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_a_text_encoder_obeys_the_batch_law_on_the_gpu(kind: str, dtype: str, folders: dict[str, Path]) -> None:
    there = text_encoder(kind, folders, dtype, "cuda")
    assert_text_encoder(there, dtype)
    here = text_encoder(kind, folders, "float32")
    assert_cosines(there.encode(TEXTS), here.encode(TEXTS), 0.9999 if dtype == "float32" else 0.99)


@pytest.mark.gpu
@pytest.mark.parametrize(("kind", "dtype"), IMAGES)
def test_an_image_encoder_obeys_the_batch_law_on_the_gpu(
    kind: str, dtype: str, folders: dict[str, Path], small_clip: SmallClipEncoder, tmp_path: Path
) -> None:
    there = image_encoder(kind, folders, dtype, small_clip, tmp_path, "cuda")
    assert_image_encoder(there, dtype)
    here = image_encoder(kind, folders, "float32", small_clip, tmp_path)
    # Convolutions on a GPU round to TF32 unless told otherwise.
    assert_cosines(there.encode(PICTURES), here.encode(PICTURES), 0.999 if dtype == "float32" else 0.99)
