"""How columns are read, for a person to look at."""

from __future__ import annotations

import numpy as np
import pytest

from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.item_words import ItemWords
from mmrec.data.column_report import ColumnReport, WordsExample, describe_columns, words_examples
from mmrec.data.word_columns import find_words


def described(values: list[str], configured: str = "") -> ColumnReport:
    count = len(values)
    ids = tuple(f"i{row}" for row in range(count))
    blank = ("",) * count
    catalogue = Catalogue(ids, blank, blank, blank, {"x": tuple(values)}, kinds={"x": configured} if configured else {})
    (report,) = describe_columns(catalogue, find_words(catalogue), np.arange(2, 2 + count))
    return report


def test_a_column_of_prices() -> None:
    assert described(["1.299,00 €", "12 €", "", "12 €"]) == ColumnReport(
        name="x",
        kind="number-comma",
        configured=False,
        words=False,
        distinct=2,
        missing=0.25,
        examples=(("1.299,00 €", "1299"), ("12 €", "12")),
        misfits=0,
        misfit="",
        misfit_row=0,
        remark="",
    )


@pytest.mark.parametrize(
    ("values", "kind", "examples"),
    [
        (["5", "5.50 USD"], "number", (("5.50 USD", "5.5"), ("5", "5"))),
        (["31/05/2024", "2024-06-01"], "date-dmy", (("31/05/2024", "2024-05-31"), ("2024-06-01", "2024-06-01"))),
        (["May 31, 2024 11:30 pm"], "date", (("May 31, 2024 11:30 pm", "2024-05-31T23:30:00Z"),)),
        (["yes", "no"], "boolean", (("yes", "true"), ("no", "false"))),
        (["red|blue", "red"], "list", (("red|blue", "red, blue"), ("red", "red"))),
        (["a", "b", "c", "d"], "text", (("a", "a"), ("b", "b"), ("c", "c"))),
        ([""], "text", ()),
    ],
)
def test_values_as_written_and_as_read(values: list[str], kind: str, examples: tuple[tuple[str, str], ...]) -> None:
    report = described(values)
    assert (report.kind, report.examples) == (kind, examples)


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        (["Acme", "5", "Umbrella"], ""),
        (
            ["5", "on request", "7"],
            "text, for it holds 'on request' (row 3); 2 of 3 values are numbers; dataset.toml decides: [columns] x = "
            '"number"',
        ),
        (["5 USD", "7 EUR"], "text, for its amounts are in EUR and USD (row 2); give each a column of its own"),
        (
            ["05/06/2024", "06/05/2024"],
            "text, for '05/06/2024' and all others can be read with the day first and with the month first (row 2); "
            'dataset.toml decides: [columns] x = "date-dmy" or "date-mdy"',
        ),
        (["1.299", "7"], 'if 1.299 has no decimals: [columns] x = "number-comma"'),
        (["1.299", "7.5"], ""),
        (["5 €", "7"], "without EUR, and taken for it: 1 of 2 values"),
        (["20240531", "20240601"], 'if these are days: [columns] x = "date"'),
    ],
)
def test_what_is_doubtful(values: list[str], remark: str) -> None:
    assert described(values).remark == remark


def test_values_that_do_not_fit_what_is_said_are_counted() -> None:
    report = described(["5", "", "ask", "on request"], "number")
    assert (report.configured, report.misfits, report.misfit, report.misfit_row) == (True, 2, "ask", 4)
    assert report.examples == (("ask", ""), ("on request", ""), ("5", "5"))
    assert described(["5 USD", "7 EUR"], "number").remark == "amounts in EUR, USD are compared as if they were one"


def test_the_words_of_three_items() -> None:
    ids = ("a", "b", "c", "d")
    catalogue = Catalogue(ids, ("A", "B", "C", "D"), ("",) * 4, ("",) * 4, {"price": ("1", "2", "3", "4")})
    found = words_examples(catalogue, find_words(catalogue))
    assert found == (WordsExample("a", "A"), WordsExample("c", "C"), WordsExample("d", "D"))
    assert words_examples(catalogue.take(np.array([0])), ItemWords("{title}: {price}")) == (WordsExample("a", "A: 1"),)
    assert words_examples(catalogue.take(np.array([], np.int64)), ItemWords()) == ()
