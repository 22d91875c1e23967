from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec_encoders.clip_texts import ClipTextEncoder
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.item_encoder_files import load_item_encoder, save_item_encoder
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig
from mmrec_encoders.presets import build_encoders
from tests.encoders.contracts import PICTURES, assert_cosines
from tests.encoders.models import VIT, byte_tokenizer, in_memory, open_clip_folder

TEXTS = ["a red mug", "", "green cushion with dots " * 20, "x", "日本の陶器"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> ClipTextEncoder:
    return ClipTextEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32"))


def expected(name: str) -> np.ndarray:
    import open_clip

    model = open_clip.create_model_from_pretrained(name, return_transform=False).eval()
    tokenizer = open_clip.get_tokenizer(name)
    with torch.no_grad():
        found: np.ndarray = model.encode_text(tokenizer(TEXTS), normalize=True).numpy()
    return found


@pytest.fixture
def positions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Positions per text of every pass through a transformer of open_clip."""
    from open_clip.transformer import Transformer

    passes: list[int] = []
    forward = Transformer.forward

    def noting(tower: Transformer, x_BTH: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        passes.append(x_BTH.shape[1])
        return forward(tower, x_BTH, *args, **options)

    monkeypatch.setattr(Transformer, "forward", noting)
    return passes


def test_it_gives_what_open_clip_itself_gives(encoder: ClipTextEncoder, folder: Path) -> None:
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(f"local-dir:{folder}"), atol=2e-6)


def test_texts_are_cut_behind_their_end(encoder: ClipTextEncoder, positions: list[int]) -> None:
    encoder.encode(["x"])
    encoder.encode(["a red mug"])
    assert positions == [3, 5]  # the words between a start and an end


@pytest.mark.parametrize(
    ("text_cfg", "cut"),
    [
        ({}, True),
        ({"pool_type": "last"}, False),
        ({"no_causal_mask": True}, False),
        ({"embed_cls": True, "pad_id": 0, "pool_type": "none"}, False),
        ({"proj_bias": True}, True),
    ],
    ids=str,
)
def test_towers_that_see_behind_the_end_are_given_the_whole_text(
    text_cfg: dict[str, object], cut: bool, tmp_path: Path, positions: list[int]
) -> None:
    """Towers of CoCa and SigLIP, which pool elsewhere or look ahead."""
    import open_clip
    from safetensors.torch import save_file

    config = {**VIT, "text_cfg": {**VIT["text_cfg"], **text_cfg}, "custom_text": True}
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**{name: value for name, value in config.items() if name != "custom_text"})
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    save_file(model.state_dict(), tmp_path / "open_clip_model.safetensors")
    encoder = ClipTextEncoder(OpenClipConfig(f"local-dir:{tmp_path}", device="cpu", dtype="float32"))
    positions.clear()
    encoder.encode(["x"])
    assert (positions == [3]) is cut
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(f"local-dir:{tmp_path}"), atol=2e-6)


def test_words_and_pictures_of_one_model_share_a_space(folder: Path) -> None:
    image, text = build_encoders("standard", "cpu", "float32", str(folder), f"clip:{folder}")
    assert isinstance(image, OpenClipImageEncoder)
    assert isinstance(text, ClipTextEncoder)
    assert image.dim == text.dim == 32
    assert image.fingerprint.split("@")[1] != text.fingerprint.split("@")[1]
    assert (image.encode(PICTURES) @ text.encode(TEXTS).T).shape == (7, 5)


def test_only_the_words_side_is_kept(folder: Path) -> None:
    from open_clip.transformer import VisionTransformer

    before = in_memory(VisionTransformer)
    encoder = ClipTextEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu"))
    assert in_memory(VisionTransformer) == before
    assert encoder.dim == 32


def test_a_folder_brings_its_own_tokenizer(tmp_path: Path) -> None:
    folder = open_clip_folder(tmp_path)
    byte_tokenizer(folder, end="</s>", pad="<pad>")
    described = json.loads((folder / "open_clip_config.json").read_text())
    described["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "beside"
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    encoder = ClipTextEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32"))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected(f"local-dir:{folder}"), atol=2e-6)


def test_a_tokenizer_that_is_not_here_is_named_with_the_mend(tmp_path: Path) -> None:
    folder = open_clip_folder(tmp_path)
    described = json.loads((folder / "open_clip_config.json").read_text())
    described["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = "shop/nothing"
    (folder / "open_clip_config.json").write_text(json.dumps(described))
    with pytest.raises(ModelNotAvailableError, match=r"put them beside open_clip_config.json") as refused:
        ClipTextEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu"))
    assert "\n" not in refused.value.message


def test_a_single_string_is_refused(encoder: ClipTextEncoder) -> None:
    with pytest.raises(InvalidArgumentError, match="pass a list of strings"):
        encoder.encode("a red mug")


def test_a_megabyte_of_text_is_cut_and_not_choked_on(encoder: ClipTextEncoder) -> None:
    assert_cosines(encoder.encode(["lamp " * 200_000]), encoder.encode(["lamp " * 100]), 0.9999)


def test_an_item_encoder_with_it_comes_back_from_its_folder(folder: Path, tmp_path: Path) -> None:
    image, text = build_encoders("standard", "cpu", "float32", str(folder), f"clip:{folder}")
    plain = ItemEncoder(image, text)
    queries = plain.text.encode(["a red mug"])
    from mmrec_encoders.fusion import ItemFeatures

    features = ItemFeatures(
        image.encode(PICTURES[:2]), np.ones(2, np.bool_), text.encode(TEXTS[:2]), np.ones(2, np.bool_)
    )
    fusion = train_fusion(
        features, np.zeros((0, 2), np.int64), FusionConfig(dimension=16, prefixes=(8,), steps=2), device="cpu"
    )
    save_item_encoder(plain.with_fusion(fusion), tmp_path / "encoders")
    loaded = load_item_encoder(tmp_path / "encoders", "cpu", "float32")
    assert isinstance(loaded.text, ClipTextEncoder)
    assert loaded.fingerprints == plain.with_fusion(fusion).fingerprints
    np.testing.assert_array_equal(loaded.text.encode(["a red mug"]), queries)
    moved = load_item_encoder(tmp_path / "encoders", "cpu", "float32", text_model=f"clip:local-dir:{folder}")
    assert moved.text.fingerprint == text.fingerprint
