from itertools import pairwise

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmrec.generator.batches import (
    epoch_batches,
    epoch_turns,
    pad_histories,
    padded_size,
    products_with_rows,
    transitions_of,
)


def test_histories_are_padded_on_the_right_and_cut_on_the_left() -> None:
    history, valid = pad_histories([np.array([1, 2, 3, 4]), np.array([5]), np.array([], dtype=np.int32)], 3)
    assert history.tolist() == [[2, 3, 4], [5, 0, 0], [0, 0, 0]]
    assert valid.tolist() == [[True, True, True], [True, False, False], [False, False, False]]


@given(
    st.lists(st.integers(0, 25), min_size=0, max_size=12),
    st.integers(1, 8),
    st.integers(1, 64),
    st.integers(0, 5),
)
def test_every_transition_comes_exactly_once(lengths: list[int], longest: int, positions: int, epoch: int) -> None:
    histories = []
    first = 0
    for length in lengths:
        histories.append(np.arange(first, first + length, dtype=np.int32))
        first += length
    seen = []
    for batch in epoch_batches(histories, longest=longest, positions=positions, seed=1, epoch=epoch):
        assert batch.history_BT.shape[1] <= longest
        pairs = zip(batch.history_BT[batch.valid_BT].tolist(), batch.target_BT[batch.valid_BT].tolist(), strict=True)
        seen += list(pairs)
    expected = [(int(a), int(b)) for h in histories for a, b in pairwise(h)]
    assert sorted(seen) == expected


def test_the_same_seed_and_epoch_give_the_same_batches_and_another_epoch_others() -> None:
    histories = [np.arange(30, dtype=np.int32) + 100 * u for u in range(9)]

    def order(epoch: int) -> list[list[int]]:
        batches = epoch_batches(histories, longest=7, positions=21, seed=0, epoch=epoch)
        return [batch.history_BT.flatten().tolist() for batch in batches]

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_sizes_are_few_and_little_above_what_is_asked_for() -> None:
    asked = (0, 1, 31, 32, 33, 50, 51, 64, 65, 800, 1001)
    assert [padded_size(rows) for rows in asked] == [0, 1, 31, 32, 34, 50, 52, 64, 68, 800, 1024]
    sizes = {padded_size(rows) for rows in range(1, 16_385)}
    assert len(sizes) == 31 + 9 * 16 + 1
    assert all(rows <= padded_size(rows) <= 1.07 * rows + 1 for rows in range(1, 5000))


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 40), st.integers(0, 3))
def test_the_shares_of_epochs_are_all_histories_once(lengths: list[int], most: int, seed: int) -> None:
    histories = [np.full(length, number, dtype=np.int32) for number, length in enumerate(lengths)]
    shares = epoch_turns(histories, most, seed)
    kept = [int(history[0]) for share in shares for history in share if len(history)]
    assert sorted(kept) == [number for number, length in enumerate(lengths) if length]
    transitions = transitions_of(histories)
    assert len(shares) == max(1, -(-transitions // most))
    # A history is not cut: a share may have one more than its part.
    assert all(transitions_of(share) <= transitions / len(shares) + 8 for share in shares)
    assert [[len(h) for h in share] for share in shares] == [
        [len(h) for h in share] for share in epoch_turns(histories, most, seed)
    ]


@given(st.integers(1, 3), st.integers(0, 90), st.integers(0, 5))
def test_products_with_the_rows_of_a_growing_table_are_plain_products(states: int, rows: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    states_XH = torch.randint(-9, 9, (states, 4), generator=generator).float()
    table_NH = torch.randint(-9, 9, (rows, 4), generator=generator).float()
    assert products_with_rows(states_XH, table_NH).tolist() == (states_XH @ table_NH.T).tolist()
