"""Conversations with a bundle that has events: what is suggested is what the recommender would recommend."""

from __future__ import annotations

from pathlib import Path

import pytest

import mmrec

pytestmark = pytest.mark.slow

HISTORY = ("p0001", "p0002")


def test_a_suggestion_is_the_best_recommendation_within_the_filter(recommender: mmrec.Recommender) -> None:
    category = recommender.items(["p0005"]).items[0].attributes["category"]
    condition = f'category = "{category}"'
    with recommender.converse(HISTORY) as talk:
        turn = talk.say(f"{category}, and just pick one")
    assert [one.condition for one in turn.constraints] == [condition]
    assert turn.item_ids == recommender.recommend(HISTORY, k=1, filter=condition).item_ids
    assert turn.versions == recommender.info().versions


def test_the_callers_condition_holds_and_nothing_of_the_history_is_shown(recommender: mmrec.Recommender) -> None:
    standing = 'item_id IN ("p0001", "p0005", "p0006")'
    with recommender.converse(HISTORY, filter=standing, k=5) as talk:
        turns = [talk.say("go ahead") for _ in range(2)]
    assert sorted(turns[0].item_ids) == ["p0005", "p0006"]
    assert turns[1].items == ()


def test_ids_that_the_catalogue_lacks_come_back(recommender: mmrec.Recommender) -> None:
    with recommender.converse(["p0001", "nowhere", "nowhere"]) as talk:
        assert talk.say("go ahead").missing_ids == ("nowhere",)


def test_a_picture_moves_what_looks_like_it_up(recommender: mmrec.Recommender, demo_dataset: Path) -> None:
    picture = (demo_dataset / "images" / "p0009.jpg").read_bytes()
    with recommender.converse(k=10) as talk:
        shown = talk.say("go ahead, like this", image=picture)
    alike = recommender.search(image=picture, k=20).item_ids
    assert len(shown.items) == 10
    assert set(shown.item_ids) & set(alike)


def test_an_item_that_came_later_is_talked_about(own: mmrec.Recommender) -> None:
    own.upsert_items([mmrec.ItemInput("new", "Quartz lamp", attributes={"category": "Gemstone wares"})])
    with own.converse() as talk:
        assert talk.say("gemstone wares, just pick one").item_ids == ("new",)
