"""Two changes of one item as one: what is left of an item's past when it is folded up.

Unit of work: one item. The law: whatever an item was, applying both changes in turn and applying the merged one give
the same item. Knows nothing of stores.
"""

from __future__ import annotations

from dataclasses import replace

from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec_serving.change_log.values import Change, Delete

_ONE_ATTRIBUTE = "attributes."


def merged(earlier: Change, later: Change) -> Change | None:
    """The one change that does what these two do; None where there is none.

    There is none for fields that are replaced in an item that was deleted before, which is the caller's to judge, and
    for fields of which nothing would be left but an item without words and picture.
    """
    if earlier.item_id != later.item_id:
        raise InvalidArgumentError(
            f"changes of {earlier.item_id!r:.80} and of {later.item_id!r:.80} are not to be merged", field="item_id"
        )
    if isinstance(later, Delete) or later.fields is None:
        return later
    if isinstance(earlier, Delete):
        return None
    named = later.fields
    old, new = earlier.item, later.item
    attributes = dict(old.attributes)
    if "attributes" in named:
        attributes = dict(new.attributes)
    for name in named:
        if name.startswith(_ONE_ATTRIBUTE):
            column = name.removeprefix(_ONE_ATTRIBUTE)
            attributes.pop(column, None)
            if column in new.attributes:
                attributes[column] = new.attributes[column]
    try:
        item = ItemInput(
            item_id=later.item_id,
            title=new.title if "title" in named else old.title,
            description=new.description if "description" in named else old.description,
            image=new.image if "image" in named else old.image,
            attributes=attributes,
        )
    except InvalidArgumentError:
        return None
    # Vectors that were not made anew are those of before.
    made = later if later.payload else earlier
    return replace(
        later,
        item=item,
        payload=made.payload,
        encoder_version=made.encoder_version,
        fields=None if earlier.fields is None else (*earlier.fields, *named),
    )
