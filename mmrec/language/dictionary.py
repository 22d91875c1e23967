"""Definitions of words: what a sentence means beyond the words of a catalogue's texts.

A text encoder of some 20 million parameters does not know which colour a canary has; a dictionary says it. A sentence
is explained by the definitions of its words behind it, and is then read like any other. Of the senses of a word the
first one that names something of interest is taken, else the most frequent one. Definitions come from the database
files of WordNet (wndb(5WN)). Knows nothing about catalogues.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mmrec.errors import InvalidArgumentError
from mmrec.language.words import plain, stem, stems, tokens_of, vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = ("noun", "verb", "adj", "adv")
_MOST_SENSES = 5
_LONGEST = 5
"""Most tokens of a phrase that is looked up; a hyphen is a token."""
_SHORTEST = 3
"""Letters of the shortest word that is looked up."""
_ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("ies", "y"),
    ("es", ""),
    ("ed", "e"),
    ("ed", ""),
    ("ing", "e"),
    ("ing", ""),
    ("er", ""),
    ("est", ""),
)
"""Endings of inflected words and what takes their place, as WordNet has them (morphy(7WN))."""


class Explained(NamedTuple):
    """A sentence with definitions.

    Attributes:
        text: The sentence, and the definitions behind it; the sentence alone where there are none.
        share: How much the text counts beside the sentence alone, 0 to 1: one part of as many as there are definitions.
            A sentence of many words says itself what is meant, and definitions of them all lead away from it.
    """

    text: str
    share: float


class Dictionary:
    """Definitions by word.

    Args:
        definitions: By word or phrase in lower case, with spaces; irregular forms too. The most frequent sense first.
        notice: Whose work it is, and on what terms.
    """

    def __init__(self, definitions: Mapping[str, tuple[str, ...]], notice: str = "") -> None:
        self._definitions = definitions
        self.notice = notice

    def __len__(self) -> int:
        return len(self._definitions)

    def senses(self, words: str) -> tuple[str, ...]:
        """What a word or a phrase means, in any inflection, the most frequent sense first; empty for an unknown one."""
        for form in _forms(plain(words)):
            if form in self._definitions:
                return self._definitions[form]
        return ()

    def explained(
        self, sentence: str, known: Collection[str] = (), names: Collection[tuple[str, ...]] = ()
    ) -> Explained:
        """A sentence with a definition of each of its words behind it.

        Args:
            sentence: What a customer says.
            known: Stems of words that are not defined, beside ordinary ones such as ``the``.
            names: Stems of what is of interest; a sense whose definition has one of them is taken before others.
        """
        longest = max(map(len, names), default=0)

        def of_interest(definition: str) -> bool:
            words = stems(definition)
            return any(
                words[place : place + length] in names
                for place in range(len(words))
                for length in range(1, min(longest, len(words) - place) + 1)
            )

        chosen = (next(filter(of_interest, senses), senses[0]) for senses in self._of_phrases(sentence, known))
        found = list(dict.fromkeys(chosen))
        if not found:
            return Explained(sentence, 0.0)
        return Explained(" ".join([f"{sentence.rstrip(' .')}.", *(f"{one}." for one in found)]), 1 / len(found))

    def _of_phrases(self, sentence: str, known: Collection[str]) -> Iterator[tuple[str, ...]]:
        """Senses of the longest phrases from the left; ordinary words neither begin nor end one."""
        tokens = tokens_of(sentence)
        ordinary = vocabulary().ordinary
        means = [
            len(token.text) >= _SHORTEST
            and token.text[0].isalpha()
            and not {token.text, stem(token.text)} & ordinary
            and stem(token.text) not in known
            for token in tokens
        ]
        place = 0
        while place < len(tokens):
            for end in range(min(place + _LONGEST, len(tokens)), place, -1):
                if not (means[place] and means[end - 1]):
                    continue
                found = self.senses(sentence[tokens[place].start : tokens[end - 1].end])
                if found:
                    yield found
                    place = end - 1
                    break
            place += 1

    def table(self) -> pa.Table:
        """Columns ``word`` and ``definition``, a row a sense, for `from_table`."""
        import pyarrow as pa

        rows = [(word, one) for word in sorted(self._definitions) for one in self._definitions[word]]
        columns = {"word": [word for word, _ in rows], "definition": [one for _, one in rows]}
        return pa.table(columns, metadata={"notice": self.notice})

    @classmethod
    def from_table(cls, table: pa.Table) -> Dictionary:
        """Put together again what `table` gave.

        Raises:
            KeyError: a column is missing, or does not hold a text in each row.
        """
        import pyarrow.types as types

        for name in ("word", "definition"):
            if name not in table.column_names or table.column(name).null_count:
                raise KeyError(name)
            if not types.is_string(table.column(name).type):
                raise KeyError(name)
        words, definitions = (table.column(name).to_pylist() for name in ("word", "definition"))
        found: dict[str, tuple[str, ...]] = {}
        for word, definition in zip(words, definitions, strict=True):
            found[word] = (*found.get(word, ()), definition)
        notice = (table.schema.metadata or {}).get(b"notice", b"").decode(errors="replace")
        return cls(found, notice)


def read_wordnet(folder: Path) -> Dictionary:
    """Read the database files of WordNet.

    Args:
        folder: Holds ``index.noun``, ``data.noun`` and the same of verbs, adjectives and adverbs; and, where they are
            there, ``noun.exc`` and so on, the irregular forms.

    Raises:
        InvalidArgumentError: a file is missing, or is not one of WordNet's.
    """
    definitions: dict[str, tuple[str, ...]] = {}
    irregular: dict[str, str] = {}
    notice = ""
    for kind in _KINDS:
        by_place = {}
        for line in _lines(folder, f"data.{kind}"):
            if line.startswith(" "):
                notice += line.lstrip(" 0123456789") + "\n" if kind == _KINDS[0] else ""
                continue
            place, _, _ = line.partition(" ")
            # Examples follow in quotation marks.
            by_place[place] = line.partition(" | ")[2].partition('; "')[0].strip()
        for line in _lines(folder, f"index.{kind}"):
            if line.startswith(" "):
                continue
            fields = line.split()
            try:
                # The last fields are the senses, the most frequent one first.
                own = tuple(by_place[place] for place in fields[-int(fields[2]) :])
            except (LookupError, ValueError):
                raise InvalidArgumentError(
                    f"{folder / f'index.{kind}'} has the line {line[:60]!r}, which is none of WordNet's database; "
                    "install the files again",
                    field="dictionary",
                ) from None
            word = plain(fields[0].replace("_", " "))
            definitions[word] = (*definitions.get(word, ()), *own)[:_MOST_SENSES]
        if (folder / f"{kind}.exc").is_file():
            pairs = (line.split()[:2] for line in _lines(folder, f"{kind}.exc"))
            irregular |= {pair[0].replace("_", " "): pair[1].replace("_", " ") for pair in pairs if len(pair) == 2}
    for form, base in irregular.items():
        if base in definitions:
            definitions.setdefault(form, definitions[base])
    return Dictionary(definitions, notice.strip())


def _forms(words: str) -> Iterator[str]:
    """The words as they stand, without endings, and with other signs between them."""
    for written in dict.fromkeys((words, words.replace("-", " "), words.replace("-", ""))):
        yield written
        for ending, instead in _ENDINGS:
            if written.endswith(ending) and len(written) > len(ending) + 1:
                yield written[: -len(ending)] + instead


def _lines(folder: Path, name: str) -> list[str]:
    try:
        return (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as err:
        raise InvalidArgumentError(
            f"the dictionary {str(folder)!r} has no readable file {name} ({err.strerror}); pass a folder with the "
            "database files of WordNet, such as /usr/share/wordnet of the Debian package wordnet-base",
            field="dictionary",
        ) from err
