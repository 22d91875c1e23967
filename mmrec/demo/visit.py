"""Requests of the demonstration to the server, and a comparison of the replies with the ground truth.

Requests go over gRPC as from any client: a customer's purchases except the last are the history; the last one, which is
not in the training data, is the next purchase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmrec.contract.requests import RecommendRequest
from mmrec.demo.attributes import Taste
from mmrec.demo.dataset import DemoTruth
from mmrec.demo.sheet import COLUMNS, SheetItem, SheetRow
from mmrec.errors import MmrecError

if TYPE_CHECKING:
    from mmrec.data.dataset import Dataset
    from mmrec.sdk.client import Client


@dataclass(frozen=True, slots=True)
class Visit:
    """One customer and what the server recommends.

    Attributes:
        user_id: Who.
        taste: What the customer likes.
        history: Item ids bought before, oldest first.
        recommended: Item ids, best first.
        actual: The item id really bought next.
    """

    user_id: str
    taste: Taste
    history: tuple[str, ...]
    recommended: tuple[str, ...]
    actual: str


@dataclass(frozen=True, slots=True)
class Matching:
    """Share of recommended items that have both halves of the customer's taste.

    Attributes:
        customers: How many customers were asked for.
        first: How many items of each ranking are counted.
        recommended: Share of the recommended items that match, in [0, 1].
        chance: Share of the whole catalogue that matches, which is the expectation of a random list.
    """

    customers: int
    first: int
    recommended: float
    chance: float


def ask_for_customers(
    client: Client, dataset: Dataset, truth: DemoTruth, *, customers: int = 5, k: int = COLUMNS
) -> list[Visit]:
    """Recommend for the first customers, those with at least two purchases that match their taste before the others.

    A taste that has only just changed cannot be learned from the history.
    """

    def matching(entry: tuple[str, Sequence[str]]) -> int:
        return min(2, sum(truth.matches(entry[0], item) for item in entry[1][:-1]))

    visits: list[Visit] = []
    for user_id, purchases in sorted(_purchases(dataset).items(), key=matching, reverse=True)[:customers]:
        history, actual = purchases[:-1], purchases[-1]
        found = client.recommend(history, k=k).item_ids
        visits.append(Visit(user_id, truth.tastes[user_id], history, found, actual))
    return visits


def measure_matching(
    client: Client, dataset: Dataset, truth: DemoTruth, *, customers: int = 200, first: int = 5
) -> Matching:
    """Recommend for many customers in one call and count the items that match their tastes.

    Raises:
        MmrecError: the server refuses the request of a user.
    """
    asked = list(_purchases(dataset).items())[:customers]
    requests = [RecommendRequest(history=purchases[:-1], k=first) for _, purchases in asked]
    shares = []
    for (user_id, _), answer in zip(asked, client.recommend_many(requests, timeout=120), strict=True):
        if isinstance(answer, MmrecError):
            raise answer
        shares.append(truth.share_matching(user_id, answer.item_ids))
    chances = [truth.share_matching(user_id, list(truth.items)) for user_id, _ in asked]
    return Matching(len(asked), first, sum(shares) / len(shares), sum(chances) / len(chances))


def sheet_rows(visits: Sequence[Visit], dataset: Dataset, truth: DemoTruth) -> list[SheetRow]:
    """The visits as rows of a contact sheet, with their pictures."""
    from mmrec.data.pictures import decode_picture

    def item(visit: Visit, item_id: str, *, actual: bool = False) -> SheetItem:
        row = dataset.catalogue.row_of(item_id)
        record = dataset.catalogue.record(row) if row is not None else None
        data = dataset.pictures.read(record.image) if record is not None and record.image else None
        return SheetItem(
            title=record.title if record is not None else item_id,
            picture=decode_picture(data) if data is not None else None,
            matches=truth.matches(visit.user_id, item_id),
            actual=actual,
        )

    return [
        SheetRow(
            label=f"Customer {visit.user_id}",
            note=f"likes {visit.taste.colour} (seen in the pictures only) and {visit.taste.occasion} "
            "(said in the words only)",
            history=[item(visit, item_id) for item_id in visit.history],
            recommended=[item(visit, i, actual=i == visit.actual) for i in visit.recommended],
        )
        for visit in visits
    ]


def _purchases(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    """Item ids, oldest first, by user id in the order of the ids."""
    ids, events = dataset.catalogue.item_ids, dataset.interactions
    named = sorted((user_id, user) for user, user_id in enumerate(events.user_ids))
    return {user_id: tuple(ids[row] for row in events.history(user)) for user_id, user in named}
