"""Filling in a column: what is learned, what it is worth, and that the answer is never in the question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import ItemWords
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.errors import InvalidArgumentError
from mmrec.training.imputation import (
    ImputationConfig,
    ImputationResult,
    LabelExamples,
    impute_column,
    impute_dataset,
    without_column,
)
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.item_encoder import ItemEncoder

COLOURS = ("red", "green", "blue", "black")
THINGS = ("shoe", "lamp", "shirt")


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


class Shop:
    """Items of a kind (a thing of a colour): the picture tells the colour and the words the thing, neither for sure."""

    def __init__(self, count: int = 900, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        colour, thing = rng.integers(0, 4, count), rng.integers(0, 3, count)
        image = np.eye(12)[colour] + 0.5 * rng.standard_normal((count, 12))
        text = np.eye(10)[thing] + 0.4 * rng.standard_normal((count, 10))
        everywhere = np.ones(count, np.bool_)
        self.features = ItemFeatures(unit(image), everywhere, unit(text), everywhere.copy())
        self.truth = [f"{COLOURS[c]} {THINGS[t]}" for c, t in zip(colour, thing, strict=True)]
        self.groups = [f"title {row // 2}" for row in range(count)]
        self.hidden = rng.random(count) < 0.3
        self.values = ["" if hide else value for hide, value in zip(self.hidden, self.truth, strict=True)]

    def accuracy(self, result: ImputationResult) -> float:
        return float(np.mean([result.values[row] == self.truth[row] for row in np.flatnonzero(self.hidden)]))


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop()


@pytest.fixture(scope="module")
def filled(shop: Shop) -> ImputationResult:
    return impute_column("kind", shop.values, shop.features, shop.groups, ImputationConfig(held_out=0.2))


def test_given_values_stay_and_missing_ones_are_filled(shop: Shop, filled: ImputationResult) -> None:
    for row, hide in enumerate(shop.hidden):
        assert filled.sources[row] == ("filled" if hide else "given")
        if not hide:
            assert (filled.values[row], filled.confidences_N[row]) == (shop.truth[row], 1.0)
    assert shop.accuracy(filled) > 0.6
    assert set(filled.labels) == set(shop.truth)
    assert filled.examples == int((~shop.hidden).sum())


def test_both_beat_either(shop: Shop, filled: ImputationResult) -> None:
    alone = [
        shop.accuracy(
            impute_column(
                "kind", shop.values, shop.features, shop.groups, ImputationConfig(modality=modality, held_out=0.2)
            )
        )
        for modality in ("picture", "words")
    ]
    assert shop.accuracy(filled) > max(alone) + 0.1


def test_what_is_told_is_what_was_found() -> None:
    shop = Shop(4000, seed=1)
    filled = impute_column("kind", shop.values, shop.features, shop.groups, ImputationConfig(held_out=0.2))
    report = filled.report
    assert report is not None
    assert 500 <= report.rows <= 620
    assert report.accuracy == pytest.approx(shop.accuracy(filled), abs=0.06)
    assert report.ece < 0.08
    assert [entry.confidence for entry in report.coverage] == sorted(entry.confidence for entry in report.coverage)
    covered = [entry.covered for entry in report.coverage]
    assert covered == sorted(covered, reverse=True)
    # On the items that were hidden, confidence is about accuracy.
    hidden = np.flatnonzero(shop.hidden)
    assert float(filled.confidences_N[hidden].mean()) == pytest.approx(shop.accuracy(filled), abs=0.06)


def test_alternatives_are_the_most_probable_labels(filled: ImputationResult) -> None:
    assert filled.alternatives_NK.shape == filled.probabilities_NK.shape == (900, 3)
    assert (np.diff(filled.probabilities_NK, axis=1) <= 0).all()
    assert (filled.probabilities_NK.sum(axis=1) <= 1 + 1e-5).all()
    for row, source in enumerate(filled.sources):
        if source == "filled":
            assert filled.values[row] == filled.labels[filled.alternatives_NK[row, 0]]
            assert filled.confidences_N[row] == filled.probabilities_NK[row, 0]


def test_what_is_not_sure_enough_stays_empty_and_keeps_its_alternatives(shop: Shop) -> None:
    config = ImputationConfig(min_confidence=0.8, held_out=0.2)
    result = impute_column("kind", shop.values, shop.features, shop.groups, config)
    empty = [row for row, source in enumerate(result.sources) if source == "empty"]
    assert empty
    for row in empty:
        assert result.values[row] == ""
        assert 0 < result.confidences_N[row] < 0.8
    sure = [row for row, source in enumerate(result.sources) if source == "filled"]
    assert np.mean([result.values[row] == shop.truth[row] for row in sure]) > 0.8


def test_copies_of_a_title_do_not_answer_for_each_other() -> None:
    # Every item is there ten times over, and nothing else says what it is: by row it would look easy.
    rng = np.random.default_rng(0)
    once = rng.standard_normal((60, 30))
    vectors = unit(np.repeat(once, 10, axis=0))
    values = [f"v{value}" for value in np.repeat(rng.integers(0, 4, 60), 10)]
    everywhere = np.ones(600, np.bool_)
    features = ItemFeatures(vectors, everywhere, vectors, everywhere)
    titles = [f"title {row // 10}" for row in range(600)]
    honest = impute_column("v", values, features, titles, ImputationConfig(held_out=0.4)).report
    fooled = impute_column("v", values, features, range(600), ImputationConfig(held_out=0.4)).report
    assert honest is not None
    assert fooled is not None
    assert fooled.accuracy > 0.95
    assert honest.accuracy < 0.6


def test_the_same_again(shop: Shop, filled: ImputationResult) -> None:
    again = impute_column("kind", shop.values, shop.features, shop.groups, ImputationConfig(held_out=0.2))
    assert again.values == filled.values
    assert again.confidences_N.tolist() == filled.confidences_N.tolist()


def test_items_of_which_nothing_is_known(shop: Shop) -> None:
    blind = shop.features.has_image_N.copy()
    blind[:50] = False
    mute = shop.features.has_text_N.copy()
    mute[:30] = False
    features = ItemFeatures(shop.features.image_NI * blind[:, None], blind, shop.features.text_NT * mute[:, None], mute)
    result = impute_column("kind", shop.values, features, shop.groups, ImputationConfig(held_out=0.2))
    for row in range(30):
        if shop.hidden[row]:
            assert (result.values[row], result.sources[row], result.confidences_N[row]) == ("", "empty", 0.0)
        else:
            assert result.sources[row] == "given"
    assert {result.sources[row] for row in range(30, 50) if shop.hidden[row]} == {"filled"}


def zero_shot(shop: Shop, labels: Sequence[str]) -> LabelExamples:
    """A space in which an item is near its label."""
    rng = np.random.default_rng(3)
    places = unit(rng.standard_normal((12, 16)))
    names = sorted(set(shop.truth))
    items = np.stack([places[names.index(value)] for value in shop.truth]) + 0.3 * rng.standard_normal((900, 16))
    return LabelExamples(np.stack([places[names.index(label)] for label in labels]), unit(items))


def test_without_any_example_nearness_alone_decides(shop: Shop) -> None:
    labels = sorted(set(shop.truth))
    result = impute_column(
        "kind", [""] * 900, shop.features, shop.groups, labels=labels, zero_shot=zero_shot(shop, labels)
    )
    assert result.report is None
    assert result.examples == 0
    assert set(result.sources) == {"filled"}
    assert shop.accuracy(result) > 0.6


def test_a_label_without_examples_is_found_beside_learned_ones(shop: Shop) -> None:
    new = "red shoe"
    values = ["" if value == new else value for value in shop.values]
    counts = {label: values.count(label) for label in set(values) - {""}}
    labels = [*sorted(counts, key=lambda label: (-counts[label], label)), new]
    result = impute_column("kind", values, shop.features, shop.groups, labels=[new], zero_shot=zero_shot(shop, labels))
    assert result.labels == tuple(labels)
    of_it = [row for row in np.flatnonzero(shop.hidden) if shop.truth[row] == new]
    assert np.mean([result.values[row] == new for row in of_it]) > 0.5
    others = [row for row in np.flatnonzero(shop.hidden) if shop.truth[row] != new]
    assert np.mean([result.values[row] == new for row in others]) < 0.1


def test_one_label_for_all() -> None:
    everywhere = np.ones(3, np.bool_)
    vectors = unit(np.random.default_rng(0).standard_normal((3, 4)))
    result = impute_column("v", ["a", "", ""], ItemFeatures(vectors, everywhere, vectors, everywhere), "abc")
    assert result.values == ("a", "a", "a")
    assert result.confidences_N.tolist() == [1.0, 1.0, 1.0]


def test_the_table(filled: ImputationResult, tmp_path: Path) -> None:
    table = filled.to_table([f"i{row}" for row in range(900)])
    assert table.column_names == ["item_id", "value", "confidence", "source", "alternatives"]
    first = table.slice(0, 1).to_pylist()[0]
    assert first["item_id"] == "i0"
    assert [entry["value"] for entry in first["alternatives"]] == [
        filled.labels[place] for place in filled.alternatives_NK[0]
    ]
    with pytest.raises(InvalidArgumentError, match="2 ids for 900 items"):
        filled.to_table(["a", "b"])


def test_what_does_not_fit_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidArgumentError, match="there are 3 values"):
        impute_column("kind", ["a"] * 3, shop.features, shop.groups)
    with pytest.raises(InvalidArgumentError, match="give labels to choose from"):
        impute_column("kind", [""] * 900, shop.features, shop.groups)
    with pytest.raises(InvalidArgumentError, match="no item has the value 'purple hat' in 'kind'"):
        impute_column("kind", shop.values, shop.features, shop.groups, labels=["purple hat"])
    few = LabelExamples(np.ones((1, 1), np.float32), np.ones((900, 1), np.float32))
    with pytest.raises(InvalidArgumentError, match="1 label vectors for 12 labels"):
        impute_column("kind", shop.values, shop.features, shop.groups, zero_shot=few)
    many = ItemFeatures(*(np.ones((10_001, 1), np.float32), np.ones(10_001, np.bool_)) * 2)
    with pytest.raises(InvalidArgumentError, match="10,001 distinct values"):
        impute_column("kind", [str(row) for row in range(10_001)], many, range(10_001))


@pytest.mark.parametrize(
    "change",
    [
        {"modality": "sound"},
        {"min_confidence": 1.5},
        {"held_out": 0.0},
        {"held_out": 0.6},
        {"top_k": 0},
        {"max_examples": 0},
        {"few": 0},
        {"penalty": 0.0},
    ],
)
def test_a_bad_configuration_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(change))):
        ImputationConfig(**change)  # type: ignore[arg-type]


# --- a dataset ------------------------------------------------------------------------------------------------------


class Letters:
    """A text encoder that counts letters, and remembers what it was shown."""

    dim = 26
    fingerprint = "letters"

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts: Sequence[str], *, query: bool = False) -> np.ndarray:
        self.seen += texts
        rows = np.array([[text.lower().count(chr(97 + letter)) + 0.01 for letter in range(26)] for text in texts])
        return unit(rows.reshape(-1, 26))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    rng = np.random.default_rng(0)
    lines = ["item_id\ttitle\tcolour\tkind"]
    for row in range(200):
        kind = ("zzz", "qqq")[row % 2]
        shown = "" if row % 10 < 3 else f"secret-{kind}"
        lines.append(f"{row}\tthing {kind} {rng.integers(1000)}\tred\t{shown}")
    (tmp_path / "items.tsv").write_text("\n".join(lines) + "\n")
    return read_dataset(tmp_path)


def test_the_answer_is_not_in_the_words(dataset: Dataset) -> None:
    letters = Letters()
    result = impute_dataset(
        dataset, "kind", ItemEncoder(None, letters), ImputationConfig(modality="words", held_out=0.4)
    )
    of_items = [text for text in letters.seen if text.startswith("thing")]
    # 200 items; a text that several of them have is encoded once.
    assert len(of_items) == len(set(of_items)) == 192
    assert not any("secret" in text or "kind" in text for text in of_items)
    assert all("colour: red" in text for text in of_items)
    assert [value for row, value in enumerate(result.values) if row % 10 < 3] == [
        f"secret-{('zzz', 'qqq')[row % 2]}" for row in range(200) if row % 10 < 3
    ]
    assert result.report is not None
    assert result.report.accuracy == 1.0


def test_labels_for_a_column_that_is_not_there(dataset: Dataset) -> None:
    result = impute_dataset(dataset, "family", ItemEncoder(None, Letters()), labels=["qqqq", "zzzz"])
    assert result.values[:4] == ("zzzz", "qqqq", "zzzz", "qqqq")
    assert result.report is None


def test_columns_and_templates_that_cannot_be(dataset: Dataset) -> None:
    encoder = ItemEncoder(None, Letters())
    for column in ("title", "item_id", "nothing"):
        with pytest.raises(InvalidArgumentError, match="attributes of the catalogue are 'colour', 'kind'"):
            impute_dataset(dataset, column, encoder)
    with pytest.raises(InvalidArgumentError, match="so the words would hold the answer"):
        impute_dataset(dataset, "kind", ItemEncoder(None, Letters(), None, ItemWords("{title} {kind}")))


def test_a_catalogue_without_a_column() -> None:
    catalogue = Catalogue(("a",), ("t",), ("d",), ("",), {"kind": ("k",), "size": ("s",)})
    assert without_column(catalogue, "kind").texts() == ["t. d. size: s"]
