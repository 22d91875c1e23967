"""A search equals brute force, whatever the tree, the scores and what is eligible."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.decode_index import Children, DecodeIndex, build_decode_index
from mmrec.semantic_ids.eligibility import Eligibility, eligible
from mmrec.semantic_ids.path_search import best_items, best_places, search_paths
from tests.semantic_ids.test_decode_index import unique_paths
from tests.semantic_ids.test_eligibility import Wish, made, wishes

pytestmark = pytest.mark.slow(15)


class TableScorer:
    """Scores that stand in a table, by customer and node of each depth."""

    def __init__(self, scores: list[torch.Tensor]) -> None:
        self.scores = scores

    def step(self, nodes_BW: torch.Tensor, children: Children, depth: int) -> torch.Tensor:
        rows = torch.arange(len(nodes_BW)).view(-1, 1, 1)
        return torch.where(children.exists, self.scores[depth][rows, children.nodes], float("-inf"))

    def keep(self, parents_BW: torch.Tensor) -> None:
        pass


class Case(NamedTuple):
    paths: np.ndarray
    index: DecodeIndex
    scores: list[torch.Tensor]
    asked: list[Wish]
    allowed: Eligibility

    def by_place(self) -> torch.Tensor:
        """Sum of the steps to every item, added in the order of a search. Shape: (B, N)."""
        places = torch.arange(len(self.paths))
        total = torch.zeros(len(self.asked), len(self.paths))
        for depth in range(self.index.levels):
            total = total + self.scores[depth][:, self.index.nodes_of(places, depth + 1)]
        return total

    def brute_force(self, customer: int, width: int) -> list[tuple[int, float]]:
        place = self.index.place_of_rows(len(self.paths)).tolist()
        scores = self.by_place()[customer].tolist()
        rows = [row for row in range(len(self.paths)) if self.asked[customer].allows(row)]
        best = sorted(rows, key=lambda row: (-scores[place[row]], tuple(self.paths[row])))
        return [(row, scores[place[row]]) for row in best[:width]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    paths = draw(unique_paths())
    index = build_decode_index(paths)
    asked = draw(wishes(len(paths)))
    # Few different scores make many ties.
    different = draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = [
        torch.from_numpy((-rng.integers(0, different, (len(asked), nodes)) / 8).astype(np.float32))
        for nodes in index.nodes[1:]
    ]
    return Case(paths, index, scores, asked, made(index, asked))


@settings(max_examples=1100)
@given(cases(), st.integers(0, 5))
def test_a_beam_as_wide_as_the_catalogue_is_brute_force(case: Case, wider: int) -> None:
    width = len(case.paths) + wider
    beam = search_paths(TableScorer(case.scores), case.allowed, case.index, width=width)
    exact = best_items(case.by_place(), case.allowed, case.index, width=width)
    for customer in range(len(case.asked)):
        expected = case.brute_force(customer, width)
        for found in (beam, exact):
            items, scores = found.items_BW[customer].tolist(), found.log_probs_BW[customer].tolist()
            assert list(zip(items, scores, strict=True))[: len(expected)] == expected
            assert set(items[len(expected) :]) <= {-1}
            assert set(scores[len(expected) :]) <= {float("-inf")}


@settings(max_examples=700)
@given(cases(), st.integers(1, 12))
def test_a_narrow_beam_returns_as_many_eligible_items_as_it_can_hold(case: Case, width: int) -> None:
    found = search_paths(TableScorer(case.scores), case.allowed, case.index, width=width)
    exact = best_items(case.by_place(), case.allowed, case.index, width=width)
    by_place = case.by_place()
    place = case.index.place_of_rows(len(case.paths)).tolist()
    for customer, wish in enumerate(case.asked):
        items = [row for row in found.items_BW[customer].tolist() if row >= 0]
        scores = found.log_probs_BW[customer].tolist()[: len(items)]
        open_to = [row for row in range(len(case.paths)) if wish.allows(row)]
        assert len(items) == len(set(items)) == min(width, len(open_to))
        assert set(items) <= set(open_to)
        assert scores == [by_place[customer, place[row]].item() for row in items]
        assert scores == sorted(scores, reverse=True)
        # No beam finds anything better than the best there is.
        assert all(one <= best for one, best in zip(scores, exact.log_probs_BW[customer].tolist(), strict=False))


@given(
    st.lists(st.sampled_from([-np.inf, -1e30, -1.5, -0.0, 0.0, 1e-45, 2.0, 3e38]), min_size=1, max_size=30), st.data()
)
def test_the_best_places_are_those_of_a_stable_sort(values: list[float], data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, len(values)))
    places, scores = best_places(torch.tensor([values], dtype=torch.float32), keep)
    order = sorted(range(len(values)), key=lambda place: (-values[place], place))[:keep]
    expected = sorted(place for place in order if values[place] > -np.inf)
    assert places[0].tolist() == expected + [0] * (keep - len(expected))
    assert scores[0].tolist() == [np.float32(values[place]) for place in expected] + [-np.inf] * (keep - len(expected))


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 40), st.booleans(), st.data())
def test_the_best_places_of_several_rows_are_the_same_with_ties_and_without(
    seed: int, rows: int, count: int, ties: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([rng.permutation(count) for _ in range(rows)], dtype=np.float32)
    if ties:
        values[0] //= 3
    values[:, rng.random(count) < 0.2] = -np.inf
    keep = data.draw(st.integers(1, count))
    places, scores = best_places(torch.from_numpy(values), keep)
    for row in range(rows):
        order = np.argsort(-values[row], kind="stable")[:keep]
        expected = sorted(order[values[row][order] > -np.inf].tolist())
        assert places[row].tolist() == expected + [0] * (keep - len(expected))
        assert scores[row, : len(expected)].tolist() == values[row][expected].tolist()
        assert set(scores[row, len(expected) :].tolist()) <= {-np.inf}


def test_where_every_beam_has_one_child_all_go_on_and_their_scores_still_count() -> None:
    index = build_decode_index(np.array([[0, 0, 0], [1, 0, 5], [2, 7, 1], [3, 1, 2]], dtype=np.int32))
    scores = [
        torch.tensor([[-1.0, -2.0, -3.0, -4.0]]),
        torch.tensor([[-5.0, -1.0, -0.5, -0.25]]),
        torch.tensor([[0.0, -9.0, 0.0, 0.0]]),
    ]
    place_of_row = index.place_of_rows(4).numpy()
    allowed = eligible(index, [place_of_row[[2]]])
    found = search_paths(TableScorer(scores), allowed, index, width=9)
    assert found.items_BW.tolist() == [[3, 0, 1, -1]]
    assert found.log_probs_BW.tolist() == [[-4.25, -6.0, -12.0, -np.inf]]


def test_when_the_beam_has_no_width() -> None:
    index = build_decode_index(np.array([[0], [1]], dtype=np.int32))
    allowed = eligible(index, [[]])
    with pytest.raises(InvalidArgumentError, match="beam width is 0; it must be 1 or more"):
        search_paths(TableScorer([torch.zeros(1, 2)]), allowed, index, width=0)
    with pytest.raises(InvalidArgumentError, match="beam width is 0; it must be 1 or more"):
        best_items(torch.zeros(1, 2), allowed, index, width=0)
