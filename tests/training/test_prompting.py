"""`mmrec prompt`: held-out items ranked by a language model that nobody trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrec.cli import main
from mmrec.errors import InvalidArgumentError
from mmrec.language.language_model import LanguageModel
from mmrec.training.prompting import PromptingConfig, rank_by_prompting, ranking_questions
from tests.language.tiny_models import save_tiny, tiny_model, tiny_tokenizer

ITEMS = "abcdefgh"
EVENTS = [(user, item) for user in "uvw" for item in (ITEMS[:5] if user != "v" else ITEMS[:2:-1])]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    items = "\n".join(f"{item},Thing {item}" for item in ITEMS)
    (folder / "items.csv").write_text(f"item_id,title\n{items}\n", encoding="utf-8")
    events = "\n".join(f"{user},{item},{place}" for place, (user, item) in enumerate(EVENTS))
    (folder / "events.csv").write_text(f"user_id,item_id,position\n{events}\n", encoding="utf-8")
    return folder


def test_questions_ask_for_the_last_items_and_examples_show_earlier_ones(shop: Path) -> None:
    questions, shown = ranking_questions(shop, PromptingConfig(shots=1, candidates=3, last=2))
    assert [(one.user_id, one.item_id, one.history) for one in questions] == [
        ("u", "e", ("c", "d")),
        ("v", "d", ("f", "e")),
        ("w", "e", ("c", "d")),
    ]
    assert all(len(one.candidates) == 3 and one.item_id in one.candidates for one in questions)
    assert {(one.user_id, one.item_id) for one in shown}.isdisjoint({("u", "e"), ("u", "d"), ("v", "d"), ("v", "e")})


@pytest.mark.parametrize("history", ["words", "tokens"])
def test_every_question_is_ranked(shop: Path, history: str) -> None:
    model = LanguageModel(tiny_model("llama").eval(), tiny_tokenizer())
    config = PromptingConfig(shots=1, history=history, candidates=3, last=2)  # type: ignore[arg-type]
    ranks = rank_by_prompting(shop, model, config).ranks
    assert len(ranks.above_Q) == 3
    assert set((ranks.above_Q + ranks.tied_Q).tolist()) <= {0, 1, 2}


def test_the_command_prints_figures(shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_tiny("llama", tmp_path / "model")
    words = ["prompt", str(shop), "--language-model", str(model), "--candidates", "3", "--last", "2", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out)["questions"] == 3


def test_a_form_of_history_that_there_is_not() -> None:
    with pytest.raises(InvalidArgumentError, match="history is 'pictures'"):
        PromptingConfig(history="pictures")  # type: ignore[arg-type]
