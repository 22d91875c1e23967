"""Fitting again: a stage is done anew when what it reads has changed, and vectors that are cached are not computed."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from mmrec.bundle import open_bundle
from mmrec.runtime.progress import NoProgress
from mmrec.training import FitConfig, FitResult, FitRun, fit_dataset
from mmrec_encoders.small_clip_training import SmallClipConfig
from tests.conftest import quick_fit, tiny_fit

pytestmark = pytest.mark.slow(20)


class Stages(NoProgress):
    """What a fit takes from an earlier one, and what it does; ends it at a stage if told to."""

    def __init__(self, last: str = "") -> None:
        self.kept: list[str] = []
        self.done: list[str] = []
        self.encoded: dict[str, str] = {}
        self._stage = ""
        self._last = last

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self._stage = stage
        kept, _, name = stage.partition(": ")
        if name:
            assert kept == "kept from an earlier fit"
            self.kept.append(name)
        else:
            self.done.append(stage)
        if self._last and stage.startswith(self._last):
            raise KeyboardInterrupt

    def finish(self, text: str = "") -> None:
        if self._stage.startswith("encoding "):
            self.encoded[self._stage.removeprefix("encoding ")] = text


NOTHING_ENCODED = {
    "words": "0 texts encoded, 60 taken from earlier runs",
    "pictures": "0 pictures encoded, 59 taken from earlier runs, 0 unreadable",
}
ALL_ENCODED = {
    "words": "60 texts encoded, 0 taken from earlier runs",
    "pictures": "59 pictures encoded, 0 taken from earlier runs, 0 unreadable",
}
ENCODED = ["words", "pictures"]


@pytest.fixture
def shop(demo_dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_dataset, tmp_path / "shop"))


@pytest.fixture
def fitted(demo_bundle: Path, tmp_path: Path) -> Path:
    """A folder into which `shop` has been fitted."""
    return Path(shutil.copytree(demo_bundle, tmp_path / "bundle"))


def fit(dataset: Path, out: Path, config: FitConfig, stages: Stages, run: FitRun | None = None) -> FitResult:
    return fit_dataset(dataset, out, config, stages, run=run)


def test_a_published_fit_leaves_vectors_alone(fitted: Path) -> None:
    assert [path.name for path in (fitted / ".fit").iterdir()] == ["cache"]


def test_a_fit_into_another_folder_with_the_same_cache_encodes_nothing_and_makes_the_same_vectors(
    demo_dataset: Path, fitted: Path, tmp_path: Path
) -> None:
    stages = Stages("training the fusion")
    other, cache = tmp_path / "other", fitted / ".fit" / "cache"
    with pytest.raises(KeyboardInterrupt):
        fit(demo_dataset, other, quick_fit(), stages, FitRun(cache=cache))
    assert stages.kept == []
    assert stages.encoded == NOTHING_ENCODED
    assert not (other / ".fit" / "cache").exists()
    made = {name: load_file(path) for name in ("words", "pictures") for path in (other / ".fit").glob(f"{name}.*")}
    published = open_bundle(fitted).read_tensors("embeddings.safetensors")
    for name, stage, part in (("text", "words", "text_NT"), ("image", "pictures", "image_NI")):
        assert (made[stage][part] == published[name]).all()


def test_with_another_number_of_passes_nothing_is_encoded_and_the_bundle_is_that_of_a_fresh_fit(
    shop: Path, fitted: Path, tmp_path: Path
) -> None:
    config = replace(tiny_fit(), training=replace(tiny_fit().training, epochs=3))
    again, anew = Stages(), Stages()
    first = fit(shop, fitted, config, again)
    assert again.kept == []
    assert again.encoded == NOTHING_ENCODED
    second = fit(shop, fitted, config, anew, FitRun(fresh=True))
    assert anew.kept == []
    assert anew.encoded == ALL_ENCODED
    files = [open_bundle(result.version).manifest.files for result in (first, second)]
    same = [name for name in files[0] if name not in ("metrics.json", "MODEL_CARD.md", "curves.png")]
    assert {name: files[0][name] for name in same} == {name: files[1][name] for name in same}


def test_when_only_events_have_changed_nothing_is_encoded(shop: Path, fitted: Path) -> None:
    events = pq.read_table(shop / "events.parquet")
    pq.write_table(events.slice(0, events.num_rows - 5), shop / "events.parquet")
    stages = Stages("training the fusion")
    with pytest.raises(KeyboardInterrupt):
        fit(shop, fitted, quick_fit(), stages)
    assert stages.kept == []
    assert stages.encoded == NOTHING_ENCODED


def test_pictures_that_were_copied_anew_are_the_same_pictures(shop: Path, fitted: Path) -> None:
    for path in (shop / "images").iterdir():
        path.touch()
    stages = Stages("training the fusion")
    with pytest.raises(KeyboardInterrupt):
        fit(shop, fitted, quick_fit(), stages)
    assert stages.kept == []
    assert stages.encoded == NOTHING_ENCODED


def test_a_picture_that_has_changed_is_encoded_and_words_are_kept(shop: Path, fitted: Path) -> None:
    first, second = sorted((shop / "images").iterdir())[:2]
    status = first.stat()
    first.write_bytes(second.read_bytes() + b"changed")
    os.utime(first, ns=(status.st_atime_ns, status.st_mtime_ns))
    stages = Stages("training the fusion")
    with pytest.raises(KeyboardInterrupt):
        fit(shop, fitted, quick_fit(), stages)
    assert stages.kept == []
    assert stages.encoded["words"] == NOTHING_ENCODED["words"]
    assert stages.encoded["pictures"] == "1 pictures encoded, 58 taken from earlier runs, 0 unreadable"


def test_a_template_that_changes_the_words_encodes_them(shop: Path, fitted: Path) -> None:
    stages = Stages("training the fusion")
    with pytest.raises(KeyboardInterrupt):
        fit(shop, fitted, replace(quick_fit(), template="{title}"), stages)
    assert stages.kept == []
    assert stages.encoded["words"] == "59 texts encoded, 0 taken from earlier runs"
    assert stages.encoded["pictures"] == NOTHING_ENCODED["pictures"]


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"compare_modalities": True}, [*ENCODED, "fusion", "tokens"]),
        ({"training": {"max_minutes": 500.0}}, [*ENCODED, "fusion", "tokens"]),
        ({"training": {"epochs": 1}}, [*ENCODED, "fusion", "tokens"]),
        ({"tokenizer": {"kind": "random"}}, [*ENCODED, "fusion"]),
        ({"fusion": {"steps": 10}}, ENCODED),
        ({"beam_width": 8}, [*ENCODED, "fusion", "tokens"]),
    ],
)
def test_an_unfinished_fit_with_another_setting_keeps_what_does_not_read_it(
    change: dict[str, object], kept: list[str], shop: Path, unfinished: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(unfinished, tmp_path / "out"))
    config = quick_fit()
    for name, value in change.items():
        new = replace(getattr(config, name), **value) if isinstance(value, dict) else value
        config = replace(config, **{name: new})
    stages = Stages("train")
    with pytest.raises(KeyboardInterrupt):
        fit(shop, out, config, stages)
    assert stages.kept == kept


def test_a_small_image_encoder_is_trained_again_for_another_setting_of_its_own_alone(
    shop: Path, tmp_path: Path
) -> None:
    config = replace(tiny_fit(), image_model="small", small_clip=SmallClipConfig(epochs=1))
    fit(shop, tmp_path, config, Stages())
    assert sorted(path.name.partition(".")[0] for path in (tmp_path / ".fit").iterdir()) == [
        "cache",
        "small-image-encoder",
    ]
    again, other = Stages("training the fusion"), Stages("training the fusion")
    with pytest.raises(KeyboardInterrupt):
        fit(shop, tmp_path, replace(config, beam_width=8), again)
    assert again.kept == ["small-image-encoder"]
    assert again.encoded == NOTHING_ENCODED
    with pytest.raises(KeyboardInterrupt):
        fit(shop, tmp_path, replace(config, small_clip=SmallClipConfig(epochs=1, learning_rate=1e-3)), other)
    assert other.kept == ["words"]
    assert "training the small image encoder" in other.done
    assert other.encoded == {"pictures": ALL_ENCODED["pictures"]}


def test_a_longer_limit_of_time_goes_on_with_the_training_and_another_number_of_passes_begins_it(
    shop: Path, unfinished: Path, tmp_path: Path
) -> None:
    trained = {}
    for epochs in (2, 3):
        out = Path(shutil.copytree(unfinished, tmp_path / str(epochs)))
        config = replace(quick_fit(), training=replace(quick_fit().training, max_minutes=500.0, epochs=epochs))
        counting = Counting("weigh")
        with pytest.raises(KeyboardInterrupt):
            fit(shop, out, config, counting)
        trained[epochs] = counting.calls
    # What was trained before is told of at once; nothing is left to do where only the limit has changed.
    assert len(trained[2]) == 1
    assert trained[2][0] > 0
    assert trained[3][0] == 0
    assert len(trained[3]) > 3


class Counting(Stages):
    """Steps that the training of the LLM tells of."""

    def __init__(self, last: str) -> None:
        super().__init__(last)
        self.calls: list[int] = []

    def advance(self, n: int = 1) -> None:
        if self.done and self.done[-1] == "train":
            self.calls.append(n)


@pytest.fixture(scope="module")
def unfinished(demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a fit has gone as far as the end of its training."""
    out = tmp_path_factory.mktemp("unfinished") / "bundle"
    with pytest.raises(KeyboardInterrupt):
        fit(demo_dataset, out, quick_fit(), Stages("weigh"))
    return out
