"""A catalogue without a single event is fitted and served."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.recommender import Recommender
from mmrec.training import fit_dataset

pytestmark = pytest.mark.slow

ITEMS = """item_id,title,kind,price
a,steel claw hammer,hammer,12.50
b,wooden mallet hammer,hammer,9.00
c,folding hand saw,saw,14.00
d,hand saw for wood,saw,22.00
e,cordless drill,drill,89.00
f,corded drill with case,drill,59.00
g,steel ladder,ladder,75.00
h,wooden ladder,ladder,64.00
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    folder = tmp_path_factory.mktemp("tools")
    (folder / "items.csv").write_text(ITEMS, encoding="utf-8")
    notes: list[str] = []
    result = fit_dataset(folder, folder / "bundle", note=notes.append)
    assert result.evaluation.questions == 0
    assert result.epochs == ()
    return result.bundle, notes


def test_the_fit_says_that_nothing_was_learned_of_customers(bundle: tuple[Path, list[str]]) -> None:
    assert any(note.startswith("the dataset has no events") for note in bundle[1])


def test_a_history_finds_items_by_their_content(bundle: tuple[Path, list[str]]) -> None:
    recommender = Recommender.load(bundle[0], device="cpu")
    assert recommender.recommend(["e"], k=1).item_ids == ("f",)
    cheap = recommender.recommend(["e"], k=5, filter="price < 20")
    assert sorted(cheap.item_ids) == ["a", "b", "c"]


def test_a_customer_without_history_gets_every_item_in_some_order(bundle: tuple[Path, list[str]]) -> None:
    recommender = Recommender.load(bundle[0], device="cpu")
    assert sorted(recommender.recommend(k=20).item_ids) == list("abcdefgh")
