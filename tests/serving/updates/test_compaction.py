"""Changes folded into a new version of the bundle: from the command line, and what a kill at any point leaves."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from mmrec.bundle import Bundle, BundleWriter, current_version, open_bundle
from mmrec.cli import main
from mmrec.contract.changes import ChangeResults, UpsertRequest
from mmrec.contract.items import ItemInput, ItemRecord
from mmrec.errors import FailedPreconditionError
from mmrec.recommender import Recommender
from mmrec_serving.change_log import StoreState
from mmrec_serving.updates.bundle_position import open_store
from mmrec_serving.updates.compaction import fold_offline
from mmrec_serving.updates.live_catalogue import CatalogueChanges
from mmrec_serving.updates.replay import catalogue_name, replay_changes
from tests.commands import run_program

pytestmark = pytest.mark.slow(15)

POINTS = (
    "staged",
    "replayed",
    "announced",
    "before-manifest",
    "before-current",
    "after-current",
    "published",
    "rebased",
    "dropped",
    "swap:before-bring-forward",
    "swap:before-swap",
    "swap:after-swap",
    "swap:after-rebase",
    "swap:after-drop",
    "none",
)
"""Where a folding is killed, in the order in which it passes them."""
PUBLISHED = POINTS.index("after-current")


@pytest.fixture
def root(demo_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))


def record(root: Path, store: Path, *items: ItemInput) -> Recommender:
    engine = Recommender.load(root, device="cpu")
    changes = CatalogueChanges(engine, open_store(store, engine.bundle))
    changes.replay()
    changes.apply_many([UpsertRequest(items, wait_until_visible=True)])
    changes.close()
    return engine


def test_the_command_makes_a_version_that_recommends_the_same(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, fitted = tmp_path / "store", current_version(root)
    lamps = [ItemInput(f"n{number}", title=f"Quartz lamp number {number}") for number in range(3)]
    before = record(root, store, *lamps)
    base = open_bundle(root).manifest.versions.catalogue

    with pytest.raises(SystemExit) as ended:
        main(["fold", str(root), "--store", str(store), "--json", "--quiet"])
    out, _ = capsys.readouterr()
    folded = json.loads(out)["folded"]
    assert ended.value.code == 0
    assert folded == {
        "version": current_version(root),
        "catalogue": f"{base}+3",
        "upto": 3,
        "changes": 3,
        "items": 63,
    }
    assert open_bundle(root).manifest.parameters["folded"] == {"from": fitted, "upto": 3}
    after = before.load_current()
    users = ["c0023", "c0046", "c0093", "c0088", "c0117"]
    # The same version of the catalogue stands for the same recommendations.
    assert after.info().versions == before.info().versions
    for user in users:
        assert after.recommend([], user_id=user, k=30).item_ids == before.recommend([], user_id=user, k=30).item_ids

    # Numbers go on, and there is nothing to fold a second time.
    with open_store(store, after.bundle) as changes:
        state = changes.state()
        assert (state.folded, state.position, list(changes.replay())) == (3, 3, [])
        # The version before lacks them, and can be gone back to.
        assert (state.dropped, state.previous, state.previous_holds) == (0, base, 0)
    with pytest.raises(SystemExit):
        main(["fold", str(root), "--store", str(store), "--json", "--quiet"])
    assert json.loads(capsys.readouterr().out) == {"folded": None}
    third = record(root, store, ItemInput("n3", title="Quartz lamp number 3"))
    assert third.info().versions.catalogue == f"{base}+4"


def test_a_folding_killed_at_any_point_loses_nothing(root: Path, tmp_path: Path) -> None:
    base = open_bundle(root).manifest.versions.catalogue
    done = run_program(Path(__file__).parent / "fold_and_die.py", root, tmp_path / "store", *POINTS)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["point"] for one in told] == list(POINTS)
    assert [one["killed"] for one in told] == [True] * (len(POINTS) - 1) + [False]
    for number, one in enumerate(told, start=1):
        recorded = 3 * number
        assert one["recorded"] == recorded
        assert one["catalogue"] == f"{base}+{recorded}"
        assert one["new"] == {**{f"n{n}": "a lamp" for n in range(number)}, "last": f"lamp {number - 1}"}
        assert one["gone"] == [f"p{n + 1:04}" for n in range(number)]
        # The old base until the new one is published, and the new one from then on.
        assert one["base"] == (base if number - 1 < PUBLISHED else f"{base}+{recorded}")


def test_fields_that_were_replaced_are_replayed_compacted_and_folded(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    column = "category"

    def upsert(changes: CatalogueChanges, *items: ItemInput, fields: tuple[str, ...] = ()) -> None:
        (found,) = changes.apply_many([UpsertRequest(items, fields=fields, wait_until_visible=True)])
        assert isinstance(found, ChangeResults)
        assert found.refused == ()

    def items_of(engine: Recommender) -> dict[str, ItemRecord]:
        # The last code only tells apart items that came at once.
        records = engine.list_items(page_size=100).items
        return {item.item_id: replace(item, semantic_id=item.semantic_id[:-1]) for item in records}

    def vectors(engine: Recommender) -> npt.NDArray[np.float32]:
        parts = engine.snapshot().parts
        return parts.fused_ND.whole()[np.argsort(parts.catalogue.item_ids)]

    live = Recommender.load(root, device="cpu")
    changes = CatalogueChanges(live, open_store(store, live.bundle))
    changes.replay()
    upsert(changes, ItemInput("n0", title="Quartz lamp"), ItemInput("n1", title="Oak desk"))
    upsert(changes, ItemInput("n0", attributes={column: "red"}), fields=(f"attributes.{column}",))
    upsert(changes, ItemInput("p0005", title="Quartz table"), fields=("title",))
    upsert(changes, ItemInput("p0005", attributes={column: "blue"}), fields=(f"attributes.{column}",))
    upsert(changes, ItemInput("n0", title="Quartz chair"), fields=("title",))
    changes.close()

    def served() -> dict[str, ItemRecord]:
        engine = live.load_current()
        with open_store(store, engine.bundle) as opened:
            replay_changes(engine, opened.replay(), lambda last: f"c+{last}")
            opened.compact(opened.position())
        np.testing.assert_allclose(vectors(engine), vectors(live), atol=1e-5)
        return items_of(engine)

    wanted = items_of(live)
    assert (wanted["n0"].title, wanted["n0"].attributes[column]) == ("Quartz chair", "red")
    assert (wanted["p0005"].title, wanted["p0005"].attributes[column]) == ("Quartz table", "blue")
    assert served() == wanted
    assert served() == wanted  # compacted
    assert fold_offline(root, store) is not None
    assert served() == wanted


def test_a_folding_beside_another_one_or_a_server_is_refused(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    engine = record(root, store, ItemInput("n", title="Quartz lamp"))
    with open_store(store, engine.bundle), pytest.raises(FailedPreconditionError, match="another process is writing"):
        fold_offline(root, store)
    with (
        BundleWriter(root, preset="p", name="n"),
        pytest.raises(FailedPreconditionError, match="another writer"),
    ):
        fold_offline(root, store)
    with pytest.raises(FailedPreconditionError, match="name the folder of all versions"):
        fold_offline(engine.bundle.folder, store)


@pytest.mark.parametrize(
    ("base", "folded", "last", "name"),
    [
        ("c", 0, 0, "c"),
        ("c", 0, 7, "c+7"),
        ("c+7", 7, 7, "c+7"),
        ("c+7", 7, 3, "c+7"),
        ("c+7", 7, 9, "c+9"),
        # Another store than the one that was folded.
        ("c+7", 0, 1, "c+7+1"),
    ],
)
def test_a_catalogue_has_one_name_whether_its_changes_were_folded_or_not(
    base: str, folded: int, last: int, name: str
) -> None:
    assert catalogue_name(StoreState(base, 9, folded), last) == name


def test_a_bundle_that_was_fitted_anew_says_which_changes_it_holds(root: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    record(root, store, ItemInput("n0", title="Quartz lamp"), ItemInput("n1", title="Oak desk"))

    def anew(folder: Path, catalogue: str, **parameters: object) -> Bundle:
        source = open_bundle(root)
        with BundleWriter(folder, preset="p", name="n") as writer:
            for name in source.manifest.files:
                writer.path(name).write_bytes(source.path(name).read_bytes())
            versions = replace(source.manifest.versions, catalogue=catalogue)
            writer.commit(versions=versions, parameters=parameters)
        return open_bundle(folder)

    # Of a shop that has nothing to do with it.
    other = anew(tmp_path / "other", "x")
    with pytest.raises(FailedPreconditionError, match="no later version of it"):
        open_store(store, other)
    # Beside the version that was served: all changes are made to it.
    current = (root / "CURRENT").read_text()
    beside = anew(root, "d")
    with open_store(store, beside) as changes:
        assert (changes.state().base, changes.state().folded, len(next(iter(changes.replay())))) == ("d", 0, 2)
        changes.rebase(open_bundle(root / "versions" / current.strip()).manifest.versions.catalogue, 0)
    (root / "CURRENT").write_text(current)
    assert fold_offline(root, store) is not None
    record(root, store, ItemInput("n2", title="Oak chair"))
    assert fold_offline(root, store) is not None
    # What was dropped is nowhere but in the versions that were folded.
    with pytest.raises(FailedPreconditionError, match="--holds-changes N"):
        open_store(store, anew(root, "e"))
    with pytest.raises(FailedPreconditionError, match="for an N from 2 to 3"):
        open_store(store, anew(root, "f", holds_changes=4))
    with open_store(store, anew(root, "g", holds_changes=2)) as changes:
        (left,) = next(iter(changes.replay()))
        assert (changes.state().base, left.sequence, left.change.item_id) == ("g", 3, "n2")
