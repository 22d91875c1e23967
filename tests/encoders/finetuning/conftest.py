"""A shop of plain coloured shapes, a text encoder of random weights, and trainings of a second or two."""

from __future__ import annotations

from pathlib import Path

import pytest

from mmrec_encoders.finetuning import FinetuningConfig
from tests.encoders.finetuning.tiny import tiny_config, write_colour_shop
from tests.encoders.models import bert_folder


@pytest.fixture(scope="session")
def colour_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_shop(tmp_path_factory.mktemp("adapt") / "shop")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(bert_folder(tmp_path_factory.mktemp("adapt") / "bert"))


@pytest.fixture(scope="session")
def tiny(tiny_bert: str) -> FinetuningConfig:
    return tiny_config(tiny_bert)
