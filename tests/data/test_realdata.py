"""Real data sets, counted and measured: a wrong order or split moves these figures.

Popularity needs no training: items by their number of training events, items of the history removed, ties by
row.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from mmrec.data.check import check_dataset
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.data.splits import leave_one_out
from mmrec.data.summary import ColumnUse

pytestmark = pytest.mark.realdata


class _Figures(NamedTuple):
    hit_rate: float
    ndcg: float


def _popularity_at_10(data: Dataset) -> _Figures:
    split = leave_one_out(data.interactions)
    counts = np.bincount(split.train.items_E, minlength=len(data.catalogue)).astype(np.float64)
    order = np.lexsort((np.arange(len(counts)), -counts))
    places = np.empty(len(counts), dtype=np.int64)
    places[order] = np.arange(len(counts))
    ranks = np.array(
        [
            places[target] - np.count_nonzero(places[np.unique(history)] < places[target])
            for history, target in zip(split.test.histories, split.test.targets_U, strict=True)
        ]
    )
    hits = ranks < 10
    return _Figures(float(hits.mean()), float((hits / np.log2(ranks + 2.0)).mean()))


def test_amazon_beauty(data_folder: Path) -> None:
    data = read_dataset(data_folder / "amazon-beauty")
    assert (data.interactions.users, len(data.catalogue), data.interactions.events) == (
        22_363,
        12_101,
        198_502,
    )
    assert data.interactions.lengths_U.min() == 5
    assert data.interactions.times_E[:3].tolist() == [1, 1, 2]
    figures = _popularity_at_10(data)
    assert (round(figures.hit_rate, 4), round(figures.ndcg, 4)) == (0.0115, 0.0055)
    # What others measured on the same files; ties among equally popular items move the last digit or two.
    assert figures.hit_rate == pytest.approx(0.0110, abs=0.0007)
    assert figures.ndcg == pytest.approx(0.0051, abs=0.0005)


def test_movielens_with_posters(data_folder: Path) -> None:
    data = read_dataset(data_folder / "movielens-100k", require="picture", min_rating=0)
    assert (data.interactions.users, len(data.catalogue)) == (943, 1_645)
    figures = _popularity_at_10(data)
    assert (round(figures.hit_rate, 4), round(figures.ndcg, 4)) == (0.0817, 0.0414)
    assert figures.hit_rate == pytest.approx(0.0795, abs=0.0025)
    assert figures.ndcg == pytest.approx(0.0408, abs=0.0008)


def test_movielens_is_sound(data_folder: Path) -> None:
    report = check_dataset(data_folder / "movielens-100k")
    assert report.problems == ()
    assert (report.users, report.items, report.events) == (943, 1_682, 82_520)
    assert report.tables[1].set_aside == {"by rating below 3": 17_480}
    assert report.event_columns == (
        ColumnUse("rating", "1 to 5 (a scale of 5): events below 3 are counted as negative"),
        ColumnUse("timestamp", "seconds since 1970; 1997-09-20 to 1998-04-22 (UTC)"),
    )
    assert round(report.with_picture * report.items) == 1_645
    assert (report.first, report.last) == ("1997-09-20", "1998-04-22")


def test_the_warning_about_empty_positions(data_folder: Path) -> None:
    report = check_dataset(data_folder / "amazon-beauty")
    assert [group.kind for group in report.problems] == ["empty position"]
    assert "22,363 events" in report.examples[0].message
