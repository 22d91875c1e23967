"""A product feed for Google Merchant Center into a dataset folder: tab-separated or comma-separated text, or XML (RSS
2.0 and Atom).

Attributes keep their names, apart from `image_link` and `additional_image_link`, which become `image` and
`more_images`. Paths of categories and everything that can have several values become lists, a price becomes a number
and its `currency`, and `availability` says whether an item is `in_stock`. Attributes that are not imported, nested
ones such as shipping among them, are counted.

Source: https://support.google.com/merchants/answer/7052112
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from mmrec.catalogue.html_text import html_to_text, looks_like_html
from mmrec.data.importers.delimited_rows import QuotedText, opened_text
from mmrec.data.importers.left_out import LeftOutTally
from mmrec.data.importers.merchant_xml import FeedEntry, read_feed
from mmrec.data.importers.shop_events import ItemNames, write_shop_events
from mmrec.data.importers.shop_items import ShopItems, picture_notes
from mmrec.data.importers.shop_values import as_list, boolean_of, category_path, price_of
from mmrec.data.writing import ImportSummary, dataset_folder
from mmrec.errors import InvalidDatasetError
from mmrec.runtime.progress import NO_PROGRESS, Progress

_PLAIN_NAMES = """
brand gtin mpn condition size gender age_group item_group_id pattern size_type size_system energy_efficiency_class link
custom_label_0 custom_label_1 custom_label_2 custom_label_3 custom_label_4
"""
_PLAIN = _PLAIN_NAMES.split()
_ORDER = (
    *("more_images", "brand", "product_type", "google_product_category", "price", "sale_price", "currency"),
    *("in_stock", "availability", "condition", "color", "size", "material", "gender", "age_group", "item_group_id"),
)
_IN_STOCK = {"in_stock": "true", "out_of_stock": "false", "preorder": "false", "backorder": "false"}
_PICTURES = ("image_link", "additional_image_link", "lifestyle_image_link")
_LISTS: Mapping[str, Callable[[list[str]], str]] = {
    "product_type": lambda values: category_path(_first_product_type(values[0])),
    "google_product_category": lambda values: category_path(values[0]),
    "color": lambda values: as_list("/".join(values).split("/")),
    "material": lambda values: as_list("/".join(values).split("/")),
    "product_highlight": as_list,
    "adult": lambda values: boolean_of(values[0]),
    "is_bundle": lambda values: boolean_of(values[0]),
}
_DESCRIPTIONS = ("description", "summary", "content")
_SINGLE = ("id", "title", "description", "price", "sale_price", "availability", "product_type")
_KNOWN = frozenset((*_SINGLE, *_DESCRIPTIONS, *_PICTURES, *_PLAIN, *_LISTS))


def import_merchant(
    source: Path,
    out: Path,
    progress: Progress = NO_PROGRESS,
    *,
    events: Path | None = None,
    table_format: str = "parquet",
    overwrite: bool = False,
) -> ImportSummary:
    """Write a product feed as a dataset folder. The feed is read in parts.

    Args:
        source: The feed, gzipped or not; XML if it begins with ``<``.
        out: The dataset folder to make.
        progress: Reports each stage.
        events: What customers did; see `mmrec.data.importers.shop_events`. None: the dataset has no events.
        table_format: One of ``parquet``, ``csv``, ``tsv``, ``jsonl``.
        overwrite: Replace the tables of a dataset that is there.

    Raises:
        NotFoundError: a file does not exist.
        InvalidDatasetError: a file is damaged or is not what it should be, nothing of it can be used, or `out` is not
            free.
    """
    tally = LeftOutTally()
    with dataset_folder(out, overwrite=overwrite) as folder:
        names = ItemNames()
        progress.start("items", unit="items")
        with ShopItems(folder / ".items", _ORDER, tally) as items:
            for entry in read_feed(source) if _is_xml(source) else _text_entries(source, tally):
                item = _item(entry, tally)
                if items.add(item, entry.place):
                    names.add(item["item_id"], item["item_id"], own=True)
                    for name in ("gtin", "mpn", "item_group_id", "title"):
                        names.add(item.get(name, ""), item["item_id"])
                progress.advance()
            count = items.write(folder / f"items.{table_format}")
            hosts = items.picture_hosts
        progress.finish(f"{count:,} items")
        if not count:
            why = "; ".join(map(str, tally.found[:3])) or "it has no entries; RSS calls them item, Atom entry"
            raise InvalidDatasetError(f"{str(source)!r} leaves no item: {why}")
        done = write_shop_events(events, folder / f"events.{table_format}", names, tally, progress)
    notes = [*picture_notes(out, hosts), *done.notes]
    return ImportSummary(out, count, done.users, done.events, picture_hosts=hosts, **tally.summary(*notes))


def _is_xml(source: Path) -> bool:
    with opened_text(source) as file:
        return bool(file.read(1024).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"))


def _text_entries(source: Path, tally: LeftOutTally) -> Iterator[FeedEntry]:
    text = QuotedText(source, tally)
    names = [_attribute(name) for name in text.columns]
    if "id" not in names or not {"title", "description", "image_link"} & set(names):
        raise InvalidDatasetError(
            f"{str(source)!r} is no product feed: its first line must name the attributes, id and title among them; "
            f"it names {', '.join(text.columns[:12])}"
        )
    for name in names:
        if name not in _KNOWN:
            tally.empty_column(name.partition("(")[0])
    for row in text:
        values: dict[str, list[str]] = {}
        nested = []
        for name, value in zip(names, row.values, strict=True):
            if not value.strip():
                continue
            if "(" in name or name == "shipping":
                nested.append(name.partition("(")[0])
            else:
                values.setdefault(name, []).append(value.strip())
        yield FeedEntry(row.place, values, tuple(nested))


def _attribute(name: str) -> str:
    """The name of an attribute of ``Image Link``, ``g:image_link`` and so on."""
    return re.sub(r"[\s_-]+", "_", name.strip().lower().removeprefix("g:"))


def _item(entry: FeedEntry, tally: LeftOutTally) -> dict[str, str]:
    values, place = entry.values, entry.place
    item = {
        "item_id": _first_value(values.get("id")),
        "title": " ".join(_plain_text(_first_value(values.get("title"))).split()),
        "description": _plain_text(next((_first_value(values[name]) for name in _DESCRIPTIONS if name in values), "")),
    }
    pictures = list(_urls(values))
    item["image"] = pictures[0] if pictures else ""
    item["more_images"] = as_list(url for url in pictures[1:] if url != item["image"])
    for name in _PLAIN:
        item[name] = _first_value(values.get(name))
    for name, read in _LISTS.items():
        item[name] = read(values[name]) if name in values else ""
    _add_prices(item, values, place, tally)
    if availability := _first_value(values.get("availability")):
        item["availability"] = _attribute(availability.rpartition("/")[2])
        if item["availability"] not in _IN_STOCK:
            tally.value("kinds of availability that say nothing about the stock", availability, place)
        item["in_stock"] = _IN_STOCK.get(item["availability"], "")
    for name in entry.nested:
        tally.column(name, "it has sub-attributes", place)
    for name, found in values.items():
        if name not in _KNOWN:
            tally.column(name, found[0], place)
        elif len(found) > 1 and (name in _PLAIN or name in _SINGLE):
            tally.value(f"values of {name} after the first of an item", found[1], place, len(found) - 1)
    return item


def _first_value(values: list[str] | None) -> str:
    return values[0].strip() if values else ""


def _plain_text(text: str) -> str:
    return html_to_text(text) if looks_like_html(text) else text


def _first_product_type(text: str) -> str:
    """The first of several quoted product types separated by commas."""
    return text.partition('","')[0].strip('"') if text.startswith('"') else text


def _urls(values: Mapping[str, list[str]]) -> Iterator[str]:
    for name in _PICTURES:
        for value in values.get(name, ()):
            yield from _split_urls(value)


def _split_urls(text: str) -> Iterable[str]:
    """URLs separated by commas; a URL may contain commas itself, so only a comma before ``http`` separates."""
    return filter(None, (url.strip() for url in re.split(r",\s*(?=https?://)", text)))


def _add_prices(item: dict[str, str], values: Mapping[str, list[str]], place: str, tally: LeftOutTally) -> None:
    for name in ("price", "sale_price"):
        text = _first_value(values.get(name))
        found = price_of(text) if text else None
        if found is not None:
            item[name] = found.amount
            if found.currency and item.setdefault("currency", found.currency) != found.currency:
                tally.value("currencies of sale prices that differ from the price's", found.currency, place)
                item[name] = ""
        elif text:
            tally.value(f"values of {name} that are no amount of money", text, place)
