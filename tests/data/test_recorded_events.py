"""A dataset folder with events that a service recorded behind its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.contract.events import UserEvent
from mmrec.data.dataset import read_dataset
from mmrec.data.recorded_events import with_recorded_events
from mmrec.errors import InvalidDatasetError, NotFoundError

ITEMS = "item_id,title,image\na,Mug,\nb,Lamp,b.png\nc,Hat,\nd,Shoe,\n"
RECORDED = [
    UserEvent("c", "view", "u", time=1717200000.25),
    UserEvent("d", "impression", "u", time=1717200001.0),
    UserEvent("a", "dismiss", "u", time=1717200002.0),
    UserEvent("b", "rate", "new", time=1717200003.0, rating=4.5),
    UserEvent("a", "view", session_id="s", time=1717200004.0),
    UserEvent("d", "view", session_id="s", time=1717200005.0),
]


def shop(tmp_path: Path, events: str = "", name: str = "events.csv") -> Path:
    folder = tmp_path / "shop"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / "b.png").write_bytes(b"a picture")
    (folder / "items.csv").write_text(ITEMS, encoding="utf-8")
    if events:
        (folder / name).write_text(events, encoding="utf-8")
    return folder


def histories(folder: Path) -> dict[str, list[str]]:
    data = read_dataset(folder)
    found = data.interactions
    return {
        user_id: [data.catalogue.item_ids[row] for row in found.history(user)]
        for user, user_id in enumerate(found.user_ids)
    }


@pytest.mark.parametrize(
    ("name", "events"),
    [
        ("events.csv", "user_id,item_id,timestamp\nu,a,2024-05-31T10:00:00Z\nu,b,2024-05-31T11:00:00Z\n"),
        ("events.tsv", "user_id\titem_id\ttimestamp\tevent_type\nu\ta\t1717149600\tview\nu\tb\t1717153200\t\n"),
    ],
)
def test_recorded_events_follow_those_of_the_dataset(name: str, events: str, tmp_path: Path) -> None:
    source, made = shop(tmp_path, events, name), tmp_path / "made" / "shop"
    for _ in range(2):  # an earlier one is replaced
        assert with_recorded_events(source, RECORDED, made) == (0, 0)
    assert histories(made) == {"u": ["a", "b", "c"], "new": ["b"], "visit:s": ["a", "d"]}
    data = read_dataset(made)
    rejected = data.rejected
    assert [data.catalogue.item_ids[row] for row in rejected.items_E] == ["a"]
    assert data.rated.ratings_E is not None
    assert data.rated.ratings_E.tolist() == [4.5]
    assert (made / "images" / "b.png").read_bytes() == b"a picture"
    assert data.name == "shop"
    # The dataset itself stays as it is.
    assert histories(source) == {"u": ["a", "b"]}


def test_a_dataset_without_events_has_the_recorded_ones(tmp_path: Path) -> None:
    made = tmp_path / "made"
    with_recorded_events(shop(tmp_path), RECORDED, made)
    assert histories(made) == {"u": ["c"], "new": ["b"], "visit:s": ["a", "d"]}


def test_what_recorded_events_cannot_follow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="does not exist"):
        with_recorded_events(tmp_path / "gone", RECORDED, tmp_path / "made")
    source = shop(tmp_path, "user_id,item_id,position\nu,a,1\n")
    with pytest.raises(InvalidDatasetError, match="have no column 'timestamp'"):
        with_recorded_events(source, RECORDED, tmp_path / "made")


def test_what_the_dataset_has_of_deleted_users_is_left_out(tmp_path: Path) -> None:
    source, made = shop(tmp_path, "user_id,item_id,timestamp\nu,a,1\nv,b,2\nu,d,3\nw,a,4\nv,d,5\n"), tmp_path / "made"
    # What was recorded of u came after the deletion.
    assert with_recorded_events(source, RECORDED, made, {"u", "w", "nobody"}.__contains__) == (3, 2)
    assert histories(made) == {"v": ["b", "d"], "u": ["c"], "new": ["b"], "visit:s": ["a", "d"]}
