"""What real commands say on stderr while they load, train and save models of other libraries: our own lines alone."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import subprocess_environment
from tests.encoders.models import bert_folder, open_clip_folder, qwen3_embedder
from tests.generator.test_backbone import tiny_qwen3

pytestmark = pytest.mark.slow

OURS = re.compile(
    r"[a-z][\w ,()-]*(: [\d,]+ [\w ]+)? \.\.\."  # a stage begins
    r"|[a-z][\w ,:()-]*: .*\((\d+\.\d s|\d+ min \d+ s)\)"  # and ends
    r"|[a-z][\w ]*: [\d,]+ of [\d,]+, .*"  # what it says every ten seconds
    r"|published /.*|wrote /.*|\d+ rows: .*|\d+ (pictures|texts) .*"
)


def said(*arguments: object, launcher: tuple[str, ...] = ()) -> list[str]:
    command = [sys.executable, *launcher, "-m", "mmrec", *map(str, arguments)]
    # Nothing of the test run's own settings: the command has to keep others quiet by itself.
    environment = subprocess_environment(OMP_NUM_THREADS="1")
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert "\r" not in text
    return text.splitlines()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("images", "texts", "llm", "bert"):
        (folder / name).mkdir()
    open_clip_folder(folder / "images")
    qwen3_embedder(folder / "texts")
    tiny_qwen3(folder / "llm")
    bert_folder(folder / "bert")
    return folder


@pytest.fixture(scope="module")
def fitted(models: Path, demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A bundle of pretrained models, and what its fit said."""
    bundle = tmp_path_factory.mktemp("fitted") / "bundle"
    flags = ["--image-model", models / "images", "--text-model", models / "texts", "--language-model", models / "llm"]
    return bundle, said("fit", demo_dataset, "--out", bundle, *flags, "--epochs", "1", "--device", "cpu")


@pytest.mark.timeout(900)  # a start of torch, and a language model on a core that others use as well
def test_a_fit_on_pretrained_models(fitted: tuple[Path, list[str]]) -> None:
    _, lines = fitted
    assert [line for line in lines if not OURS.fullmatch(line)] == []
    assert len(lines) > 10


@pytest.mark.parametrize("question", [("recommend", "--user", "c0001"), ("search", "--text", "a mug")])
def test_a_question_to_its_bundle(question: tuple[str, ...], fitted: tuple[Path, list[str]]) -> None:
    assert said(question[0], fitted[0], *question[1:]) == []


def test_embedding_with_its_encoders(fitted: tuple[Path, list[str]], demo_dataset: Path, tmp_path: Path) -> None:
    lines = said("embed", demo_dataset, "--out", tmp_path / "vectors", "--bundle", fitted[0])
    assert [line for line in lines if not OURS.fullmatch(line)] == []


def test_training_a_pretrained_clip(models: Path, demo_dataset: Path, tmp_path: Path) -> None:
    flags = ["--mode", "full", "--image-model", models / "images", "--epochs", "1", "--batch-size", "4"]
    lines = said("adapt", demo_dataset, "--out", tmp_path / "adapted", *flags, "--device", "cpu")
    assert [line for line in lines if not OURS.fullmatch(line)] == []
