"""Shopify's product export into a dataset folder, with what customers bought from a file of events or Shopify's orders
export.

An item is a product, with its handle as id, or a variant, with its SKU as id where it is unique, and otherwise handle
and options, as in ``oak-lamp/red/M``. Of a product, `price` is the lowest price of its variants, `price_max` the
highest, and options, SKUs and bar codes are lists. Shopify's file has no currency. Everything that is not imported is
counted.

Source: https://help.shopify.com/en/manual/products/import-export/using-csv
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from mmrec.catalogue.html_text import html_to_text
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.shop_events import ItemNames, write_shop_events
from mmrec.data.importers.shop_items import ShopItems, picture_notes
from mmrec.data.importers.shop_values import as_list, boolean_of, category_path, plain_name
from mmrec.data.importers.shopify_products import Product, Variant, read_products
from mmrec.data.writing import ImportSummary, dataset_folder
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import NO_PROGRESS, Progress

ItemsOf = Literal["product", "variant"]
_NAMES = """
more_images handle vendor category type tags price price_max compare_at_price in_stock sku barcode weight_grams
gift_card status published
"""
_GOOGLE_NAMES = """
gender age_group mpn condition custom_label_0 custom_label_1 custom_label_2 custom_label_3 custom_label_4
"""
_COLUMNS, _GOOGLE = _NAMES.split(), _GOOGLE_NAMES.split()
_RESERVED = frozenset(("item_id", "title", "description", "image", "google_product_category", *_COLUMNS, *_GOOGLE))


def import_shopify(
    source: Path,
    out: Path,
    progress: Progress = NO_PROGRESS,
    *,
    events: Path | None = None,
    items_of: ItemsOf = "product",
    keep_unpublished: bool = False,
    table_format: str = "parquet",
    overwrite: bool = False,
) -> ImportSummary:
    """Write a product export of Shopify as a dataset folder.

    The whole export is held in memory.

    Args:
        source: ``products_export.csv``, in the older or the newer names of columns.
        out: The dataset folder to make.
        progress: Reports each stage.
        events: What customers did; see `mmrec.data.importers.shop_events`. None: the dataset has no events.
        items_of: Whether a ``product`` or each ``variant`` of it becomes an item.
        keep_unpublished: Keep drafts, archived products and those that are not published; the columns `status` and
            `published` then say which they are.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: a file does not exist.
        InvalidDatasetError: a file is damaged or is not what it should be, nothing of it can be used, or `out` is not
            free.
    """
    tally = LeftOutTally()
    with dataset_folder(out, overwrite=overwrite) as folder:
        products = read_products(source, tally, progress)
        if not keep_unpublished:
            products = [product for product in products if _is_offered(product, tally)]
        names = ItemNames()
        with ShopItems(folder / ".items", _COLUMNS, tally) as items:
            made = _variant_items(products) if items_of == "variant" else map(_product_item, products)
            for product, variants, item in made:
                if not keep_unpublished:
                    item.pop("status", None), item.pop("published", None)
                if items.add(item, variants[0].place if variants else product.place):
                    _add_names(names, product, variants, item)
            count = items.write(folder / f"items.{table_format}")
            hosts = items.picture_hosts
        if not count:
            raise InvalidDatasetError(
                f"{str(source)!r} leaves no item: {'; '.join(map(str, tally.found[:3])) or 'it has no products'}"
            )
        done = write_shop_events(events, folder / f"events.{table_format}", names, tally, progress)
    notes = [*picture_notes(out, hosts), *done.notes]
    unknown = sum(not variant.in_stock for product in products for variant in product.variants)
    if unknown:
        notes.append(f"{unknown:,} variants have no quantity in the file, so whether they are in stock is not known")
    return ImportSummary(out, count, done.users, done.events, picture_hosts=hosts, **tally.summary(*notes))


def _is_offered(product: Product, tally: LeftOutTally) -> bool:
    status = product.shared.get("status", "").lower()
    if status not in ("", "active"):
        tally.row(f"products whose status is {status[:20]!r}; --keep-unpublished keeps them", product.place)
        return False
    if boolean_of(product.shared.get("published", "")) == "false":
        tally.row("products that are not published; --keep-unpublished keeps them", product.place)
        return False
    return True


_MadeItem = tuple[Product, Sequence[Variant], dict[str, str]]


def _product_item(product: Product) -> _MadeItem:
    variants = product.variants
    priced = sorted((variant for variant in variants if variant.price), key=lambda variant: float(variant.price))
    stock = {variant.in_stock for variant in variants}
    item = _common(product)
    image, *more = product.images or [""]
    item |= {
        "item_id": product.handle,
        "image": image,
        "more_images": as_list([*more, *(variant.image for variant in variants if variant.image != image)]),
        "sku": as_list(variant.sku for variant in variants),
        "barcode": as_list(variant.barcode for variant in variants),
        "in_stock": "true" if "true" in stock else "false" if stock == {"false"} else "",
        "weight_grams": variants[0].weight_grams if variants else "",
    }
    if priced:
        item |= {"price": priced[0].price, "compare_at_price": priced[0].compare_at_price}
        if float(priced[-1].price) > float(priced[0].price):
            item["price_max"] = priced[-1].price
    for at, name in product.option_names.items():
        column = _option_column(name)
        # The taxonomy can have the same attribute, as in an option Color of products with a colour.
        taxonomy_values = item.get(column, "").split("|")
        item[column] = as_list([*(variant.options.get(at, "") for variant in variants), *taxonomy_values])
    return product, variants, item


def _variant_items(products: Sequence[Product]) -> Iterator[_MadeItem]:
    sku_counts = Counter(variant.sku for product in products for variant in product.variants)
    for product in products:
        images = product.images
        for variant in product.variants:
            chosen = [variant.options[at] for at in sorted(variant.options)]
            item = _common(product)
            image = variant.image or (images[0] if images else "")
            item |= {
                "item_id": variant.sku
                if sku_counts[variant.sku] == 1 and variant.sku
                else "/".join((product.handle, *chosen)),
                "title": " - ".join(filter(None, (item["title"], " / ".join(chosen)))),
                "handle": product.handle,
                "image": image,
                "more_images": as_list(url for url in images if url != image),
                "sku": variant.sku,
                "barcode": variant.barcode,
                "price": variant.price,
                "compare_at_price": variant.compare_at_price,
                "in_stock": variant.in_stock,
                "weight_grams": variant.weight_grams,
            }
            for at, name in product.option_names.items():
                item[_option_column(name)] = as_list([variant.options.get(at, "")])
            yield product, (variant,), item
        if not product.variants:
            yield _product_item(product)


def _common(product: Product) -> dict[str, str]:
    """Columns that all items of a product share."""
    shared = product.shared
    return {
        "title": " ".join(shared.get("title", "").split()),
        "description": html_to_text(shared.get("description", "")),
        "vendor": shared.get("vendor", ""),
        "category": category_path(shared.get("category", "")),
        "type": shared.get("type", ""),
        "tags": as_list(shared.get("tags", "").split(",")),
        "gift_card": boolean_of(shared.get("gift_card", "")),
        "status": shared.get("status", "").lower(),
        "published": boolean_of(shared.get("published", "")),
        "google_product_category": category_path(shared.get("google_product_category", "")),
        **{name: shared.get(name, "") for name in _GOOGLE},
        **{
            name if name not in _RESERVED else f"taxonomy_{name}": as_list(value.split(";"))
            for name, value in product.taxonomy.items()
        },
    }


def _option_column(name: str) -> str:
    """The column of an option: its name, prefixed if that name is reserved."""
    column = plain_name(name) or "option"
    return f"option_{column}" if column in _RESERVED else column


def _add_names(names: ItemNames, product: Product, variants: Sequence[Variant], item: dict[str, str]) -> None:
    """Register every name by which an event may refer to the item."""
    item_id, title = item["item_id"], product.shared.get("title", "")
    names.add(item_id, item_id, own=True)
    names.add(product.handle, item_id)
    for variant in variants:
        options = " / ".join(variant.options[at] for at in sorted(variant.options))
        names.add(variant.sku, item_id)
        names.add(variant.barcode, item_id)
        # The name in an order line.
        names.add(f"{title} - {options}" if options else title, item_id)
    if item_id == product.handle:
        names.add(title, item_id)
