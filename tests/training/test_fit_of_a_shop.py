"""From the files that a shop exports to a bundle: import, fetch the pictures, check, fit."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from mmrec.data.check import check_dataset
from mmrec.data.fetched_pictures import fetch_pictures
from mmrec.data.fetching import FetchConfig, PictureFetcher
from mmrec.data.importers.shopify import import_shopify
from mmrec.recommender import Recommender
from mmrec.training import fit_dataset
from tests.conftest import tiny_fit
from tests.data.importers.shop_files import CDN, COLOURS, handle, write_orders, write_shopify
from tests.data.raw_server import RawServer, reply

FILLS = {"red": "red", "blue": "blue", "grün": "green"}


def _picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), FILLS[COLOURS[number % 3]]).save(buffer, "JPEG")
    return buffer.getvalue()


def test_an_export_with_its_orders_and_pictures_is_fitted(tmp_path: Path) -> None:
    export, orders = write_shopify(tmp_path / "products_export.csv"), write_orders(tmp_path / "orders_export.csv")
    with RawServer() as server:
        for number in range(1, 31):
            server.paths[f"/{handle(number)}.jpg"] = reply(_picture(number))
        export.write_text(export.read_text("utf-8").replace(CDN, server.url("", "cdn.example")), "utf-8")
        done = import_shopify(export, tmp_path / "shop", events=orders)
        (host,) = done.picture_hosts
        config = FetchConfig((host.host.partition(":")[0],), ports=(server.port,), allow_addresses=("127.0.0.1/32",))
        fetched = fetch_pictures(done.out, PictureFetcher(config, lambda name, port: ("127.0.0.1",)))
    assert (fetched.fetched, fetched.failed, fetched.items) == (30, 0, 30)
    report = check_dataset(done.out)
    assert (report.errors, report.warnings, report.with_picture, report.events) == (0, 0, 1.0, 138)
    bundle = fit_dataset(done.out, tmp_path / "bundle", tiny_fit()).bundle
    found = Recommender.load(bundle).recommend(["mug-01", "rug-02"], k=3, filter='in_stock = true AND category:"Lamps"')
    assert len(found.items) == 3
    assert all(pick.item_id.startswith("lamp-") for pick in found.items)
