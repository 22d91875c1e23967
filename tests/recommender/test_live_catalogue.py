"""A catalogue that changes while it is served: from the call to what is recommended, found and filtered."""

import pytest

import mmrec
from mmrec.contract.events import UserEvent
from mmrec.contract.items import Fallback, ItemInput
from mmrec.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from tests.contracts import assert_change_contract
from tests.recommender.conftest import ITEM_IDS


def lamp(item_id: str, picture: bytes | None = None, **attributes: str) -> ItemInput:
    return ItemInput(item_id, "Quartz reading lamp", "A lamp like no other.", picture, attributes)


def test_a_new_item_can_be_recommended_found_and_filtered(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    history = ["p0001", "p0002", "p0003"]
    before = own.recommend(history, k=60)
    assert own.upsert_items([lamp("new", pictures[0], category="never-seen")]).done == ("new",)

    assert own.items(["new"]).items[0].title == "Quartz reading lamp"
    assert own.info().items == len(own.list_items(page_size=1000).items) == 61
    after = own.recommend(history, k=100)
    assert set(after.item_ids) == {*before.item_ids, "new"}
    assert own.recommend(history, filter='category = "never-seen"').item_ids == ("new",)
    assert own.recommend(history, allow=["new"]).item_ids == ("new",)
    assert own.recommend([], k=100, filter='category = "never-seen"').item_ids == ("new",)
    assert own.search("quartz reading lamp", k=1, modality="words").item_ids == ("new",)
    assert "new" in own.search("quartz reading lamp", k=10).item_ids
    assert own.recommend(["new"], k=5).missing_ids == ()
    assert "new" in own.similar(own.similar("new", k=1).item_ids[0], k=10).item_ids
    path = own.semantic_ids(["new"]).entries[0].semantic_id
    assert [item.item_id for item in own.resolve_semantic_ids([path]).entries[0].items] == ["new"]


def test_every_reply_names_the_state_of_the_catalogue(own: mmrec.Recommender) -> None:
    first = own.info().versions
    own.upsert_items([lamp("one")])
    second = own.recommend([]).versions
    own.delete_items(["one"])
    third = own.search("lamp").versions
    assert (second.catalogue, third.catalogue) == (f"{first.catalogue}+1", f"{first.catalogue}+2")
    assert (second.model, second.codebook) == (first.model, first.codebook)
    assert own.change(None) == third
    assert own.upsert_items([lamp("two")]).versions == own.info().versions


def test_an_item_that_is_replaced_is_what_it_is_now(own: mmrec.Recommender) -> None:
    assert own.upsert_items([lamp("p0005")]).done == ("p0005",)
    assert own.items(["p0005"]).items[0].title == "Quartz reading lamp"
    assert own.search("quartz reading lamp", k=1).item_ids == ("p0005",)
    assert own.info().items == 60


def test_a_deleted_item_is_shown_nowhere_and_histories_that_hold_it_stay(own: mmrec.Recommender) -> None:
    gone = "p0003"
    results = own.delete_items([gone, "ghost"])
    assert results.done == (gone,)
    assert isinstance(results.entries[1].error, NotFoundError)
    for found in (own.recommend(["p0001"], k=100), own.recommend([], k=100)):
        assert len(found.items) == 60 - 1 - bool(found.fallback is Fallback.NONE)
        assert gone not in found.item_ids
    assert gone not in own.search("anything", k=100).item_ids
    assert own.items([gone]).missing_ids == (gone,)
    assert own.recommend([gone], k=3).missing_ids == (gone,)
    assert [item.item_id for item in own.list_items(page_size=1000).items] == [i for i in ITEM_IDS if i != gone]
    for entry in own.duplicates().groups:
        assert gone not in entry.item_ids
    # Stored histories go on holding it: what it says of its customers is still true.
    assert own.recommend([], user_id="c0046").fallback is Fallback.NONE


def test_what_is_wrong_with_one_item_leaves_the_others(own: mmrec.Recommender) -> None:
    results = own.upsert_items([lamp("good"), lamp("bad", warp="9"), lamp("good")])
    assert results.done == ("good",)
    assert [type(entry.error) for entry in results.refused] == [InvalidArgumentError, InvalidArgumentError]
    assert own.info().items == 61
    with pytest.raises(FailedPreconditionError, match="at least one must be left"):
        own.delete_items([*ITEM_IDS, "good"])
    assert own.info().items == 61


def test_a_question_is_answered_from_one_state(own: mmrec.Recommender, monkeypatch: pytest.MonkeyPatch) -> None:
    before = own.snapshot()
    original = before.pipeline.recommend_many

    def change_meanwhile(*asked):  # type: ignore[no-untyped-def]
        own.delete_items(["p0002"])
        return original(*asked)

    monkeypatch.setattr(before.pipeline, "recommend_many", change_meanwhile)
    found = own.recommend([], k=100)
    assert (len(found.items), found.versions) == (60, before.versions)
    assert len(own.recommend([], k=100).items) == 59


def test_events_of_new_items_count(own: mmrec.Recommender) -> None:
    own.upsert_items([lamp("one"), lamp("two")])
    own.record_events([UserEvent(item_id, "view", "someone") for item_id in ("p0001", "one", "two", "three")])
    # A change keeps what came in before it.
    for new in ("four", "five"):
        now = own.snapshot()
        graphs = now.live.transitions(now.parts.catalogue)
        assert graphs is not None
        assert graphs[0].forward.toarray()[60, 61] == 1
        own.upsert_items([lamp(new)])
    assert not {"p0001", "one", "two"} & set(own.recommend([], user_id="someone", k=100).item_ids)


def test_a_picture_that_comes_twice_is_found_to_be_a_duplicate(own: mmrec.Recommender, pictures: list[bytes]) -> None:
    assert own.upsert_items([lamp("a", pictures[1]), lamp("b", pictures[1])]).done == ("a", "b")
    assert any({"a", "b"} <= set(group.item_ids) for group in own.duplicates().groups)


def test_the_recommender_keeps_the_contract_of_changes(own: mmrec.Recommender) -> None:
    assert_change_contract(own, ["p0001", "p0002"])


def test_a_change_that_is_only_checked_is_refused_as_the_real_one_would_be(
    own: mmrec.Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(own.snapshot().parts.tokenizer), "encodes_new", False)
    for only_checked in (True, False):
        with pytest.raises(FailedPreconditionError, match="fit again with --tokenizer"):
            own.upsert_items([lamp("new")], validate_only=only_checked)
        with pytest.raises(FailedPreconditionError, match="at least one must be left"):
            own.delete_items(ITEM_IDS, validate_only=only_checked)
