from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec_encoders.open_clip_images import OpenClipConfig, OpenClipImageEncoder
from mmrec_encoders.presets import image_config
from tests.encoders.contracts import PICTURES, assert_cosines, assert_image_encoder
from tests.encoders.models import open_clip_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("open_clip"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> OpenClipImageEncoder:
    return OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32", batch_size=16))


def test_a_local_model_obeys_the_batch_law(encoder: OpenClipImageEncoder) -> None:
    assert (encoder.dim, encoder.picture_size) == (32, 32)
    assert_image_encoder(encoder)


def test_it_gives_what_open_clip_itself_gives(encoder: OpenClipImageEncoder, folder: Path) -> None:
    import open_clip

    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([preprocess(p) for p in PICTURES]), normalize=True)
    np.testing.assert_allclose(encoder.encode(PICTURES), expected.numpy(), atol=1e-5)


def test_a_built_in_model_reads_its_weights_from_a_safetensors_file(tmp_path: Path) -> None:
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-S-32-alt", pretrained_text=False)
    file = tmp_path / "weights.safetensors"
    save_file(model.state_dict(), file)
    encoder = OpenClipImageEncoder(image_config(f"ViT-S-32-alt@{file}", device="cpu"))
    assert encoder.encode(PICTURES[:2]).shape == (2, 256)
    assert encoder.picture_size == 224


def test_a_folder_with_an_open_clip_configuration_needs_no_schema(folder: Path, encoder: OpenClipImageEncoder) -> None:
    assert OpenClipImageEncoder(image_config(str(folder), device="cpu")).fingerprint == encoder.fingerprint


def test_bfloat16_is_close_to_float32_and_has_the_same_fingerprint(folder: Path, encoder: OpenClipImageEncoder) -> None:
    narrow = OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="bfloat16"))
    assert narrow.fingerprint == encoder.fingerprint
    assert_cosines(narrow.encode(PICTURES), encoder.encode(PICTURES), 0.99)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ViT-B-32@laion2b_s34b_b79k", "cannot be loaded"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "cannot be loaded"),
        ("ViT-B-9000@openai", "cannot be loaded"),
        ("local-dir:/nowhere", "cannot be loaded"),
        ("ViT-B-32@/nowhere/weights.safetensors", "does not exist"),
    ],
)
def test_a_model_that_is_not_here_says_what_to_pass_instead(model: str, message: str) -> None:
    with pytest.raises(ModelNotAvailableError, match=message) as refused:
        OpenClipImageEncoder(image_config(model, device="cpu"))
    assert "the preset 'embedded', which needs no download" in refused.value.message


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = open_clip_folder(tmp_path)
    (folder / "open_clip_model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded"):
        OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu"))


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(mark), "w")

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded"):
        OpenClipImageEncoder(image_config(f"ViT-B-32@{tmp_path / 'evil.pt'}", device="cpu"))
    assert not mark.exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": ""}, "model is empty"),
        ({"model": "ViT-B-32"}, "the weights would be random"),
        ({"model": "hf-hub:a/b", "pretrained": "openai"}, "leave pretrained empty"),
        ({"model": "ViT-B-32", "pretrained": "openai", "batch_size": -1}, "batch_size is -1"),
        ({"model": "ViT-B-32", "pretrained": "openai", "pixel_budget": -1}, "pixel_budget is -1"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        OpenClipConfig(**values)  # type: ignore[arg-type]


@pytest.mark.gpu
def test_the_gpu_agrees_with_the_cpu(folder: Path, encoder: OpenClipImageEncoder) -> None:
    for dtype, least in (("float32", 0.999), ("bfloat16", 0.99)):
        there = OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cuda", dtype=dtype))
        assert_cosines(there.encode(PICTURES), encoder.encode(PICTURES), least)
