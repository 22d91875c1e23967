"""`mmrec import`, run in this process through the program's own entry point."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mmrec.data.dataset import read_dataset
from tests.commands import status_of
from tests.data.importers.shop_files import write_events, write_feed_xml, write_orders, write_shopify


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-latest"
    folder.mkdir()
    (folder / "movies.csv").write_text('movieId,title,genres\n1,"Matrix, The (1999)",Action|Sci-Fi\n')
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n7,1,4.5,964982703\n")
    return folder


def test_movielens(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert status_of("import", "movielens", str(source), "--out", str(out)) == 0
    printed = capsys.readouterr()
    assert "events" in printed.out
    assert f"mmrec check {out}" in printed.err
    assert read_dataset(out).catalogue.titles == ("Matrix, The (1999)",)
    assert sorted(path.name for path in out.iterdir()) == ["events.parquet", "items.parquet"]


def test_json(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert status_of("import", "movielens", str(source), "-o", str(out), "--format", "tsv", "--json", "-q") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "out": str(out),
        "items": 1,
        "users": 1,
        "events": 1,
        "dropped": 0,
        "notes": [],
        "left_out": [],
        "picture_hosts": [],
    }
    assert printed.err == ""
    assert (out / "items.tsv").read_text() == (
        "item_id\ttitle\tyear\tgenres\n1\tMatrix, The (1999)\t1999\tAction|Sci-Fi\n"
    )


def test_a_folder_in_use_needs_overwrite(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("import", "movielens", str(source), "--out", str(tmp_path / "out"))
    assert status_of(*arguments) == 0
    assert status_of(*arguments) == 3
    assert "pass --overwrite" in capsys.readouterr().err
    assert status_of(*arguments, "--overwrite", "--format", "csv") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["events.csv", "items.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("netflix", "x", "--out", "y"),
            "the format is 'netflix'; it must be one of movielens, amazon, recbole, shopify, google-merchant",
        ),
        (("movielens", "x"), "--out is missing"),
        (("movielens", "--out", "y"), "movielens takes one SOURCE"),
        (("recbole", "x", "--reviews", "r", "--out", "y"), "recbole takes one SOURCE"),
        (
            ("amazon", "--reviews", "r", "--out", "y"),
            "amazon takes no SOURCE but --reviews FILE and --metadata FILE",
        ),
        (("movielens", "x", "--out", "y", "--format", "xml"), "--format is 'xml'"),
        (("movielens", "x", "--out", "y", "--events", "e"), "--events goes with shopify and google-merchant"),
        (("google-merchant", "x", "--out", "y", "--items", "variant"), "--items goes with shopify"),
        (("recbole", "x", "--out", "y", "--keep-unpublished"), "--keep-unpublished goes with shopify"),
        (("shopify", "x", "--out", "y", "--items", "sku"), "--items is 'sku'; it must be product or variant"),
        (("shopify", "--out", "y"), "shopify takes one SOURCE"),
    ],
)
def test_arguments_that_do_not_fit(
    arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("import", *arguments) == 2
    assert message in capsys.readouterr().err


def test_a_source_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("import", "recbole", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out")) == 3
    assert "does not exist" in capsys.readouterr().err


def test_from_a_shops_files_to_a_checked_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export, orders = write_shopify(tmp_path / "products_export.csv"), write_orders(tmp_path / "orders_export.csv")
    out = tmp_path / "shop"
    assert status_of("import", "shopify", str(export), "--events", str(orders), "--out", str(out)) == 0
    shown = capsys.readouterr()
    assert "left out 1 row: products whose status is 'draft'; --keep-unpublished keeps them" in shown.err
    assert f"mmrec fetch {out} --hosts cdn.shopify.com" in shown.err
    assert "rows left out   19" in shown.out
    assert status_of("check", str(out)) == 0
    assert status_of("import", "shopify", str(export), "-o", str(out), "--overwrite", "--items", "variant", "-q") == 0
    assert capsys.readouterr().err.count("variant") == 0
    assert len(read_dataset(out).catalogue) == 60


def test_what_is_left_out_is_in_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed, events = write_feed_xml(tmp_path / "feed.xml"), write_events(tmp_path / "events.csv")
    out = tmp_path / "shop"
    arguments = ("import", "google-merchant", str(feed), "--events", str(events), "--out", str(out), "--json", "-q")
    assert status_of(*arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["items"], found["users"], found["events"], found["dropped"]) == (31, 12, 96, 7)
    assert found["picture_hosts"] == [{"host": "img.shop.example", "pictures": 30}]
    assert {"kind": "column", "what": "device", "count": 96, "example": "'phone' at events.csv:2"} in found["left_out"]
    assert status_of("check", str(out)) == 0


def test_a_shop_without_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    feed, out = write_feed_xml(tmp_path / "feed.xml"), tmp_path / "shop"
    assert status_of("import", "google-merchant", str(feed), "--out", str(out)) == 0
    assert "mmrec fit needs them, so import again with --events FILE" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["items.parquet"]
