"""Fine-tuning of the preset's image model on a catalogue with many pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmrec.data.dataset import read_dataset
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.progress import NoProgress
from mmrec.training import FitConfig
from mmrec.training.encoding import encode_dataset
from mmrec.training.picture_tuning import alike
from mmrec.training.work_folder import WorkFolder
from mmrec_encoders.aligned import AlignedPictures
from mmrec_encoders.efficientnet import EFFICIENTNET, EfficientNetEncoder
from tests.understanding.pictures import photograph

CONFIG = FitConfig(finetune_from=55, finetune_minutes=0.02, device="cpu")


class Stages(NoProgress):
    """What was done, and what it came to."""

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.said = ""
        self._stage = ""

    def say(self, text: str) -> None:
        self.said += text

    def start(self, stage: str, total: int | None = None, unit: str = "") -> None:
        self._stage = stage
        self.ends[stage] = ""

    def finish(self, text: str = "") -> None:
        self.ends[self._stage] = text


@pytest.mark.slow
def test_many_pictures_tune_the_image_model_once_and_the_better_one_is_taken(
    demo_dataset: Path, tmp_path: Path
) -> None:
    data, first, again = read_dataset(demo_dataset), Stages(), Stages()
    found = encode_dataset(data, "pictures", CONFIG, WorkFolder(tmp_path), first)
    said = first.ends["choosing the image encoder"]
    if said.endswith("the fine-tuned one"):
        assert isinstance(found.encoder.image, AlignedPictures)
        assert found.features.image_NI.shape == (60, 256)
    else:
        assert said.endswith("the one as it came")
        assert isinstance(found.encoder.image, EfficientNetEncoder)
    same = encode_dataset(data, "pictures", CONFIG, WorkFolder(tmp_path, again), again)
    np.testing.assert_array_equal(same.features.image_NI, found.features.image_NI)
    assert "training" in first.ends
    assert "training" not in again.ends
    assert "kept from an earlier fit: choice-of-image-encoder" in again.ends


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of the packaged encoders, which are computed once."""
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    "change",
    [{"finetune_from": 60}, {"finetune_from": 0}, {"finetune_minutes": 0.0}, {"image_model": EFFICIENTNET}],
    ids=["few pictures", "never", "no time", "named"],
)
def test_otherwise_the_image_model_stays_as_it_came(
    demo_dataset: Path, cache: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    stages = Stages()
    config = replace(CONFIG, **change)  # type: ignore[arg-type]
    found = encode_dataset(read_dataset(demo_dataset), "pictures", config, WorkFolder(tmp_path), stages, cache)
    assert isinstance(found.encoder.image, EfficientNetEncoder)
    assert "choosing the image encoder" not in stages.ends


def test_a_catalogue_whose_titles_are_all_the_same_is_fitted_with_the_image_model_as_it_came(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    lines = ["item_id\ttitle\timage"]
    for row in range(9):
        photograph(row).save(tmp_path / "images" / f"{row}.png")
        lines.append(f"i{row}\tThe same thing\t{row}.png")
    (tmp_path / "items.tsv").write_text("\n".join(lines) + "\n")
    stages, config = Stages(), replace(CONFIG, finetune_from=9)
    found = encode_dataset(read_dataset(tmp_path), "pictures", config, WorkFolder(tmp_path / "work"), stages)
    assert isinstance(found.encoder.image, EfficientNetEncoder)
    assert (
        "the image encoder is not fine-tuned: the items with words and a picture have 1 different titles" in stages.said
    )


def test_pictures_with_like_words_beside_them_are_alike() -> None:
    kinds = np.repeat(np.eye(2, dtype=np.float32), 11, axis=0)
    assert alike(kinds, kinds) == 1.0
    # The ten pictures most similar to each are of the other ten kinds of words.
    assert alike(kinds, np.eye(22, dtype=np.float32)) == 0.0
    assert alike(kinds[:1], kinds[:1]) == 0.0


def test_limits_below_zero_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match=r"finetune_minutes is -1.0; it must be at least 0"):
        FitConfig(finetune_minutes=-1.0)
    with pytest.raises(InvalidArgumentError, match="finetune_from is -1; it must be at least 0"):
        FitConfig(finetune_from=-1)
