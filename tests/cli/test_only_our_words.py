"""What real commands say on stderr while they load, train and save models of other libraries: our own lines alone."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import subprocess_environment
from tests.encoders.models import open_clip_folder, qwen3_embedder
from tests.generator.test_backbone import tiny_qwen3

pytestmark = pytest.mark.slow(30)

OURS = re.compile(
    r"[a-z][\w ,()-]*(: [\d,]+ [\w ]+)? \.\.\."  # a stage begins
    r"|[a-z][\w ,:()-]*: .*\((\d+\.\d s|\d+ min \d+ s)\)"  # and ends
    r"|[a-z][\w ]*: [\d,]+ of [\d,]+, .*"  # what it says every ten seconds
    r"|published /.*|wrote /.*|\d+ rows: .*|\d+ (pictures|texts) .*"
)


COMMANDS = """
import json, runpy, sys
for words in json.loads(sys.argv[1]):
    sys.argv = ["mmrec", *words]
    try:
        runpy.run_module("mmrec", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code:
            raise
    print("-- the next command --", file=sys.stderr, flush=True)
"""


def said(*commands: Sequence[object]) -> list[list[str]]:
    """What each of several commands said, one after the other in one process, because its imports take seconds."""
    words = [[str(word) for word in command] for command in commands]
    # Nothing of the test run's own settings: the command has to keep others quiet by itself.
    environment = subprocess_environment(OMP_NUM_THREADS="1")
    del environment["HF_HUB_DISABLE_PROGRESS_BARS"]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps(words)], env=environment, capture_output=True, check=False
    )
    text = done.stderr.decode()
    assert done.returncode == 0, text
    assert "\r" not in text
    *parts, rest = text.split("-- the next command --\n")
    assert rest == ""
    return [part.splitlines() for part in parts]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("images", "texts", "llm"):
        (folder / name).mkdir()
    open_clip_folder(folder / "images")
    qwen3_embedder(folder / "texts")
    tiny_qwen3(folder / "llm")
    return folder


@pytest.fixture(scope="module")
def lines(models: Path, demo_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What a fit on pretrained models said, questions to its bundle, and other commands that use models."""
    work = tmp_path_factory.mktemp("work")
    bundle = work / "bundle"
    texts = ("--text-model", models / "texts", "--language-model", models / "llm")
    pictures, once = ("--image-model", models / "images"), ("--epochs", 1, "--device", "cpu")
    (fit,) = said(("fit", demo_dataset, "--out", bundle, *pictures, *texts, *once))
    commands = (
        ("recommend", bundle, "--user", "c0001"),
        ("search", bundle, "--text", "a mug"),
        ("embed", demo_dataset, "--out", work / "vectors", "--bundle", bundle),
        ("adapt", demo_dataset, "--out", work / "adapted", "--mode", "full", *pictures, "--batch-size", 4, *once),
    )
    others = said(*commands)
    return {"fit": fit} | {str(command[0]): lines for command, lines in zip(commands, others, strict=True)}


@pytest.mark.timeout(900)  # a start of torch, and a language model on a core that others use as well
@pytest.mark.parametrize(("command", "least"), [("fit", 10), ("embed", 1), ("adapt", 1)])
def test_a_command_that_takes_its_time(command: str, least: int, lines: dict[str, list[str]]) -> None:
    assert [line for line in lines[command] if not OURS.fullmatch(line)] == []
    assert len(lines[command]) > least


@pytest.mark.parametrize("question", ["recommend", "search"])
def test_a_question(question: str, lines: dict[str, list[str]]) -> None:
    assert lines[question] == []
