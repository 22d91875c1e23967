"""What a fit and an evaluation say of rows that are not used, and what becomes of negative feedback."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

import mmrec
from mmrec.bundle import open_bundle
from mmrec.cli import main
from mmrec.contract.events import UserEvent
from mmrec.data.dataset import read_dataset
from mmrec.data.summary import DatasetSummary, TableSummary
from mmrec.data.writing import write_table
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.training import EvaluationSettings, FitResult, evaluate_bundle, fit_dataset
from mmrec.training.impute_column import impute_dataset_column
from mmrec_encoders.finetuning import finetune_encoders
from tests.conftest import tiny_fit

pytestmark = pytest.mark.slow

ITEMS = "item_id,title\n" + "".join(f"i{n},thing number {n}\n" for n in range(8)) + f"{'i' * 513},too long\n"
WISHES = "".join(f"u{u},i{(u + n) % 8},2024-05-{n + 1:02},buy\n" * 2 for u in range(6) for n in range(4))
EVENTS = (
    "user_id,item_id,timestamp,event_type\n"
    + WISHES
    + "u0,i5,2024-05-20,return\nu0,i6,2024-05-20,Refund\nstranger,i7,2024-05-20,dislike\n"
    + "u1,gone,2024-05-20,buy\n" * 8
    + "u1,i1,soon,buy\n"
)
EVENT_ROWS = TableSummary(
    "events.csv",
    60,
    48,
    {"bad timestamp": 1, "unknown item": 8},
    {"by event_type Refund": 1, "by event_type dislike": 1, "by event_type return": 1},
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows") / "data"
    folder.mkdir()
    (folder / "items.csv").write_text(ITEMS)
    (folder / "events.csv").write_text(EVENTS)
    return folder


@pytest.fixture(scope="module")
def notes() -> list[str]:
    """What `fitted` was told."""
    return []


@pytest.fixture(scope="module")
def fitted(dataset: Path, notes: list[str], tmp_path_factory: pytest.TempPathFactory) -> FitResult:
    config = replace(tiny_fit(), max_left_out=0.2)
    return fit_dataset(dataset, tmp_path_factory.mktemp("rows") / "bundle", config, note=notes.append)


def test_a_fit_refuses_before_its_work(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"1 of the 9 rows of items\.csv \(11\.1%\) would be left out"):
        fit_dataset(dataset, tmp_path / "bundle", tiny_fit())
    with pytest.raises(InvalidDatasetError, match=r"9 of the 60 rows of events\.csv \(15\.0%\) would be left out"):
        fit_dataset(dataset, tmp_path / "bundle", replace(tiny_fit(), max_left_out=0.12))
    assert not (tmp_path / "bundle").exists()
    with pytest.raises(InvalidArgumentError, match="max_left_out is -1"):
        replace(tiny_fit(), max_left_out=-1.0)


def test_a_fit_says_what_is_not_used(dataset: Path, fitted: FitResult, notes: list[str]) -> None:
    rows = (TableSummary("items.csv", 9, 8, {"unusable item id": 1}), EVENT_ROWS)
    assert fitted.summary.tables == rows
    assert notes[:2] == [
        "items.csv: 8 of 9 rows are used; left out are 1 (11.1%): 1 unusable item id",
        "events.csv: 48 of 60 rows are used; left out are 9 (15.0%): 1 bad timestamp, 8 unknown item; excluded are 3: "
        "1 by event_type Refund, 1 by event_type dislike, 1 by event_type return",
    ]
    bundle = open_bundle(fitted.bundle)
    assert DatasetSummary.from_json(bundle.manifest.parameters["dataset_rows"]) == fitted.summary
    card = bundle.read_text("MODEL_CARD.md")
    assert "- events.csv: 48 of 60 rows are used; left out are 9 (15.0%): 1 bad timestamp, 8 unknown item" in card
    assert (
        "- event_type of the events: counted as positive: buy (57); as negative: Refund (1), dislike (1), return (1)"
        in card
    )


def test_questions_whose_answer_is_in_the_history_are_counted(fitted: FitResult) -> None:
    assert fitted.evaluation.answers_in_history == fitted.evaluation.questions == 6
    (doubt,) = evaluate_bundle(fitted.bundle).evaluation.doubts
    assert doubt.startswith("6 of 6 questions (100.0%) ask for an item that is in the history: with seen items removed")
    assert doubt in open_bundle(fitted.bundle).read_text("MODEL_CARD.md")
    assert fitted.evaluation.row("fused", "removed").recall[10] == 0.0


def test_what_a_customer_sent_back_does_not_come_back(fitted: FitResult) -> None:
    recommender = mmrec.Recommender.load(fitted.bundle, device="cpu")
    assert set(recommender.recommend(user_id="u0", k=8).item_ids) == {"i4", "i7"}
    everything = {f"i{n}" for n in range(8)}
    assert set(recommender.recommend(user_id="u0", k=8, include_seen=True).item_ids) == everything - {"i5", "i6"}
    assert set(recommender.recommend(user_id="stranger", k=8).item_ids) == everything - {"i7"}
    assert set(recommender.recommend(user_id="u2", k=8).item_ids) == {"i0", "i1", "i6", "i7"}
    # Taken again, it is no longer ruled out.
    assert recommender.record_events([UserEvent("i5", "purchase", "u0")]).refused == ()
    assert set(recommender.recommend(user_id="u0", k=8, include_seen=True).item_ids) == everything - {"i6"}


# --- learned events under other names --------------------------------------------------------------------------------


def _disguised(demo_dataset: Path, folder: Path, *, last: int, rename: bool, later: int) -> Path:
    """The demo's dataset without each user's last events, of users with other names, at other times."""
    shutil.copytree(demo_dataset, folder)
    (path,) = folder.glob("events.*")
    path.unlink()
    interactions, ids = read_dataset(demo_dataset).interactions, read_dataset(demo_dataset).catalogue.item_ids
    rows: dict[str, list[object]] = {"user_id": [], "item_id": [], "timestamp": []}
    for u, user_id in enumerate(interactions.user_ids):
        begin, end = interactions.offsets_U[u : u + 2].tolist()
        for event in range(begin, end - last):
            rows["user_id"].append(f"x{user_id}" if rename else user_id)
            rows["item_id"].append(ids[interactions.items_E[event]])
            rows["timestamp"].append(int(interactions.times_E[event]) + later)
    write_table(folder / "events.parquet", pa.table(rows))
    return folder


@pytest.mark.parametrize(("rename", "later"), [(True, 0), (False, 3600), (True, -7200)])
def test_learned_events_are_refused_under_other_names_and_times(
    demo_bundle: Path, demo_dataset: Path, tmp_path: Path, rename: bool, later: int
) -> None:
    data = _disguised(demo_dataset, tmp_path / "data", last=1, rename=rename, later=later)
    with pytest.raises(InvalidArgumentError, match="other user ids or times"):
        evaluate_bundle(demo_bundle, data, EvaluationSettings(beam_sample=0))


def test_the_questions_of_the_fit_under_other_names_are_no_leak(
    demo_bundle: Path, demo_dataset: Path, tmp_path: Path
) -> None:
    data = _disguised(demo_dataset, tmp_path / "data", last=0, rename=True, later=3600)
    same = evaluate_bundle(demo_bundle, data, EvaluationSettings(beam_sample=0)).evaluation.row("fused")
    assert (
        same.recall
        == evaluate_bundle(demo_bundle, settings=EvaluationSettings(beam_sample=0)).evaluation.row("fused").recall
    )


def test_other_customers_of_the_same_shop_are_no_leak(demo_bundle: Path, demo_dataset: Path, tmp_path: Path) -> None:
    from mmrec.demo import write_demo_dataset

    write_demo_dataset(tmp_path / "other", items=60, users=150, seed=5)
    data = tmp_path / "data"
    shutil.copytree(demo_dataset, data)
    (mine,) = data.glob("events.*")
    mine.unlink()
    (theirs,) = (tmp_path / "other").glob("events.*")
    shutil.copyfile(theirs, data / theirs.name)
    assert evaluate_bundle(demo_bundle, data, EvaluationSettings(beam_sample=0)).evaluation.questions > 100


# --- the other commands that read a dataset ---------------------------------------------------------------------------


def test_fit_on_the_command_line_tells_rows_first_and_in_json(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", str(dataset), "--out", str(tmp_path / "bundle"), "--epochs", "1", "--json"]
    with pytest.raises(SystemExit) as refused:
        main(arguments)
    assert refused.value.code == 3
    assert "(11.1%) would be left out: 1 unusable item id; at most 10.0% may be" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--max-left-out", "0.2"])
    assert ended.value.code == 0
    out, err = capsys.readouterr()
    assert err.startswith("items.csv: 8 of 9 rows are used; left out are 1 (11.1%): 1 unusable item id\nevents.csv: 48")
    rows = json.loads(out)["dataset_rows"]
    assert rows["tables"][1]["left_out"] == {"bad timestamp": 1, "unknown item": 8}
    assert rows["tables"][1]["set_aside"]["by event_type return"] == 1


def test_adapt_and_tag_refuse_and_tell_as_well(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match=r"1 of the 9 rows of items\.csv"):
        finetune_encoders(dataset, tmp_path / "adapted")
    with pytest.raises(InvalidDatasetError, match=r"1 of the 9 rows of items\.csv"):
        impute_dataset_column(dataset, "colour", labels=["red", "blue"])
    copy = tmp_path / "data"
    shutil.copytree(dataset, copy)
    (copy / "dataset.toml").write_text("[events]\nmax_left_out = 0.2\n")
    told: list[str] = []
    filled = impute_dataset_column(copy, "colour", labels=["red", "blue"], note=told.append)
    assert told[0].startswith("items.csv: 8 of 9 rows are used")
    assert filled.as_json(values=False)["dataset_rows"]["tables"][1]["rows"] == 60
    told.clear()
    with pytest.raises(InvalidDatasetError):  # without pictures there is nothing to adapt
        finetune_encoders(dataset, tmp_path / "adapted", max_left_out=0.2, note=told.append)
    assert told[0].startswith("items.csv: 8 of 9 rows are used")
