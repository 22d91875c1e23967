"""Saved questions, and bundles side by side on them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.errors import InvalidArgumentError
from mmrec.evaluation.metrics import Ranks
from mmrec.training import EvaluationSettings
from mmrec.training.comparison import compare_bundles
from mmrec.training.saved_ranks import AnsweredQuestions, catalogue_hash, load_questions, save_questions

USERS = 40


def answered(above: int, floor: int = 30, **changes: object) -> AnsweredQuestions:
    """Every user's answer of `fused` has `above` items above it."""
    places = np.full(USERS, above)
    return replace(
        AnsweredQuestions(
            source="it",
            version="1",
            split="leave-one-out",
            catalogue="c" * 64,
            items=100,
            user_ids=tuple(f"u{u}" for u in range(USERS)),
            targets=tuple(f"i{u}" for u in range(USERS)),
            history_length_Q=np.full(USERS, 4),
            popularity_Q=np.arange(USERS),
            ranks={
                ("fused", "removed"): Ranks(places, np.zeros(USERS, dtype=np.int64)),
                ("fused", "kept"): Ranks(places + 1, np.zeros(USERS, dtype=np.int64)),
                ("popularity", "removed"): Ranks(np.full(USERS, floor), np.full(USERS, 3)),
                ("item-knn", "removed"): Ranks(np.full(USERS, floor - 25), np.zeros(USERS, dtype=np.int64)),
            },
        ),
        **changes,
    )


def saved(folder: Path, **files: AnsweredQuestions) -> list[str]:
    for name, questions in files.items():
        save_questions(folder / f"{name}.parquet", questions)
    return [str(folder / f"{name}.parquet") for name in files]


def test_saved_questions_come_back_as_they_were(tmp_path: Path) -> None:
    (path,) = saved(tmp_path, a=answered(3))
    found, expected = load_questions(Path(path)), answered(3)
    assert found.asked() == expected.asked()
    assert (found.split, found.catalogue, found.items, found.version) == ("leave-one-out", "c" * 64, 100, "1")
    assert set(found.ranks) == set(expected.ranks)
    for key, ranks in expected.ranks.items():
        assert found.ranks[key].above_Q.tolist() == ranks.above_Q.tolist()
        assert found.ranks[key].tied_Q.tolist() == ranks.tied_Q.tolist()
    assert found.popularity_Q.tolist() == list(range(USERS))


def test_the_better_bundle_is_found_and_the_best_floor_is_the_measure(tmp_path: Path) -> None:
    worse, better = saved(tmp_path, worse=answered(8), better=answered(0))
    result = compare_bundles([worse, better])
    assert (result.floor, result.questions, result.items) == ("item-knn", USERS, 100)
    verdicts = {(one.name, one.against): one.verdict for one in result.comparisons if one.metric == "ndcg@10"}
    assert verdicts == {(worse, "item-knn"): "worse", (better, "item-knn"): "better", (better, worse): "better"}
    assert result.rows[better, "removed"].ndcg[10] == 1.0
    assert result.as_json()["bundles"] == [worse, better]


def test_the_order_of_the_questions_does_not_matter(tmp_path: Path) -> None:
    shuffled = np.random.default_rng(0).permutation(USERS)
    above = np.arange(USERS)
    zeros = np.zeros(USERS, dtype=np.int64)
    one = replace(answered(0), ranks={**answered(0).ranks, ("fused", "removed"): Ranks(above, zeros)})
    other = replace(
        one,
        user_ids=tuple(one.user_ids[row] for row in shuffled),
        targets=tuple(one.targets[row] for row in shuffled),
        ranks={key: ranks.take(shuffled) for key, ranks in one.ranks.items()},
    )
    result = compare_bundles(saved(tmp_path, a=one, b=other))
    assert [one.test.difference for one in result.comparisons[-2:]] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"catalogue": "d" * 64, "items": 99}, "different catalogues"),
        ({"split": "time"}, "by leave-one-out and .* by time"),
        ({"targets": tuple(f"j{u}" for u in range(USERS))}, "share 0"),
    ],
)
def test_bundles_that_were_not_asked_the_same_are_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        compare_bundles(saved(tmp_path, a=answered(0), b=answered(0, **changes)))


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    a, b = saved(tmp_path, a=answered(0), b=answered(1))
    for sources, options, words in (
        ([a], {}, "two or more"),
        ([a, a], {}, "two or more"),
        ([a, b], {"ranker": "item-head"}, "no row 'item-head'"),
        ([a, b], {"settings": EvaluationSettings(cutoffs=(5, 101))}, "100 items"),
        ([a, b], {"settings": EvaluationSettings("time")}, "are of the split leave-one-out"),
        ([a, b], {"settings": EvaluationSettings("random")}, "leave-one-out, time"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            compare_bundles(sources, **options)  # type: ignore[arg-type]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table({"a": [1]}), table)
    text = tmp_path / "text.parquet"
    text.write_text("hello")
    for path in (table, text, tmp_path / "missing.parquet"):
        with pytest.raises(InvalidArgumentError, match="no file of questions"):
            load_questions(path)


def test_questions_are_saved_as_parquet_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.parquet").mkdir()
    for path in (tmp_path / "q.csv", tmp_path / "file" / "q.parquet", tmp_path / "folder.parquet"):
        with pytest.raises(InvalidArgumentError, match=r"Parquet|folder"):
            save_questions(path, answered(0))


def test_the_same_items_in_another_order_are_the_same_catalogue() -> None:
    assert catalogue_hash(["a", "b"]) == catalogue_hash(["b", "a"])
    assert catalogue_hash(["a", "b"]) != catalogue_hash(["ab"])
