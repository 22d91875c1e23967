"""Items that training has never seen: they are recommended as often as is their share, and it is said why."""

from dataclasses import replace
from pathlib import Path

import pytest

from mmrec.bundle import open_bundle
from mmrec.recommender import Recommender
from mmrec.training import fit_dataset
from tests.conftest import quick_fit

KNOWN, NEW = [f"i{n:02}" for n in range(30)], ["n1", "n2", "n3", "n4"]
COLOURS = ("red", "blue", "green")
ITEMS = "item_id\ttitle\n" + "".join(f"{name}\t{COLOURS[n % 3]} thing {n}\n" for n, name in enumerate(KNOWN + NEW))
EVENTS = "user_id\titem_id\tposition\n" + "".join(
    f"u{user}\t{KNOWN[(user + n) % 30]}\t{n}\n" for user in range(30) for n in range(5)
)


def test_a_new_item_has_its_place_in_a_list_and_the_explanation_says_that_it_is_new(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "items.tsv").write_text(ITEMS, encoding="utf-8")
    (data / "events.tsv").write_text(EVENTS, encoding="utf-8")
    config = replace(quick_fit(), training=replace(quick_fit().training, epochs=2))
    fit_dataset(data, tmp_path / "bundle", config)
    # More than a tenth of the catalogue is new, and a tenth of the places is the most that new items get.
    assert open_bundle(tmp_path / "bundle").read_json("settings.json")["newcomers"]["fused"] == 0.1

    recommender = Recommender.load(tmp_path / "bundle", device="cpu")
    reply = recommender.recommend(["i00", "i03"], k=10, explain=True)
    assert len(reply.items) == 10
    shown = [item for item in reply.items if item.item_id in NEW]
    assert shown
    lifted = [item for item in reply.items if "new-item" in [share.channel for share in item.shares]]
    # Lifted together, and only where they had not come so far by themselves.
    assert lifted in ([], shown)
    for item in reply.items:
        assert sum(share.share for share in item.shares) == pytest.approx(item.score, abs=1e-3)
    for item in lifted:
        (share,) = [share for share in item.shares if share.channel == "new-item"]
        assert share.share > 0
        assert share.history == ()
