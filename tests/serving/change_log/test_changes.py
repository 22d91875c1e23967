from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec_serving.change_log import Change, Delete, Upsert
from mmrec_serving.change_log.changes import merged
from tests.serving.change_log.making import upsert
from tests.serving.change_log.model import applied, changes, upserts

of_one_item = upserts(st.just("a")) | st.just(Delete("a"))


def test_the_item_of_an_upsert_takes_its_id() -> None:
    assert Upsert("a", ItemInput(title="mug")).item == ItemInput("a", "mug")


def test_a_list_of_fields_is_put_in_order_and_all_attributes_cover_each() -> None:
    change = Upsert("a", ItemInput(title="mug"), fields=("title", "attributes.price", "attributes", "title"))
    assert change.fields == ("attributes", "title")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"item_id": ""}, "item_id is empty"),
        ({"item_id": 7}, "ids are strings"),
        ({"item": ItemInput("b", "mug")}, "item.item_id is 'b' in a change of 'a'"),
        ({"payload": "text"}, "payload is a str; it must be bytes"),
        ({"payload": bytes(64 * 2**20 + 1)}, "payload has 67,108,865 bytes; at most 67,108,864"),
        ({"encoder_version": "\ud800"}, "half of a surrogate pair"),
        ({"fields": ("price",)}, "fields has 'price'; what can be replaced is title, .* and attributes.NAME"),
        ({"fields": ("attributes.",)}, "fields has 'attributes.'"),
        ({"fields": "title"}, "fields is the single string 'title'"),
    ],
)
def test_an_upsert_that_breaks_a_rule_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Upsert(**{"item_id": "a", "item": ItemInput(title="mug"), **values})


def test_a_delete_names_an_item() -> None:
    with pytest.raises(InvalidArgumentError, match="item_id is empty"):
        Delete("")


# --- two changes of one item --------------------------------------------------------------------------------


def test_fields_are_put_over_the_item_and_what_is_not_named_stays() -> None:
    before = Upsert("a", ItemInput("a", "mug", "blue", b"picture", {"price": "3", "brand": "x"}), b"v1", "e1")
    after = Upsert("a", ItemInput("a", "cup", attributes={"price": "4"}), b"", "e2", ("title", "attributes.price"))
    assert merged(before, after) == Upsert(
        "a", ItemInput("a", "cup", "blue", b"picture", {"brand": "x", "price": "4"}), b"v1", "e1"
    )


def test_an_attribute_that_is_named_and_not_given_goes_away() -> None:
    before = upsert("a", attributes={"price": "3"})
    assert merged(before, upsert("a", fields=("attributes.price",))) == upsert("a")
    over_the_base = merged(upsert("a", fields=("title",)), upsert("a", fields=("attributes.price",)))
    assert over_the_base == upsert("a", fields=("title", "attributes.price"))


def test_a_whole_change_leaves_nothing_of_what_was_before() -> None:
    assert merged(upsert("a", "cup"), upsert("a", payload=b"")) == upsert("a", payload=b"")
    assert merged(upsert("a"), Delete("a")) == Delete("a")


def test_what_cannot_be_said_in_one_change_is_left_as_two() -> None:
    assert merged(Delete("a"), upsert("a", fields=("title",))) is None
    empties = Upsert("a", ItemInput("a", description="blue"), fields=("title",))
    assert merged(upsert("a", "mug"), empties) is None


def test_changes_of_two_items_are_not_merged() -> None:
    with pytest.raises(InvalidArgumentError, match="'a' and of 'b' are not to be merged"):
        merged(Delete("a"), Delete("b"))


@given(before=st.lists(changes, max_size=3), first=of_one_item, second=of_one_item)
def test_whatever_an_item_was_the_merged_change_does_what_both_do(
    before: list[Change], first: Change, second: Change
) -> None:
    together = merged(first, second)
    if together is not None:
        items = applied({}, before)
        assert applied(items, [together]) == applied(items, [first, second])
