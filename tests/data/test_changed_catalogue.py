"""A catalogue and its filters after changes: what catalogue and filters made anew would say, in every state at once."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmrec.catalogue import segments
from mmrec.catalogue.catalogue import Catalogue
from mmrec.catalogue.column_kinds import COLUMN_KINDS
from mmrec.catalogue.item_words import ItemWords
from mmrec.catalogue.text_columns import TextColumn
from mmrec.contract.items import ItemRecord
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.filters.filter import CatalogueFilter

SHOP = Catalogue(
    item_ids=("a", "b", "c"),
    titles=("Red shoe", "blue shoe", ""),
    descriptions=("", "soft", ""),
    images=("a.jpg", "", ""),
    attributes={"price": ("5", "7.5", ""), "day": ("2024-01-01", "", "2024-02-01"), "new": ("true", "", "false")},
)


def record(item_id: str, title: str = "", price: str = "", day: str = "", new: str = "") -> ItemRecord:
    return ItemRecord(item_id, title, attributes={"price": price, "day": day, "new": new})


def change(
    catalogue: Catalogue, records: Sequence[ItemRecord], gone: Sequence[str] = ()
) -> tuple[Catalogue, np.ndarray]:
    """The changed catalogue, with the rows that were set."""
    rows, end = [], len(catalogue)
    for one in records:
        known = catalogue.last_row_of(one.item_id)
        rows.append(end if known is None else known)
        end += known is None
    gone_rows = [row for item_id in gone if (row := catalogue.row_of(item_id)) is not None and row not in rows]
    rows_M, gone_R = np.array(rows, np.int64), np.array(gone_rows, np.int64)
    return catalogue.changed(records, rows_M, gone_R), rows_M


def anew(catalogue: Catalogue) -> Catalogue:
    """The same items, read as if for the first time."""
    return Catalogue(
        tuple(catalogue.item_ids),
        tuple(catalogue.titles),
        tuple(catalogue.descriptions),
        tuple(catalogue.images),
        {name: tuple(values) for name, values in catalogue.attributes.items()},
        None if catalogue.alive_N is None else catalogue.alive_N.copy(),
        catalogue.kinds,
    )


# --- the catalogue ------------------------------------------------------------------------------------------------


def test_items_come_go_and_come_back_at_their_row() -> None:
    first, *_ = change(SHOP, [record("d", "hat", "3"), record("b", "blue boot", "8")], ["a"])
    assert first.item_ids == ("a", "b", "c", "d")
    assert first.titles == ("Red shoe", "blue boot", "", "hat")
    assert first.images == ("a.jpg", "", "", "")
    assert first.attributes["price"] == ("5", "8", "", "3")
    assert first.alive_N is not None
    assert first.alive_N.tolist() == [False, True, True, True]
    assert (first.items, len(first)) == (3, 4)
    assert [first.row_of(item_id) for item_id in "abcde"] == [None, 1, 2, 3, None]
    assert first.last_row_of("a") == 0
    back, *_ = change(first, [record("a", "green shoe")])
    assert back.alive_N is None
    assert (back.row_of("a"), back.record(0).title, back.items) == (0, "green shoe", 4)
    assert (SHOP.titles[0], SHOP.row_of("d"), len(SHOP), SHOP.alive_N) == ("Red shoe", None, 3, None)
    assert first.titles[0] == "Red shoe"
    assert back.take(np.array([3, 0])).titles == ("hat", "green shoe")
    assert back.to_table().column("title").to_pylist() == ["green shoe", "blue boot", "", "hat"]
    assert back.texts(ItemWords("{title}")) == ["green shoe", "blue boot", "", "hat"]
    assert back.has_words().tolist() == [True, True, True, True]


def test_two_changes_of_one_catalogue_know_nothing_of_each_other() -> None:
    one, *_ = change(SHOP, [record("x"), record("y")])
    other, *_ = change(SHOP, [record("y"), record("z"), record("x")])
    further, *_ = change(one, [record("z")])
    assert [one.row_of(item_id) for item_id in "xyz"] == [3, 4, None]
    assert [other.row_of(item_id) for item_id in "xyz"] == [5, 3, 4]
    assert [further.row_of(item_id) for item_id in "xyz"] == [3, 4, 5]
    assert [SHOP.row_of(item_id) for item_id in "xyz"] == [None] * 3
    for catalogue in (one, other, further):
        assert [catalogue.row_of(item_id) for item_id in catalogue.item_ids] == list(range(len(catalogue)))


@pytest.mark.parametrize(
    ("records", "rows", "gone", "says"),
    [
        ([record("d"), record("d")], [3, 4], [], "must be unique"),
        ([record("d"), record("d")], [3, 3], [], "must be unique"),
        ([record("d")], [4], [], "its row is 3"),
        ([record("a")], [3], [], "its row is 0"),
        ([], [], [3], "the rows of the catalogue are 0 to 2"),
        ([], [], [-1], "the rows of the catalogue are 0 to 2"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(
    records: list[ItemRecord], rows: list[int], gone: list[int], says: str
) -> None:
    with pytest.raises(InvalidDatasetError, match=says):
        SHOP.changed(records, np.array(rows, np.int64), np.array(gone, np.int64))
    assert change(SHOP, [record("d")])[0].row_of("d") == 3


def test_what_does_not_change_is_shared() -> None:
    gone, *_ = change(SHOP, [], ["b"])
    assert gone.titles is SHOP.titles
    assert gone.items == 2
    with pytest.raises(ValueError, match="read-only"):
        gone.alive_N[0] = False  # type: ignore[index]
    assert isinstance(change(SHOP, [record("b")])[0].titles, TextColumn)


# --- the filters --------------------------------------------------------------------------------------------------


def read_now(catalogue: Catalogue, first: Catalogue = SHOP) -> CatalogueFilter:
    """Filters that read every column of a changed catalogue now, by the kinds of the `first` one."""
    return CatalogueFilter(first).with_changes(anew(catalogue), np.arange(len(catalogue)))


def outcome(filters: CatalogueFilter, expression: str) -> list[bool] | str:
    try:
        return filters.bitmap(expression).tolist()
    except InvalidArgumentError as err:
        return err.message


def test_a_change_never_changes_the_kind_of_a_column() -> None:
    filters = CatalogueFilter(SHOP)
    broken, *rows = change(SHOP, [record("b", price="abc", day="soon", new="true"), record("d", price="1")])
    # Columns that were read before the change, and those that are read for the first time after it.
    assert outcome(filters, "price < 6") == [True, False, False]
    after = filters.with_changes(broken, *rows)
    assert outcome(after, "price < 6") == [True, False, False, True]
    assert outcome(after, "day > 2000-01-01") == [True, False, True, False]
    assert outcome(after, "new = true") == [True, True, False, False]
    assert np.isnan(after.times("day")).tolist() == [False, True, False, True]
    healed, *rows = change(broken, [record("b", price="2")])
    assert outcome(after.with_changes(healed, *rows), "price < 6") == [True, True, False, True]


def test_a_column_of_text_stays_one_when_its_last_word_goes() -> None:
    words, *_ = change(SHOP, [record("b", price="abc")])
    filters = CatalogueFilter(words)
    assert "is text, for it holds 'abc'; < a number" in str(outcome(filters, "price < 6"))
    numbers, *rows = change(words, [record("b", price="2")])
    after = filters.with_changes(numbers, *rows)
    assert outcome(after, "price = 2") == [False, True, False]
    assert "is text, as it was when the catalogue was loaded; < a number" in str(outcome(after, "price < 6"))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("price", "call us", "attributes has 'call us' for column 'price', which holds numbers; give a number such as"),
        ("price", "NaN", "'NaN' for column 'price'"),
        ("price", "1e400", "'1e400' for column 'price'"),
        ("price", "3,5", "'3,5' for column 'price'"),
        ("price", "3 EUR", "'3 EUR' for column 'price'"),
        ("price", "3|4", "'3|4' for column 'price'"),
        ("paid", "3 USD", "holds numbers in EUR; give a number such as 1299.5 in that unit, or leave it empty"),
        ("share", "3", "holds numbers in %"),
        ("day", "tomorrow", "'tomorrow' for column 'day', which holds dates; give a date such as 2024-05-31"),
        ("day", "31/05/2024", "'31/05/2024' for column 'day'"),
        ("new", "maybe", "which holds true or false; give true or false"),
        ("count", "1,299", "'1,299' for column 'count'"),
        ("set", "n/a", "'n/a' for column 'set', which holds numbers;"),
    ],
)
def test_a_value_of_another_kind_is_refused(column: str, value: str, says: str) -> None:
    more = {"paid": ("2 EUR", "3.50", ""), "share": ("5%", "", ""), "count": ("1", "2", "3"), "set": ("1", "?", "")}
    shop = replace(SHOP, attributes={**SHOP.attributes, **more}, kinds={"set": "number"})
    with pytest.raises(InvalidArgumentError, match=re.escape(says)):
        CatalogueFilter(shop).check_value(column, value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", "1e3"),
        ("price", ""),
        ("price", " "),
        ("day", "May 31, 2024"),
        ("new", "no"),
        ("title", "5"),
        ("w", "5"),
    ],
)
def test_a_value_that_fits_is_accepted(column: str, value: str) -> None:
    shop = replace(SHOP, attributes={**SHOP.attributes, "w": ("a", "", "")})
    CatalogueFilter(shop).check_value(column, value)


def test_many_changed_rows_are_merged_into_the_column() -> None:
    rows = 2000
    column = tuple(str(row) for row in range(rows))
    ids = tuple(f"i{row}" for row in range(rows))
    blank = ("",) * rows
    now = Catalogue(ids, column, blank, blank, {"price": column, "day": blank, "new": blank})
    filters = CatalogueFilter(now)
    for number in range(5):
        filters.bitmap("price >= 1000 AND title:7")
        some = [record(f"i{row}", f"{row} x 7", str(-row)) for row in range(number, 2600, 3)]
        now, *changed = change(now, some)
        filters = filters.with_changes(now, *changed)
        fresh = CatalogueFilter(anew(now))
        for expression in ("price >= 1000 AND title:7", "price < -500", f'title = "*{number} x*"'):
            assert np.array_equal(filters.bitmap(expression), fresh.bitmap(expression))


def test_states_are_asked_from_several_threads_while_others_are_made() -> None:
    expressions = ["price < 50", "price >= 50 OR title:red", "day:*", "NOT new = true", 'item_id = "new-*"']
    states = [(SHOP, CatalogueFilter(SHOP, cache_size=3))]
    done, wrong = threading.Event(), []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        while not done.is_set():
            catalogue, filters = states[max(0, len(states) - 1 - int(rng.integers(0, 4)))]
            expression = expressions[int(rng.integers(0, len(expressions)))]
            if outcome(filters, expression) != outcome(read_now(catalogue), expression):
                wrong.append(expression)

    readers = [threading.Thread(target=ask, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    for number in range(150):
        before, filters = states[-1]
        prices = ("abc", "7", str(number))
        some = [record(f"new-{number % 40}", "red hat", prices[number % 3], new="true"), record("b", price=str(number))]
        now, *rows = change(before, some, [f"new-{(number + 7) % 40}"])
        states.append((now, filters.with_changes(now, *rows)))
    done.set()
    for reader in readers:
        reader.join()
    assert not wrong


IDS = [f"i{number}" for number in range(9)]
ODD_PRICES = ["5 EUR", "5 USD", "1,299", "12,99", "1.299,00 €", "10%", "a|b", "1.299"]
PRICES = st.sampled_from(
    ["1", "2.5", " 7 ", "1e2", "", " ", "abc", "1234567890123456", "true", "2024-01-01", *ODD_PRICES]
)
FEW_PRICES = st.sampled_from(["1", "2.5 €", "30", "1,299", "2,5", ""])
DAYS = st.sampled_from(
    ["2024-01-01", "2024-03-01T10:00:00Z", "", "2024-13-01", "5", "05/06/2024", "31/05/2024", "5.6.2024"]
)
NEWS = st.sampled_from(["true", "FALSE", "", "maybe", "yes"])
TITLES = st.sampled_from(["red shoe", "Red", "blue|red", "7", "", " "])
RECORDS = st.builds(
    record, st.sampled_from(IDS), TITLES, st.one_of(FEW_PRICES, PRICES), st.one_of(st.just("2024-02-02"), DAYS), NEWS
)
CHANGES = st.lists(
    st.tuples(
        st.lists(RECORDS, max_size=4, unique_by=lambda one: one.item_id), st.lists(st.sampled_from(IDS), max_size=3)
    ),
    min_size=1,
    max_size=5,
)
VALUES = st.sampled_from(
    ["1", "2.5", '"1"', "abc", '"ab*"', "true", "2024-02-02", "red", "''", "7", '"5 EUR"', "1.299", '"05/06/2024"']
)

KINDS = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(["price", "day", "new"]), st.sampled_from(COLUMN_KINDS), max_size=2),
)


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    column = draw(st.sampled_from(["price", "day", "new", "title", "item_id", "pric"]))
    if draw(st.booleans()):
        return f"{column} IN ({draw(VALUES)}, {draw(VALUES)})"
    return f"{column} {draw(st.sampled_from(['=', '!=', '<', '>=', ':']))} {draw(VALUES)}"


EXPRESSIONS = st.recursive(
    st.one_of(comparisons(), st.sampled_from(["price:*", "title:red", "price < 3", "price = 2.5", "new = true"])),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) AND ({pair[1]})"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}) OR ({pair[1]})"),
        inner.map(lambda one: f"NOT ({one})"),
    ),
    max_leaves=4,
)


@settings(max_examples=150, deadline=None)
@given(
    CHANGES,
    st.lists(EXPRESSIONS, min_size=1, max_size=5),
    st.lists(st.booleans(), min_size=6, max_size=6),
    KINDS,
    st.integers(1, 6),
    st.data(),
)
def test_whatever_changes_filters_say_what_those_made_anew_say(
    changes: list[tuple[list[ItemRecord], list[str]]],
    expressions: list[str],
    asked: list[bool],
    kinds: dict[str, str],
    fewest: int,
    data: st.DataObject,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "FEWEST_IN_DELTA", fewest)
        price = data.draw(st.sampled_from(["7.5", "n/a", "1,299", "2,5"]))
        shop = replace(SHOP, attributes={**SHOP.attributes, "price": ("5", price, "")}, kinds=kinds)
        states = [(shop, CatalogueFilter(shop, cache_size=4))]
        for ask, (records, gone) in zip(asked, [*changes, ([], [])], strict=False):
            # Mostly a change of the newest state, now and then one of an older one.
            before, filters = data.draw(st.sampled_from([states[-1]] * 3 + states[:1]))
            if ask:
                for expression in expressions:
                    outcome(filters, expression)
            now, *rows = change(before, records, gone)
            states.append((now, filters.with_changes(now, *rows)))
        for catalogue, filters in data.draw(st.permutations(states)):
            same = anew(catalogue)
            fresh = read_now(same, shop)
            assert catalogue.attributes == same.attributes
            assert [catalogue.last_row_of(item_id) for item_id in IDS] == [same.last_row_of(item_id) for item_id in IDS]
            for expression in ("", *expressions):
                assert outcome(filters, expression) == outcome(fresh, expression)
