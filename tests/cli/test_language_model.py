"""`--language-model`: a model with random weights, whose words never pass, leaves what templates say."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from mmrec.cli import main
from mmrec.generator.pretrained import find_checkpoint
from mmrec.sdk.client import Client
from tests.commands import start
from tests.language.tiny_models import save_roomy

pytestmark = pytest.mark.slow

EXPLAIN = ("--history", "p0001,p0002", "--items", "p0003,p0005")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_roomy(tmp_path_factory.mktemp("tiny"))


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, err


def explained(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    status, out, err = run(capsys, "explain", *arguments, *EXPLAIN, "--json")
    assert status == 0, err
    return json.loads(out)["explanations"]


def test_explanations_and_turns_with_a_model_that_writes_nonsense(
    demo_bundle: Path, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = explained(capsys, demo_bundle)
    assert plain[0]["text"]
    assert explained(capsys, demo_bundle, "--language-model", tiny) == plain
    texts = []
    for model in ((), ("--language-model", tiny)):
        monkeypatch.setattr("sys.stdin", io.StringIO("go ahead\n"))
        _, out, _ = run(capsys, "chat", demo_bundle, *model, "--json")
        (turn,) = json.loads(out)["turns"]
        texts.append((turn["text"], turn["worded"]))
    assert texts[0] == texts[1]
    assert texts[0][0].startswith("I suggest ")


def test_a_server_names_its_model_and_says_which_sentences_it_worded(
    demo_bundle: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.txt"
    with start("serve", demo_bundle, "--port", "0", "--language-model", tiny, stderr=log) as server:
        address = server.stdout.readline().strip()
        assert address, log.read_text()
        with Client(address, timeout=60) as client:
            info = client.info()
            assert (info.language_model, info.language_model_version) == (str(tiny), find_checkpoint(str(tiny)).sha256)
            found = client.recommend(["p0001"], k=2, explain_in_words=True)
            assert all(item.explanation for item in found.items)
            assert not any(one.worded for item in found.items for one in item.statements)
            with client.converse() as talk:
                turn = talk.say("go ahead")
            assert turn.text.startswith("I suggest ")
            assert not turn.worded
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=60) == 0
    status, out, _ = run(capsys, "info", demo_bundle)
    assert status == 0
    assert "language model" in out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--language-model", "nowhere.gguf"), 4, "is neither a local folder nor a hub model"),
        (("--language-model", "{empty}"), 2, "has no config.json"),
        (("--language-model", "{tiny}", "--wording-seconds", "0"), 2, "seconds is 0"),
    ],
)
def test_mistakes(
    arguments: tuple[str, ...],
    status: int,
    message: str,
    demo_bundle: Path,
    tiny: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [one.format(empty=tmp_path, tiny=tiny) for one in arguments]
    found, out, err = run(capsys, "explain", demo_bundle, *EXPLAIN, *given)
    assert (found, out) == (status, "")
    assert message in err


def test_a_model_beside_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "explain", "--server", "localhost:1", *EXPLAIN, "--language-model", "smollm2-135m")
    assert status == 2
    assert "give it to mmrec serve" in err
