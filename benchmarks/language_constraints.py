"""Wishes to constraints: slot precision, F1 and exact sentences on sentences that nothing was tuned to.

The sentences and their catalogues are in tests/language/wishes. Beside the parser stands the same without a text
encoder, which finds values by their words alone.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.options import Options
from benchmarks.report import ROOT, Report, file_hashes
from mmrec.catalogue.catalogue import OWN_COLUMNS, Catalogue
from mmrec.language.attributes import Attributes, Encode
from mmrec.language.parser import ParsedWish, WishParser
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder

WISHES = ROOT / "tests" / "language" / "wishes"
Slot = tuple[str, str, Any]


class Counts(NamedTuple):
    """How sentences were read.

    Attributes:
        sentences: Number of sentences.
        right: Slots that were expected and found.
        wrong: Slots that were found only.
        missed: Slots that were expected only.
        exact: Sentences with nothing wrong and nothing missed.
    """

    sentences: int = 0
    right: int = 0
    wrong: int = 0
    missed: int = 0
    exact: int = 0

    @property
    def precision(self) -> float:
        """Share of the found slots that are right."""
        return self.right / max(1, self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Share of the expected slots that are found."""
        return self.right / max(1, self.right + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(1, 2 * self.right + self.wrong + self.missed)

    @property
    def exact_share(self) -> float:
        """Share of the sentences that are read exactly."""
        return self.exact / max(1, self.sentences)


def run(options: Options) -> None:
    """Measure and publish the table."""
    encoder = SentenceTextEncoder(SentenceTextConfig(model=MINILM, device=options.device))
    rows = []
    for name in ("test", "development"):
        for label, encode in (("words alone", None), ("words, then nearest value by MiniLM", encoder.encode)):
            begin = time.perf_counter()
            counts = count_slots(WISHES / f"{name}.jsonl", encode)
            took = 1000 * (time.perf_counter() - begin) / counts.sentences
            figures = (counts.precision, counts.recall, counts.f1, counts.exact_share, took)
            rows.append((name, counts.sentences, label, *(round(figure, 4) for figure in figures)))
    Report(
        "language-constraints",
        "Constraints from sentences over invented catalogues; nothing was tuned on the test sentences. "
        "Milliseconds include reading the catalogue.",
        ("sentences", "number", "parser", "slot precision", "slot recall", "slot F1", "exact", "ms a sentence"),
        rows,
        data=file_hashes(WISHES, *sorted(path.name for path in WISHES.glob("*.jsonl"))),
        rehearsal=options.quick,
    ).publish()


def count_slots(path: Path, encode: Encode | None) -> Counts:
    """Read every sentence of a file and compare its slots with the expected ones."""
    parsers: dict[str, tuple[Catalogue, WishParser]] = {}
    counts = Counts()
    for line in path.read_text(encoding="utf-8").splitlines():
        wish = json.loads(line)
        name = wish["catalogue"]
        if name not in parsers:
            catalogue = read_catalogue(path.parent / f"{name}.csv")
            parsers[name] = catalogue, WishParser(Attributes(catalogue, encode))
        catalogue, parser = parsers[name]
        rows = [row for item_id in wish["shown"] if (row := catalogue.row_of(item_id)) is not None]
        found, wanted = found_slots(parser.parse(wish["words"], rows)), expected_slots(wish["expected"])
        counts = Counts(
            counts.sentences + 1,
            counts.right + len(found & wanted),
            counts.wrong + len(found - wanted),
            counts.missed + len(wanted - found),
            counts.exact + (found == wanted),
        )
    return counts


def read_catalogue(path: Path) -> Catalogue:
    """A catalogue from a CSV file."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: tuple(row[name] for row in rows) for name in rows[0]}
    attributes = {name: values for name, values in columns.items() if name not in OWN_COLUMNS}
    return Catalogue(columns["item_id"], columns["title"], columns["description"], ("",) * len(rows), attributes)


def found_slots(parsed: ParsedWish) -> set[Slot]:
    """What the parser read, in comparable form."""
    entries: list[Mapping[str, Any]] = [
        {"column": found.column, "operator": found.operator, "values": found.values, "relative": found.relative}
        for found in parsed.constraints
    ]
    if parsed.reference is not None:
        entries.append({"refers_to": parsed.reference + 1})
    return _slots(entries)


def expected_slots(expected: Iterable[Mapping[str, Any]]) -> set[Slot]:
    """What a sentence states, in comparable form; ``<`` and ``>`` in the file are relative to what was shown."""
    return _slots({**entry, "relative": entry.get("operator") in ("<", ">")} for entry in expected)


def _slots(entries: Iterable[Mapping[str, Any]]) -> set[Slot]:
    slots: set[Slot] = set()
    for entry in entries:
        if "refers_to" in entry:
            slots.add(("", "refers to", entry["refers_to"]))
        elif entry["operator"] == "has":
            slots.add((entry["column"], "has", frozenset(entry["values"])))
        elif entry["operator"] == "lacks":
            slots |= {(entry["column"], "lacks", value) for value in entry["values"]}
        else:
            slots.add((entry["column"], entry["operator"][0], _number(entry)))
    return slots


def _number(entry: Mapping[str, Any]) -> float:
    """A number or day; a day or year that is excluded becomes the last one that is not."""
    operator, text = entry["operator"], entry["values"][0]
    step = {"<": -1, ">": 1}.get(operator, 0) if not entry["relative"] else 0
    try:
        number = float(text)
    except ValueError:
        return float((date.fromisoformat(text) + timedelta(days=step)).toordinal())
    return round(number + step, 3) if number.is_integer() and 1500 <= number <= 2100 else round(number, 3)
