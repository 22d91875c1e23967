"""The `standard` preset with local folders instead of the hub: real architectures, random weights, LoRA and all."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import mmrec
from mmrec.errors import ModelNotAvailableError
from mmrec.generator.instruction_training import InstructionTrainingConfig
from mmrec.language.instructions import InstructionConfig
from mmrec.recommender.artefact import INSTRUCTED
from mmrec.recommender.ranking_model import SENTENCE
from mmrec.training import fit_dataset, preset
from mmrec.training.instruction_set import PrepareConfig, prepare_instructions
from mmrec.training.instruction_tuning import InstructionSettings
from mmrec_encoders.fusion_training import FusionConfig
from tests.encoders.models import open_clip_folder, qwen3_embedder
from tests.language.tiny_models import save_roomy

pytestmark = pytest.mark.slow


def test_pretrained_encoders_and_llm_from_local_folders(demo_dataset: Path, tmp_path: Path) -> None:
    for name in ("images", "texts"):
        (tmp_path / name).mkdir()
    config = preset("standard", language_model=str(save_roomy(tmp_path / "llm", "qwen3")))
    asked = InstructionConfig(per_user=0.2, max_history=3, candidates=3)
    prepare_instructions(demo_dataset, tmp_path / "set", PrepareConfig(asked))
    config = replace(
        config,
        image_model=str(open_clip_folder(tmp_path / "images")),
        text_model=str(qwen3_embedder(tmp_path / "texts")),
        fusion=FusionConfig(steps=4),
        training=replace(config.training, epochs=1),
        instructions=InstructionSettings(str(tmp_path / "set"), InstructionTrainingConfig(epochs=1), questions=4),
    )
    result = fit_dataset(demo_dataset, tmp_path / "bundle", config)
    assert result.evaluation.row("fused").users == 120

    recommender = mmrec.Recommender.load(tmp_path / "bundle", device="cpu")
    assert recommender.info().preset == "standard"
    assert len(recommender.recommend(recommender.recommend(k=3).item_ids, k=5).items) == 5
    assert len(recommender.search("a mug for camping", k=5).items) == 5

    # The LLM reads a wish behind the history, as tokens of its own, by the tokenizer in the bundle.
    parts = recommender.snapshot().parts
    assert parts.generator.sentences is None
    assert SENTENCE in parts.blends[INSTRUCTED].weights
    history = ["p0001", "p0002"]
    rows = [np.array([parts.catalogue.row_of(item_id) for item_id in history], np.int32)]
    ranker = recommender.snapshot().ranker
    nothing_BD = np.zeros((1, 1), np.float32)
    plain_H, other_H = (
        ranker.read(rows, nothing_BD, [wish]).last()[0] for wish in ("something for camping", "something for sleep")
    )
    assert not np.allclose(plain_H, other_H)
    for wish in ("something for camping", "so " * 3000):
        for asked_with in (history, ()):
            found = recommender.recommend(asked_with, k=5, instruction=wish, explain=True)
            assert len(found.items) == 5
            for item in found.items:
                assert sum(part.share for part in item.shares) == pytest.approx(item.score, rel=1e-4, abs=1e-4)
    # Given items are ranked by what it read as well.
    ids = ["p0005", "p0006", "p0007", "p0008"]
    ranked = recommender.rank(ids, history, instruction="something warm")
    assert set(ranked.item_ids) == set(ids)


def test_when_the_hub_cannot_be_reached_one_sentence_says_what_to_pass(demo_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError) as caught:
        fit_dataset(demo_dataset, tmp_path / "bundle", preset("standard"))
    assert "folder" in caught.value.message
    assert "\n" not in caught.value.message
