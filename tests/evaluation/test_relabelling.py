"""Ids in order of first appearance say what comes next; random ones say nothing."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.interactions import Interactions
from mmrec.data.splits import leave_one_out
from mmrec.evaluation.floors import Scorer, last_item_transitions
from mmrec.evaluation.measuring import Measurement, QuestionChunk
from mmrec.evaluation.metrics import MetricRow
from mmrec.evaluation.relabelling import relabel_catalogue, relabel_interactions, shuffled_rows

ITEMS, USERS = 300, 150


@pytest.fixture(scope="module")
def numbered() -> Interactions:
    """Users who choose at random; items are numbered in the order in which the file first names them."""
    rng = np.random.default_rng(0)
    chosen = [rng.choice(ITEMS, size=6, replace=False) for _ in range(USERS)]
    _, first = np.unique(np.concatenate(chosen), return_index=True)
    number = np.empty(ITEMS, dtype=np.int64)
    number[np.concatenate(chosen)[np.sort(first)]] = np.arange(len(first))
    users = [f"u{u}" for u in range(USERS) for _ in range(6)]
    return Interactions.from_columns(users, number[np.concatenate(chosen)], list(range(6)) * USERS)


def next_number(train: Interactions, items: int) -> Scorer:
    """A model given only numbers: the closer above the last one, the likelier."""

    def score(histories: Sequence[np.ndarray]) -> np.ndarray:
        last = np.array([history[-1] for history in histories])[:, None]
        ahead = np.arange(items)[None, :] - last
        return np.where(ahead > 0, -ahead, -items).astype(np.float32)

    return score


def measured(make: Callable[[Interactions, int], Scorer], events: Interactions) -> MetricRow:
    split = leave_one_out(events)
    measurement = Measurement(np.ones(ITEMS))
    asked = QuestionChunk(split.test.histories, split.test.targets_U)
    measurement.add_scores("it", make(split.train, ITEMS)(asked.histories), asked, remove_seen=True)
    return measurement.rows()["it", "removed"]


def shuffled(events: Interactions, seed: int) -> Interactions:
    return relabel_interactions(events, shuffled_rows(ITEMS, seed))


def test_a_model_given_only_ids_in_order_of_first_appearance_gains_nothing(numbered: Interactions) -> None:
    chance = 10 / (ITEMS - 5)
    assert measured(next_number, numbered).recall[10] > 5 * chance
    for seed in range(3):
        row = measured(next_number, shuffled(numbered, seed))
        low, high = row.intervals["recall@10"]
        assert low <= chance <= high or row.recall[10] < chance


def test_what_is_counted_from_events_is_the_same_under_any_ids(numbered: Interactions) -> None:
    one, other = (measured(last_item_transitions, shuffled(numbered, seed)) for seed in (0, 1))
    assert (one.recall, one.ndcg, one.mrr) == (other.recall, other.ndcg, other.mrr)


def test_the_permutation_has_every_row_once_and_follows_from_the_seed() -> None:
    rows = shuffled_rows(50, seed=3)
    assert sorted(rows.tolist()) == list(range(50))
    assert rows.tolist() == shuffled_rows(50, seed=3).tolist()
    assert rows.tolist() != shuffled_rows(50, seed=4).tolist()


def test_a_relabelled_catalogue_has_the_same_items_under_ids_that_name_none_of_the_old(numbered: Interactions) -> None:
    ids = tuple(f"r{n}" for n in range(ITEMS))
    titles = tuple(f"thing {n}" for n in range(ITEMS))
    old = Catalogue(item_ids=ids, titles=titles, descriptions=("",) * ITEMS, images=("",) * ITEMS)
    rows = shuffled_rows(ITEMS, 5)
    new = relabel_catalogue(old, rows, 5)
    events = relabel_interactions(numbered, rows)
    assert set(new.item_ids).isdisjoint(ids)
    assert len({len(item_id) for item_id in new.item_ids}) == 1
    assert [new.titles[row] for row in events.items_E] == [titles[row] for row in numbered.items_E]
    order = np.argsort(np.array(new.item_ids))
    assert order.tolist() not in (list(range(ITEMS)), np.argsort(rows).tolist())
