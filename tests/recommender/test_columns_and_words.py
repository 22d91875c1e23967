"""What ``dataset.toml`` says of columns and words holds in a bundle: for items that come, and in later versions."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec import Client, Recommender
from mmrec.bundle import BundleWriter
from mmrec.contract.items import ItemInput
from mmrec.errors import InvalidArgumentError
from mmrec.training import fit_dataset
from mmrec_serving import BackgroundServer, ServerConfig
from tests.conftest import tiny_fit

pytestmark = pytest.mark.slow

SETTINGS = """
[columns]
delivered = "date-dmy"
size = "text"

[words]
leave_out = ["shelf"]
"""


@pytest.fixture(scope="module")
def bundle(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the demo's shop with prices, ambiguous days and a shelf."""
    root = tmp_path_factory.mktemp("columns")
    shop = shutil.copytree(demo_dataset, root / "shop")
    items = pq.read_table(shop / "items.parquet")
    rows = range(items.num_rows)
    for name, values in {
        "price": [f"{row},50 €" for row in rows],
        "delivered": [f"0{row % 9 + 1}/02/2024" for row in rows],
        "size": [str(36 + row % 9) for row in rows],
        "shelf": [f"row {chr(65 + row % 9)}" for row in rows],
    }.items():
        items = items.append_column(name, pa.array(values))
    pq.write_table(items, shop / "items.parquet")
    (shop / "dataset.toml").write_text(SETTINGS)
    return fit_dataset(shop, root / "bundle", tiny_fit()).bundle


def found(recommender: Recommender, expression: str) -> list[str]:
    return sorted(hit.item_id for hit in recommender.search("a", k=100, filter=expression).items)


def test_kinds_and_words_hold_for_items_that_come_and_in_later_versions(bundle: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    recommender = Recommender.load(folder, device="cpu")
    assert found(recommender, "price < 2") == ["p0001", "p0002"]
    assert found(recommender, "delivered < 2024-02-02 AND price < 10") == ["p0001", "p0010"]
    with pytest.raises(InvalidArgumentError, match="column 'size' is text, whatever it holds"):
        found(recommender, "size < 40")
    new = {"category": "mug", "size": "7", "shelf": "row Z", "price": "0,99 €", "delivered": "31/01/2024"}
    same = ItemInput("same", "A mug", "For tea.", attributes={**new, "shelf": "", "price": "", "delivered": ""})
    described = recommender.encode_items([ItemInput("new", "A mug", "For tea.", attributes=new), same]).items
    assert described.texts == ("A mug. For tea. category: mug. size: 7",) * 2
    assert (described.features.text_NT[0] == described.features.text_NT[1]).all()
    # A client may name columns in another order; that is the same item.
    turned = ItemInput("turned", "A mug", "For tea.", attributes=dict(reversed(new.items())))
    assert recommender.encode_items([turned]).items.texts == described.texts[:1]
    recommender.upsert_items([ItemInput("new", "A mug", "For tea.", attributes=new)])
    for state in (recommender, _folded(recommender, folder)):
        assert found(state, "price < 1") == ["new", "p0001"]
        assert found(state, "delivered < 2024-02-01") == ["new"]
        assert found(state, "delivered < 2024-02-02 AND price < 10") == ["new", "p0001", "p0010"]
        assert state.encode_items([turned]).items.texts == described.texts[:1]
        with pytest.raises(InvalidArgumentError, match="column 'size' is text, whatever it holds"):
            found(state, "size < 40")


def test_a_value_that_a_column_cannot_hold_is_refused_by_itself(bundle: Path) -> None:
    recommender = Recommender.load(bundle, device="cpu")
    with pytest.raises(InvalidArgumentError, match="has 10,001 characters; at most 10,000 are accepted"):
        ItemInput("mug", "A mug", attributes={"category": "m" * 10_001})
    sent = [
        ItemInput("call", "A mug", attributes={"price": "call us"}),
        ItemInput("soon", "A mug", attributes={"delivered": "tomorrow"}),
        ItemInput("good", "A mug", attributes={"price": "0,10 €"}),
    ]
    refused = recommender.upsert_items(sent)
    assert refused.done == ("good",)
    assert [str(entry.error).partition(";")[0] for entry in refused.refused] == [
        "items[0]: attributes has 'call us' for column 'price', which holds numbers with a decimal comma in EUR",
        "items[1]: attributes has 'tomorrow' for column 'delivered', which holds dates with the day first",
    ]
    # The other values of an item are not read when one field of it is replaced.
    assert recommender.upsert_items([replace(sent[0], item_id="p0001")], fields=["title"]).done == ("p0001",)
    assert not recommender.upsert_items([replace(sent[0], item_id="p0001")], fields=["attributes.price"]).done
    assert found(recommender, "price < 2") == ["good", "p0001", "p0002"]


def test_a_price_is_changed_of_an_item_that_has_no_words(bundle: Path, demo_dataset: Path) -> None:
    recommender = Recommender.load(bundle, device="cpu")
    picture = next((demo_dataset / "images").glob("*.jpg")).read_bytes()
    recommender.upsert_items([ItemInput("bare", image=picture, attributes={"price": "3,00 €"})])
    recommender.upsert_items([ItemInput("bare", attributes={"price": "0,10 €"})], fields=["attributes.price"])
    assert found(recommender, "price < 0.2") == ["bare"]


def test_prices_weigh_in_a_recommendation_by_every_way_of_asking(bundle: Path) -> None:
    recommender = Recommender.load(bundle, device="cpu")
    with BackgroundServer(lambda: recommender, ServerConfig(port=0)) as server, Client(server.target) as client:
        for way in (recommender, client):
            asked = {"k": 2, "attribute_weights": {"price": 1000.0}}
            assert way.recommend(["p0005"], **asked).item_ids == ("p0060", "p0059")
            assert way.rank(["p0007", "p0009", "p0008"], **asked).item_ids == ("p0009", "p0008", "p0007")
            cheap = way.recommend(["p0005"], k=2, attribute_weights={"price": -1000.0}, explain=True)
            assert cheap.item_ids == ("p0001", "p0002")
            for item in cheap.items:
                (part,) = [share.share for share in item.shares if share.channel == "attribute:price"]
                assert part > 1000
                assert sum(share.share for share in item.shares) == pytest.approx(item.score, rel=1e-4)
            with pytest.raises(InvalidArgumentError, match="column 'size' holds text; it must hold"):
                way.recommend(["p0005"], attribute_weights={"size": 1.0})
    recommender.upsert_items([ItemInput("gold", "A mug", attributes={"price": "999,00 €"})])
    assert recommender.recommend(["p0005"], **asked).item_ids == ("gold", "p0060")


def _folded(recommender: Recommender, folder: Path) -> Recommender:
    with BundleWriter(folder, preset="embedded", name="shop") as writer:
        recommender.publish(writer, catalogue="later", folded={"changes": 1})
    return Recommender.load(folder, device="cpu")
