"""A whole adaptation, from a dataset folder to encoders that are loaded again."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from mmrec.data.dataset import read_dataset
from mmrec.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    InvalidDatasetError,
    ModelNotAvailableError,
    StoppedError,
)
from mmrec_encoders.aligned import AlignedPictures, AlignedTexts, small_clip_file
from mmrec_encoders.finetuning import FinetuningConfig, FinetuningReport, finetune_encoders
from mmrec_encoders.finetuning.pairs import find_pairs
from mmrec_encoders.minilm import MINILM
from tests.commands import forked
from tests.encoders.finetuning.tiny import Heard, Silent, tiny_config, train_until_killed, write_colour_shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def adapted(
    colour_shop: Path, tiny: FinetuningConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, FinetuningReport]:
    out = tmp_path_factory.mktemp("adapted") / "out"
    return out, finetune_encoders(colour_shop, out, tiny)


def test_the_folder_holds_weights_a_report_and_nothing_of_the_work(adapted: tuple[Path, FinetuningReport]) -> None:
    out, report = adapted
    assert sorted(path.name for path in out.iterdir()) == [
        ".mmrec-lock",
        "REPORT.md",
        "adapt.json",
        "small_clip_pair.safetensors",
    ]
    described = json.loads((out / "adapt.json").read_text(encoding="utf-8"))
    assert (described["format"], described["mode"], described["config"]["epochs"]) == (1, "small", 2)
    assert described["fingerprints"] == report.fingerprints
    page = (out / "REPORT.md").read_text(encoding="utf-8")
    assert "| title to picture | 5 | 5 |" in page
    assert "| colour | 4 | 5 |" in page


def test_the_report_counts_what_was_trained_on_and_what_was_not(adapted: tuple[Path, FinetuningReport]) -> None:
    _, report = adapted
    # 48 items, one of them without words, one with a damaged picture; 45 titles, of which a tenth are held out.
    assert (report.pairs + report.held_pictures, report.held_titles) == (46, 5)
    assert [item for item, _ in report.unreadable] == ["i46"]
    assert "the picture starts like a PNG file" in report.unreadable[0][1]
    assert (report.batch, report.steps, len(report.epochs)) == (8, 10, 2)
    assert report.before.text_to_image.candidates == report.after.text_to_image.candidates == report.held_pictures
    assert {label.column for label in report.after.labels} == {"colour", "shape"}
    assert report.epochs[1].loss < report.epochs[0].loss


def test_loaded_encoders_give_the_vectors_that_were_scored(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig
) -> None:
    out, report = adapted
    file = small_clip_file(str(out))
    assert file is not None
    pictures, texts = AlignedPictures(file, device="cpu"), AlignedTexts(file, device="cpu")
    assert {"image": pictures.fingerprint, "text": texts.fingerprint} == report.fingerprints
    data = read_dataset(colour_shop)
    pairs = find_pairs(data, tiny)
    rows = pairs.held_rows
    from PIL import Image

    image_HD = pictures.encode(
        [Image.open(colour_shop / "images" / pairs.catalogue.images[row]).convert("RGB") for row in rows]
    )
    title_HD = texts.encode([pairs.catalogue.titles[row] for row in rows])
    scores = title_HD @ image_HD.T
    ranks = (scores > scores.diagonal()[:, None]).sum(axis=1) + 1
    assert (ranks == 1).mean() == pytest.approx(report.after.text_to_own_image.recall_1)
    assert np.median(ranks) == report.after.text_to_own_image.median_rank


def test_it_learns_to_find_pictures_by_titles_it_never_saw(colour_shop: Path, tmp_path: Path) -> None:
    """Only colour and shape can be known of them, which are eight kinds; a good guess is one of the first five."""
    config = tiny_config(MINILM, epochs=25, learning_rate=1e-2, hold_out=0.25)
    report = finetune_encoders(colour_shop, tmp_path / "out", config)
    assert report.after.text_to_image.queries == 11
    assert report.after.text_to_image.recall_5 >= 0.8 > report.before.text_to_image.recall_5 + 0.1
    assert report.after.image_to_text.recall_5 > report.before.image_to_text.recall_5
    assert report.epochs[-1].loss < report.epochs[0].loss / 2


def test_the_same_call_after_the_end_trains_nothing(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig
) -> None:
    out, report = adapted
    heard = Heard()
    assert finetune_encoders(colour_shop, out, tiny, heard) == report
    assert heard.lines == ["adapting None", f"{out} already holds what this data and configuration come to"]


def test_another_seed_trains_other_encoders_over_the_old_ones(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = finetune_encoders(colour_shop, out, replace(tiny, epochs=1))
    second = finetune_encoders(colour_shop, out, replace(tiny, epochs=1, seed=1))
    assert first.fingerprints["image"] != second.fingerprints["image"]
    assert AlignedPictures.of(str(out), device="cpu").fingerprint == second.fingerprints["image"]


# --- stopping and going on --------------------------------------------------------------------------------------------


class StopError(Exception):
    pass


class StopAfter(Silent):
    """Ends the training in the middle of a pass, as a kill would."""

    def __init__(self, pairs: int) -> None:
        self.left = pairs

    def advance(self, n: int = 1) -> None:
        if self.stage == "training":
            self.left -= n
            if self.left < 0:
                raise StopError


@pytest.fixture(scope="module")
def stopped(colour_shop: Path, tiny: FinetuningConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that was stopped in its first pass, to be copied."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    with pytest.raises(StopError):
        finetune_encoders(colour_shop, out, replace(tiny, save_minutes=0.0), StopAfter(24))
    return out


@pytest.mark.parametrize("pairs", [0, 24, 40, 79])
def test_a_training_that_was_stopped_anywhere_ends_like_one_that_was_not(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig, tmp_path: Path, pairs: int
) -> None:
    config = replace(tiny, save_minutes=0.0)
    with pytest.raises(StopError):
        finetune_encoders(colour_shop, tmp_path / "out", config, StopAfter(pairs))
    assert not (tmp_path / "out" / "adapt.json").exists()
    report = finetune_encoders(colour_shop, tmp_path / "out", config)
    whole = adapted[1]
    assert report.fingerprints == whole.fingerprints
    assert [epoch.loss for epoch in report.epochs] == [epoch.loss for epoch in whole.epochs]
    assert report.before == whole.before


def test_a_training_killed_with_signal_9_goes_on_and_ends_with_the_same_weights(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    stalled, theirs = Pipe(duplex=False)
    with stalled, forked(train_until_killed, colour_shop, out, replace(tiny, save_minutes=0.0), theirs) as child:
        theirs.close()
        assert stalled.recv() == "stalled"
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    heard = Heard()
    report = finetune_encoders(colour_shop, out, replace(tiny, save_minutes=0.0), heard)
    assert report.fingerprints == adapted[1].fingerprints
    assert heard.lines[0].startswith("going on where an earlier run stopped")
    # Nothing was read or encoded again.
    assert [line for line in heard.lines if line.startswith(("reading pictures", "encoding words"))] == []


def test_sigterm_saves_and_says_how_to_go_on(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig, tmp_path: Path
) -> None:
    class Terminated(Silent):
        done = 0

        def advance(self, n: int = 1) -> None:
            if self.stage == "training":
                self.done += n
                if self.done == 24:
                    os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(
        StoppedError, match=r"in pass 1 of the training, after step 4, which is saved; the same command goes on"
    ):
        finetune_encoders(colour_shop, tmp_path / "out", tiny, Terminated())
    assert signal.getsignal(signal.SIGTERM) is before
    assert finetune_encoders(colour_shop, tmp_path / "out", tiny).fingerprints == adapted[1].fingerprints


def test_sigterm_while_pictures_are_read_ends_at_the_next_ones(
    colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path
) -> None:
    class Terminated(Silent):
        def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
            if stage == "reading pictures":
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError, match="stopped as asked while reading pictures; the same command does this"):
        finetune_encoders(colour_shop, tmp_path / "out", tiny, Terminated())
    assert not (tmp_path / "out" / ".adapt" / "pictures.npy").exists()


@pytest.mark.parametrize("length", [0, 100, 20_000])
def test_a_damaged_checkpoint_is_told_of_and_not_used(
    colour_shop: Path,
    adapted: tuple[Path, FinetuningReport],
    tiny: FinetuningConfig,
    stopped: Path,
    tmp_path: Path,
    length: int,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(stopped, out)
    checkpoint = out / ".adapt" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    heard = Heard()
    report = finetune_encoders(colour_shop, out, replace(tiny, save_minutes=0.0), heard)
    assert report.fingerprints == adapted[1].fingerprints
    assert any("the checkpoint is not used" in line for line in heard.lines)


def test_work_of_another_training_is_not_gone_on_with(
    colour_shop: Path, adapted: tuple[Path, FinetuningReport], tiny: FinetuningConfig, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(StopError):
        finetune_encoders(colour_shop, out, replace(tiny, save_minutes=0.0, seed=3), StopAfter(24))
    assert finetune_encoders(colour_shop, out, tiny).fingerprints == adapted[1].fingerprints


def test_a_clock_that_runs_out_ends_the_training_with_what_it_has(
    colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path
) -> None:
    report = finetune_encoders(colour_shop, tmp_path / "out", replace(tiny, epochs=1000, max_minutes=1e-6))
    assert (report.steps, len(report.epochs)) == (1, 1)
    assert small_clip_file(str(tmp_path / "out")) is not None


# --- what cannot be done ----------------------------------------------------------------------------------------------


def test_a_second_writer_is_refused_while_the_first_one_writes(
    colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with (
        FileLock(tmp_path / "out" / ".mmrec-lock"),
        pytest.raises(FailedPreconditionError, match="another mmrec adapt is writing to"),
    ):
        finetune_encoders(colour_shop, tmp_path / "out", tiny)


def test_a_folder_of_something_else_is_left_alone(colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="holds files that mmrec adapt did not write; name a new folder"):
        finetune_encoders(colour_shop, tmp_path, tiny)
    with pytest.raises(InvalidArgumentError, match="which is a file; name a folder"):
        finetune_encoders(colour_shop, tmp_path / "notes.txt", tiny)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("item_id\ttitle\n1\ta\n2\tb\n", "none of the 2 items of .* names a picture file"),
        ("item_id\timage\n1\t0.png\n2\t1.png\n", "none of the 2 items of .* has words"),
        ("item_id\ttitle\timage\n1\tone\t0.png\n2\ttwo\t1.png\n", "2 items of .* have both words and a picture"),
        (
            "item_id\ttitle\timage\n" + "".join(f"{n}\tthe same\t{n}.png\n" for n in range(9)),
            "have 1 different titles; at least 4 are needed",
        ),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused(
    tiny: FinetuningConfig, tmp_path: Path, table: str, message: str
) -> None:
    shop = write_colour_shop(tmp_path / "shop", items=9)
    (shop / "items.tsv").write_text(table)
    with pytest.raises(InvalidDatasetError, match=message):
        finetune_encoders(shop, tmp_path / "out", tiny)


def test_pictures_that_all_turn_out_unreadable_are_an_error(tiny: FinetuningConfig, tmp_path: Path) -> None:
    shop = write_colour_shop(tmp_path / "shop", items=24)
    for path in (shop / "images").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(InvalidDatasetError, match="24 of 24 pictures cannot be read, which leaves 0"):
        finetune_encoders(shop, tmp_path / "out", tiny)


def test_a_batch_larger_than_the_data_is_refused(colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path) -> None:
    config = replace(tiny, batch_size=32, accumulate=2)
    with pytest.raises(InvalidArgumentError, match="are 64 pairs a step, but there are 42 training pairs"):
        finetune_encoders(colour_shop, tmp_path / "out", config)


def test_a_text_model_that_is_not_there_is_named(colour_shop: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="no/such/model"):
        finetune_encoders(colour_shop, tmp_path / "out", tiny_config("/no/such/model"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("weight",)}, "labels names 'weight', which the items table lacks"),
        (
            {"columns": ("weight",)},
            "the column 'weight' is not in the items table; its attribute columns are colour",
        ),
        ({"texts": (("{weight}", 1.0),)}, "names 'weight'; the columns are"),
    ],
)
def test_columns_that_are_not_there_are_named(
    colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        finetune_encoders(colour_shop, tmp_path / "out", replace(tiny, **changes))  # type: ignore[arg-type]


def test_a_loss_that_is_no_number_ends_the_training(colour_shop: Path, tiny: FinetuningConfig, tmp_path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="the loss is nan after"):
        finetune_encoders(colour_shop, tmp_path / "out", replace(tiny, learning_rate=1e30))
