"""The quality benchmark's pieces, derived data sets, store and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.cold_items import cold_questions
from benchmarks.intervals import resample_weights
from benchmarks.quality_cold import random_recall
from benchmarks.quality_peers import categories_of
from benchmarks.quality_pieces import choose, every_piece, quick_pieces
from benchmarks.quality_sets import derive, is_cold
from benchmarks.quality_store import COMPUTES, PEER_COMPUTES, Store, load_ranks, save_ranks
from benchmarks.quality_table import (
    COLD_COLUMNS,
    COLUMNS,
    ColdRow,
    QualityRow,
    Target,
    cold_cells,
    fit_cells,
    met,
    quality_cells,
)
from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import read_dataset
from mmrec.data.interactions import Interactions
from mmrec.evaluation.metrics import NOT_FOUND, Ranks


def _ranks(*above: int) -> Ranks:
    return Ranks(np.array(above, np.int64), np.zeros(len(above), np.int64))


# --- pieces -----------------------------------------------------------------------------------------------------------


def test_pieces_are_named_after_set_variant_and_seed_and_are_all_different() -> None:
    names = [piece.name for piece in every_piece(3, 1)]
    assert len(names) == len(set(names))
    assert names[:2] == ["beauty-seed-0", "movielens-seed-0"]
    assert {"movielens-no-image-seed-0", "beauty-no-ids-seed-0", "beauty-cold-seed-0", "beauty-tiger-seed-0"} <= {
        *names
    }
    assert "beauty-no-image-seed-0" not in names  # it has no pictures
    assert names[-1] == "movielens-seed-2"
    assert {piece.name for piece in quick_pieces()} <= {*names}


def test_chosen_pieces_come_with_those_they_need() -> None:
    pieces = every_piece(2, 2)
    assert [piece.name for piece in choose(pieces, ["movielens-cold-seed-1"])] == [
        "movielens-seed-1",
        "movielens-cold-seed-1",
    ]
    assert [piece.name for piece in choose(pieces, ["beauty-seed-*"])] == ["beauty-seed-0", "beauty-seed-1"]
    assert len(choose(pieces, [])) == len(pieces)
    with pytest.raises(ValueError, match="no piece is called 'beauty-seed-7'"):
        choose(pieces, ["beauty-seed-7"])


# --- data sets --------------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "images").mkdir(parents=True)
    for name in ("a", "b"):
        (folder / "images" / f"{name}.jpg").write_bytes(name.encode())
    rows = ["item_id\ttitle\timage", "a\tOne\timages/a.jpg", "b\tTwo\timages/b.jpg", "c\tThree\timages/none.jpg"]
    (folder / "items.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    events = ["user_id\titem_id\ttimestamp", "u\ta\t3", "u\tb\t1", "u\tc\t2", "v\tb\t5", "v\ta\t4"]
    (folder / "events.tsv").write_text("\n".join(events) + "\n", encoding="utf-8")
    return folder


def test_a_derived_data_set_has_less_and_nothing_else(source: Path, tmp_path: Path) -> None:
    whole = read_dataset(source, require="picture")
    same = read_dataset(derive(source, tmp_path / "same", require="picture"))
    assert same.catalogue.item_ids == whole.catalogue.item_ids == ("a", "b")
    assert same.interactions.items_E.tolist() == whole.interactions.items_E.tolist()
    assert (tmp_path / "same" / "images" / "a.jpg").read_bytes() == b"a"

    words = read_dataset(derive(source, tmp_path / "words", require="picture", hidden="picture"))
    assert words.catalogue.titles == ("One", "Two")
    assert not any(words.catalogue.images)
    assert not (tmp_path / "words" / "images").exists()

    pictures = read_dataset(derive(source, tmp_path / "pictures", hidden="words"))
    assert not pictures.catalogue.has_words().any()
    assert pictures.catalogue.images == ("images/a.jpg", "images/b.jpg", "images/none.jpg")

    cold = read_dataset(derive(source, tmp_path / "cold", without_events_of=["b"]))
    assert len(cold.catalogue) == 3
    assert [cold.catalogue.item_ids[row] for row in cold.interactions.items_E] == ["c", "a", "a"]

    few = read_dataset(derive(source, tmp_path / "few", users=1))
    assert few.interactions.user_ids == ("u",)


def test_cold_items_are_a_tenth_and_depend_on_id_and_seed_alone() -> None:
    names = [f"item-{number}" for number in range(4000)]
    cold = [name for name in names if is_cold(name)]
    assert 320 < len(cold) < 480
    assert cold == [name for name in names if is_cold(name)]
    assert cold != [name for name in names if is_cold(name, 1)]


def test_every_event_of_a_cold_item_after_a_warm_one_is_a_question() -> None:
    items = [3, 0, 3, 1, 2, 3]
    interactions = Interactions.from_columns(["u"] * 6, items, np.arange(6))
    cold_N = np.array([False, False, True, True])
    questions = cold_questions(interactions, cold_N, least_history=1, warm_histories=True)
    assert questions.targets_Q.tolist() == [3, 2, 3]
    assert [history.tolist() for history in questions.histories] == [[0], [0, 1], [0, 1]]
    assert questions.users_Q.tolist() == [0, 0, 0]
    longer = cold_questions(interactions, cold_N, least_history=4)
    assert [history.tolist() for history in longer.histories] == [[3, 0, 3, 1], [3, 0, 3, 1, 2]]
    assert cold_questions(interactions, cold_N, least_history=1, users=0).histories == []


def test_a_blind_ranking_finds_k_of_what_is_not_seen() -> None:
    assert random_recall([np.array([0, 0, 1], np.int32), np.array([2], np.int32)], 22, 10) == pytest.approx(
        (10 / 20 + 10 / 21) / 2
    )


def test_categories_are_entries_that_items_share() -> None:
    attributes = {"genres": ("Drama|War", "Drama", "Comedy"), "year": ("1995", "1995", "")}
    catalogue = Catalogue(("a", "b", "c"), ("", "", ""), ("", "", ""), ("", "", ""), attributes)
    assert categories_of(catalogue) == [
        (0, "genres", "Drama"),
        (1, "genres", "Drama"),
        (0, "year", "1995"),
        (1, "year", "1995"),
    ]


# --- what is kept -----------------------------------------------------------------------------------------------------


def test_a_piece_is_measured_once_for_the_same_conditions_and_sources(tmp_path: Path) -> None:
    folders = []

    def work(folder: Path) -> dict[str, Any]:
        folders.append(folder)
        (folder / "left.txt").write_text("half", encoding="utf-8")
        return {"figure": 0.5}

    store = Store({"size": 1}, root=tmp_path)
    assert store.measure("one", "s1", work)["row"] == {"figure": 0.5}
    assert Store({"size": 1}, root=tmp_path).measure("one", "s1", work)["row"] == {"figure": 0.5}
    assert len(folders) == 1
    assert Store({"size": 2}, root=tmp_path).find("one", "s1") is None
    assert store.find("one", "s2") is None
    assert Store({"size": 1}, any_sources=True, root=tmp_path).find("one", "s2") is not None
    store.measure("one", "s1", work, fresh=True)
    store.measure("one", "s2", work)
    assert len(folders) == 3


def test_a_piece_that_was_cut_short_finds_its_folder_again_unless_sources_changed(tmp_path: Path) -> None:
    store = Store({}, root=tmp_path)

    def stop(folder: Path) -> dict[str, Any]:
        (folder / "left.txt").write_text("half", encoding="utf-8")
        raise KeyboardInterrupt

    def look(folder: Path) -> dict[str, Any]:
        return {"left": (folder / "left.txt").exists()}

    for sources, left in (("s1", True), ("s2", False)):
        with pytest.raises(KeyboardInterrupt):
            store.measure("piece", "s1", stop, fresh=True)
        assert store.measure("piece", sources, look)["row"] == {"left": left}


def test_ranks_are_kept_as_they_are(tmp_path: Path) -> None:
    ranks = {("fused", "removed"): Ranks(np.array([0, NOT_FOUND]), np.array([1, 0])), ("item-head", "kept"): _ranks(4)}
    save_ranks(tmp_path / "ranks.npz", ranks)
    found = load_ranks(tmp_path / "ranks.npz")
    assert found.keys() == ranks.keys()
    for key, value in ranks.items():
        assert found[key].above_Q.tolist() == value.above_Q.tolist()
        assert found[key].tied_Q.tolist() == value.tied_Q.tolist()


# --- tables -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("figure", "said"), [(0.05, "16.7% below must on NDCG@10"), (0.06, "must"), (0.069, "must"), (0.07, "aim")]
)
def test_a_figure_is_held_against_what_it_must_be(figure: float, said: str) -> None:
    assert met({"NDCG@10": figure}, {"NDCG@10": Target(0.06, 0.07)}) == said


def test_every_figure_of_a_row_counts() -> None:
    targets = {"HR@10": Target(0.2, 0.3), "NDCG@10": Target(0.1, 0.2)}
    assert met({"HR@10": 0.3, "NDCG@10": 0.1}, targets) == "must"
    assert met({"HR@10": 0.3, "NDCG@10": 0.05}, targets) == "50.0% below must on NDCG@10"
    assert met({"HR@10": 0.3}, {}) == ""


def test_a_row_is_a_mean_over_seeds_and_its_difference_is_on_shared_seeds() -> None:
    weights = resample_weights(2, 100)
    fused = QualityRow("beauty", "everything fused", {0: _ranks(0, 20), 1: _ranks(0, 0)}, {0: _ranks(20, 20)})
    row = QualityRow("beauty", "no image", {0: _ranks(1, 20)}, {})
    cells = dict(zip(COLUMNS, quality_cells(fused, None, weights).cells, strict=True))
    assert cells["HR@10"].startswith("0.7500 [")
    assert cells["spread of NDCG@10"] == "0.3536"
    assert cells["NDCG@10, seen kept"] == "0.0000"
    assert (cells["must"], cells["aim"], cells["met"]) == ("NDCG@10 0.068", "NDCG@10 0.072", "aim")
    assert cells["NDCG@10 - everything fused"] is None
    other = quality_cells(row, fused, weights)
    cells = dict(zip(COLUMNS, other.cells, strict=True))
    assert cells["seeds"] == 1
    assert cells["spread of NDCG@10"] is None
    assert cells["NDCG@10, seen kept"] is None
    # Half of the questions: second place instead of first.
    assert other.details["NDCG@10 - everything fused"]["value"] == pytest.approx((1 / np.log2(3) - 1) / 2)
    assert cells["met"] == ""


def test_cold_items_must_beat_chance_five_times_and_fused_must_beat_each_alone() -> None:
    users = np.array([0, 0, 1], np.int64)
    weights = resample_weights(2, 200)
    fused = ColdRow("movielens", "fused", "fused", {0: _ranks(0, 0, 0)}, users, 0.1)
    alone = ColdRow("movielens", "words only", "fused", {0: _ranks(0, 20, 20)}, users, 0.1)
    first = dict(zip(COLD_COLUMNS, cold_cells(fused, None, weights).cells, strict=True))
    assert first["Recall@10"] == "1.0000 [1.0000, 1.0000]"
    assert (first["x chance"], first["met"]) == ("10.0", "must")
    second = dict(zip(COLD_COLUMNS, cold_cells(alone, fused, weights).cells, strict=True))
    assert second["Recall@10"].startswith("0.3333 [")
    assert second["fused - this"].startswith("+0.6667 [+0.")
    assert second["met"] == "must; aim"
    channel = dict(zip(COLD_COLUMNS, cold_cells(alone._replace(name="content"), fused, weights).cells, strict=True))
    assert (channel["must"], channel["met"]) == ("", "")


def test_a_fit_says_where_the_time_went_and_whether_it_was_too_much() -> None:
    record = {
        "seconds": {"read": 0.1, "embed": 120.0, "train": 3600.0},
        "peak_gib": 2.5,
        "best_epoch": 2,
        "epochs": [{"ndcg_at_10": 0.04}, {"ndcg_at_10": 0.05}],
    }
    cells = fit_cells("beauty-seed-0", record, 60, 8).cells
    assert cells[:6] == ("beauty-seed-0", "62.0", "embed 2.0, train 60.0", "2.50", "2 of 2", "0.0500")
    assert cells[-1] == "too much: 62 minutes"
    assert fit_cells("beauty-seed-0", record, 70, 8).cells[-1] == "must"
    assert fit_cells("movielens-seed-0", record, 0, 0).cells[-2:] == ("", "")


def test_the_sources_that_figures_follow_from_are_there(project_root: Path) -> None:
    assert [name for name in (*COMPUTES, *PEER_COMPUTES) if not (project_root / name).exists()] == []
