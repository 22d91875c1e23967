import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.data.interactions import Interactions
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.semantic_ids.item_paths import index_items
from mmrec.semantic_ids.quantizer import QuantizerConfig

CONFIG = QuantizerConfig(levels=2)


def train(*histories: list[int]) -> Interactions:
    users = [f"u{user}" for user, history in enumerate(histories) for _ in history]
    return Interactions.from_columns(users, [row for history in histories for row in history], range(len(users)))


def test_sequential_paths_count_items_as_training_first_shows_them() -> None:
    paths = index_items("sequential", train([5, 3, 5], [3, 0, 7]), 9, CONFIG, seed=0)
    # 5, 3, 0, 7, and then what nobody took: 1, 2, 4, 6, 8. Nine numbers in two digits: to the base of 3.
    assert paths.codes_NL[[5, 3, 0, 7, 1, 2, 4, 6, 8]].tolist() == [
        [0, 0],
        [0, 1],
        [0, 2],
        [1, 0],
        [1, 1],
        [1, 2],
        [2, 0],
        [2, 1],
        [2, 2],
    ]
    assert paths.widths == (3, 3)


@given(st.integers(1, 300), st.integers(1, 4), st.integers(0, 5))
def test_random_paths_are_unique(items: int, levels: int, seed: int) -> None:
    config = QuantizerConfig(levels=levels, codebook_size=65_536)
    codes = index_items("random", Interactions.empty(), items, config, seed=seed).codes_NL
    assert codes.shape == (items, levels)
    assert len(np.unique(codes, axis=0)) == items


def test_another_seed_draws_other_paths() -> None:
    first, again, other = (
        index_items("random", Interactions.empty(), 50, CONFIG, seed=seed).codes_NL.tolist() for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_when_the_codes_do_not_suffice_neighbouring_numbers_share_a_path() -> None:
    config = QuantizerConfig(levels=1, codebook_size=3)
    assert index_items("sequential", Interactions.empty(), 7, config, seed=0).codes_NL.ravel().tolist() == [
        0,
        0,
        0,
        1,
        1,
        1,
        2,
    ]


def cliques() -> Interactions:
    """Items 0-3, 4-7, 8-11 are taken together, and inside each the first two and the last two more often."""
    histories = []
    for start in (0, 4, 8):
        histories += [[start, start + 1], [start + 2, start + 3]] * 10 + [[start + 1, start + 2]] * 3
    return train(*histories)


def test_collaborative_paths_gather_what_is_taken_together() -> None:
    config = QuantizerConfig(levels=1, codebook_size=3)
    codes = index_items("collaborative", cliques(), 12, config, window=1, seed=0).codes_NL.ravel()
    assert [len(set(codes[start : start + 4].tolist())) for start in (0, 4, 8)] == [1, 1, 1]
    assert len(set(codes.tolist())) == 3


def test_collaborative_parts_are_divided_again() -> None:
    config = QuantizerConfig(levels=2, codebook_size=3)
    codes = index_items("collaborative", cliques(), 12, config, window=1, seed=0).codes_NL
    for start in (0, 4, 8):
        assert codes[start].tolist() == codes[start + 1].tolist()
        assert codes[start, 0] == codes[start + 3, 0]
        assert codes[start, 1] != codes[start + 3, 1]


def test_items_that_nobody_took_are_spread_evenly() -> None:
    codes = index_items("collaborative", Interactions.empty(), 27, CONFIG, seed=0).codes_NL
    assert np.unique(codes, axis=0, return_counts=True)[1].tolist() == [3] * 9


def test_a_large_graph_is_divided_as_a_small_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    config = QuantizerConfig(levels=1, codebook_size=3)
    dense = index_items("collaborative", cliques(), 12, config, window=1, seed=0).codes_NL.ravel()
    monkeypatch.setattr("mmrec.semantic_ids.item_paths.DENSE_ITEMS", 0)
    sparse = index_items("collaborative", cliques(), 12, config, window=1, seed=0).codes_NL.ravel()
    assert len(set(zip(dense.tolist(), sparse.tolist(), strict=True))) == 3


def test_a_new_item_has_no_path() -> None:
    paths = index_items("random", Interactions.empty(), 5, CONFIG, seed=0)
    assert not paths.encodes_new
    with pytest.raises(FailedPreconditionError, match="fit again with the new items"):
        paths.encode(np.zeros((1, 4), dtype=np.float32))
    with pytest.raises(FailedPreconditionError, match="describe nothing"):
        paths.decode(paths.codes_NL)


def test_when_there_are_no_items() -> None:
    with pytest.raises(InvalidArgumentError, match="0 items"):
        index_items("random", Interactions.empty(), 0, CONFIG, seed=0)
