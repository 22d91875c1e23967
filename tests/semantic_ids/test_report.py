import json

import numpy as np
import pytest

from mmrec.data.interactions import Interactions
from mmrec.semantic_ids.report import CategoryMatch, LevelUsage, TransitionMatch, categorical_columns, report_tokens

PATHS = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 1, 2], [1, 2, 0]], np.int32)
COLOURS = ["red", "red", "red", "blue", "blue", "blue", "blue", ""]


def train(*histories: list[int]) -> Interactions:
    users = [f"u{user}" for user, history in enumerate(histories) for _ in history]
    return Interactions.from_columns(users, [row for history in histories for row in history], range(len(users)))


def test_collisions_and_groups_are_counted() -> None:
    report = report_tokens(PATHS, (2, 4), train([0, 1]), {})
    assert report.items == 8
    assert report.collision_share == 5 / 8
    assert report.largest_group == 3
    assert report.group_sizes == {1: 3, 2: 1, 3: 1}
    assert [depth.prefixes for depth in report.depths] == [2, 5]


def test_the_perplexity_of_codes_says_how_evenly_they_are_used() -> None:
    first, second = report_tokens(PATHS, (2, 4), train([0, 1]), {}).levels
    assert first == LevelUsage(codes=2, used=2, perplexity=pytest.approx(np.exp(0.6615632)))
    assert (second.codes, second.used) == (4, 3)
    even = np.array([[0, 0], [1, 0], [2, 0], [3, 0]], np.int32)
    assert report_tokens(even, (8,), train([0, 1]), {}).levels == (LevelUsage(8, 4, pytest.approx(4.0)),)


def test_prefixes_that_are_the_categories_match_them_wholly_and_chance_does_not() -> None:
    paths = np.stack([np.repeat(np.arange(4), 25), np.tile(np.arange(25), 4)], axis=1).astype(np.int32)
    kinds = ["abcd"[row // 25] for row in range(100)]
    match = report_tokens(paths, (4,), train([0, 1]), {"kind": kinds}).depths[0].categories["kind"]
    assert (match.purity, match.homogeneity, match.mutual_information) == (1.0, pytest.approx(1), pytest.approx(1))
    assert match.chance_purity < 0.5
    assert match.chance_homogeneity < 0.2
    assert match.chance_mutual_information < 0.2


def test_prefixes_of_one_item_are_pure_by_chance_too() -> None:
    paths = np.stack([np.arange(20), np.zeros(20)], axis=1).astype(np.int32)
    match = report_tokens(paths, (20,), train([0, 1]), {"kind": ["a", "b"] * 10}).depths[0].categories["kind"]
    assert match.purity == match.chance_purity == 1.0
    assert match.homogeneity == match.chance_homogeneity == pytest.approx(1.0)


def test_items_without_a_value_are_left_out() -> None:
    report = report_tokens(PATHS, (2, 4), train([0, 1]), {"colour": COLOURS, "nothing": [""] * 8})
    assert report.depths[0].categories["colour"].purity == 1.0
    assert report.depths[0].categories["nothing"] == CategoryMatch(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_transitions_within_a_prefix_are_set_beside_chance() -> None:
    paths = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.int32)
    # 0 -> 1, 2 -> 3 stay, 1 -> 2 and 3 -> 0 leave; the repeated item is no transition.
    found = report_tokens(paths, (2,), train([0, 1, 1, 2, 3, 0]), {}).depths[0].transitions
    # Of 16 even pairs, 8 share the code and 4 are an item with itself.
    assert found == TransitionMatch(share=0.5, chance=pytest.approx((8 / 16 - 4 / 16) / (12 / 16)))


def test_when_nothing_follows_anything() -> None:
    assert report_tokens(PATHS, (2, 4), train([0], [1], [2, 2]), {}).depths[0].transitions is None
    assert report_tokens(PATHS, (2, 4), Interactions.empty(), {}).rows[0][-1] == "-"


def test_a_single_transition_has_no_chance() -> None:
    found = report_tokens(PATHS, (2, 4), train([0, 1]), {}).depths[1].transitions
    assert found is not None
    assert (found.share, found.chance) == (1.0, 1.0)


def test_the_report_is_plain_json_and_a_table() -> None:
    report = report_tokens(PATHS, (2, 4), train([0, 1, 4, 5]), {"colour": COLOURS})
    plain = report.as_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["group_sizes"] == {"1": 3, "2": 1, "3": 1}
    assert plain["depths"][1]["categories"]["colour"]["purity"] == 1.0
    assert len(report.rows) == 2
    assert {len(row) for row in report.rows} == {len(report.columns)}
    assert report.rows[0][:2] == ("1", "2 of 2")


def test_the_same_seed_draws_the_same_chance() -> None:
    first, second = (report_tokens(PATHS, (2, 4), train([0, 1]), {"colour": COLOURS}) for _ in range(2))
    assert first == second


def test_columns_that_sort_items_into_kinds() -> None:
    columns = {
        "one": ["a"] * 20,
        "ids": [str(n) for n in range(20)],
        "two": ["a", "b"] * 10,
        "four": ["a", "b", "c", "d"] * 5,
        "sparse": ["a", "b"] * 4 + [""] * 12,
    }
    assert list(categorical_columns(columns)) == ["four", "two"]
    assert list(categorical_columns(columns, most=1)) == ["four"]
