from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.errors import InvalidArgumentError
from mmrec.filters.mask import EligibilityMask
from mmrec.semantic_ids import eligibility
from mmrec.semantic_ids.decode_index import DecodeIndex, build_decode_index
from mmrec.semantic_ids.eligibility import BatchMasks, eligible, eligible_padded, padded_places
from tests.semantic_ids.test_decode_index import unique_paths


class Wish(NamedTuple):
    """left_out: Rows of the catalogue.  within: Rows the search is confined to, None for all."""

    left_out: list[int]
    within: list[bool] | None

    def allows(self, row: int) -> bool:
        return row not in self.left_out and (self.within is None or self.within[row])


@st.composite
def wishes(draw: st.DrawFn, items: int) -> list[Wish]:
    one = st.builds(
        Wish,
        st.lists(st.integers(0, items - 1), max_size=2 * items),
        st.none() | st.just([True] * items) | st.lists(st.booleans(), min_size=items, max_size=items),
    )
    return draw(st.lists(one, min_size=1, max_size=4))


def made(index: DecodeIndex, asked: list[Wish]) -> eligibility.Eligibility:
    places = index.place_of_rows(len(index.items_N)).numpy()
    # Equal sets are one mask, as those of one filter are.
    masks = {tuple(wish.within): EligibilityMask(np.array(wish.within)) for wish in asked if wish.within is not None}
    within = [None if wish.within is None else masks[tuple(wish.within)] for wish in asked]
    return eligible(index, [places[wish.left_out] for wish in asked], within)


def made_padded(index: DecodeIndex, asked: list[Wish]) -> eligibility.Eligibility:
    """The same from arrays of fixed sizes, with a customer and columns to spare."""
    items, batch = len(index.items_N), len(asked)
    places = index.place_of_rows(items).numpy()
    left_out = [places[wish.left_out] for wish in asked]
    padded = padded_places(left_out, (batch, 3 + max(map(len, left_out))), items)
    sets = [np.ones(items, bool) if wish.within is None else np.array(wish.within) for wish in asked]
    masks = BatchMasks(torch.stack([EligibilityMask(rows).counts(index.items_N) for rows in sets]), torch.arange(batch))
    # Where nobody is confined, there need be no sets.
    confined = any(wish.within is not None for wish in asked)
    return eligible_padded(index, batch, torch.from_numpy(padded), masks if confined else None)


@settings(max_examples=250)
@given(st.data(), unique_paths(), st.sampled_from([made, made_padded]))
def test_a_node_may_be_entered_exactly_when_something_eligible_lies_below_it(
    data: st.DataObject, paths: np.ndarray, make: Callable[[DecodeIndex, list[Wish]], eligibility.Eligibility]
) -> None:
    index = build_decode_index(paths)
    asked = data.draw(wishes(len(paths)))
    found = make(index, asked)
    open_BN = found.items(index)
    for customer, wish in enumerate(asked):
        assert open_BN[customer].tolist() == [wish.allows(row) for row in index.items_N.tolist()]
    assert found.counts_B.tolist() == [sum(wish.allows(row) for row in range(len(paths))) for wish in asked]
    for depth in range(index.levels):
        nodes = sorted(data.draw(st.sets(st.integers(0, index.nodes[depth] - 1), min_size=1)))
        # Some beams hold nothing; they come last.
        beams = torch.tensor([*nodes, *[index.nodes[depth]] * data.draw(st.integers(0, 2))])
        nodes_BW = beams.expand(len(asked), -1).contiguous()
        children = index.children(nodes_BW.clamp(max=index.nodes[depth] - 1), depth)
        children = children._replace(exists=children.exists & (nodes_BW < index.nodes[depth]).unsqueeze(-1))
        scores = torch.where(children.exists, torch.rand(children.nodes.shape), float("-inf"))
        scores_BX = torch.cat([scores.flatten(1), torch.zeros(len(asked), 1)], dim=1)
        found.close_(scores_BX, nodes_BW, children, depth, index)
        closed = scores_BX[:, :-1].view(scores.shape)
        mask = closed > float("-inf")
        assert torch.equal(closed[mask], scores[mask])
        prefixes = np.unique(paths[:, : depth + 1], axis=0)
        for customer, wish in enumerate(asked):
            for beam in range(len(beams)):
                for slot in range(closed.shape[2]):
                    expected = False
                    if children.exists[customer, beam, slot]:
                        prefix = prefixes[children.nodes[customer, beam, slot]]
                        below = np.flatnonzero((paths[:, : depth + 1] == prefix).all(axis=1))
                        expected = any(wish.allows(row) for row in below)
                    assert bool(mask[customer, beam, slot]) == expected


def test_a_search_without_wishes_closes_nothing() -> None:
    index = build_decode_index(np.array([[0, 0], [0, 1], [1, 0]], dtype=np.int32))
    found = eligible(index, [[], []])
    assert found.counts_B.tolist() == [3, 3]
    assert (found.masks, found.closed) == (None, (None, None))


def test_a_place_that_is_not_in_the_index_is_passed_over() -> None:
    index = build_decode_index(np.array([[0, 0], [0, 1], [1, 0]], dtype=np.int32))
    assert eligible(index, [np.array([-1, 2, -1, 2])]).counts_B.tolist() == [2]


def test_too_many_single_items_want_a_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eligibility, "FEW", 2)
    index = build_decode_index(np.array([[0, 0], [0, 1], [1, 0]], dtype=np.int32))
    with pytest.raises(InvalidArgumentError, match="3 items are left out one by one; more than 2"):
        eligible(index, [np.array([0, 1, 2])])
