from __future__ import annotations

import pytest

from mmrec.errors import InvalidArgumentError
from mmrec_encoders.finetuning import FinetuningConfig, SmallTowers, Views, finetuning_preset
from mmrec_encoders.small_clip import SmallClipShape


def test_each_mode_has_values_that_suit_it() -> None:
    small, full = finetuning_preset("small"), finetuning_preset("full", image_model="ViT-B-32@openai", seed=3)
    locked = finetuning_preset("locked-image", image_model="ViT-B-32@openai")
    assert (small.mode, small.learning_rate) == ("small", 2e-3)
    assert (full.mode, full.learning_rate, full.seed) == ("full", 2e-5, 3)
    assert (locked.mode, locked.learning_rate) == ("locked-image", 1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "large"}, "mode is 'large'; it must be one of efficientnet, small, full, locked-image"),
        ({"loss": "triplet"}, "loss is 'triplet'; it must be one of clip, siglip"),
        ({"dtype": "int8"}, "dtype is 'int8'"),
        ({"mode": "full"}, "mode is 'full' and no image model is named; pass an open_clip model"),
        ({"image_model": "ViT-B-32@openai"}, "but mode efficientnet has an image tower of its own"),
        ({"mode": "small", "image_model": "ViT-B-32@openai"}, "but mode small has an image tower of its own"),
        ({"tower_rate": -0.1}, "tower_rate is -0.1; it must be at least 0"),
        (
            {"mode": "full", "image_model": "ViT-B-32@openai", "text_model": "x"},
            "but mode full trains the text tower of the image model",
        ),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"batch_size": -1}, "batch_size is -1"),
        ({"batch_size": 1}, "batch_size is 1; it must be at least 2"),
        ({"accumulate": 0}, "accumulate is 0; it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be over 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"warmup": 1.0}, "warmup is 1.0; it must be at least 0 and below 1"),
        ({"hold_out": 0.0}, "hold_out is 0.0; it must be over 0 and at most 0.5"),
        ({"hold_out": 0.6}, "hold_out is 0.6"),
        ({"max_minutes": -1.0}, "max_minutes is -1.0; it must be at least 0"),
        ({"texts": ()}, "it must name kinds with weights"),
        ({"texts": (("title", 0.0),)}, "it must name kinds with weights"),
        ({"texts": (("name", 1.0),)}, "texts names 'name'; the kinds are title, item, columns, phrase, value"),
        ({"prompts": ("a photo",)}, "the prompt 'a photo' lacks {value}"),
        ({"prompts": ()}, "prompts is empty"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message.replace("{", r"\{")):
        FinetuningConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"keep_size": 63}, "keep_size is 63; it must be at least the tower's 64"),
        ({"dimension": 0}, "dimension is 0"),
        ({"text_hidden": -1}, "text_hidden is -1"),
        ({"text_words": -1}, "text_words is -1"),
        ({"text_dropout": 1.0}, "text_dropout is 1.0"),
        (
            {"kept_views": 2},
            "kept_views is 2; it must be 0 for the network modified-resnet, which has no frozen stages",
        ),
        ({"kept_gib": -1.0}, "kept_gib is -1.0"),
    ],
)
def test_towers_that_break_a_rule_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        SmallTowers(SmallClipShape(), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "message"),
    [({"min_area": 0.0}, "min_area is 0.0"), ({"flip": 1.5}, "flip is 1.5"), ({"stretch": -0.1}, "stretch is -0.1")],
)
def test_views_that_break_a_rule_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Views(**values)
