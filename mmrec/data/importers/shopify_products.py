"""Reads Shopify's product export into products with their variants and pictures.

The rows of one product share its handle. The first of them has the title and the other fields of the product as a
whole; every row with an option, a SKU or a price is a variant, and every row with a picture's URL
adds a picture. Knows nothing of the items that are made of products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mmrec.data.importers.delimited_rows import QuotedText
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.shop_values import boolean_of, price_of
from mmrec.data.importers.shopify_columns import FieldColumns, field_columns
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import Progress

_SHARED_NAMES = """
title description vendor category type tags published status gift_card google_product_category gender age_group mpn
condition custom_label_0 custom_label_1 custom_label_2 custom_label_3 custom_label_4
"""
_SHARED = _SHARED_NAMES.split()
_OPTIONS = (("option1_name", "option1"), ("option2_name", "option2"), ("option3_name", "option3"))


@dataclass
class Variant:
    """One variant.

    Attributes:
        place: Where it stands, for messages.
        options: Value by option number, 0 to 2; without Shopify's placeholder "Default Title".
        sku: '' for none.
        barcode: '' for none.
        price: A plain number; '' where there is none.
        compare_at_price: The former price, likewise.
        in_stock: ``true``, ``false``, or '' where the file does not say.
        weight_grams: A plain number, or ''.
        image: URL of its own picture, or ''.
    """

    place: str
    options: dict[int, str]
    sku: str = ""
    barcode: str = ""
    price: str = ""
    compare_at_price: str = ""
    in_stock: str = ""
    weight_grams: str = ""
    image: str = ""


@dataclass
class Product:
    """One product.

    Attributes:
        handle: Its unique name in URLs.
        place: Where its first row stands, for messages.
        shared: Fields of the product as a whole, by name.
        option_names: Names of its options by number, 0 to 2.
        taxonomy: Attributes of Shopify's taxonomy by column; entries divided by ``;``.
        variants: In the order of the file.
        pictures: Position and URL of each picture, in the order of the file.
    """

    handle: str
    place: str
    shared: dict[str, str]
    option_names: dict[int, str] = field(default_factory=dict)
    taxonomy: dict[str, str] = field(default_factory=dict)
    variants: list[Variant] = field(default_factory=list)
    pictures: list[tuple[float, str]] = field(default_factory=list)

    @property
    def images(self) -> list[str]:
        """URLs of the pictures by position, each once."""
        return list(dict.fromkeys(url for _, url in sorted(self.pictures, key=lambda picture: picture[0])))


def read_products(path: Path, tally: LeftOutTally, progress: Progress) -> list[Product]:
    """The products of an export, in the order of their first rows.

    Args:
        path: ``products_export.csv``, gzipped or not.
        tally: Counts rows, values and columns that are left out.
        progress: Reports rows.

    Raises:
        NotFoundError: there is no such file.
        InvalidDatasetError: it is no product export, or damaged.
    """
    source = QuotedText(path, tally)
    columns = field_columns(source.columns)
    if "handle" not in columns.fields or "title" not in columns.fields:
        raise InvalidDatasetError(
            f"{str(path)!r} is no product export of Shopify: it has no columns Handle (or URL handle) and Title; its "
            f"columns are {', '.join(source.columns[:12])}"
        )
    for place in columns.others:
        tally.empty_column(source.columns[place])
    reader = _Reader(columns, tally)
    progress.start("products", unit="rows")
    for row in source:
        for place in columns.others:
            if value := row.values[place].strip():
                tally.column(source.columns[place], value, row.place)
        reader.add_row(row.values, row.place)
        progress.advance()
    progress.finish(f"{len(reader.products):,} products")
    return list(reader.products.values())


class _Reader:
    def __init__(self, columns: FieldColumns, tally: LeftOutTally) -> None:
        self.products: dict[str, Product] = {}
        self._columns = columns
        self._tally = tally

    def add_row(self, values: Sequence[str], place: str) -> None:
        fields = {name: values[at].strip() for name, at in self._columns.fields.items()}
        handle = fields["handle"]
        if not handle:
            if any(value.strip() for value in values):
                self._tally.row("rows without a handle", place)
            return
        product = self.products.get(handle)
        is_new = product is None
        if product is None:
            product = self.products[handle] = Product(handle, place, {})
        for name in _SHARED:
            if (value := fields.get(name, "")) and product.shared.setdefault(name, value) != value:
                self._tally.value(f"values of {name} that differ from the first of the product", value, place)
        for name, at in self._columns.taxonomy.items():
            if value := values[at].strip():
                product.taxonomy[name] = ";".join(filter(None, (product.taxonomy.get(name, ""), value)))
        for place_of_option, (name, _) in enumerate(_OPTIONS):
            if fields.get(name):
                product.option_names.setdefault(place_of_option, fields[name])
        is_variant = any(fields.get(name) for name in ("option1", "sku", "price"))
        if is_variant:
            product.variants.append(self._variant(fields, product, place))
        if fields.get("image"):
            product.pictures.append((_position(fields.get("position", ""), len(product.pictures)), fields["image"]))
        elif not is_new and not is_variant:
            self._tally.row("rows of a product with neither a variant nor a picture", place)

    def _variant(self, fields: dict[str, str], product: Product, place: str) -> Variant:
        options = {at: fields[name] for at, (_, name) in enumerate(_OPTIONS) if fields.get(name)}
        if options == {0: "Default Title"}:
            options = {}
            product.option_names.clear()
        return Variant(
            place,
            options,
            # Some exports keep the apostrophe by which spreadsheets protect a leading zero.
            sku=fields.get("sku", "").lstrip("'"),
            barcode=fields.get("barcode", "").lstrip("'"),
            price=self._number(fields, "price", place),
            compare_at_price=self._number(fields, "compare_at_price", place),
            in_stock=self._in_stock(fields, place),
            weight_grams=self._number(fields, "weight_grams", place),
            image=fields.get("variant_image", ""),
        )

    def _number(self, fields: dict[str, str], name: str, place: str) -> str:
        text = fields.get(name, "")
        found = price_of(text) if text else None
        if text and found is None:
            self._tally.value(f"values of {name} that are no numbers", text, place)
        return found.amount if found is not None else ""

    def _in_stock(self, fields: dict[str, str], place: str) -> str:
        """Whether the variant can be bought; untracked stock is always available."""
        policy = fields.get("policy", "").lower()
        if policy == "continue" or boolean_of(policy) == "true":
            return "true"
        if "tracker" in fields and not fields["tracker"]:
            return "true"
        text = fields.get("quantity", "")
        if not text:
            return ""
        try:
            return "true" if int(float(text)) > 0 else "false"
        except (ValueError, OverflowError):
            self._tally.value("quantities in stock that are no numbers", text, place)
            return ""


def _position(text: str, count: int) -> float:
    """Sort key: pictures without a position come last, in the order of the file."""
    return float(text) if text.isdecimal() and len(text) < 10 else 1e9 + count
