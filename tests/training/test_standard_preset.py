"""The `standard` preset with local folders instead of the hub: real architectures, random weights, LoRA and all."""

from dataclasses import replace
from pathlib import Path

import pytest

import mmrec
from mmrec.errors import ModelNotAvailableError
from mmrec.training import fit_dataset, preset
from mmrec_encoders.fusion_training import FusionConfig
from tests.encoders.models import open_clip_folder, qwen3_embedder
from tests.generator.test_backbone import tiny_qwen3


def test_pretrained_encoders_and_llm_from_local_folders(demo_dataset: Path, tmp_path: Path) -> None:
    for name in ("images", "texts", "llm"):
        (tmp_path / name).mkdir()
    config = preset("standard", language_model=str(tiny_qwen3(tmp_path / "llm")))
    config = replace(
        config,
        image_model=str(open_clip_folder(tmp_path / "images")),
        text_model=str(qwen3_embedder(tmp_path / "texts")),
        fusion=FusionConfig(steps=20),
        training=replace(config.training, epochs=1),
    )
    result = fit_dataset(demo_dataset, tmp_path / "bundle", config)
    assert result.evaluation.row("fused").users == 120

    recommender = mmrec.Recommender.load(tmp_path / "bundle", device="cpu")
    assert recommender.info().preset == "standard"
    assert len(recommender.recommend(recommender.recommend(k=3).item_ids, k=5).items) == 5
    assert len(recommender.search("a mug for camping", k=5).items) == 5


def test_when_the_hub_cannot_be_reached_one_sentence_says_what_to_pass(demo_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError) as caught:
        fit_dataset(demo_dataset, tmp_path / "bundle", preset("standard"))
    assert "folder" in caught.value.message
    assert "\n" not in caught.value.message
