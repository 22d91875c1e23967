"""`mmrec upsert` and `mmrec delete`, as a person calls them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mmrec.sdk.client import Client
from mmrec_serving import BackgroundServer, ServerConfig
from tests.commands import run_here
from tests.fake_engine import FakeEngine

JPEG = b"\xff\xd8 as far as the fake engine looks"


@pytest.fixture
def server() -> Iterator[BackgroundServer]:
    with BackgroundServer(FakeEngine) as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Nine rows, of which five are good: two without a usable row, one without its picture, one with a bad one."""
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "1.jpg").write_bytes(JPEG)
    (folder / "images" / "bad.jpg").write_bytes(b"no picture")
    rows = [
        "item_id,title,image,half",
        "n1,Mug,1.jpg,third",
        "n2,Lamp,,",
        ",Nameless,,",
        "n3,Hat,gone.jpg,",
        "n4,Shoe,bad.jpg,third",
        "n2,Lamp again,,",
        "n5,Clock,images/1.jpg,third",
        "n6,Chair,,",
        "n7,Bag,,",
    ]
    (folder / "items.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


# --- upsert ---


def test_the_items_of_a_folder_come_with_their_pictures_and_what_is_wrong_is_told(
    shop: Path, server: BackgroundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["upsert", str(shop), "--server", server.target, "--batch", "3"], capsys)
    assert status == 0
    assert "upserting: 9 items ..." in err
    assert "upserting: 5 items in 3 batches, 4 refused" in err
    assert [line for line in err.splitlines() if line.startswith("item ")] == [
        "item ? (row 4): item_id is empty; every item needs an id",
        "item n3 (row 5): the picture 'gone.jpg' is not in the dataset folder; put the file into images/",
        "item n4 (row 6): the picture is no JPEG",
        "item n2 (row 7): item_id 'n2' was there before, at 3; keep one row per item",
    ]
    shown = [line.split() for line in out.splitlines()]
    assert ["items", "done", "5"] in shown
    assert ["items", "refused", "4"] in shown
    assert ["catalogue", "version", "c1+2"] in shown
    with Client(server.target) as client:
        assert client.list_items('half = "third"').item_ids == ("n1", "n5")
        assert client.info().items == 25


def test_some_columns_of_items_that_exist_are_replaced(
    tmp_path: Path, shop: Path, server: BackgroundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run_here(["upsert", str(shop), "--server", server.target], capsys)
    table = tmp_path / "halves.csv"
    table.write_text("item_id,title,half\nn1,Not read,fourth\nghost,Not there,fourth\n", encoding="utf-8")
    status, _, err = run_here(["upsert", str(table), "--server", server.target, "--fields", "half"], capsys)
    assert status == 0
    assert "item ghost (row 3): there is no item 'ghost'" in err
    with Client(server.target) as client:
        (found,) = client.list_items('half = "fourth"').items
        assert (found.item_id, found.title) == ("n1", "Mug")
    status, _, err = run_here(["upsert", str(table), "--server", server.target, "--fields", "attributes."], capsys)
    assert (status, "attributes.NAME" in err) == (2, True)


def test_json_is_one_document_with_everything_that_was_refused(
    shop: Path, server: BackgroundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["upsert", str(shop / "items.csv"), "--server", server.target, "--json", "--quiet", "--wait"]
    status, out, err = run_here(arguments, capsys)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["batches"], found["done"], found["validate_only"]) == (1, 5, False)
    assert [(one["item_id"], one["line"]) for one in found["refused"]] == [("", 4), ("n3", 5), ("n4", 6), ("n2", 7)]
    assert found["versions"] == {"model": "m1", "catalogue": "c1+1", "codebook": "b1"}


def test_checking_changes_nothing(shop: Path, server: BackgroundServer, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run_here(["upsert", str(shop), "--server", server.target, "--validate-only"], capsys)
    assert status == 0
    assert "checking: 5 items in 1 batches, 4 refused" in err
    assert "items that would be done" in out
    with Client(server.target) as client:
        assert client.info().items == 20


def test_a_load_that_breaks_goes_on_where_it_was(
    tmp_path: Path, server: BackgroundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "new.jsonl"
    titles = ["Mug", "Lamp", "trap: raise", "Clock"]
    lines = [json.dumps({"item_id": f"n{n}", "title": title}) for n, title in enumerate(titles)]
    table.write_text("\n".join(lines), encoding="utf-8")
    arguments = ["upsert", str(table), "--server", server.target, "--batch", "1", "--request-id", "load"]
    status, out, err = run_here(arguments, capsys)
    assert (status, out) == (1, "")
    assert "to continue, run the same command with --skip 2" in err
    assert "error: after 2 answered batches: internal error" in err
    table.write_text("\n".join(lines).replace("trap: raise", "Hat"), encoding="utf-8")
    status, out, err = run_here([*arguments, "--skip", "2", "--json"], capsys)
    assert status == 0
    assert (json.loads(out)["done"], json.loads(out)["batches"]) == (2, 2)
    # The same load once more changes nothing.
    status, out, err = run_here([*arguments, "--json"], capsys)
    assert json.loads(out)["done"] == 4
    with Client(server.target) as client:
        assert (client.info().items, client.info().versions.catalogue) == (24, "c1+4")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["upsert", "{shop}"], 2, "--server is not given"),
        (["delete", "p1"], 2, "--server is not given"),
        (["upsert", "{shop}", "--server", "localhost:1", "--batch", "0"], 2, "--batch is 0"),
        (["upsert", "{shop}", "--server", "localhost:1", "--batch", "1001"], 2, "between 1 and 1,000"),
        (["upsert", "{shop}", "--server", "localhost:1", "--skip", "-1"], 2, "skip is -1"),
        (["upsert", "{shop}", "--server", "localhost:1", "--request-id", "x" * 129], 2, "request_id has 129"),
        (["upsert", "{shop}/none", "--server", "localhost:1"], 3, "does not exist"),
        (["upsert", "{shop}/images", "--server", "localhost:1"], 3, "there is no items table"),
        (["upsert", "{shop}/images/1.jpg", "--server", "localhost:1"], 3, "has none of the suffixes"),
        (["delete", "p1", "--server", "localhost:1", "--request-id", "x" * 129], 2, "request_id has 129"),
    ],
)
def test_a_mistake_is_told(
    arguments: list[str], status: int, message: str, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run_here([word.replace("{shop}", str(shop)) for word in arguments], capsys)
    assert (code, out) == (status, "")
    assert message in err


def test_a_server_that_is_not_there_ends_with_5(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port meanwhile
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        for command in (["upsert", str(shop)], ["delete", "p1"]):
            status, out, err = run_here([*command, "--server", address, "--timeout", "30"], capsys)
            assert (status, out) == (5, "")
            assert f"no mmrec server answers at {address}" in err


def test_a_token_goes_along(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BackgroundServer(FakeEngine, ServerConfig(port=0, token="s3cret", changes_in_memory=True)) as server:
        assert run_here(["upsert", str(shop), "--server", server.target], capsys)[0] == 5
        assert run_here(["upsert", str(shop), "--server", server.target, "--token", "s3cret"], capsys)[0] == 0
        assert run_here(["delete", "n1", "--server", server.target, "--token", "s3cret"], capsys)[0] == 0


# --- delete ---


def test_items_are_removed_and_what_is_not_there_is_told(
    server: BackgroundServer, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run_here(["delete", "item-1", "ghost", "item-2", "--server", server.target], capsys)
    assert (status, err) == (0, "the catalogue has no item 'ghost'; it holds 20 items\n")
    assert ["items", "removed", "2"] in [line.split() for line in out.splitlines()]
    status, out, err = run_here(["delete", "item-1", "--server", server.target, "--json"], capsys)
    assert (status, out, err) == (3, "", "error: the catalogue has no item 'item-1'; it holds 18 items\n")
    status, out, err = run_here(["delete", "item-3", "--server", server.target, "--json", "--validate-only"], capsys)
    assert (status, err) == (0, "")
    assert json.loads(out)["entries"] == [{"id": "item-3", "error": None}]
    with Client(server.target) as client:
        assert client.info().items == 18


# --- a real one ---


def test_a_dataset_goes_into_a_real_server_and_can_be_found(
    demo_bundle: Path, demo_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import mmrec

    (tmp_path / "images").mkdir()
    picture = sorted((demo_dataset / "images").iterdir())[0]
    (tmp_path / "images" / "new.jpg").write_bytes(picture.read_bytes())
    (tmp_path / "items.tsv").write_text("item_id\ttitle\timage\nnew\tQuartz reading lamp\tnew.jpg\n", encoding="utf-8")
    with BackgroundServer(lambda: mmrec.Recommender.load(demo_bundle, device="cpu")) as server:
        status, _, err = run_here(["upsert", str(tmp_path), "--server", server.target, "--timeout", "120"], capsys)
        assert status == 0, err
        with Client(server.target, timeout=120) as client:
            assert client.search("quartz reading lamp", k=1, modality="words").item_ids == ("new",)
            assert "new" in client.recommend(["p0001"], k=100).item_ids
            assert run_here(["delete", "new", "--server", server.target, "--timeout", "120"], capsys)[0] == 0
            assert client.info().items == 60
