from __future__ import annotations

from collections.abc import Iterable

import pytest

from mmrec.contract.field_mask import FieldMask, field_path, named_columns, replaced_words
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.errors import InvalidArgumentError

OLD = ItemRecord("a", "mug", "blue", attributes={"price": "3", "brand": "x"})


@pytest.mark.parametrize(
    ("fields", "mask"),
    [
        ((), ()),
        (["*"], ()),
        (["title", "image", "title"], ("image", "title")),
        (["title", "attributes.price", "attributes"], ("attributes", "title")),
        (iter(["attributes.a.b"]), ("attributes.a.b",)),
    ],
)
def test_paths_are_in_order_none_twice_and_none_that_another_covers(
    fields: Iterable[str], mask: tuple[str, ...]
) -> None:
    assert FieldMask().check(fields, "fields") == mask


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["price"], "update_mask has 'price'; what can be replaced is title, description, image, attributes and"),
        (["attributes."], r"update_mask has 'attributes\.'"),
        (["*", "title"], r"update_mask has '\*'; .* or \* alone for whole items"),
        ("title", "update_mask is the single string 'title'"),
        (["attributes." + "x" * 1014], r"update_mask\[0\] has 1,025 characters"),
    ],
)
def test_what_names_no_field_is_refused(fields: Iterable[str], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        FieldMask().check(fields, "update_mask")


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (("title",), ("cup", "blue", {"price": "3", "brand": "x"})),
        (("description",), ("mug", "", {"price": "3", "brand": "x"})),
        (("image",), ("mug", "blue", {"price": "3", "brand": "x"})),
        (("attributes.price",), ("mug", "blue", {"price": "4", "brand": "x"})),
        (("attributes.brand", "title"), ("cup", "blue", {"price": "3"})),
        (("attributes",), ("mug", "blue", {"price": "4"})),
    ],
)
def test_what_is_named_is_replaced_and_the_rest_stays(mask: tuple[str, ...], words: tuple[object, ...]) -> None:
    assert replaced_words(OLD, ItemInput("a", "cup", attributes={"price": "4"}), mask) == words


def test_columns_of_a_dataset_and_paths_are_turned_into_each_other() -> None:
    assert [field_path(name) for name in ("title", "price", "attributes.price")] == [
        "title",
        "attributes.price",
        "attributes.price",
    ]
    assert named_columns(("attributes.a.b", "title", "attributes.price")) == ("a.b", "price")
