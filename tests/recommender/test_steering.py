"""A wish in words steers a list: conditions that are shown and can be switched off, and likeness for what is left."""

from __future__ import annotations

import numpy as np
import pytest

import mmrec
from mmrec.contract.requests import RankRequest, RecommendRequest
from mmrec.errors import InvalidArgumentError
from mmrec.recommender.steering import Steered

pytestmark = pytest.mark.slow

HISTORY = ("p0001", "p0002")


def _category(recommender: mmrec.Recommender) -> str:
    """A category of the demo's items."""
    return recommender.items(["p0005"]).items[0].attributes["category"]


def test_a_value_that_is_named_becomes_a_condition_that_the_reply_shows(recommender: mmrec.Recommender) -> None:
    category = _category(recommender)
    found = recommender.recommend(HISTORY, k=60, instruction=f"I would like {category}, please")
    assert [one.condition for one in found.constraints] == [f'category = "{category}"']
    assert found.items
    assert {scored.item.attributes["category"] for scored in found.items} == {category}
    plain = recommender.recommend(HISTORY, k=60, filter=f'category = "{category}"')
    assert set(found.item_ids) == set(plain.item_ids)


def test_what_is_not_wanted_is_left_out(recommender: mmrec.Recommender) -> None:
    category = _category(recommender)
    found = recommender.recommend(HISTORY, k=60, instruction=f"no {category}")
    assert [one.negated for one in found.constraints] == [True]
    assert category not in {scored.item.attributes["category"] for scored in found.items}


def test_a_condition_is_switched_off_by_the_caller(recommender: mmrec.Recommender) -> None:
    wish = f"no {_category(recommender)}"
    (made,) = recommender.recommend(HISTORY, instruction=wish).constraints
    found = recommender.recommend(HISTORY, k=60, instruction=wish, ignored_conditions=[made.condition])
    assert found.constraints == ()
    assert set(found.item_ids) == set(recommender.recommend(HISTORY, k=60).item_ids)


def test_the_filter_of_the_request_holds_beside_the_wish(recommender: mmrec.Recommender) -> None:
    category = _category(recommender)
    found = recommender.recommend(HISTORY, k=60, instruction=f"only {category}", filter='item_id = "p0005"')
    assert set(found.item_ids) <= {"p0005"}


def test_likeness_is_added_in_the_unit_of_the_score_over_the_candidates() -> None:
    like_N = np.array([0.2, 0.4, 0.6, 0.9], np.float32)
    steered = Steered((), "", "warm", like_N)
    added_C = steered.among(np.array([0, 1, 2])).added(np.array([6.0, 4.0, 2.0], np.float32))
    assert added_C is not None
    np.testing.assert_allclose(added_C, [-2.0, 0.0, 2.0], atol=1e-5)


def test_likeness_alone_decides_where_every_item_ranks_alike() -> None:
    steered = Steered((), "", "warm", np.array([0.2, 0.4], np.float32))
    added_N = steered.added(np.zeros(2, np.float32))
    assert added_N is not None
    np.testing.assert_allclose(added_N, [-1.0, 1.0], atol=1e-5)


def test_likeness_adds_nothing_where_all_candidates_are_alike() -> None:
    steered = Steered((), "", "warm", np.full(3, 0.4, np.float32))
    assert steered.added(np.arange(3, dtype=np.float32)) is None


def test_chances_of_what_is_meant_are_added_beside_likeness() -> None:
    chances_N = np.array([-4.0, -0.1, -0.1], np.float32)
    scores_N = np.array([6.0, 4.0, 2.0], np.float32)
    unit = np.sqrt(8 / 3)
    alone_N = Steered((), "", "warm", None, chances_N=chances_N).added(scores_N)
    assert alone_N is not None
    np.testing.assert_allclose(alone_N, unit * chances_N, rtol=1e-5)
    like_N = np.array([0.2, 0.4, 0.6], np.float32)
    both_N = Steered((), "", "warm", like_N, chances_N=chances_N).added(scores_N)
    assert both_N is not None
    np.testing.assert_allclose(both_N, unit * chances_N + 2 * np.array([-1, 0, 1]), rtol=1e-5)


def test_the_bundle_knows_which_values_sentences_mean(recommender: mmrec.Recommender) -> None:
    parts = recommender.snapshot().parts
    assert parts.value_reader is not None
    category = _category(recommender)
    vector_D = recommender.snapshot().vectors.encoder.text.encode([f"my wish is {category}"], query=True)[0]
    chance = parts.value_reader.chance(vector_D, "category", (category,))
    assert chance is not None
    assert chance > 0.5


def test_an_explanation_names_the_part_of_the_wish(recommender: mmrec.Recommender) -> None:
    found = recommender.recommend(HISTORY, instruction="wobbly handmade curiosities", explain=True)
    for scored in found.items:
        assert sum(share.share for share in scored.shares) == pytest.approx(scored.score, abs=1e-4)
    assert any(share.channel == "instruction" for scored in found.items for share in scored.shares)


def test_a_customer_without_history_is_steered_too(recommender: mmrec.Recommender) -> None:
    category = _category(recommender)
    found = recommender.recommend((), k=60, instruction=category)
    assert {scored.item.attributes["category"] for scored in found.items} == {category}


def test_given_items_are_ranked_by_the_wish(recommender: mmrec.Recommender) -> None:
    (found,) = recommender.rank_many(
        [RankRequest(("p0001", "p0005"), RecommendRequest(instruction=f"only {_category(recommender)}"))]
    )
    assert not isinstance(found, mmrec.MmrecError)
    assert [one.column for one in found.constraints] == ["category"]
    assert "p0005" in found.item_ids


def test_a_wish_without_a_meaning_changes_nothing(recommender: mmrec.Recommender) -> None:
    plain = recommender.recommend(HISTORY, k=60)
    found = recommender.recommend(HISTORY, k=60, instruction="hello, what would you like to show me?")
    assert (found.constraints, found.item_ids) == ((), plain.item_ids)


def test_a_bad_filter_beside_a_wish(recommender: mmrec.Recommender) -> None:
    with pytest.raises(InvalidArgumentError, match="there is no column 'shoes'"):
        recommender.recommend(HISTORY, instruction="something nice", filter="shoes = 1")


def test_a_wish_that_is_too_long(recommender: mmrec.Recommender) -> None:
    with pytest.raises(InvalidArgumentError, match="10,001 characters"):
        recommender.recommend(HISTORY, instruction="a" * 10_001)


def test_an_explanation_tells_what_was_wished_and_leaves_no_item_out(recommender: mmrec.Recommender) -> None:
    category = _category(recommender)
    wish = f"I would like {category}, please"
    others = [one.item_id for one in recommender.list_items(f'category != "{category}"', page_size=1).items]
    asked = ("p0005", *others)
    found = recommender.explain(asked, HISTORY, instruction=wish)
    assert [one.item_id for one in found.explanations] == list(asked)
    told = [one for one in found.explanations[0].statements if one.kind is mmrec.StatementKind.WISH]
    assert [(one.column, one.value) for one in told] == [("category", category)]
    assert found.explanations[0].text.startswith(f'As you wished, it has "{category}" as its category.')
    assert found.explanations[1].statements
    assert not [one for one in found.explanations[1].statements if one.kind is mmrec.StatementKind.WISH]
    condition = f'category = "{category}"'
    ignored = recommender.explain(asked, HISTORY, instruction=wish, ignored_conditions=[condition])
    assert not [one for one in ignored.explanations[0].statements if one.kind is mmrec.StatementKind.WISH]


def test_a_recommendation_tells_what_was_wished(recommender: mmrec.Recommender) -> None:
    category = _category(recommender)
    found = recommender.recommend(HISTORY, k=3, instruction=category, explain_in_words=True)
    assert found.items
    for scored in found.items:
        assert scored.statements[0].kind is mmrec.StatementKind.WISH
        assert scored.statements[0].value == category
