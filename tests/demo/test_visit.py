"""What the demonstration asks and counts, with an engine that knows the answer in place of a trained one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from mmrec.contract.items import ItemRecord, ScoredItem
from mmrec.contract.replies import Recommendations
from mmrec.contract.requests import RecommendRequest
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.demo import DemoTruth, draw_contact_sheet, write_demo_dataset
from mmrec.demo.visit import ask_for_customers, measure_matching, sheet_rows
from mmrec.errors import InternalError, MmrecError
from mmrec.sdk.client import Client
from mmrec.sdk.transport import EngineTransport


class Shop(NamedTuple):
    dataset: Dataset
    truth: DemoTruth


class Guess:
    """Recommends items that match the taste of whoever has this history, except to customers it refuses."""

    def __init__(self, shop: Shop, refuse: frozenset[tuple[str, ...]] = frozenset()) -> None:
        ids, events = shop.dataset.catalogue.item_ids, shop.dataset.interactions
        self.truth = shop.truth
        self.refuse = refuse
        self.user_of = {
            tuple(ids[row] for row in events.history(u)[:-1]): user for u, user in enumerate(events.user_ids)
        }

    def recommend_many(self, requests: Sequence[RecommendRequest]) -> list[Recommendations | MmrecError]:
        return [
            InternalError("refused")
            if r.history in self.refuse
            else Recommendations("id", tuple(ScoredItem(ItemRecord(i), 1.0) for i in self.ranked(r)[: r.k]))
            for r in requests
        ]

    def ranked(self, request: RecommendRequest) -> list[str]:
        user = self.user_of[request.history]
        unseen = [item for item in self.truth.items if item not in request.history]
        return sorted(unseen, key=lambda item: not self.truth.matches(user, item))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    truth = write_demo_dataset(folder, items=98, users=30)
    return Shop(read_dataset(folder), truth)


def client(engine: Guess) -> Client:
    return Client(transport=EngineTransport(engine))  # type: ignore[arg-type]  # only recommending is asked for


def test_customers_whose_taste_shows_are_asked_for_with_all_but_their_last_purchase(shop: Shop) -> None:
    visits = ask_for_customers(client(Guess(shop)), shop.dataset, shop.truth)
    assert len(visits) == 5
    for visit in visits:
        user = shop.dataset.interactions.user_ids.index(visit.user_id)
        bought = [shop.dataset.catalogue.item_ids[row] for row in shop.dataset.interactions.history(user)]
        assert [*visit.history, visit.actual] == bought
        assert sum(shop.truth.matches(visit.user_id, item) for item in visit.history) >= 2
        assert len(visit.recommended) == 6


def test_the_share_that_matches_is_that_of_the_answers_and_chance_that_of_the_catalogue(shop: Shop) -> None:
    matching = measure_matching(client(Guess(shop)), shop.dataset, shop.truth, customers=10, first=1)
    assert (matching.customers, matching.first) == (10, 1)
    assert matching.chance == pytest.approx(2 / 98)
    assert 0.3 < matching.recommended <= 1.0


def test_a_customer_the_server_refuses_stops_the_count(shop: Shop) -> None:
    engine = Guess(shop)
    refused = Guess(shop, refuse=frozenset([next(iter(engine.user_of))]))
    with pytest.raises(InternalError):
        measure_matching(client(refused), shop.dataset, shop.truth)


def test_the_rows_of_the_sheet_show_pictures_titles_and_marks(shop: Shop, tmp_path: Path) -> None:
    visits = ask_for_customers(client(Guess(shop)), shop.dataset, shop.truth, customers=3)
    rows = sheet_rows(visits, shop.dataset, shop.truth)
    draw_contact_sheet(rows, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 50_000
    for row, visit in zip(rows, visits, strict=True):
        assert visit.taste.colour in row.note
        assert visit.taste.occasion in row.note
        for item, item_id in zip(row.recommended, visit.recommended, strict=True):
            assert item.matches == shop.truth.matches(visit.user_id, item_id)
            assert item.actual == (item_id == visit.actual)
            picture = shop.dataset.catalogue.images[shop.dataset.catalogue.row_of(item_id) or 0]
            assert (item.picture is not None) == bool(picture)
