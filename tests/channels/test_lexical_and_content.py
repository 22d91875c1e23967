import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.catalogue.segments import Segmented
from mmrec.channels.content import ContentConfig, content_parts, content_scores
from mmrec.channels.lexical import LexicalConfig, build_lexical_index

FIRST = [np.array([0], dtype=np.int32)]


def test_rare_shared_words_count_more_than_common_ones() -> None:
    texts = ["garden lamp copper", "desk copper", "garden chair", "garden mug", "plain spoon", "garden rake"]
    index = build_lexical_index(texts, LexicalConfig(max_document_share=1.0))
    scores = index.scores(FIRST, LexicalConfig())[0]
    assert scores[0] == pytest.approx(1.0, abs=1e-5)
    assert scores[1] > scores[2] > 0
    assert scores[4] == 0


def test_a_catalogue_without_words_is_silent() -> None:
    index = build_lexical_index(["", "", ""], LexicalConfig())
    assert index.scores(FIRST, LexicalConfig()).tolist() == [[0, 0, 0]]


def test_content_is_the_decayed_cosine_to_recent_items() -> None:
    embeddings = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    history = [np.array([0, 1], dtype=np.int32)]
    scores = content_scores(history, Segmented(embeddings), ContentConfig(decay=0.5))[0]
    assert scores.tolist() == pytest.approx([0.5, 1.0, 0.3 + 0.8])


def test_parts_by_history_item_add_up_to_the_scores() -> None:
    history = np.array([3, 0, 1, 0], dtype=np.int32)
    asked = np.array([2, 1])
    texts = ["garden lamp copper", "desk copper", "garden chair", "garden mug"]
    lexical = LexicalConfig(decay=0.5, recent=3, max_document_share=1.0)
    index = build_lexical_index(texts, lexical)
    words = index.parts(history, asked, lexical)
    assert words.shape == (3, 2)
    assert words.sum(axis=0) == pytest.approx(index.scores([history], lexical)[0, asked], abs=1e-6)
    embeddings = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6]], dtype=np.float32)
    content = ContentConfig(decay=0.5, recent=3)
    cosines = content_parts(history, Segmented(embeddings), asked, content)
    assert cosines.tolist() == [pytest.approx(row) for row in ([0.15, 0.0], [0.4, 0.5], [0.6, 0.0])]
    assert cosines.sum(axis=0) == pytest.approx(
        content_scores([history], Segmented(embeddings), content)[0, asked], abs=1e-6
    )


WORDS = st.lists(st.sampled_from(["red", "RED", "boots", "the", "x", "blue-green", "é", "42", "never"]), max_size=6)


@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=8), st.lists(WORDS.map(" ".join), max_size=4))
def test_new_texts_get_rows_that_go_with_those_of_the_catalogue(texts: list[str], new: list[str]) -> None:
    index = build_lexical_index(texts, LexicalConfig(max_document_share=1.0))
    assert index.vocabulary is not None
    again = index.vocabulary.rows(texts)
    assert again.shape == index.rows.shape
    assert np.allclose(again.toarray(), index.rows.toarray(), atol=1e-6)
    rows = index.vocabulary.rows(new).toarray()
    assert rows.shape == (len(new), index.rows.shape[1])
    for text, row in zip(new, rows, strict=True):
        known = set(text.lower().replace("-", " ").split()) & set(index.vocabulary.terms)
        assert np.linalg.norm(row) == pytest.approx(1.0 if known else 0.0, abs=1e-5)
