"""The façade over a real, tiny bundle."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mmrec
from mmrec.bundle import open_bundle
from mmrec.contract.engine import Stop, never
from mmrec.contract.events import UserEvent
from mmrec.contract.items import Fallback, ItemFailure, ItemInput
from mmrec.contract.replies import ItemEmbedding
from mmrec.contract.requests import RecommendRequest
from mmrec.errors import InvalidArgumentError, InvalidImageError, NotFoundError
from mmrec.recommender.reply_wording import NamedWriter
from mmrec_serving import BackgroundServer
from tests.contracts import assert_engine_contract, assert_twins

pytestmark = pytest.mark.slow(10)


def test_it_keeps_the_engine_contract(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    assert_engine_contract(recommender, item_ids)


def test_clients_and_the_recommender_give_the_same(item_ids: list[str], demo_bundle: Path) -> None:
    # Both from the beginning: labels that are kept from other calls were encoded in other batches, and round otherwise.
    fresh = mmrec.Recommender.load(demo_bundle, device="cpu")
    with BackgroundServer(lambda: mmrec.Recommender.load(demo_bundle, device="cpu")) as server:
        assert_twins(fresh, item_ids, server.target)


def test_recommended_items_are_real_unseen_and_distinct(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    found = recommender.recommend(item_ids[:5], k=10)
    assert len(set(found.item_ids)) == 10
    assert not set(found.item_ids) & set(item_ids[:5])
    assert set(found.item_ids) <= set(item_ids)
    scores = [item.score for item in found.items]
    assert scores == sorted(scores, reverse=True)


def test_more_than_the_catalogue_is_asked_for(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    assert len(recommender.recommend(item_ids[:2], k=1000).items) == len(item_ids) - 2
    assert len(recommender.recommend(item_ids[:2], k=1000, include_seen=True).items) == len(item_ids)


def test_only_allowed_items_come_back_and_denied_ones_never(
    recommender: mmrec.Recommender, item_ids: list[str]
) -> None:
    found = recommender.recommend(item_ids[:1], allow=item_ids[5:10], deny=item_ids[7:8], k=10)
    assert sorted(found.item_ids) == sorted([*item_ids[5:7], *item_ids[8:10]])


def test_when_nothing_is_eligible(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    found = recommender.recommend(item_ids[:1], allow=["no such item"])
    assert found.items == ()
    assert found.missing_ids == ("no such item",)


def test_unknown_ids_are_skipped_and_named(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    found = recommender.recommend(["ghost", item_ids[0], "ghost", "spirit"], deny=["phantom"])
    assert found.missing_ids == ("ghost", "spirit", "phantom")
    assert found.item_ids == recommender.recommend([item_ids[0]]).item_ids


def test_a_stranger_gets_the_most_popular_items_and_is_told_so(recommender: mmrec.Recommender) -> None:
    found = recommender.recommend([], k=5)
    assert found.fallback is Fallback.POPULARITY
    # 32, 28, 28, 26 and 25 events; others with 25 come later in the catalogue.
    assert found.item_ids == ("p0043", "p0012", "p0027", "p0006", "p0005")


def test_a_stored_user_is_recommended_to_by_id(recommender: mmrec.Recommender) -> None:
    history = ["p0037", "p0050", "p0002", "p0024", "p0046", "p0031", "p0034", "p0005"]
    by_id = recommender.recommend(user_id="c0088")
    assert by_id.item_ids == recommender.recommend(history).item_ids
    assert by_id.fallback is Fallback.NONE


def test_shares_of_an_explanation_add_up_to_the_score(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    history = item_ids[:6]
    for item in recommender.recommend(history, explain=True).items:
        assert sum(share.share for share in item.shares) == pytest.approx(item.score, abs=1e-3)
        assert {share.history_item_id for share in item.shares} <= {"", *history}


def test_events_that_come_in_change_history_and_counts_at_once(own: mmrec.Recommender, item_ids: list[str]) -> None:
    ids = item_ids
    before = own.recommend([ids[0]], k=60)
    seen = [UserEvent(item_id, "view", "newcomer") for item_id in (ids[0], "ghost", ids[1])]
    done = own.record_events([*seen, UserEvent(ids[2], "view", session_id="visit")])
    assert [entry.error for entry in done.entries] == [None] * 4
    after = own.recommend([ids[0]], k=60)
    now = own.snapshot()
    graphs = now.live.transitions(now.parts.catalogue)
    assert graphs is not None
    # The second item came once after the first one, and each of the three was taken once.
    counts, fitted = graphs[0].forward.toarray(), now.parts.transitions.forward.toarray()
    assert counts[0, 1] == fitted[0, 1] + 1
    assert (graphs[0].popularity_C - now.parts.transitions.popularity_C)[:4].tolist() == [1, 1, 1, 0]
    assert set(before.item_ids) == set(after.item_ids)
    assert own.recommend(user_id="newcomer", k=5).item_ids == own.recommend([ids[0], ids[1]], k=5).item_ids
    assert not {ids[0], ids[1]} & set(own.recommend(user_id="newcomer", k=60).item_ids)


def test_a_customer_gets_the_same_alone_and_in_a_batch(recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    requests = [
        RecommendRequest(history=tuple(item_ids[:3])),
        RecommendRequest(history=(), k=3),
        RecommendRequest(history=tuple(item_ids[3:20]), k=20, beam_width=5),
    ]
    together = recommender.recommend_many(requests)
    for request, found in zip(requests, together, strict=True):
        assert isinstance(found, mmrec.Recommendations)
        alone = recommender.recommend_many([request])[0]
        assert isinstance(alone, mmrec.Recommendations)
        assert found.item_ids == alone.item_ids
        assert len(found.items) == request.k


def test_no_requests_give_no_results(recommender: mmrec.Recommender) -> None:
    assert recommender.recommend_many([]) == []


def test_similar_items_leave_the_item_itself_out(
    recommender: mmrec.Recommender, item_ids: list[str], demo_bundle: Path
) -> None:
    found = recommender.similar(item_ids[0], k=5)
    assert len(found.items) == 5
    assert item_ids[0] not in found.item_ids
    fused = open_bundle(demo_bundle).read_tensors("embeddings.safetensors")["fused"]
    row = item_ids.index(found.item_ids[0])
    assert found.items[0].score == pytest.approx(float(fused[0] @ fused[row]), abs=1e-5)


def test_similar_to_an_item_that_does_not_exist(recommender: mmrec.Recommender) -> None:
    with pytest.raises(NotFoundError, match="no item 'ghost'"):
        recommender.similar("ghost")


def test_an_items_own_words_and_picture_find_it(
    recommender: mmrec.Recommender, item_ids: list[str], demo_dataset: Path
) -> None:
    record = recommender.items(item_ids[4:5]).items[0]
    picture = demo_dataset / record.image
    picture = picture if picture.exists() else demo_dataset / "images" / record.image
    found = recommender.search(f"{record.title} {record.description}", image=picture, k=5)
    assert item_ids[4] in found.item_ids


def test_a_search_with_a_file_that_is_no_picture(recommender: mmrec.Recommender) -> None:
    with pytest.raises(InvalidImageError):
        recommender.search(image=b"not a picture")


def test_items_are_embedded_one_by_one_and_a_bad_one_does_not_spoil_the_rest(recommender: mmrec.Recommender) -> None:
    found = recommender.embed(
        [ItemInput("a", title="oak chair"), ItemInput("b", image=b"broken"), ItemInput("c", "mug")]
    )
    first, second, third = found.items
    assert isinstance(first, ItemEmbedding)
    assert first.vector.shape == (256,)
    assert np.linalg.norm(first.vector) == pytest.approx(1.0, abs=1e-4)
    assert len(first.semantic_id) == 3
    assert isinstance(second, ItemFailure)
    assert isinstance(second.error, InvalidImageError)
    assert isinstance(third, ItemEmbedding)


def test_a_prefix_of_a_vector_is_a_unit_vector_of_its_own(recommender: mmrec.Recommender) -> None:
    entry = recommender.embed([ItemInput("a", title="oak chair")], dimension=64).items[0]
    assert isinstance(entry, ItemEmbedding)
    assert entry.vector.shape == (64,)
    assert np.linalg.norm(entry.vector) == pytest.approx(1.0, abs=1e-4)


def test_a_dimension_that_the_bundle_does_not_have(recommender: mmrec.Recommender) -> None:
    with pytest.raises(InvalidArgumentError, match="64, 128, 256"):
        recommender.embed([ItemInput("a", title="oak chair")], dimension=100)


def test_info_says_what_is_served(recommender: mmrec.Recommender) -> None:
    info = recommender.info()
    assert (info.items, info.users, info.dimension, info.prefixes) == (60, 120, 256, (64, 128))
    assert (info.levels, info.preset, info.device) == (4, "embedded", "cpu")
    assert all((info.versions.model, info.versions.catalogue, info.versions.codebook))


@pytest.mark.gpu
def test_the_gpu_recommends_the_same(demo_bundle: Path, recommender: mmrec.Recommender, item_ids: list[str]) -> None:
    on_gpu = mmrec.Recommender.load(demo_bundle, device="cuda", dtype="float32")
    expected = recommender.recommend(item_ids[:5], k=10)
    found = on_gpu.recommend(item_ids[:5], k=10)
    assert [item.score for item in found.items] == pytest.approx([item.score for item in expected.items], abs=1e-3)


class Scripted:
    """Words suggestions and reasons in the history in its own way, and repeats the rest."""

    def reword(self, sentences: Sequence[str], stop: Stop = never) -> list[str]:
        ways = (("I suggest", "Please try"), ("Suggested because of", "Because you chose"))
        return [functools.reduce(lambda text, way: text.replace(*way), ways, one) for one in sentences]


def test_a_language_model_words_what_is_said_and_changes_nothing_else(
    recommender: mmrec.Recommender, demo_bundle: Path
) -> None:
    worded = mmrec.Recommender.load(demo_bundle, language_model=NamedWriter(Scripted(), "scripted", "7"))
    info = worded.info()
    assert (info.language_model, info.language_model_version) == ("scripted", "7")
    assert dataclasses.replace(info, language_model="", language_model_version="") == recommender.info()

    asked: dict[str, Any] = {"history": ["p0001", "p0002"], "k": 5, "explain_in_words": True}
    plain, found = recommender.recommend(**asked), worded.recommend(**asked)
    assert found.item_ids == plain.item_ids
    for own, other in zip(found.items, plain.items, strict=True):
        assert own.score == other.score
        assert own.explanation == other.explanation.replace("Suggested because of", "Because you chose")
    assert any(one.worded for item in found.items for one in item.statements)

    with recommender.converse() as first, worded.converse() as second:
        before, after = first.say("go ahead"), second.say("go ahead")
    assert after.text == f'Please try "{after.items[0].title}".'
    assert (after.worded, before.worded) == (True, False)
    assert (after.item_ids, after.state) == (before.item_ids, before.state)
