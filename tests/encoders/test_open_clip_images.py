from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mmrec.errors import InvalidArgumentError, ModelNotAvailableError
from mmrec_encoders.open_clip_images import OpenClipImageEncoder
from mmrec_encoders.open_clip_models import OpenClipConfig, open_clip_config
from mmrec_encoders.preparation import ClipPreparation
from tests.encoders.contracts import PICTURES
from tests.encoders.models import RESNET, VIT, in_memory, open_clip_folder

CLIP_MEAN, CLIP_STD = ClipPreparation(1, 1).mean, ClipPreparation(1, 1).std


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return open_clip_folder(tmp_path_factory.mktemp("open_clip"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> OpenClipImageEncoder:
    return OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", dtype="float32", batch_size=16))


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
    encoder = OpenClipImageEncoder(open_clip_config(f"ViT-S-32-alt@{file}", device="cpu"))
    assert encoder.encode(PICTURES[:2]).shape == (2, 256)
    assert encoder.picture_size == 224


def test_a_folder_with_an_open_clip_configuration_needs_no_schema(folder: Path, encoder: OpenClipImageEncoder) -> None:
    assert OpenClipImageEncoder(open_clip_config(str(folder), device="cpu")).fingerprint == encoder.fingerprint


def test_a_configuration_of_ones_own_is_a_json_file_and_weights(
    folder: Path, encoder: OpenClipImageEncoder, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(VIT))
    own = OpenClipImageEncoder(
        open_clip_config(f"{tmp_path / 'mine.json'}@{folder / 'open_clip_model.safetensors'}", "cpu", "float32")
    )
    assert own.fingerprint.startswith("mine@")
    assert own.fingerprint.split("@")[1] == encoder.fingerprint.split("@")[1]
    # It says nothing of the preprocessing, so CLIP's is taken.
    assert own.preparation == replace(encoder.preparation, mean=CLIP_MEAN, std=CLIP_STD)


def test_a_folder_whose_configuration_is_bare_is_read_too(
    folder: Path, encoder: OpenClipImageEncoder, tmp_path: Path
) -> None:
    (tmp_path / "open_clip_config.json").write_text(json.dumps(VIT))
    (tmp_path / "open_clip_model.safetensors").symlink_to(folder / "open_clip_model.safetensors")
    bare = OpenClipImageEncoder(open_clip_config(str(tmp_path), "cpu", "float32"))
    assert bare.fingerprint.split("@")[1] == encoder.fingerprint.split("@")[1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "lacks embed_dim, vision_cfg, text_cfg"),
        ('{"embed_dim": 8, "vision_cfg": {}}', "lacks text_cfg; it needs embed_dim, vision_cfg and text_cfg"),
    ],
)
def test_a_configuration_that_lacks_something_says_what(
    folder: Path, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "mine.json").write_text(content)
    weights = folder / "open_clip_model.safetensors"
    with pytest.raises(ModelNotAvailableError, match=message):
        OpenClipImageEncoder(open_clip_config(f"{tmp_path / 'mine.json'}@{weights}", "cpu"))


def test_weights_of_another_configuration_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps(RESNET))
    weights = folder / "open_clip_model.safetensors"
    with pytest.raises(ModelNotAvailableError, match="the weights do not fit the configuration"):
        OpenClipImageEncoder(open_clip_config(f"{tmp_path / 'mine.json'}@{weights}", "cpu"))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ViT-B-32@laion2b_s34b_b79k", "not on this machine and the hub cannot be reached"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "not on this machine and the hub cannot be reached"),
        ("ViT-B-9000@openai", "open_clip has no model of this name"),
        ("ViT-B-32@laion9b", "it has no weights of this name, only openai, laion400m_e31"),
        ("local-dir:/nowhere", "not on this machine"),
        ("ViT-B-32@/nowhere/weights.safetensors", "does not exist"),
    ],
)
def test_a_model_that_is_not_here_says_what_to_pass_instead(model: str, message: str) -> None:
    with pytest.raises(ModelNotAvailableError, match=message) as refused:
        OpenClipImageEncoder(open_clip_config(model, device="cpu"))
    assert "the preset 'embedded', which needs no download" in refused.value.message
    assert "\n" not in refused.value.message


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = open_clip_folder(tmp_path)
    (folder / "open_clip_model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ModelNotAvailableError, match="its weights are damaged"):
        OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu"))


def test_a_pickle_that_holds_tensors_alone_is_read(folder: Path, encoder: OpenClipImageEncoder, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    shutil.copy(folder / "open_clip_config.json", tmp_path)
    torch.save({"state_dict": load_file(folder / "open_clip_model.safetensors")}, tmp_path / "open_clip_model.bin")
    loaded = OpenClipImageEncoder(open_clip_config(str(tmp_path), "cpu", "float32"))
    assert loaded.fingerprint.split("@")[1] == encoder.fingerprint.split("@")[1]


def test_a_pickle_that_holds_code_is_refused_with_the_reason_and_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(mark), "w")

    torch.save({"state_dict": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(ModelNotAvailableError) as refused:
        OpenClipImageEncoder(open_clip_config(f"ViT-S-32-alt@{tmp_path / 'evil.pt'}", device="cpu"))
    assert not mark.exists()
    assert "the weights are a pickle that holds more than tensors (it names " in refused.value.message
    assert "open), which could run code" in refused.value.message
    assert "convert it to safetensors" in refused.value.message


def test_only_the_image_side_is_kept(folder: Path) -> None:
    from open_clip import CLIP
    from open_clip.transformer import Transformer

    before = in_memory(CLIP), in_memory(Transformer)
    encoder = OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu"))
    # A whole model has two transformers: one reads words.
    assert (in_memory(CLIP), in_memory(Transformer)) == (before[0], before[1] + 1)
    assert encoder.dim == 32


def test_the_size_of_a_picture_sets_the_number_at_a_time(folder: Path) -> None:
    def size(**settings: int) -> int:
        return OpenClipImageEncoder(OpenClipConfig(f"local-dir:{folder}", device="cpu", **settings)).batch_size

    assert size(batch_size=3) == 3
    assert size() == 32 * 224 * 224 // (32 * 32)


def test_pixels_that_the_preparation_did_not_make_are_refused(encoder: OpenClipImageEncoder) -> None:
    with pytest.raises(InvalidArgumentError, match=r"must be \(N, 3, 32, 32\) uint8"):
        encoder.encode_pixels(np.zeros((2, 3, 48, 32), np.uint8))
    with pytest.raises(InvalidArgumentError, match="type float32"):
        encoder.encode_pixels(np.zeros((2, 3, 32, 32), np.float32))  # type: ignore[arg-type]


def test_read_only_pixels_are_taken(encoder: OpenClipImageEncoder) -> None:
    pixels = np.stack([encoder.preparation(picture) for picture in PICTURES])
    expected = encoder.encode_pixels(pixels)
    pixels.flags.writeable = False
    np.testing.assert_array_equal(encoder.encode_pixels(pixels), expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": ""}, "model is empty"),
        ({"model": "ViT-B-32"}, "the weights would be random"),
        ({"model": "hf-hub:a/b", "pretrained": "openai"}, "leave pretrained empty"),
        ({"model": "ViT-B-32", "pretrained": "openai", "batch_size": -1}, "batch_size is -1"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        OpenClipConfig(**values)  # type: ignore[arg-type]
