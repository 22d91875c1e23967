"""Definitions of words from files in WordNet's format, and sentences that are explained by them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.language.dictionary import Dictionary, read_wordnet
from tests.language.small_wordnet import write_small_wordnet


@pytest.fixture
def dictionary(tmp_path: Path) -> Dictionary:
    return read_wordnet(write_small_wordnet(tmp_path / "wordnet"))


def test_senses_are_found_in_any_inflection_nouns_first_and_without_examples(dictionary: Dictionary) -> None:
    assert len(dictionary) == 5
    assert dictionary.notice == "These definitions are free for all."
    assert dictionary.senses("trob") == ("a blue flower that has five petals", "burn in a fire")
    assert dictionary.senses("Trobs") == dictionary.senses("trobed") == dictionary.senses("trob")
    assert dictionary.senses("geese") == dictionary.senses("goose") == ("a large water bird",)
    assert dictionary.senses("candy-trobs") == ("a cake of sugar; also a sweet",)
    assert dictionary.senses("wug") == ()


@pytest.mark.parametrize(
    ("sentence", "explained", "share"),
    [
        ("like a blim", "like a blim. an informer.", 1.0),
        ("like blims.", "like blims. an informer.", 1.0),
        ("a candy trob", "a candy trob. a cake of sugar; also a sweet.", 1.0),
        ("a trob and a trob", "a trob and a trob. a blue flower that has five petals.", 1.0),
        ("blim geese", "blim geese. an informer. a large water bird.", 0.5),
        ("like a wug", "like a wug", 0.0),
        ("", "", 0.0),
    ],
)
def test_definitions_of_the_longest_phrases_follow_a_sentence(
    dictionary: Dictionary, sentence: str, explained: str, share: float
) -> None:
    assert dictionary.explained(sentence) == (explained, share)


def test_the_sense_that_names_something_of_interest_is_taken(dictionary: Dictionary) -> None:
    assert dictionary.explained("a blim", names={("yellow",)}).text == "a blim. a small yellow bird."
    assert dictionary.explained("a blim", names={("yellow", "bird")}).text == "a blim. a small yellow bird."
    assert dictionary.explained("a blim", names={("yellow", "flower")}).text == "a blim. an informer."


def test_known_words_are_not_defined(dictionary: Dictionary) -> None:
    assert dictionary.explained("goose blims", known={"blim"}).text == "goose blims. a large water bird."


def test_it_is_the_same_when_it_is_read_again(dictionary: Dictionary) -> None:
    again = Dictionary.from_table(dictionary.table())
    assert again.senses("trob") == dictionary.senses("trob")
    assert (len(again), again.notice) == (5, "These definitions are free for all.")


@pytest.mark.parametrize("definition", [pa.array([1]), pa.array([None], pa.string())])
def test_a_table_that_holds_something_else(definition: pa.Array) -> None:
    with pytest.raises(KeyError, match="definition"):
        Dictionary.from_table(pa.table({"word": ["blim"], "definition": definition}))


def test_a_folder_without_wordnet(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"has no readable file data\.noun .*such as /usr/share/wordnet"):
        read_wordnet(tmp_path)


def test_a_file_that_is_none_of_wordnets(tmp_path: Path) -> None:
    folder = write_small_wordnet(tmp_path / "wordnet")
    (folder / "index.noun").write_text("blim n 1 1 @ 1 0 00000999\n", encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=r"index\.noun has the line 'blim n 1 .* install the files again"):
        read_wordnet(folder)
