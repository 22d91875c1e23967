"""While an item is rewritten without end, every reply is of the state of the catalogue that it names."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mmrec
from mmrec.bundle import open_bundle
from mmrec.contract.conversation import ConverseRequest
from mmrec.contract.events import UserEvent
from mmrec.contract.items import ItemInput, ItemRecord, Versions
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.ratings.model import RatingModel, RatingScale, TimeKernel
from mmrec.recommender.artefact import ENCODERS, read_parts
from mmrec.recommender.ranking_model import RankingModel
from mmrec.sdk.rpcs import ENGINE_CALLS, QUESTIONS
from mmrec_encoders.item_encoder_files import load_item_encoder

pytestmark = pytest.mark.slow

ROUNDS = 10
REWRITTEN = "rewritten"


class Rewriting:
    """One item, and the number of the change that each version of the catalogue is of."""

    def __init__(self, own: mmrec.Recommender) -> None:
        self.own = own
        self.column = "category"
        self.base = own.info().versions.catalogue
        self.other = "p0001"
        self.paths: dict[str, tuple[int, ...]] = {}
        self._done = threading.Event()
        self.rewrite()

    def rewrite(self) -> None:
        """The item is there again, with the number of the change in its title and a column."""
        number = int(self.own.info().versions.catalogue.removeprefix(self.base).removeprefix("+") or 0) + 1
        title = f"Quartz lamp of change {number}"
        encoded = self.own.encode_items([ItemInput(REWRITTEN, title, "", None, {self.column: f"n{number}"})])
        versions = self.own.change(encoded.items)
        assert versions.catalogue == f"{self.base}+{number}"
        self.paths[versions.catalogue] = self.own.semantic_ids([REWRITTEN]).entries[0].semantic_id

    @contextmanager
    def going_on(self) -> Iterator[None]:
        def main() -> None:
            while not self._done.is_set():
                self.rewrite()

        self._done.clear()
        thread = threading.Thread(target=main)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()

    def expect(self, record: ItemRecord, versions: Versions) -> None:
        number = versions.catalogue.removeprefix(f"{self.base}+")
        assert (record.title, record.attributes[self.column]) == (f"Quartz lamp of change {number}", f"n{number}")
        assert record.semantic_id == self.paths_of(versions)

    def paths_of(self, versions: Versions) -> tuple[int, ...]:
        while versions.catalogue not in self.paths:  # the writer writes it down a moment after the change
            assert not self._done.is_set()
            time.sleep(0.001)
        return self.paths[versions.catalogue]


@pytest.fixture(scope="module")
def rewriting(demo_bundle: Path) -> Rewriting:
    """Of the demo's bundle, whose customers gave no ratings, with a rating model that knows one of its items."""
    bundle, cpu = open_bundle(demo_bundle), torch.device("cpu")
    parts = read_parts(bundle, cpu)
    content = parts.generator.catalogue.table().content_NC.shape[1]
    model = RatingModel(
        item_NK=np.zeros((1, 1), np.float32),
        item_variance_NK=np.zeros((1, 1), np.float32),
        implicit_NK=np.zeros((1, 1), np.float32),
        content_CK=np.ones((content, 1), np.float32),
        content_mean_K=np.zeros(1, np.float32),
        user_prior_2K=np.zeros((2, 1), np.float32),
        user_KK=np.ones((1, 1), np.float32),
        scale=RatingScale(-100, 100, 0, 1, 0, 1, timed=True),
        kernel=TimeKernel(1, 1, 1, 1),
    )
    ranker = RankingModel(parts._replace(rating_model=model), cpu, torch.float32)
    encoder = load_item_encoder(bundle.folder / ENCODERS, device="cpu")
    return Rewriting(mmrec.Recommender(bundle, ranker, encoder, device="cpu"))


def _shown(found: Any) -> Iterable[ItemRecord]:
    return [scored.item for scored in found.items if scored.item.item_id == REWRITTEN]


def check_recommend(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.recommend_many([RecommendRequest((), allow=(REWRITTEN,), k=1)])
    (record,) = _shown(found)
    asked.expect(record, found.versions)


def check_rank(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.rank_many([RankRequest((REWRITTEN,))])
    (record,) = _shown(found)
    asked.expect(record, found.versions)


def check_converse(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.converse_many([ConverseRequest("go ahead", filter=f'item_id = "{REWRITTEN}"')])
    (record,) = _shown(found)
    asked.expect(record, found.versions)


def check_embed_user(own: mmrec.Recommender, asked: Rewriting) -> None:
    found = own.embed_user_many([EmbedUserRequest(text="quartz lamp"), EmbedUserRequest((asked.other,))])
    assert len({one.versions for one in found}) == 1  # type: ignore[union-attr]


def check_explain(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.explain_many([ExplainRequest((REWRITTEN,))])
    assert [one.item_id for one in found.explanations] == [REWRITTEN]  # type: ignore[union-attr]


def check_predict_ratings(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.predict_ratings_many([RatingRequest((REWRITTEN,))])
    assert [one.item_id for one in found.ratings] == [REWRITTEN]
    assert asked.paths_of(found.versions)


def check_similar(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.similar_many([SimilarRequest(asked.other, 1, filter=f'item_id = "{REWRITTEN}"')])
    (record,) = _shown(found)
    asked.expect(record, found.versions)


def check_search(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.search_many([SearchRequest("quartz lamp", k=1, filter=f'item_id = "{REWRITTEN}"')])
    (record,) = _shown(found)
    asked.expect(record, found.versions)


def check_embed(own: mmrec.Recommender, asked: Rewriting) -> None:
    found = own.embed_many([EmbedRequest((ItemInput("a", "Quartz lamp"),)) for _ in range(3)])
    assert len({one.versions for one in found}) == 1  # type: ignore[union-attr]


def check_tag(own: mmrec.Recommender, asked: Rewriting) -> None:
    # The values of the column are the labels, and that of the item is the number of the change.
    (found,) = own.tag_many([TagRequest(column=asked.column, item_ids=(REWRITTEN,), k=1000)])
    number = found.versions.catalogue.removeprefix(f"{asked.base}+")
    assert [tag.label for tag in found.items[0].tags if tag.label[1:].isdigit()] == [f"n{number}"]


def check_duplicates(own: mmrec.Recommender, asked: Rewriting) -> None:
    title = own.items([REWRITTEN]).items[0].title
    (found,) = own.duplicates_many([DuplicatesRequest(filter=f'title = "{title}"')])
    # Nothing is like it, so it is in no group, whichever change the filter was written for.
    assert found.groups == ()
    number = int(found.versions.catalogue.removeprefix(f"{asked.base}+"))
    assert number >= int(title.rpartition(" ")[2])


def check_mismatches(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.mismatches_many([MismatchRequest(max_agreement=1.0)])
    items = int(found.explanation.partition(" of ")[2].partition(" ")[0])
    assert items == 61


def check_list_items(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.list_items_many([ListItemsRequest(f'item_id = "{REWRITTEN}"')])
    asked.expect(found.items[0], found.versions)


def check_semantic_ids(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = own.semantic_ids_many([SemanticIdsRequest((REWRITTEN,))])
    assert found.entries[0].semantic_id == asked.paths_of(found.versions)


def check_resolve(own: mmrec.Recommender, asked: Rewriting) -> None:
    path = asked.own.semantic_ids([REWRITTEN]).entries[0].semantic_id
    (found,) = own.resolve_many([ResolveRequest((path[:1],), 1000)])
    for record in found.entries[0].items:
        if record.item_id == REWRITTEN:
            asked.expect(record, found.versions)


def check_items(own: mmrec.Recommender, asked: Rewriting) -> None:
    found = own.items([REWRITTEN])
    asked.expect(found.items[0], found.versions)


def check_info(own: mmrec.Recommender, asked: Rewriting) -> None:
    (found,) = QUESTIONS["info"](own, [None])
    assert (found.items, found.versions.catalogue.startswith(f"{asked.base}+")) == (61, True)


CHECKS: dict[str, Callable[[mmrec.Recommender, Rewriting], None]] = {
    name.removeprefix("check_").replace("_", "-"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


def test_there_is_a_check_for_every_question() -> None:
    assert CHECKS.keys() == QUESTIONS.keys()
    assert ENGINE_CALLS.keys() - QUESTIONS.keys() == {"upsert", "delete", "record-events", "list-events", "delete-user"}


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_a_change_in_the_middle_of_a_question_is_not_in_its_reply(
    rewriting: Rewriting, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = rewriting.own.snapshot()
    name = kind if kind == "info" else f"{kind.replace('-', '_')}_many"
    kind_of = type(rewriting.own)
    answer, take = getattr(kind_of, name), kind_of.snapshot

    def snapshot_amid_changes(own: mmrec.Recommender) -> Any:
        monkeypatch.undo()
        rewriting.rewrite()
        taken = take(own)
        rewriting.rewrite()
        return taken

    def answer_amid_changes(own: mmrec.Recommender, *asked: Any) -> Any:
        monkeypatch.setattr(kind_of, "snapshot", snapshot_amid_changes)
        return answer(own, *asked)

    monkeypatch.setattr(kind_of, name, answer_amid_changes)
    CHECKS[kind](rewriting.own, rewriting)
    number = snapshot.versions.catalogue.rpartition("+")[2]
    assert rewriting.own.info().versions.catalogue == f"{rewriting.base}+{int(number) + 2}"


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_every_reply_is_of_the_state_that_it_names(rewriting: Rewriting, kind: str) -> None:
    with rewriting.going_on():
        for _ in range(ROUNDS):
            CHECKS[kind](rewriting.own, rewriting)


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_a_snapshot_goes_on_answering_what_it_did(rewriting: Rewriting, kind: str) -> None:
    held = rewriting.own.snapshot()
    requests: dict[str, Any] = {
        "recommend": RecommendRequest((rewriting.other,), k=61),
        "rank": RankRequest((rewriting.other, REWRITTEN)),
        "converse": ConverseRequest("a lamp", k=5),
        "embed-user": EmbedUserRequest((rewriting.other,), text="quartz"),
        "explain": ExplainRequest((rewriting.other,), RecommendRequest((REWRITTEN,))),
        "predict-ratings": RatingRequest((rewriting.other, REWRITTEN)),
        "similar": SimilarRequest(rewriting.other, 61),
        "search": SearchRequest("quartz", k=61),
        "embed": EmbedRequest((ItemInput("a", "Quartz lamp"),)),
        "tag": TagRequest(column=rewriting.column, item_ids=(REWRITTEN,)),
        "duplicates": DuplicatesRequest(),
        "mismatches": MismatchRequest(max_agreement=1.0),
        "list-items": ListItemsRequest(page_size=1000),
        "semantic-ids": SemanticIdsRequest((REWRITTEN,)),
        "resolve": ResolveRequest(((0,), (1,)), 1000),
        "items": ItemsRequest((REWRITTEN,)),
        "info": None,
    }
    before = QUESTIONS[kind](held, [requests[kind]])[0]
    for _ in range(3):
        rewriting.rewrite()
    rewriting.own.record_events(
        [UserEvent(REWRITTEN, "view", "someone"), UserEvent(rewriting.other, "view", session_id="visit")]
    )
    rewriting.own.delete_items([rewriting.other])
    after = QUESTIONS[kind](held, [requests[kind]])[0]
    if kind == "embed-user":
        np.testing.assert_array_equal(after.vector, before.vector)
        assert after.versions == before.versions
    elif kind == "embed":
        np.testing.assert_array_equal(after.items[0].vector, before.items[0].vector)
        assert after.versions == before.versions
    elif kind in ("recommend", "rank"):
        assert (after.items, after.versions) == (before.items, before.versions)
    else:
        assert after == before
    assert rewriting.own.info().versions != held.info().versions
    rewriting.own.upsert_items([ItemInput(rewriting.other, "Back again")])
    rewriting.rewrite()
