"""Items of which neither words nor a picture are known: they are not like each other, and not like anything."""

import numpy as np
import pytest

import mmrec
from mmrec.errors import FailedPreconditionError
from mmrec.training import FitResult, fit_dataset
from tests.conftest import tiny_fit

BARE = ("b0", "b1", "b2")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    folder = tmp_path_factory.mktemp("bare")
    data = folder / "data"
    data.mkdir()
    ids = [f"i{n}" for n in range(9)]
    rows = [
        f"{item}\t{kind} number {n}" for n, (item, kind) in enumerate(zip(ids, ["mug", "lamp", "bag"] * 3, strict=True))
    ]
    rows += [f"{item}\t" for item in BARE]
    (data / "items.tsv").write_text("item_id\ttitle\n" + "\n".join(rows) + "\n", encoding="utf-8")
    every = [*ids, *BARE]
    events = [f"u{u}\t{every[(u + n) % 12]}\t{n}" for u in range(8) for n in range(5)]
    (data / "events.tsv").write_text("user_id\titem_id\tposition\n" + "\n".join(events) + "\n", encoding="utf-8")
    return fit_dataset(data, folder / "bundle", tiny_fit())


@pytest.fixture(scope="module")
def recommender(fitted: FitResult) -> mmrec.Recommender:
    return mmrec.Recommender.load(fitted.bundle, device="cpu")


def test_a_fit_counts_them(fitted: FitResult) -> None:
    assert fitted.bare == 3


def test_lists_of_similar_and_found_items_leave_them_out(recommender: mmrec.Recommender) -> None:
    similar = recommender.similar("i0", k=50)
    assert len(similar.items) == 8
    assert not {*BARE} & {*similar.item_ids}
    found = recommender.search("a lamp", k=50)
    assert len(found.items) == 9
    assert not {*BARE} & {*found.item_ids}


def test_what_is_similar_to_one_of_them_is_no_question(recommender: mmrec.Recommender) -> None:
    with pytest.raises(FailedPreconditionError, match="'b0' has neither words nor a picture, so nothing is like it"):
        recommender.similar("b0", k=3)


def test_they_are_no_duplicates_of_each_other(recommender: mmrec.Recommender) -> None:
    groups = recommender.duplicates().groups
    assert not {*BARE} & {item_id for group in groups for item_id in group.item_ids}


def test_they_are_still_recommended_by_what_customers_did(recommender: mmrec.Recommender) -> None:
    found = recommender.recommend(["i7", "i8"], k=12)
    assert {*BARE} <= {*found.item_ids}
    assert all(np.isfinite(item.score) for item in found.items)


def test_one_that_is_given_words_is_listed_from_then_on(fitted: FitResult) -> None:
    live = mmrec.Recommender.load(fitted.bundle, device="cpu")
    live.similar("i0", k=50)
    live.upsert_items([mmrec.ItemInput(item_id="b1", title="a lamp")])
    assert "b1" in live.similar("i0", k=50).item_ids
    assert not {"b0", "b2"} & {*live.similar("i0", k=50).item_ids}
    assert len(live.similar("b1", k=50).items) == 9
