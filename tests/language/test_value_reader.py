"""Which values sentences mean, with a text encoder whose dimensions are words: expectations follow from the words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.errors import InvalidArgumentError
from mmrec.language.value_reader import MOST_ENTRIES, ValueReader, ValueReaderConfig, fit_value_reader

WORDS = ("comedy", "horror", "laugh", "scream", "joke", "ghost", "and", "the")
TALES = {"Comedy": ("laugh", "joke"), "Horror": ("scream", "ghost")}


def encode(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Counts of `WORDS`, as unit vectors."""
    counts = np.array([[text.casefold().count(word) for word in WORDS] for text in texts], np.float32) + 0.01
    return np.asarray(counts / np.linalg.norm(counts, axis=1, keepdims=True), np.float32)


def films(number: int = 60) -> Catalogue:
    """Two kinds in turn, each told of in words of its own; every tenth says nothing about its kind."""
    ids = tuple(f"f{row}" for row in range(number))
    kinds = tuple(("Comedy", "Horror")[row % 2] for row in range(number))
    told = tuple(f"{TALES[kind][row // 2 % 2]} and the {TALES[kind][0]}" for row, kind in enumerate(kinds))
    written = tuple("" if row % 10 == 9 else kind for row, kind in enumerate(kinds))
    return Catalogue(ids, ("",) * number, told, ("",) * number, {"kind": written, "year": ("1999",) * number})


@pytest.fixture(scope="module")
def reader() -> ValueReader:
    found = fit_value_reader(films(), encode)
    assert found is not None
    return found


def meant(reader: ValueReader, sentence: str) -> dict[str, float]:
    (chances_1V,) = reader.probabilities(encode([sentence]))
    return dict(zip(reader.models[0].values, chances_1V[0].tolist(), strict=True))


def test_values_are_known_by_their_names_and_by_the_words_of_their_items(reader: ValueReader) -> None:
    assert [model.column for model in reader.models] == ["kind"]
    for sentence, value in (("a comedy", "Comedy"), ("joke", "Comedy"), ("horror", "Horror"), ("a ghost", "Horror")):
        assert meant(reader, sentence)[value] > 0.9, sentence
    assert sum(meant(reader, "the").values()) == pytest.approx(1.0)


def test_the_chance_of_several_values_and_of_a_column_that_is_not_read(reader: ValueReader) -> None:
    (vector_D,) = encode(["joke"])
    assert reader.chance(vector_D, "kind", ("Comedy", "Horror", "Western")) == pytest.approx(1.0)
    assert reader.chance(vector_D, "kind", ("Comedy",)) == pytest.approx(meant(reader, "joke")["Comedy"])
    assert reader.chance(vector_D, "year", ("1999",)) is None


def test_items_that_have_what_is_meant_come_first_and_silent_ones_between(reader: ValueReader) -> None:
    columns = {"kind": ("Horror", "", "Comedy", "Western", "Horror|Comedy")}
    codes_NL = reader.codes(columns, range(5))
    assert codes_NL.shape == (5, MOST_ENTRIES)
    (chances_N,) = reader.log_chances(encode(["joke"]), codes_NL)
    comedy, horror = meant(reader, "joke")["Comedy"], meant(reader, "joke")["Horror"]
    assert chances_N[2] == pytest.approx(np.log(0.01 + 0.99 * comedy), abs=1e-5)
    assert chances_N[0] == pytest.approx(np.log(0.01 + 0.99 * horror), abs=1e-5)
    # Nothing is known about the second and fourth: of the 54 items with a kind, 30 are comedies.
    silent = comedy * 30.5 / 55 + horror * 24.5 / 55
    assert chances_N[1] == pytest.approx(np.log(0.01 + 0.99 * silent), abs=1e-5)
    assert chances_N[3] == chances_N[1]


def test_the_values_of_a_list_add_up(reader: ValueReader) -> None:
    lists = ValueReader([replace(reader.models[0], kind="list")], reader.about)
    codes_NL = lists.codes({"kind": ("Horror|Comedy", "Comedy|Comedy")}, range(2))
    (chances_N,) = lists.log_chances(encode(["joke"]), codes_NL)
    assert chances_N[0] == pytest.approx(0.0, abs=1e-5)
    assert chances_N[1] == pytest.approx(np.log(0.01 + 0.99 * meant(reader, "joke")["Comedy"]), abs=1e-5)


def test_the_column_that_a_sentence_is_about_counts_most() -> None:
    catalogue = films()
    places = tuple(("Ghost", "And")[row // 2 % 2] for row in range(60))
    two = fit_value_reader(
        replace(catalogue, attributes={"kind": catalogue.attributes["kind"], "place": places}), encode
    )
    assert two is not None
    about_BC = two.columns(encode(["comedy", "horror", "ghost", "and"]))
    assert about_BC.argmax(axis=1).tolist() == [0, 0, 1, 1]
    codes_NL = two.codes({"kind": ("Comedy", "Horror"), "place": ("And", "Ghost")}, range(2))
    (by_place_N,) = two.log_chances(encode(["ghost"]), codes_NL)
    (by_kind_N,) = two.log_chances(encode(["comedy"]), codes_NL)
    assert by_place_N[1] > by_place_N[0]
    assert by_kind_N[0] > by_kind_N[1]


def test_it_is_the_same_when_it_is_read_again(reader: ValueReader) -> None:
    again = ValueReader.from_tensors(reader.described(), reader.tensors())
    assert meant(again, "a ghost") == meant(reader, "a ghost")
    with pytest.raises(KeyError, match=r"0\.bias"):
        ValueReader.from_tensors(reader.described(), {"0.weights": reader.models[0].weights_DV})


def test_columns_that_a_catalogue_lacks_are_silent(reader: ValueReader) -> None:
    codes_NL = reader.codes({}, range(3))
    assert (codes_NL == -1).all()
    (chances_N,) = reader.log_chances(encode(["joke"]), codes_NL)
    assert len(set(chances_N.tolist())) == 1


def test_a_word_of_items_tells_which_column_it_is_about() -> None:
    plain = films()
    makers = tuple(("Adams", "Brown", "Clark")[row // 4 % 3] for row in range(60))
    catalogue = replace(plain, attributes=plain.attributes | {"maker": makers})

    def about_kind(words: int) -> float:
        found = fit_value_reader(catalogue, encode, ValueReaderConfig(words=words))
        assert found is not None
        assert [model.column for model in found.models] == ["kind", "maker"]
        return float(found.columns(encode(["joke"]))[0, 0])

    # The word is no value's name, but all items with it are comedies, by any maker.
    assert about_kind(2000) > 0.9 > about_kind(0)


@pytest.mark.parametrize("number", [10, 0])
def test_too_few_items_to_learn_from(number: int) -> None:
    assert fit_value_reader(films(number), encode) is None


def test_a_catalogue_without_columns_of_words() -> None:
    catalogue = films()
    bare = Catalogue(
        catalogue.item_ids, catalogue.titles, catalogue.descriptions, catalogue.images, {"year": ("1999", "2001") * 30}
    )
    assert fit_value_reader(bare, encode) is None


def test_a_share_of_named_wishes_that_leaves_no_others() -> None:
    with pytest.raises(InvalidArgumentError, match="named_share is 1"):
        ValueReaderConfig(named_share=1.0)
