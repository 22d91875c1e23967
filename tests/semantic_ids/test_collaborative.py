import numpy as np
import pytest

from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError
from mmrec.semantic_ids.collaborative import CollaborativeConfig, Imputation, co_occurrence, collaborative_vectors


def train(*histories: list[int]) -> Interactions:
    users = [f"u{user}" for user, history in enumerate(histories) for _ in history]
    return Interactions.from_columns(users, [row for history in histories for row in history], range(len(users)))


TWO_KINDS = train(*([[0, 1, 2]] * 4 + [[3, 4, 5]] * 4))
"""Items 0-2 are taken together, and 3-5; nobody took 6 and 7."""


def test_co_occurrence_counts_both_ways_within_the_window_and_inside_one_history() -> None:
    counts = co_occurrence(train([0, 1, 2], [2, 2]), 4, window=2).toarray()
    assert counts.tolist() == [[0, 1, 0.5, 0], [1, 0, 1, 0], [0.5, 1, 0, 0], [0, 0, 0, 0]]


def test_items_taken_together_are_near_each_other() -> None:
    found = collaborative_vectors(TWO_KINDS, 8, CollaborativeConfig(weight=1, dimension=2), seed=0)
    assert found.warm_N.tolist() == [True] * 6 + [False] * 2
    cosine = found.vectors_NC @ found.vectors_NC.T
    assert cosine[0, 1] == pytest.approx(1, abs=1e-4)
    assert cosine[0, 3] == pytest.approx(0, abs=1e-4)
    assert not found.vectors_NC[6:].any()


def test_the_same_seed_gives_the_same_vectors() -> None:
    config = CollaborativeConfig(weight=1, dimension=4)
    first, second = (collaborative_vectors(TWO_KINDS, 8, config, seed=1).vectors_NC for _ in range(2))
    assert np.array_equal(first, second)


def test_an_item_nobody_took_goes_where_the_items_like_it_are() -> None:
    config = CollaborativeConfig(weight=0.5, dimension=2, neighbours=3)
    content = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    content = np.concatenate([content, content[[0, 5]]])
    found = collaborative_vectors(TWO_KINDS, 8, config, seed=0)
    imputation = Imputation.of(content, found, config)
    wide = imputation.widen(content, found)
    assert wide.shape == (8, 4)
    assert np.array_equal(wide[:, :2], content)
    assert np.allclose(np.linalg.norm(wide[:, 2:], axis=1), 0.5, atol=1e-3)
    assert np.allclose(wide[6], wide[0], atol=1e-3)
    assert np.allclose(wide[7], wide[5], atol=1e-3)
    # Without knowing which items they are, all are imputed, to the same place.
    assert np.allclose(imputation.widen(content), wide, atol=1e-3)


def test_when_nobody_took_anything() -> None:
    config = CollaborativeConfig(weight=1.0, dimension=2)
    content = np.eye(3, dtype=np.float32)
    found = collaborative_vectors(Interactions.empty(), 3, config, seed=0)
    assert Imputation.of(content, found, config).widen(content, found)[:, 3:].tolist() == [[0.0, 0.0]] * 3


@pytest.mark.parametrize("bad", [{"weight": -1.0}, {"dimension": 0}, {"window": 0}, {"neighbours": 0}])
def test_a_configuration_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(bad))):
        CollaborativeConfig(**bad)  # type: ignore[arg-type]
