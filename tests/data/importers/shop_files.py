"""Exports of a small shop of thirty products, written the way shop systems write them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

_OLD_NAMES = (
    "Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Option1 Linked To,"
    "Option2 Name,Option2 Value,Option2 Linked To,Option3 Name,Option3 Value,Option3 Linked To,Variant SKU,"
    "Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,"
    "Variant Fulfillment Service,Variant Price,"
    "Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode,Image Src,Image Position,"
    "Image Alt Text,Gift Card,SEO Title,SEO Description,Google Shopping / Google Product Category,"
    "Google Shopping / Gender,Google Shopping / Age Group,Google Shopping / MPN,Google Shopping / Condition,"
    "Google Shopping / Custom Label 0,Color (product.metafields.shopify.color-pattern),Variant Image,"
    "Variant Weight Unit,Variant Tax Code,Cost per item,Status"
)
OLD_HEADER = _OLD_NAMES.split(",")
NEW_NAMES = {
    "Handle": "URL handle",
    "Body (HTML)": "Description",
    "Product Category": "Product category",
    "Published": "Published on online store",
    **{f"Option{n} {part}": f"Option{n} {part.lower()}" for n in (1, 2, 3) for part in ("Name", "Value")},
    "Variant SKU": "SKU",
    "Variant Grams": "Weight value (grams)",
    "Variant Inventory Tracker": "Inventory tracker",
    "Variant Inventory Qty": "Inventory quantity",
    "Variant Inventory Policy": "Continue selling when out of stock",
    "Variant Price": "Price",
    "Variant Compare At Price": "Compare-at price",
    "Variant Barcode": "Barcode",
    "Image Src": "Product image URL",
    "Image Position": "Image position",
    "Variant Image": "Variant image URL",
    "Gift Card": "Gift card",
    "Google Shopping / MPN": "Google Shopping / Manufacturer part number (MPN)",
}
KINDS = ("lamp", "mug", "rug")
COLOURS = ("red", "blue", "grün")
CDN = "https://cdn.shopify.com/s/files/1/0001/files"


def handle(number: int) -> str:
    return f"{KINDS[number % 3]}-{number:02d}"


def title(number: int) -> str:
    return f'{COLOURS[number % 3].title()} {KINDS[number % 3]} "No. {number}", 12 cm'


def _product(number: int) -> Iterator[dict[str, str]]:
    """Rows of one product: three variants, or one without options; a second picture in a row of its own."""
    kind = KINDS[number % 3]
    first = {
        "Title": title(number),
        "Body (HTML)": f"<p>A {kind} for caf&eacute;s,\nmade of oak &amp; wool.</p><ul><li>Size: {number} cm</li>"
        "<li>Größe “L”</li></ul><script>track('x')</script>",
        "Vendor": ("Åkerlund, Söner & Co", "Ada")[number % 2],
        "Product Category": f"Home & Garden > Decor > {kind.title()}s",
        "Type": kind,
        "Tags": f"home, {kind}, sale|2026",
        "Published": "true",
        "Gift Card": "false",
        "SEO Title": f"{kind} online",
        "Google Shopping / Condition": "new",
        "Color (product.metafields.shopify.color-pattern)": COLOURS[number % 3],
        "Status": "active",
    }
    image = {"Image Src": f"{CDN}/{handle(number)}.jpg?v=1", "Image Position": "1", "Image Alt Text": "front"}
    variants = ("S", "M", "L") if number % 2 else ("",)
    for place, size in enumerate(variants):
        row = {
            "Option1 Name": "" if place else ("Size" if size else "Title"),
            "Option1 Value": size or "Default Title",
            "Variant SKU": f"{handle(number)}-{size or 'X'}".upper(),
            "Variant Grams": "250.0",
            "Variant Inventory Tracker": "shopify",
            "Variant Inventory Qty": str(place if size else number),
            "Variant Inventory Policy": "deny",
            "Variant Price": f"{19 + number + place}.90",
            "Variant Compare At Price": f"{29 + number + place}.90",
            "Variant Requires Shipping": "true",
            "Variant Barcode": f"40{number:02d}0000000{place}",
            "Cost per item": "7.00",
        }
        yield {**row, **(first if place == 0 else {}), **(image if place == 0 else {})}
    yield {"Image Src": f"{CDN}/{handle(number)}-side.jpg?v=1", "Image Position": "2"}


def shopify_rows() -> list[dict[str, str]]:
    """Thirty products on sale, a draft, an archived one, one that is not published, and rows that are no products."""
    rows = [{"Handle": handle(number), **row} for number in range(1, 31) for row in _product(number)]
    base = {"Option1 Name": "Title", "Option1 Value": "Default Title", "Variant Price": "1.00", "Published": "true"}
    rows += [
        {"Handle": "a-draft", "Title": "A draft", "Status": "draft", **base},
        {"Handle": "old", "Title": "Old", "Status": "archived", **base},
        {"Handle": "hidden", "Title": "Hidden", "Status": "active", **base, "Published": "false"},
        {"Handle": "bare", "Status": "active", **base},
        {"Title": "No handle", **base},
        {"Handle": handle(1), "Variant Weight Unit": "kg"},
    ]
    return rows


def write_csv(path: Path, header: Sequence[str], rows: Sequence[dict[str, str]], **dialect: Any) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, **dialect)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_shopify(path: Path, *, new_names: bool = False) -> Path:
    """``products_export.csv``, with the older or the newer names of columns."""
    rows = shopify_rows()
    if not new_names:
        return write_csv(path, OLD_HEADER, rows)
    policy = {"deny": "FALSE", "continue": "TRUE"}
    for row in rows:
        if "Variant Inventory Policy" in row:
            row["Variant Inventory Policy"] = policy[row["Variant Inventory Policy"]]
    renamed = [{NEW_NAMES.get(name, name): value for name, value in row.items()} for row in rows]
    return write_csv(path, [NEW_NAMES.get(name, name) for name in OLD_HEADER], renamed)


_ORDERS_NAMES = (
    "Name,Email,Financial Status,Paid at,Fulfillment Status,Currency,Subtotal,Total,Created at,Lineitem quantity,"
    "Lineitem name,Lineitem price,Lineitem sku,Billing Name,Billing Street,Phone,Cancelled at,Id"
)
ORDERS_HEADER = _ORDERS_NAMES.split(",")


def write_orders(path: Path) -> Path:
    """``orders_export.csv``: twelve customers with six orders of one or two lines each, and what cannot be used."""
    rows = []
    for customer in range(12):
        for visit in range(6):
            number = customer * 6 + visit
            bought = [(customer + visit * 3) % 30 + 1, (customer * 2 + visit) % 30 + 1]
            for place, product in enumerate(bought):
                size = "-S" if product % 2 else "-X"
                line = {
                    "Name": f"#{1000 + number}",
                    "Email": f"Customer{customer}@Example.com",
                    "Lineitem quantity": "1",
                    "Lineitem name": title(product) + (" - S" if product % 2 else ""),
                    "Lineitem price": "19.90",
                    # Every fifth line has no SKU, and is told by its name.
                    "Lineitem sku": "" if number % 5 == 0 else (handle(product) + size).upper(),
                    "Created at": f"2026-0{1 + visit}-{10 + customer:02d} 10:14:00 -0400",
                }
                if place == 0:
                    line |= {"Financial Status": "paid", "Currency": "EUR", "Billing Street": "Elm St 1", "Total": "9"}
                rows.append(line)
    last = {"Created at": "2026-08-01 09:00:00 +0200", "Lineitem sku": "LAMP-03-S", "Email": "zoë@example.com"}
    rows += [
        {"Name": "#2001", **last, "Cancelled at": "2026-08-01 10:00:00 +0200"},
        {"Name": "#2001", "Lineitem sku": "LAMP-03-M"},
        {"Name": "#2002", **last, "Financial Status": "refunded"},
        {"Name": "#2003", **last, "Email": ""},
        {"Name": "#2004", **last, "Lineitem sku": "GONE-1"},
        {"Name": "#2005", **last, "Created at": "soon"},
        {"Name": "#2006", **last, "Lineitem sku": "", "Lineitem name": ""},
    ]
    return write_csv(path, ORDERS_HEADER, rows)


def feed_items() -> list[dict[str, str]]:
    """Thirty entries of a feed by attribute, two of them for one product, and what cannot be used."""
    items = []
    for number in range(1, 31):
        kind = KINDS[number % 3]
        item = {
            "id": f"SKU-{number:03d}",
            "title": title(number),
            "description": f"A {kind} for cafés,\nmade of oak & wool, {number} < 40 cm.\tWashable.",
            "link": f"https://shop.example/p/{number}?a=1&b=2",
            "image_link": f"https://img.shop.example/{number}.jpg",
            "additional_image_link": f"https://img.shop.example/{number}-a.jpg,https://img.shop.example/{number}-b.jpg",
            "price": f"{19 + number}.90 USD",
            "availability": ("in_stock", "out of stock", "preorder", "in stock")[number % 4],
            "product_type": f"Home > Decor > {kind.title()}s",
            "google_product_category": "Home & Garden > Decor",
            "brand": "Åkerlund",
            "gtin": f"40{number:02d}000000007",
            "condition": "new",
            "color": "red/blue" if number % 2 else "grün",
            "item_group_id": f"G{number // 2}",
            "custom_label_0": "autumn",
            "shipping": "US:CA:Ground:5.00 USD",
            "tax_category": "",
        }
        if number == 1:
            item["sale_price"] = "15.00 USD"
        items.append(item)
    items += [
        {"id": "SKU-001", "title": "The same id again"},
        {"id": "", "title": "No id"},
        {"id": "SKU-100", "title": "A lamp whose price is no price", "price": "ask us"},
    ]
    return items


FEED_HEADER = (*feed_items()[1], "sale_price")


def write_feed_text(path: Path) -> Path:
    """``feed.tsv`` with values in quotes where they need them, names as people write them, and a byte order mark."""
    buffer = io.StringIO()
    names = [name.replace("_", " ") if name.startswith("image") else name.title() for name in FEED_HEADER]
    writer = csv.writer(buffer, delimiter="\t", lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([item.get(name, "") for name in FEED_HEADER] for item in feed_items())
    path.write_bytes(b"\xef\xbb\xbf" + buffer.getvalue().encode())
    return path


def write_feed_xml(path: Path, kind: str = "rss") -> Path:
    """``feed.xml`` as RSS 2.0 or Atom; title, description and link are RSS's or Atom's own elements."""
    entries = []
    for item in feed_items():
        lines = []
        for name, value in item.items():
            if name == "shipping":
                lines.append("<g:shipping><g:country>US</g:country><g:price>5.00 USD</g:price></g:shipping>")
            elif name == "additional_image_link":
                lines += [f"<g:{name}>{url}</g:{name}>" for url in value.split(",")]
            elif name == "link" and kind == "atom":
                lines.append(f'<link href="{escape(value)}"/>')
            elif name == "title":
                lines.append(f"<title><![CDATA[{value}]]></title>")
            elif name == "description":
                words = "summary" if kind == "atom" else name
                lines.append(f"<{words}>{escape(value)}</{words}>")
            elif name == "link":
                lines.append(f"<link>{escape(value)}</link>")
            else:
                lines.append(f"<g:{name}>{escape(value)}</g:{name}>")
        entries.append("\n".join(lines))
    google = 'xmlns:g="http://base.google.com/ns/1.0"'
    if kind == "atom":
        body = "".join(f"<entry><id>tag:shop,{n}</id>{entry}</entry>" for n, entry in enumerate(entries))
        text = f'<feed xmlns="http://www.w3.org/2005/Atom" {google}><title>Shop</title>{body}</feed>'
    else:
        body = "".join(f"<item>{entry}</item>\n" for entry in entries)
        text = f'<rss {google} version="2.0"><channel><title>Shop</title><link>https://s</link>{body}</channel></rss>'
    path.write_text('<?xml version="1.0" encoding="UTF-8"?>\n' + text, encoding="utf-8")
    return path


def write_events(path: Path) -> Path:
    """``events.csv``: twelve users with eight events each, by id and by bar code, and what cannot be used."""
    rows = []
    for user in range(12):
        for step in range(8):
            number = (user + step * 3) % 30 + 1
            rows.append(
                {
                    "user_id": f"user{user}@example.com" if user == 0 else f"u{user}",
                    "item_id": f"40{number:02d}000000007" if step == 0 else f"SKU-{number:03d}",
                    "timestamp": f"2026-03-{step + 1:02d}T10:00:00Z" if step % 2 else str(1770000000 + 100_000 * step),
                    "event_type": "purchase",
                    "rating": "5" if step else "good",
                    "device": "phone",
                }
            )
    rows += [
        {"user_id": "u1", "item_id": "SKU-999", "timestamp": "1770000000"},
        {"user_id": "", "item_id": "SKU-001", "timestamp": "1770000000"},
        {"user_id": "u1", "item_id": "SKU-001", "timestamp": ""},
        {"user_id": "u1", "item_id": "SKU-001", "timestamp": "2026-02-30"},
        {"user_id": "u1", "item_id": "G1", "timestamp": "1770000000"},
    ]
    return write_csv(path, ("user_id", "item_id", "timestamp", "event_type", "rating", "device"), rows)
