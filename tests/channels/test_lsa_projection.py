import numpy as np
import pytest
import scipy.sparse as sp

from mmrec.channels import lsa_projection as sketch
from mmrec.channels.lexical import LexicalConfig, build_lexical_index
from mmrec.channels.lsa_projection import fit_lsa_projection, index_words, nearest_rows

TEXTS = [
    "red leather boots",
    "red leather shoes",
    "blue cotton shirt",
    "blue cotton trousers",
    "",
    "wholly unlike anything",
]


def rows_of(texts: list[str]) -> sp.csr_array:
    return build_lexical_index(texts, LexicalConfig()).rows


def test_items_of_similar_words_have_similar_sketches() -> None:
    rows = rows_of(TEXTS)
    made = fit_lsa_projection(rows, 4, seed=0).of(rows)
    assert made.shape == (6, 4)
    assert made[0] @ made[1] > 10 * abs(made[0] @ made[2])
    assert made[4].tolist() == [0.0] * 4
    assert (made**2).sum(1).mean() == pytest.approx(1.0, abs=1e-5)


def test_equal_seeds_give_equal_sketches() -> None:
    rows = rows_of(TEXTS)
    assert np.array_equal(
        fit_lsa_projection(rows, 3, seed=5).components_VS, fit_lsa_projection(rows, 3, seed=5).components_VS
    )


@pytest.mark.parametrize(("texts", "dimensions"), [(["", ""], 8), (["word"], 8), (TEXTS, 0)])
def test_where_there_is_nothing_to_sketch(texts: list[str], dimensions: int) -> None:
    rows = rows_of(texts)
    assert fit_lsa_projection(rows, dimensions, seed=0).of(rows).shape == (len(texts), 0)


def test_neighbours_are_the_items_of_the_most_similar_words_and_never_the_item_itself() -> None:
    rows = rows_of(TEXTS)
    found = nearest_rows(rows, np.zeros((6, 0), np.float32), np.ones(6, bool), 2).toarray()
    assert [np.flatnonzero(row).tolist() for row in found] == [[1], [0], [3], [2], [], []]
    assert found[0, 1] == pytest.approx(float((rows[[0]] @ rows[[1]].T).toarray()[0, 0]))


def test_only_the_items_that_may_lend_are_neighbours() -> None:
    rows = rows_of(TEXTS)
    among = np.array([True, False, True, True, True, True])
    found = nearest_rows(rows, np.zeros((6, 0), np.float32), among, 2).toarray()
    assert [np.flatnonzero(row).tolist() for row in found] == [[], [0], [3], [2], [], []]
    assert nearest_rows(rows, np.zeros((6, 0), np.float32), np.zeros(6, bool), 2).nnz == 0


def test_large_catalogues_are_searched_by_their_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    words = [f"word{number}" for number in range(40)]
    texts = [" ".join(words[(at // 10 * 8 + place) % 40] for place in rng.choice(8, 5, False)) for at in range(300)]
    rows = rows_of(texts)
    made = fit_lsa_projection(rows, 39, seed=0).of(rows)
    exact = nearest_rows(rows, made, np.ones(300, bool), 5)
    monkeypatch.setattr(sketch, "EXACT_ITEMS", 10)
    searched = nearest_rows(rows, made, np.ones(300, bool), 5)
    assert searched.nnz > 0.9 * exact.nnz
    assert searched.sum() == pytest.approx(exact.sum(), rel=0.1)


def test_the_nearest_of_other_items_are_those_of_the_catalogue_with_the_most_similar_words() -> None:
    index = build_lexical_index(TEXTS, LexicalConfig())
    assert index.vocabulary is not None
    asked = index.vocabulary.rows(["red boots", "", "leather cotton", "never heard of"])
    among = np.array([True, True, True, True, True, False])
    cosine = (asked @ index.rows.T).toarray()
    found = index_words(index.rows, among).nearest(asked, 2)
    assert found.shape == (4, 6)
    # One asked item has two neighbours of equal similarity, of which the lower rows are kept.
    expected = [np.argsort(-row, kind="stable")[:2] if row.any() else [] for row in cosine * among]
    assert [sorted(found[[row]].indices.tolist()) for row in range(4)] == [sorted(map(int, rows)) for rows in expected]
    assert np.allclose(found.toarray()[found.toarray() > 0], cosine[found.toarray() > 0])
    assert index_words(index.rows, among).nearest(asked[:0], 2).shape == (0, 6)


def test_among_very_many_items_rare_words_propose_and_all_words_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    index = build_lexical_index(TEXTS, LexicalConfig())
    assert index.vocabulary is not None
    asked = index.vocabulary.rows(["red boots", "leather cotton"])
    among = np.ones(6, bool)
    exact = index_words(index.rows, among).nearest(asked, 6)
    monkeypatch.setattr(sketch, "EXACT_ITEMS", 5)
    monkeypatch.setattr(sketch, "RARE_ITEMS", 1)
    found = index_words(index.rows, among).nearest(asked, 6)
    assert 0 < found.nnz < exact.nnz
    assert np.allclose(found.toarray()[found.toarray() > 0], exact.toarray()[found.toarray() > 0])
    monkeypatch.setattr(sketch, "RARE_ITEMS", 6)
    assert np.allclose(index_words(index.rows, among).nearest(asked, 6).toarray(), exact.toarray())


def test_items_that_must_not_be_found_are_passed_over() -> None:
    index = build_lexical_index(TEXTS, LexicalConfig())
    words = index_words(index.rows, np.ones(6, bool))
    first = words.nearest(index.rows[[0]], 2)
    assert 0 in first.indices
    assert 0 not in words.nearest(index.rows[[0]], 2, without=np.array([0])).indices
