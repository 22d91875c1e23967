from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mmrec.demo import DemoTruth, ItemTruth, Taste, write_demo_dataset
from mmrec.demo.attributes import COLOURS, KINDS, MATERIALS, OCCASIONS, PATTERNS
from mmrec.errors import InvalidArgumentError


class Demo(NamedTuple):
    folder: Path
    truth: DemoTruth
    items: list[dict[str, str]]
    histories: dict[str, list[str]]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    folder = tmp_path_factory.mktemp("demo")
    truth = write_demo_dataset(folder)
    histories: dict[str, list[str]] = {}
    for event in pq.read_table(folder / "events.parquet").to_pylist():
        histories.setdefault(event["user_id"], []).append(event["item_id"])
    return Demo(folder, truth, pq.read_table(folder / "items.parquet").to_pylist(), histories)


def test_the_folder_has_the_shape_of_a_dataset(demo: Demo) -> None:
    assert len(demo.items) == len(demo.truth.items) == 480
    assert len(demo.histories) == len(demo.truth.tastes) == 400
    assert list(demo.items[0]) == ["item_id", "title", "description", "image", "category"]
    events = pq.read_table(demo.folder / "events.parquet")
    assert events.column_names == ["user_id", "item_id", "timestamp"]
    times = events["timestamp"].to_pylist()
    assert times == sorted(times)
    assert {item["item_id"] for item in demo.items} == set(demo.truth.items)
    assert pq.read_table(demo.folder / "users.parquet").num_rows == 400
    for history in demo.histories.values():
        assert 6 <= len(history) <= 10
        assert len(set(history)) == len(history)


def test_a_few_items_lack_a_picture_or_a_description_and_none_lacks_both_kinds_of_words(demo: Demo) -> None:
    assert sum(item["image"] is None for item in demo.items) == 10
    assert sum(item["description"] is None for item in demo.items) == 10
    assert all(item["title"] for item in demo.items)
    drawn = {path.name for path in (demo.folder / "images").iterdir()}
    assert drawn == {item["image"] for item in demo.items if item["image"]}


def test_the_words_say_kind_material_and_occasion_and_never_colour_or_pattern(demo: Demo) -> None:
    seen = {
        *COLOURS,
        *PATTERNS,
        "striped",
        "dotted",
        "checked",
        "wavy",
        "colour",
        "pattern",
        "white",
        "black",
    }
    for item in demo.items:
        truth = demo.truth.items[item["item_id"]]
        words = f"{item['title']} {item['description'] or ''}".lower()
        assert truth.kind in words
        assert truth.material in words
        assert truth.occasion.lower() in words
        assert not seen & set(re.findall(r"[a-z]+", words))


def test_every_pair_of_colour_and_occasion_is_there_about_equally_often(demo: Demo) -> None:
    pairs = [(item.colour, item.occasion) for item in demo.truth.items.values()]
    counts = [pairs.count((colour, occasion)) for colour in COLOURS for occasion in OCCASIONS]
    assert (min(counts), max(counts)) == (9, 10)


def test_the_picture_shows_the_colour_it_should(demo: Demo) -> None:
    right = 0
    pictured = [item for item in demo.items if item["image"]]
    for item in pictured:
        with Image.open(demo.folder / "images" / item["image"]) as picture:
            assert picture.size == (160, 160)
            hsv = np.asarray(picture.convert("HSV"), dtype=np.float64).reshape(-1, 3)
        vivid = hsv[(hsv[:, 1] > 90) & (hsv[:, 2] > 90)]
        hue = np.median((vivid[:, 0] * 360 / 255 + 60) % 360 - 60)
        nearest = min(COLOURS, key=lambda name: abs((hue - np.mean(COLOURS[name][:2]) + 180) % 360 - 180))
        right += nearest == demo.truth.items[item["item_id"]].colour
    assert right / len(pictured) > 0.99


def test_the_same_seed_makes_the_same_folder_and_another_seed_another(tmp_path: Path) -> None:
    def digest(name: str, seed: int) -> str:
        write_demo_dataset(tmp_path / name, items=50, users=20, seed=seed)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()

    assert digest("first", 7) == digest("second", 7)
    assert digest("third", 8) != digest("first", 7)


def test_too_few_items_or_users_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="items is 10"):
        write_demo_dataset(tmp_path, items=10)
    with pytest.raises(InvalidArgumentError, match="users is 0"):
        write_demo_dataset(tmp_path, users=0)


def test_the_known_answer_wants_both_halves() -> None:
    mug = ItemTruth("mug", "red", "dots", "enamel", "camping")
    lamp = ItemTruth("lamp", "red", "plain", "oak", "office")
    truth = DemoTruth({"p1": mug, "p2": lamp}, {"c1": Taste("red", "camping")})
    assert truth.matches("c1", "p1")
    assert not truth.matches("c1", "p2")
    assert truth.share_matching("c1", ["p1", "p2"]) == 0.5
    assert truth.share_matching("c1", []) == 0.0


def test_every_kind_has_materials_and_is_drawn_in_the_catalogue(demo: Demo) -> None:
    assert {item.kind for item in demo.truth.items.values()} == set(KINDS) == set(MATERIALS)


# --- is it hard in the right way? ---------------------------------------------------------------------------


def test_only_both_halves_together_find_the_next_item(demo: Demo) -> None:
    """NDCG@10 of the last purchase, whole catalogue, seen items removed; the last two are held out."""
    ids = list(demo.truth.items)
    row = {item_id: n for n, item_id in enumerate(ids)}
    colour_N = np.array([demo.truth.items[i].colour for i in ids])
    occasion_N = np.array([demo.truth.items[i].occasion for i in ids])
    histories = {user: np.array([row[i] for i in items]) for user, items in demo.histories.items()}

    popularity_N = np.zeros(len(ids))
    follows_NN = np.zeros((len(ids), len(ids)))
    bought_UN = np.zeros((len(histories), len(ids)))
    for user, history in enumerate(histories.values()):
        training = history[:-2]
        popularity_N[training] += 1
        bought_UN[user, training] = 1
        np.add.at(follows_NN, (training[:-1], training[1:]), 1)
    together_NN = bought_UN.T @ bought_UN
    np.fill_diagonal(together_NN, 0)
    size_N = np.sqrt(popularity_N + 1e-9)
    together_NN /= np.outer(size_N, size_N) + 1
    tie_N = popularity_N * 1e-6

    def ndcg(name: str) -> float:
        total = 0.0
        for user, history in histories.items():
            taste, known, target = demo.truth.tastes[user], history[:-1], history[-1]
            score_N = {
                "both": 1.0 * (colour_N == taste.colour) + (occasion_N == taste.occasion),
                "picture": 1.0 * (colour_N == taste.colour),
                "words": 1.0 * (occasion_N == taste.occasion),
                "popularity": popularity_N,
                "transitions": follows_NN[known[-1]],
                "item-knn": together_NN[known].sum(0),
            }[name] + tie_N
            score_N[known] = -1
            better, equal = (score_N > score_N[target]).sum(), (score_N == score_N[target]).sum() - 1
            rank = better + equal / 2
            total += 1 / np.log2(rank + 2) if rank < 10 else 0.0
        return total / len(histories)

    figures = {n: ndcg(n) for n in ("both", "picture", "words", "popularity", "transitions", "item-knn")}
    assert figures["both"] > 0.38
    assert figures["both"] > 5 * max(figures["picture"], figures["words"])
    assert figures["both"] > 1.6 * figures["item-knn"]
    assert figures["both"] > 3 * figures["transitions"]
    assert figures["both"] > 20 * figures["popularity"]
