"""What a fit would train, said before it begins."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmrec.generator.config import GeneratorConfig, TrainingConfig
from mmrec.training import FitConfig, plan_fit
from tests.language.tiny_models import save_tiny

ITEMS = "item_id\ttitle\n" + "".join(f"i{number}\titem {number}\n" for number in range(10))
EVENTS = "user_id\titem_id\ttimestamp\n" + "".join(
    f"u{user}\ti{(user + step) % 10}\t{step}\n" for user in range(20) for step in range(8)
)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "items.tsv").write_text(ITEMS)
    (folder / "events.tsv").write_text(EVENTS)
    return folder


def test_a_small_decoder_is_trained_as_a_whole(shop: Path) -> None:
    config = FitConfig(training=TrainingConfig(epochs=7, batch_positions=50))
    plan = plan_fit(shop, config)
    # Each of the 20 users leaves 6 of 8 events to training: 5 transitions.
    assert (plan.items, plan.events, plan.epochs, plan.steps) == (10, 120, 7, 2)
    assert plan.trained == plan.parameters > 500_000
    assert plan.memory_bytes > 20 * plan.parameters


def test_a_pretrained_model_is_trained_as_asked(shop: Path, tmp_path: Path) -> None:
    generator = GeneratorConfig(pretrained=str(save_tiny("llama", tmp_path / "llm")), tuning="frozen")
    frozen, full, one, checkpointed = (
        plan_fit(shop, FitConfig(generator=replace(generator, **changes)))
        for changes in (
            {},
            {"tuning": "full"},
            {"tuning": "full", "first_layers": 1},
            {"tuning": "full", "gradient_checkpointing": True},
        )
    )
    assert frozen.parameters == full.parameters == full.trained
    # Embeddings of 259 words, two layers and the last norm.
    assert full.trained - frozen.trained == 259 * 32 + 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64 + 2 * 32) + 32
    assert one.parameters < full.parameters
    assert checkpointed.memory_bytes < full.memory_bytes
