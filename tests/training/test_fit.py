"""Fitting: what comes out, what a kill does, and what cannot be fitted."""

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmrec.bundle import open_bundle
from mmrec.errors import BundleError, InvalidArgumentError, InvalidDatasetError, NotFoundError
from mmrec.runtime.progress import NoProgress
from mmrec.training import FitConfig, FitRun, evaluate_bundle, fit_dataset, preset
from tests.commands import run_program
from tests.conftest import quick_fit, tiny_fit

pytestmark = pytest.mark.slow(15)


def test_a_fit_killed_again_and_again_ends_in_the_same_bundle(
    demo_dataset: Path, demo_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    kills = ["encoding pictures:0", "fusion:3", "train:0", "evaluate:0"]
    done = run_program(Path(__file__).parent / "fit_and_die.py", demo_dataset, out, *kills)
    assert done.returncode == 0, done.stderr
    *killed, finished = map(json.loads, done.stdout.splitlines())
    assert [(one["kill"], one["ended"], one["bundle"]) for one in killed] == [
        (kill, -signal.SIGKILL, False) for kill in kills
    ], done.stderr
    assert (finished["ended"], finished["bundle"]) == (0, True), done.stderr
    # Everything before the kill in the evaluation was kept: nothing is encoded or trained again.
    stages = finished["stages"]
    kept = {stage.partition(": ")[2] for stage in stages if stage.startswith("kept")}
    assert kept >= {"words", "pictures", "fusion", "tokens"}
    assert not [stage for stage in stages if "encoding" in stage or "training" in stage or stage.startswith("fusion")]

    again, once = open_bundle(out), open_bundle(demo_bundle)
    assert again.manifest.versions == once.manifest.versions
    assert again.read_json("metrics.json")["rows"] == once.read_json("metrics.json")["rows"]
    same = [name for name in once.manifest.files if name not in ("metrics.json", "MODEL_CARD.md")]
    assert {n: again.manifest.files[n] for n in same} == {n: once.manifest.files[n] for n in same}
    assert sorted(path.name for path in out.iterdir() if not path.name.endswith("lock")) == [
        ".fit",
        "CURRENT",
        "versions",
    ]


class _Stages(NoProgress):
    def __init__(self) -> None:
        self.names: list[str] = []

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self.names.append(stage)


def test_another_configuration_starts_clean_and_adds_a_version_with_encoders_of_another_bundle(
    demo_dataset: Path, demo_bundle: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))
    first, stages = open_bundle(out), _Stages()
    config = replace(tiny_fit(), encoders_from=str(demo_bundle), seed=1)
    second = fit_dataset(demo_dataset, out, config, stages, run=FitRun(cache=tmp_path / "cache"))
    assert first.version != second.version.name
    assert first.folder.is_dir()
    again = open_bundle(out)
    assert again.version == second.version.name
    # The vectors of the other bundle, made once more.
    assert not [stage for stage in stages.names if stage.startswith("kept")]
    assert "encoding pictures" in stages.names
    vectors = [bundle.read_tensors("embeddings.safetensors") for bundle in (first, again)]
    for name in ("image", "text"):
        assert np.array_equal(vectors[0][name], vectors[1][name])
    assert not np.array_equal(vectors[0]["fused"], vectors[1]["fused"])


def test_the_bundle_says_what_it_is(demo_bundle: Path) -> None:
    bundle = open_bundle(demo_bundle)
    assert bundle.manifest.preset == "embedded"
    card = bundle.read_text("MODEL_CARD.md")
    assert "60 items" in card
    assert "| fused | removed |" in card
    names = set(bundle.manifest.files)
    assert {"catalogue.parquet", "histories.parquet", "embeddings.safetensors", "tokens.safetensors"} <= names
    assert {"index.json", "channels.safetensors", "settings.json", "metrics.json", "MODEL_CARD.md"} <= names
    assert {"generator/backbone/config.json", "generator/backbone/model.safetensors"} <= names
    assert not [name for name in names if name.endswith((".pt", ".pkl", ".bin", ".npy", ".npz"))]


def test_evaluating_the_bundle_gives_the_figures_of_the_fit(demo_bundle: Path, demo_dataset: Path) -> None:
    stored = open_bundle(demo_bundle).read_json("metrics.json")["rows"]
    for found in (evaluate_bundle(demo_bundle), evaluate_bundle(demo_bundle, demo_dataset)):
        assert json.loads(json.dumps(found.as_json()))["rows"] == stored


def test_the_table_has_the_documented_rows(demo_bundle: Path) -> None:
    rows = open_bundle(demo_bundle).read_json("metrics.json")["rows"]
    names = {row["name"] for row in rows}
    assert {"fused", "generator", "popularity", "transitions", "item-knn", "graph-text"} <= names
    assert {row["seen"] for row in rows} == {"removed", "kept"}
    for row in rows:
        assert 0 <= row["ndcg@5"] <= row["ndcg@10"] <= row["recall@10"] <= 1
        assert row["recall@5"] <= row["recall@10"]
        assert row["users"] == 120


def test_a_flipped_byte_in_a_fitted_bundle_is_noticed(demo_bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(demo_bundle, copy)
    path = next(copy.glob("versions/*/generator/heads.safetensors"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=r"heads\.safetensors"):
        evaluate_bundle(copy)


def write(folder: Path, items: str, events: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "items.tsv").write_text(items, encoding="utf-8")
    (folder / "events.tsv").write_text(events, encoding="utf-8")
    return folder


ITEMS = "item_id\ttitle\n" + "".join(f"i{n}\tthing number {n}\n" for n in range(6))
EVENTS = "user_id\titem_id\tposition\n" + "".join(f"u{u}\ti{(u + n) % 6}\t{n}\n" for u in range(4) for n in range(4))


def test_a_catalogue_without_pictures_is_fitted_on_words_and_its_encoders_read_no_pictures(
    demo_dataset: Path, tmp_path: Path
) -> None:
    result = fit_dataset(write(tmp_path / "data", ITEMS, EVENTS), tmp_path / "words", tiny_fit())
    assert result.evaluation.items == 6
    assert result.evaluation.row("fused").users == 4
    config = replace(quick_fit(), encoders_from=str(result.bundle))
    with pytest.raises(InvalidArgumentError, match="without pictures"):
        fit_dataset(demo_dataset, tmp_path / "bundle", config)
    with pytest.raises(InvalidArgumentError, match="encoders_from"):
        replace(config, text_model="some/model")


def test_when_no_user_has_three_events(tmp_path: Path) -> None:
    data = write(tmp_path / "data", ITEMS, "user_id\titem_id\tposition\nu\ti1\t1\nu\ti2\t2\n")
    with pytest.raises(InvalidDatasetError, match="no user has 3"):
        fit_dataset(data, tmp_path / "bundle", quick_fit())


def test_when_the_dataset_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        fit_dataset(tmp_path / "nowhere", tmp_path / "bundle", quick_fit())


def test_evaluating_on_events_the_bundle_knows_nothing_of(demo_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidDatasetError, match="evaluate with the dataset"):
        evaluate_bundle(demo_bundle, write(tmp_path / "data", ITEMS, EVENTS))


@pytest.mark.parametrize(
    ("field", "value"),
    [("preset", "huge"), ("modality", "sound"), ("require", "video"), ("beam_width", 0), ("seed", -1)],
)
def test_a_configuration_that_cannot_be_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError, match=field):
        FitConfig(**{field: value})  # type: ignore[arg-type]


def test_the_standard_preset_takes_a_pretrained_llm() -> None:
    assert preset("standard").generator.pretrained == "Qwen/Qwen3-0.6B"
    assert preset("embedded").generator.pretrained == ""
    assert preset("embedded", language_model="a/b").generator.pretrained == "a/b"
