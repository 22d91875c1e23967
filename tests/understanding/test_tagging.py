"""Tags: labels to vectors, vectors to probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.understanding.tagging import (
    MAX_LABELS,
    SharedVectors,
    check_labels,
    check_templates,
    column_labels,
    label_scores,
    label_vectors,
    split_entries,
    tag_vectors,
)
from tests.understanding.vectors import unit_rows

COLOURS = ("red", "green", "blue")
LABELS = np.eye(4, dtype=np.float32)[:3]


def encode(texts: list[str]) -> np.ndarray:
    """Each text is where its colour is, and a little where its length is."""
    rows = np.zeros((len(texts), 4), np.float32)
    for row, text in enumerate(texts):
        for place, colour in enumerate(COLOURS):
            rows[row, place] = colour in text
        rows[row, 3] = 0.01 * len(text)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_label_is_the_mean_of_its_templates() -> None:
    seen: list[str] = []

    def remember(texts: list[str]) -> np.ndarray:
        seen.extend(texts)
        return encode(texts)

    templates = ["{label}", "{column}: {label}"]
    found = label_vectors(COLOURS, remember, column="main_colour", templates=templates)
    assert seen[:4] == ["red", "main colour: red", "green", "main colour: green"]
    mean = encode(["red", "main colour: red"]).mean(axis=0)
    np.testing.assert_allclose(found[0], mean / np.linalg.norm(mean), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    seen.clear()
    label_vectors(COLOURS, remember, templates=templates)
    assert seen == ["red", "green", "blue"]


def test_braces_in_a_label_are_no_template() -> None:
    seen: list[str] = []
    label_vectors(["{column} {0}"], lambda texts: seen.extend(texts) or encode(texts), templates=["a {label}"])
    assert seen == ["a {column} {0}"]


@pytest.mark.parametrize(
    ("labels", "field", "says"),
    [
        ([], "labels", "there are 0 labels"),
        ([str(n) for n in range(MAX_LABELS + 1)], "labels", "there are 10,001 labels"),
        ("red", "labels", "pass a list"),
        (["a", " "], "labels[1]", "all blank"),
        (["a" * 1001], "labels[0]", "1,001 characters"),
        (["a", "b", "a"], "labels[2]", "which is there already"),
        (["a", 7], "labels[1]", "is a int"),
    ],
)
def test_a_bad_label_set_is_refused(labels: list[str], field: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=says) as caught:
        check_labels(labels)
    assert caught.value.violations[0].field == field


def test_bad_templates_are_refused() -> None:
    for templates in ([], "{label}", ["nothing"], [3]):
        with pytest.raises(InvalidArgumentError, match="templates"):
            check_templates(templates)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"every template names \{column\}"):
        label_vectors(COLOURS, encode, templates=["{column} {label}"])


def test_entries_of_a_column() -> None:
    assert split_entries(" a |b||a| ") == ("a", "b")
    assert column_labels(["b|a", "a", "", "c|b", " "]) == ("a", "b", "c")
    assert column_labels([]) == ()
    assert column_labels(["a" * 1000, "b" * 1001, "c"]) == ("a" * 1000, "c")


def test_scores_are_means_over_the_vectors_there_are() -> None:
    fused, image, text = np.eye(4, dtype=np.float32)[[0, 0]], np.eye(4, dtype=np.float32)[[1, 1]], np.zeros((2, 4))
    text[0, 2] = 1.0
    scores = label_scores(SharedVectors(fused, image, text.astype(np.float32)), LABELS)
    np.testing.assert_allclose(scores, [[0.4, 0.2, 0.4], [2 / 3, 1 / 3, 0.0]], atol=1e-6)
    np.testing.assert_allclose(label_scores(SharedVectors(fused), LABELS), [[1, 0, 0], [1, 0, 0]], atol=1e-6)


def test_tags_are_probabilities_over_the_whole_set() -> None:
    items = SharedVectors(np.eye(4, dtype=np.float32)[[1, 3]])
    tags = tag_vectors(items, COLOURS, LABELS, temperature=0.5, k=2)
    assert tags.labels_NK.tolist() == [[1, 0], [0, 1]]
    share = np.exp(2) / (np.exp(2) + 2)
    np.testing.assert_allclose(tags.probabilities_NK, [[share, (1 - share) / 2], [1 / 3, 1 / 3]], atol=1e-6)
    assert tags.of(0, min_probability=0.5) == (("green", pytest.approx(share)),)
    assert tags.of(1) == (("red", pytest.approx(1 / 3)), ("green", pytest.approx(1 / 3)))
    everything = tag_vectors(items, COLOURS, LABELS, k=50)
    np.testing.assert_allclose(everything.probabilities_NK.sum(axis=1), 1, atol=1e-6)


def test_an_item_does_not_depend_on_its_company() -> None:
    rng = np.random.default_rng(0)
    items, labels = unit_rows(rng, 50, 32), unit_rows(rng, 40, 32)[rng.integers(0, 40, 60)]
    names = [f"label {place}" for place in range(60)]
    together = tag_vectors(SharedVectors(items, items), names, labels, k=60)
    for row in range(50):
        one = items[row : row + 1]
        alone = tag_vectors(SharedVectors(one, one), names, labels, k=60)
        assert alone.labels_NK[0].tolist() == together.labels_NK[row].tolist()
        np.testing.assert_allclose(alone.probabilities_NK[0], together.probabilities_NK[row], rtol=1e-5)


def test_no_items() -> None:
    assert tag_vectors(SharedVectors(np.zeros((0, 4), np.float32)), COLOURS, LABELS).labels_NK.shape == (0, 3)


def test_what_does_not_fit_is_refused() -> None:
    items = SharedVectors(LABELS)
    for k in (0, -1, True, 1.5):
        with pytest.raises(InvalidArgumentError, match="k is"):
            tag_vectors(items, COLOURS, LABELS, k=k)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="temperature is 0"):
        tag_vectors(items, COLOURS, LABELS, temperature=0)
    with pytest.raises(InvalidArgumentError, match="3 labels and 2 vectors"):
        tag_vectors(items, COLOURS, LABELS[:2])
    with pytest.raises(InvalidArgumentError, match="fused has 3 dimensions, and 4 are needed"):
        tag_vectors(SharedVectors(np.eye(3)), COLOURS, LABELS)
    with pytest.raises(InvalidArgumentError, match="2 image vectors and 3 fused"):
        tag_vectors(SharedVectors(LABELS, LABELS[:2]), COLOURS, LABELS)
