"""Pretrained models as backbones of the generator: what training changes of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmrec.generator.backbone import build_backbone
from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.generator.training import TrainingData, train_generator
from mmrec.generator.validation import ValidationSet
from mmrec.runtime.processes import Processes
from mmrec.runtime.trainer import TrainingRun
from tests.generator.conftest import make_small
from tests.language.tiny_models import save_tiny

HISTORIES = [np.array([(start + step) % 10 for step in range(6)], np.int32) for start in range(10)]
NONE = ValidationSet([], np.empty(0, np.int32))


@pytest.mark.parametrize("kind", ["llama", "t5"])
@pytest.mark.parametrize("tuning", ["lora", "full", "frozen"])
def test_training_changes_what_the_tuning_names(kind: str, tuning: Any, tmp_path: Path) -> None:
    config = GeneratorConfig(pretrained=str(save_tiny(kind, tmp_path)), tuning=tuning, lora_rank=2, dropout=0.0)
    backbone, hidden = build_backbone(config)
    small = make_small(10, backbone=(backbone, hidden))
    before = {name: weight.detach().clone() for name, weight in backbone.named_parameters()}
    projected = small.model.catalogue.project.weight.detach().clone()
    result = train_generator(
        small.model,
        TrainingData(small.index, HISTORIES, NONE),
        TrainingConfig(epochs=2, batch_positions=20, warmup_steps=1),
        TrainingRun(Processes("cpu")),
        seed=0,
    )
    changed = {name for name, weight in backbone.named_parameters() if not torch.equal(weight, before[name])}
    if tuning == "frozen":
        assert not changed
    elif tuning == "lora":
        assert changed
        assert all("lora_" in name for name in changed)
    else:
        assert any("q_proj" in name or ".q." in name for name in changed)
    assert not torch.equal(small.model.catalogue.project.weight, projected)
    assert result.epochs[-1].item_loss < result.epochs[0].item_loss
