from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec_serving.change_log import Delete, StoreConfig, Upsert
from mmrec_serving.change_log.values import checked_kind


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
        ({"fields": ()}, "fields is empty; name what is replaced, or pass None"),
        ({"fields": ("price",)}, "fields has 'price'; it must be one of title, .* or attributes.NAME"),
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


def test_a_request_does_one_kind_of_thing() -> None:
    with pytest.raises(InvalidArgumentError, match="kind is 'insert'; it must be upsert or delete"):
        checked_kind("insert", ())
    with pytest.raises(InvalidArgumentError, match=r"changes\[1\] is a Delete in a request of kind upsert"):
        checked_kind("upsert", (Upsert("a", ItemInput(title="mug")), Delete("a")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"busy_timeout_s": -1.0}, "busy_timeout_s is -1.0"),
        ({"busy_timeout_s": float("nan")}, "busy_timeout_s is nan"),
        ({"keep_requests": timedelta(0)}, "keep_requests is 0:00:00; it must be from a second"),
    ],
)
def test_a_configuration_that_breaks_a_rule_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        StoreConfig(Path("store"), **values)
