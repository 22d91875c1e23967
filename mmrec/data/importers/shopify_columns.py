"""The columns of Shopify's product CSV by their meaning, with older and newer names.

Knows nothing of rows. Sources: https://help.shopify.com/en/manual/products/import-export/using-csv and the header of
exported files; names are compared without regard to case.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from mmrec.data.importers.shop_values import plain_name

_FIELDS = {
    "handle": ("handle", "url handle"),
    "title": ("title",),
    "description": ("body (html)", "body html", "body", "description"),
    "vendor": ("vendor",),
    "category": ("product category", "standard product type", "standardized product type"),
    "type": ("type", "product type", "custom product type"),
    "tags": ("tags",),
    "published": ("published", "published on online store"),
    "status": ("status",),
    "gift_card": ("gift card",),
    "option1_name": ("option1 name",),
    "option1": ("option1 value",),
    "option2_name": ("option2 name",),
    "option2": ("option2 value",),
    "option3_name": ("option3 name",),
    "option3": ("option3 value",),
    "sku": ("variant sku", "sku"),
    "barcode": ("variant barcode", "barcode"),
    "price": ("variant price", "price"),
    "compare_at_price": ("variant compare at price", "compare-at price", "compare at price"),
    "quantity": ("variant inventory qty", "inventory quantity"),
    "tracker": ("variant inventory tracker", "inventory tracker"),
    "policy": ("variant inventory policy", "continue selling when out of stock"),
    "weight_grams": ("variant grams", "weight value (grams)"),
    "variant_image": ("variant image", "variant image url"),
    "image": ("image src", "product image url", "image source"),
    "position": ("image position",),
    "google_product_category": ("google shopping / google product category", "google shopping / product category"),
    "gender": ("google shopping / gender",),
    "age_group": ("google shopping / age group",),
    "mpn": ("google shopping / mpn", "google shopping / manufacturer part number (mpn)"),
    "condition": ("google shopping / condition",),
    **{f"custom_label_{n}": (f"google shopping / custom label {n}",) for n in range(5)},
}
_BY_NAME = {name: field for field, names in _FIELDS.items() for name in names}
_TAXONOMY = re.compile(r"\(product\.metafields\.shopify\.([\w-]+)\)\s*$")
"""Attributes of Shopify's own taxonomy, as in ``Color (product.metafields.shopify.color-pattern)``."""


class FieldColumns(NamedTuple):
    """Column indices of a file.

    Attributes:
        fields: Index by field name.
        taxonomy: Index by dataset column, for attributes of Shopify's taxonomy.
        others: Columns that are not imported.
    """

    fields: dict[str, int]
    taxonomy: dict[str, int]
    others: tuple[int, ...]


def field_columns(header: Sequence[str]) -> FieldColumns:
    """Find the columns of a file by the names in its header; of several for one field, the first is used."""
    fields: dict[str, int] = {}
    taxonomy: dict[str, int] = {}
    others: list[int] = []
    for place, name in enumerate(header):
        field = _BY_NAME.get(" ".join(name.lower().split()))
        metafield = _TAXONOMY.search(name)
        if field is not None and field not in fields:
            fields[field] = place
        elif metafield is not None and plain_name(metafield[1]) not in taxonomy:
            taxonomy[plain_name(metafield[1])] = place
        else:
            others.append(place)
    return FieldColumns(fields, taxonomy, tuple(others))
