"""What a store of changes must do, in plain Python: items as what is known of them, and changes made to them.

An item of the base is what the base says, but for what was put over it; one that came or went since is known in full.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st

from mmrec.contract.items import ItemInput
from mmrec_serving.change_log import Change, Delete, Upsert

Items = dict[str, dict[str, Any]]

FIELDS = ("title", "description", "image", "attributes", "attributes.x", "attributes.y")


def applied(items: Items, changes: Iterable[Change]) -> Items:
    """The items after changes; those given are left as they are."""
    items = dict(items)
    for change in changes:
        if isinstance(change, Delete):
            items[change.item_id] = {"gone": True, "whole": True}
            continue
        before: dict[str, Any] = items.get(change.item_id, {"whole": False})
        item = change.item
        if not change.fields:
            before, named = {"whole": True}, ("title", "description", "image", "attributes")
        else:
            named = change.fields
        after = {**before, "gone": False}
        for field in named:
            column = field.partition(".")[2]
            if field == "attributes":
                after = {name: value for name, value in after.items() if not name.startswith("attributes.")}
                after["attributes"] = "all are known"
                after |= {f"attributes.{name}": value for name, value in item.attributes.items()}
            elif column and column not in item.attributes and (before["whole"] or "attributes" in after):
                after.pop(field, None)
            elif column:
                after[field] = item.attributes.get(column)
            else:
                after[field] = getattr(item, field)
        if change.payload or not change.fields:
            after["made"] = (change.payload, change.encoder_version)
        items[change.item_id] = after
    return items


item_ids = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def upserts(draw: st.DrawFn, item_id: st.SearchStrategy[str] = item_ids) -> Upsert:
    """Few ids and few values, so that they meet."""
    title, description = draw(st.sampled_from(["", "t1", "t2"])), draw(st.sampled_from(["", "d1"]))
    image = draw(st.sampled_from([None, b"\xff\xd8picture"]))
    attributes = draw(st.dictionaries(st.sampled_from("xy"), st.sampled_from(["1", "2"])))
    if not (title or description or image or attributes):
        title = "t3"
    fields = draw(st.lists(st.sampled_from(FIELDS), max_size=3).map(tuple))
    payload = draw(st.sampled_from([b"", b"v1", b"v2"]))
    name = draw(item_id)
    return Upsert(
        name,
        ItemInput(name, title, description, image, attributes),
        payload,
        draw(st.sampled_from(["e1", "e2"])),
        fields,
    )


changes: st.SearchStrategy[Change] = upserts() | item_ids.map(Delete)
