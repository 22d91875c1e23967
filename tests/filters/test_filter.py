"""Filters: what passes, what is refused and where the message points."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue.catalogue import Catalogue
from mmrec.errors import InvalidArgumentError
from mmrec.filters.filter import CatalogueFilter
from mmrec.filters.grammar import MAX_FILTER_CHARS, MAX_FILTER_DEPTH, MAX_FILTER_TERMS

SHOP = Catalogue(
    item_ids=("a", "b", "c", "007"),
    titles=("Red shoe", "blue Shoe", "C++ book", ""),
    descriptions=("", "soft", "", "line one\nline two"),
    images=("a.jpg", "", "", ""),
    attributes={
        "price": ("5", "7.50", "", "100"),
        "genres": ("Action|Sci-Fi", "Drama", "", "Action Comedy"),
        "in stock": ("true", "FALSE", "", ""),
        "day": ("2024-01-01", "2024-02-01T10:00:00Z", "", " "),
        "mixed": ("1", "n/a", "2", "3"),
        "code": ("1234567890123456", "1234567890123457", "", ""),
        "-odd": ("x", "", "", ""),
        "AND": ("", "x", "", ""),
        "größe": ("élan", "ÉLAN", "e", ""),
    },
)


@pytest.fixture(scope="module")
def shop() -> CatalogueFilter:
    return CatalogueFilter(SHOP)


@pytest.mark.parametrize(
    ("expression", "passing"),
    [
        ("", "a b c 007"),
        (" \n", "a b c 007"),
        ("price < 50", "a b"),
        ("price <= 5.0", "a"),
        ("price >= 7.5", "b 007"),
        ("price > 7.5e0", "007"),
        ("price = 5.00", "a"),
        ("price:5", "a"),
        ("price != 5", "b 007"),
        ("NOT price = 5", "b c 007"),
        ("-price = 5", "b c 007"),
        ("price IN (5, 100)", "a 007"),
        ("price IN (5, '')", "a c"),
        ("price NOT IN (5)", "b c 007"),
        ("-price IN (5)", "b c 007"),
        ("-price NOT IN (5)", "a"),
        ("NOT (price = 5 OR price = 100)", "b c"),
        ("-(price = 5 OR price = 100)", "b c"),
        ("- (price = 5)", "b c 007"),
        ('price = ""', "c"),
        ("price != ''", "a b 007"),
        ("price:*", "a b 007"),
        ("item_id = 007", "007"),
        ("item_id = 7", ""),
        ("item_id < b", "a 007"),
        ("title:shoe", "a b"),
        ('title:"RED  shoe"', "a"),
        ("title:sho", ""),
        ('title:"C++"', "c"),
        ('title = "Red shoe"', "a"),
        ("title = 'red shoe'", ""),
        ('title != "Red shoe"', "b c"),
        ('title = "*shoe"', "a"),
        ('title = "*h*"', "a b"),
        ('title = "R*e"', "a"),
        ('title != "*hoe"', "c"),
        ('title IN ("Red*", "C++ book")', "a c"),
        ('title = "\\*"', ""),
        ("title = *", "a b c"),
        ('description = "line*two"', "007"),
        ("genres:action", "a 007"),
        ('genres:"sci-fi"', "a"),
        ("genres:Sci", "a"),
        ("genres = Drama", "b"),
        ("genres = Action", ""),
        ('"in stock" = TRUE', "a"),
        ('"in stock" != true', "b"),
        ("day > 2024-01-15", "b"),
        ("day = 2024-01-01", "a"),
        ("day >= 2024-02-01T10:00:00Z", "b"),
        ("day = '2024-02-01T12:00:00+02:00'", "b"),
        ("day = ''", "c 007"),
        ('mixed < "2"', "a"),
        ("code = 1234567890123456", "a"),
        ('"-odd" = x', "a"),
        ('"AND" = x', "b"),
        ("größe:élan", "a b"),
        ("price = 5 title:red", "a"),
        ("title:red OR title:blue AND price > 6", "b"),
        ("(title:red AND price = 5) OR price = 100", "a 007"),
        ("price = 5 OR price = 7.5 price > 6", "b"),
    ],
)
def test_what_passes(shop: CatalogueFilter, expression: str, passing: str) -> None:
    bitmap = shop.bitmap(expression)
    assert bitmap.shape == (4,)
    assert bitmap.dtype == np.bool_
    assert [SHOP.item_ids[row] for row in np.flatnonzero(bitmap)] == passing.split()


@pytest.mark.parametrize(
    ("expression", "at", "says"),
    [
        ("pric < 5", 1, "did you mean 'price'?"),
        ("zzz = 5", 1, "the columns are 'item_id', 'title'"),
        ("image = a.jpg", 1, "there is no column 'image'"),
        ("price < cheap", 9, "column 'price' holds numbers, received 'cheap'"),
        ('price = "1*"', 9, "compare with < and >"),
        ("price IN (5, x)", 14, "give a number"),
        ('"in stock" = 1', 14, "give true or false"),
        ('"in stock" < true', 1, "compare it with = or !="),
        ("day > soon", 7, "give a date such as 2024-05-31"),
        ("day > 2024-13-01", 7, "column 'day' holds dates"),
        ("mixed < 5", 1, "is text, for it holds 'n/a'"),
        ("genres < 5", 1, "is text, such as 'Action|Sci-Fi'; < a number needs a column of numbers only"),
        ('title > "2024-01-01"', 1, "is text, whatever it holds; > a date needs a column of dates only"),
        ("item_id >= 5", 1, 'compare as texts with >= "5"'),
        ('title < "a*"', 9, "* goes with = and !="),
        ('title:"a*"', 7, "* goes with = and !="),
        ("title:''", 7, "write column:* for any value"),
        ("price < 5 and title = red", 11, "write AND in capitals"),
        ("genres = sci fi", 14, "put a value of several words in quotes"),
        ("price", 1, "must follow it, but the end does"),
        ("price =", 8, "ends too early"),
        ("price < 1,299", 10, "write a number without it (1299.5), a text with a comma in quotes"),
        ("price = 5 OR", 13, "ends too early"),
        ("= 5", 1, "expected a condition, received '='"),
        ("AND", 1, "expected a condition, received 'AND'"),
        ("price = 5 = 6", 11, "expected a condition"),
        ("price = AND", 9, "put it in quotes"),
        ("price IN 5", 10, "expected a list in parentheses after IN"),
        ("price IN (5 6)", 13, "expected a comma or )"),
        ("price IN ()", 11, "expected a value"),
        ("((price = 5)", 1, "never closed; add a )"),
        ("price = 5)", 10, "closes nothing"),
        ('title = "abc', 9, "this quote is never closed"),
        ("title = O'Neill", 10, "this quote is never closed"),
        ("price ! 5", 7, "'!' stands alone"),
        ("day = 10:00", 9, "put a value with a colon in quotes"),
        ("NOT NOT price = 5", 5, "expected a condition"),
    ],
)
def test_a_mistake_is_pointed_at(shop: CatalogueFilter, expression: str, at: int, says: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        shop.bitmap(expression)
    message = caught.value.message
    first, shown, pointer = message.split("\n")
    assert first.startswith(f"filter, character {at}: ")
    assert says in first
    assert shown == f"  {expression}"
    assert pointer == "  " + " " * (at - 1) + "^"
    assert [violation.field for violation in caught.value.violations] == ["filter"]
    with pytest.raises(InvalidArgumentError):
        shop.check(expression)


def test_every_part_is_checked_even_where_the_rest_decides(shop: CatalogueFilter) -> None:
    with pytest.raises(InvalidArgumentError, match="no column 'nothing'"):
        shop.bitmap("price = 5 OR nothing = 1")


def test_the_place_is_shown_inside_a_long_filter(shop: CatalogueFilter) -> None:
    expression = " OR ".join(["price = 5"] * 40) + " OR\tprice < x" + " OR price = 5" * 20
    with pytest.raises(InvalidArgumentError) as caught:
        shop.bitmap(expression)
    _, shown, pointer = caught.value.message.split("\n")
    assert shown.startswith("  ...")
    assert shown.endswith("...")
    assert shown[pointer.index("^")] == "x"
    assert len(shown) < 150


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("price = 5 " + " " * MAX_FILTER_CHARS + "OR price = 6", "at most 10,000 are accepted"),
        ("(" * (MAX_FILTER_DEPTH + 1) + "price = 5" + ")" * (MAX_FILTER_DEPTH + 1), "more than 50 parentheses"),
        ("(" * 4000, "more than 50 parentheses"),
        ("price=5 " * (MAX_FILTER_TERMS + 1), "more than 100 conditions"),
        (f"price IN ({','.join(['5'] * 1100)})", "more than 100 conditions"),
        ("price = \ud800", "half a surrogate pair"),
    ],
)
def test_too_much_is_refused(shop: CatalogueFilter, expression: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape(says)):
        shop.bitmap(expression)


def test_as_much_as_is_allowed(shop: CatalogueFilter) -> None:
    deep = "(" * MAX_FILTER_DEPTH + "price = 5" + ")" * MAX_FILTER_DEPTH
    assert shop.bitmap(deep).tolist() == [True, False, False, False]
    assert shop.bitmap(" OR ".join(["price = 5"] * MAX_FILTER_TERMS)).tolist() == [True, False, False, False]


def test_what_is_no_text_is_refused(shop: CatalogueFilter) -> None:
    with pytest.raises(InvalidArgumentError, match="filter is a int"):
        shop.bitmap(5)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="cache_size is -1"):
        CatalogueFilter(SHOP, cache_size=-1)


def test_a_bitmap_is_remembered_and_cannot_be_spoilt() -> None:
    shop = CatalogueFilter(SHOP, cache_size=1)
    first = shop.bitmap("price = 5")
    for bitmap in (first, shop.bitmap(""), shop.bitmap(" price = 5 ")):
        with pytest.raises(ValueError, match="read-only"):
            bitmap[0] = False
    assert shop.bitmap("price = 100").tolist() == [False, False, False, True]
    assert shop.bitmap("price = 5").tolist() == first.tolist() == [True, False, False, False]


def test_several_threads_get_the_same(shop: CatalogueFilter) -> None:
    fresh = CatalogueFilter(SHOP, cache_size=2)
    expressions = [f"price {op} {value}" for op in ("<", ">", "=") for value in (5, 7.5, 100)] * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda expression: fresh.bitmap(expression).tolist(), expressions))
    assert found == [shop.bitmap(expression).tolist() for expression in expressions]


def test_a_catalogue_without_items() -> None:
    empty = CatalogueFilter(Catalogue((), (), (), (), {"price": ()}))
    assert empty.bitmap("").shape == (0,)
    assert empty.bitmap("price = x OR title:*").shape == (0,)


# --- against a plain evaluator ------------------------------------------------------------------------------------

WORDS = ("red", "Red", "blue", "red shoe", "a|b", "b|red", "x*y", 'say "hi"', "back\\slash", "ä", "")
NUMBERS = ("1", "2.5", "-3", "007", "1e2", "")
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@st.composite
def tables(draw: st.DrawFn) -> Catalogue:
    count = draw(st.integers(1, 6))

    def column(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(draw(st.sampled_from(values)) for _ in range(count))

    # One number is always there, so that the column is one of numbers.
    numbers = ("1", *column(NUMBERS)[1:])
    return Catalogue(
        tuple(f"i{row}" for row in range(count)),
        column(WORDS),
        ("",) * count,
        ("",) * count,
        {"word": ("red", *column(WORDS)[1:]), "a number": numbers},
    )


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*") + '"'


@st.composite
def conditions(draw: st.DrawFn) -> tuple[str, Callable[[dict[str, str]], bool]]:
    """A comparison as text, and what it means of a row."""
    if draw(st.booleans()):
        symbol = draw(st.sampled_from(sorted(COMPARE)))
        wanted = draw(st.sampled_from(NUMBERS[:-1]))
        compare = COMPARE[symbol]
        return (
            f'"a number" {symbol} {wanted}',
            lambda row: row["a number"] != "" and compare(float(row["a number"]), float(wanted)),
        )
    column = draw(st.sampled_from(["title", "word"]))
    kind = draw(st.sampled_from(["=", "!=", "IN", ":", "prefix"]))
    if kind == "IN":
        among = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
        return f"{column} IN ({', '.join(map(quoted, among))})", lambda row: row[column] in among
    value = draw(st.sampled_from(WORDS[:-1]))
    if kind == "prefix":
        return f'{column} = {quoted(value)[:-1]}*"', lambda row: row[column].startswith(value)
    if kind == ":":
        value = draw(st.sampled_from(["red", "SHOE", "red shoe", "b", "hi"]))
        pattern = re.compile(rf"(?<!\w){value}(?!\w)", re.IGNORECASE)
        return f"{column}:{quoted(value)}", lambda row: bool(pattern.search(row[column]))
    if kind == "=":
        return f"{column} = {quoted(value)}", lambda row: row[column] == value
    return f"{column} != {quoted(value)}", lambda row: row[column] not in ("", value)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 3) -> tuple[str, Callable[[dict[str, str]], bool]]:
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(conditions())
    kind = draw(st.sampled_from(["AND", "OR", "NOT", "side"]))
    one, is_one = draw(expressions(depth - 1))
    if kind == "NOT":
        return f"NOT ({one})", lambda row: not is_one(row)
    two, is_two = draw(expressions(depth - 1))
    if kind == "OR":
        return f"({one}) OR ({two})", lambda row: is_one(row) or is_two(row)
    return f"({one}) {'AND' if kind == 'AND' else ''} ({two})", lambda row: is_one(row) and is_two(row)


@settings(max_examples=150, deadline=None)
@given(tables(), expressions())
def test_as_a_plain_evaluator_says(
    catalogue: Catalogue, expression: tuple[str, Callable[[dict[str, str]], bool]]
) -> None:
    text, passes = expression
    rows = [
        {"title": catalogue.titles[row], **{name: values[row] for name, values in catalogue.attributes.items()}}
        for row in range(len(catalogue))
    ]
    assert CatalogueFilter(catalogue).bitmap(text).tolist() == [passes(row) for row in rows]


PIECES = st.sampled_from(
    [*"()=<>!:,*-'\"\\ \n\0é\u2603", "price", "title", " AND ", " OR ", "NOT ", " IN (", "5", "red", "x" * 50, '"a"']
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.lists(PIECES, max_size=30).map("".join), st.text(max_size=60)))
def test_garbage_is_refused_and_nothing_else_happens(text: str) -> None:
    found: object
    try:
        found = CatalogueFilter(SHOP).bitmap(text).shape
    except InvalidArgumentError as err:
        found = err.violations[0].field
    assert found in ((4,), "filter")


def test_a_row_that_is_no_item_any_more_passes_no_filter() -> None:
    catalogue = Catalogue(("a", "b", "c"), ("x",) * 3, ("",) * 3, ("",) * 3, alive_N=np.array([True, False, True]))
    filters = CatalogueFilter(catalogue)
    for expression in ("", "title = x", "NOT title = y"):
        assert filters.bitmap(expression).tolist() == [True, False, True]
    assert (catalogue.items, len(catalogue)) == (2, 3)
    assert [catalogue.row_of(item_id) for item_id in "abcd"] == [0, None, 2, None]
    assert [catalogue.last_row_of(item_id) for item_id in "abcd"] == [0, 1, 2, None]
    assert catalogue.take(np.array([1, 2])).alive_N.tolist() == [False, True]


# --- columns that people have written ---------------------------------------------------------------------------------


def _column(values: Sequence[str], **kinds: str) -> CatalogueFilter:
    """Filters over a catalogue whose column `x` has these values."""
    blank = ("",) * len(values)
    ids = tuple(f"i{row}" for row in range(len(values)))
    return CatalogueFilter(Catalogue(ids, blank, blank, blank, {"x": tuple(values)}, kinds=kinds))


@pytest.mark.parametrize(
    ("values", "expression", "passing"),
    [
        (["5.50 USD", "129.00 USD", ""], "x < 50", [0]),
        (["5.50 USD", "129.00 USD", ""], "x > 1000", []),
        (["5.50 USD", "129.00 USD", ""], "x = 5.5", [0]),
        (["5.50 USD", "129.00 USD", ""], 'x >= "129 USD"', [1]),
        (["5.50 USD", "129.00 USD", ""], 'x = ""', [2]),
        (["USD 5", "USD 129", "12"], "x < 50", [0, 2]),
        (["€12", "€ 7,50"], "x < 10", [1]),
        (["$1,299.00", "$12.00"], "x > 1000", [0]),
        (["$1,299", "$12"], "x > 1000", [0]),
        (["1.299 €", "12 €"], "x > 1000", [0]),
        (["1,299.00", "7"], "x > 1000", [0]),
        (["1.299,00 €", "12,50 €"], "x > 1000", [0]),
        (["1.299,00 €", "12,50 €"], 'x < "1.299,00 €"', [1]),
        (["1.299,00 €", "12,50 €"], "x = 12.5", [1]),
        (["1.299,00 €", "12,50 €"], 'x IN ("12,50", 3)', [1]),
        (["12,99", "7"], "x < 10", [1]),
        (["1 299,00", "7,00"], "x > 1000", [0]),
        (["₹1,29,999", "₹99"], "x > 1000", [0]),
        (["-5 €", "5 €"], "x < 0", [0]),
        (["10%", "5%"], "x > 7", [0]),
        (["10%", "5%"], 'x > "7%"', [0]),
        (["31/05/2024", "01/06/2024"], 'x < "2024-06-01"', [0]),
        (["31/05/2024", "01/06/2024"], 'x = "1/6/2024"', [1]),
        (["05/31/2024", "06/01/2024"], "x < 2024-06-01", [0]),
        (["31.05.2024", "01.06.2024"], "x < 2024-06-01", [0]),
        (["01.05.2024", "02.06.2024"], "x < 2024-06-01", [0]),
        (["2024/05/31", "2024/06/01"], "x < 2024-06-01", [0]),
        (["May 31, 2024", "1 June 2024"], "x < 2024-06-01", [0]),
        (["31/05/2024", "2024-06-01"], "x < 2024-06-01", [0]),
        (["05/31/2024 11:30 PM", "06/01/2024"], "x > 2024-05-31T23:00:00Z", [0, 1]),
        (["20240531", "20240601"], "x < 20240601", [0]),
        (["yes", "No", ""], "x = true", [0]),
        (["yes", "No", ""], "x = no", [1]),
        (["red|blue", "red"], "x:blue", [0]),
        (["1.5", "2.125"], "x < 2", [0]),
        (["1\u2009299,00", "2\u2007499,00", "7,00"], "x > 1000", [0, 1]),
    ],
)
def test_numbers_and_dates_as_people_write_them(values: list[str], expression: str, passing: list[int]) -> None:
    assert np.flatnonzero(_column(values).bitmap(expression)).tolist() == passing


@pytest.mark.parametrize(
    ("values", "expression", "says"),
    [
        (["5 USD", "7 EUR"], "x < 50", "its amounts are in EUR and USD; < a number .* give each currency a column"),
        (["5 USD", "7 EUR"], "x = 5", "give the value in quotes, as the column writes it"),
        (["5 USD", "7 EUR"], "x NOT IN (5, 6)", "its amounts are in EUR and USD"),
        (["5 USD", "on request"], "x < 50", r"holds 'on request'.*\[columns\] x = \"number\" in dataset.toml"),
        (["5 USD", "on request"], "x != 5", "holds 'on request'"),
        (["10%", "0.1"], "x < 50", "in no unit and %"),
        (
            ["1,299", "2,500"],
            "x < 50",
            r"with a decimal point and with a decimal comma.*\"number\" or \"number-comma\"",
        ),
        (["1,299", "2,500"], "x = 1299", "with a decimal point and with a decimal comma"),
        (["12.99 €", "12,99 €"], "x < 50", "it holds '12,99 €'"),
        (["05/06/2024", "07/08/2024"], 'x < "2024-06-01"', r"the day first and .*\"date-dmy\" or \"date-mdy\""),
        (["05/06/2024", "07/08/2024"], 'x < "06/06/2024"', "with the day first and with the month first"),
        (["05/06/2024", "07/08/2024"], "x = 2024-06-05", "with the day first and with the month first"),
        (["31/05/2024", "soon"], "x >= 2024-06-01", "it holds 'soon'"),
        (["31/05/2024", "05/31/2024"], "x >= 2024-06-01", "it holds '05/31/2024'"),
        (["5 USD", "7 USD"], 'x < "6 EUR"', "are in USD, received '6 EUR'; give the number alone"),
        (["5", "7"], 'x < "6 €"', "are without a currency, received '6 €'"),
        (["1.299,00 €", "5,5 €"], "x < 1.299", r"can be 1299 or 1.299; write 1299, or \"1.2990\" in quotes"),
        (["yes", "no"], "x < yes", "compare it with = or !="),
        (["20240531"], "x < 2024-06-01", r"\[columns\] x = \"date\" in dataset.toml"),
    ],
)
def test_what_cannot_be_compared_says_why(values: list[str], expression: str, says: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"(?s){says}"):
        _column(values).bitmap(expression)


@pytest.mark.parametrize(
    ("values", "expression", "passing"),
    [
        (["5 USD", "7 EUR"], 'x = "5 USD"', [0]),
        (["5 USD", "7 EUR"], "x:usd", [0]),
        (["129", "n/a", "5"], 'x < "5"', [0]),
        (["S", "42", "M"], "x = 42", [1]),
        (["S", "M", "L"], "x = 42", []),
        (["05/06/2024", "07/08/2024"], 'x = "05/06/2024"', [0]),
        (["2024-05-31", "soon"], "x = 2024-05-31", [0]),
    ],
)
def test_texts_are_compared_as_texts(values: list[str], expression: str, passing: list[int]) -> None:
    assert np.flatnonzero(_column(values).bitmap(expression)).tolist() == passing


@pytest.mark.parametrize(
    ("values", "expression", "passing"),
    [
        (["12.50", "9.99", "n/a"], "x = 12.5", [0]),
        (["12.50", "9.99", "n/a"], "x = 12.500", [0]),
        (["12.50", "9.99", "n/a"], "x != 12.5", [1, 2]),
        (["12.50", "9.99", "n/a", "7.0"], "x IN (12.5, 7)", [0, 3]),
        (["12.50", "9.99", "n/a"], "x NOT IN (12.5)", [1, 2]),
        (["12.50", "9.99", "n/a"], 'x = "12.5"', []),
        (["7", "+7", "007", "7.", "-7", "70", "0.7", "n/a"], "x = 7", [0, 1, 2, 3]),
        (["-7", "-7.0", "7", "n/a"], "x = -7", [0, 1]),
        (["0", "0.0", ".0", "-0", "", "n/a", "10"], "x = 0", [0, 1, 2, 3]),
        ([".5", "0.50", "5", "n/a"], "x = 0.5", [0, 1]),
        (["1200", "12", "n/a"], "x = 1.2e3", [0]),
        (["2024-05-31T00:00:00Z", "2024-05-31 10:00", "2024-05-31", "soon"], "x = 2024-05-31", [0, 2]),
        (["2024-05-31T00:00:00Z", "2024-05-31 10:00", "2024-05-31", "soon"], "x != 2024-05-31", [1, 3]),
    ],
)
def test_a_plain_number_or_day_is_equal_by_value_beside_words_too(
    values: list[str], expression: str, passing: list[int]
) -> None:
    assert np.flatnonzero(_column(values).bitmap(expression)).tolist() == passing


def test_every_character_counts_in_a_column_that_is_said_to_be_text() -> None:
    column = _column(["007", "7"], x="text")
    assert column.bitmap("x = 7").tolist() == [False, True]


@pytest.mark.parametrize(
    ("kind", "values", "expression", "passing"),
    [
        ("number", ["5 USD", "7 EUR", "ask"], "x < 6", [0]),
        ("number", ["5 USD", "7 EUR", "ask"], 'x = ""', [2]),
        ("number", ["1.299 €", "2 €"], "x < 2", [0]),
        ("number-comma", ["1,299", "2"], "x < 2", [0]),
        ("number-comma", ["1.299", "2"], "x < 3", [1]),
        ("date-dmy", ["05/06/2024", "07/05/2024"], "x < 2024-06-01", [1]),
        ("date-mdy", ["05/06/2024", "07/05/2024"], "x < 2024-06-01", [0]),
        ("date", ["20240531", "20240601"], "x < 2024-06-01", [0]),
        ("boolean", ["1", "0", "maybe"], "x = true", [0]),
        ("text", ["007", "7"], "x = 7", [1]),
        ("list", ["5", "7"], "x = 7", [1]),
    ],
)
def test_a_column_is_read_as_it_is_said_to_be(
    kind: str, values: list[str], expression: str, passing: list[int]
) -> None:
    assert np.flatnonzero(_column(values, x=kind).bitmap(expression)).tolist() == passing


def test_moments_of_days_that_people_write() -> None:
    assert _column(["31/05/2024", ""]).times("x")[0] == 1717113600.0
    assert _column(["05/06/2024", "?"], x="date-mdy").times("x")[0] == 1714953600.0
