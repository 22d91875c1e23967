"""A dictionary goes into the bundle, and what its definitions say of the words of a wish decides the list."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mmrec.bundle import Bundle, open_bundle
from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.recommender import Recommender
from mmrec.recommender.artefact import read_parts
from mmrec.training import FitConfig, fit_dataset
from tests.language.small_wordnet import write_small_wordnet

pytestmark = pytest.mark.slow

COLOURS = ("Yellow", "Blue", "Grey")
THINGS = ("mug", "lamp", "rug", "vase", "chair", "scarf", "kettle", "bowl")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rows = [f"{thing}-{colour},{colour.lower()} {thing},{colour}" for colour in COLOURS for thing in THINGS]
    (folder / "items.csv").write_text("\n".join(["item_id,title,colour", *rows, ""]), encoding="utf-8")
    words = write_small_wordnet(folder / "wordnet")
    return fit_dataset(folder, folder / "bundle", FitConfig(dictionary=str(words))).bundle


@pytest.mark.parametrize(("word", "colour"), [("blim", "Yellow"), ("trob", "Blue")])
def test_a_word_that_no_encoder_knows_means_what_its_definition_says(bundle: Path, word: str, colour: str) -> None:
    found = Recommender.load(bundle, device="cpu").recommend(k=8, instruction=f"the colour of a {word}")
    assert found.constraints == ()
    assert [one.item.attributes["colour"] for one in found.items] == [colour] * 8


def test_the_terms_of_the_dictionary_stay_with_the_bundle(bundle: Path) -> None:
    assert open_bundle(bundle).read_text("dictionary.txt") == "These definitions are free for all.\n"


def test_a_bundle_whose_dictionary_was_changed(bundle: Path, tmp_path: Path) -> None:
    opened = open_bundle(bundle)
    changed = Bundle(tmp_path, Path(shutil.copytree(opened.folder, tmp_path / "version")), opened.manifest)
    pq.write_table(pa.table({"word": ["blim"]}), changed.path("dictionary.parquet"))
    with pytest.raises(BundleError, match=r"dictionary\.parquet has no column of texts 'definition'.*fit again"):
        read_parts(changed, torch.device("cpu"))


def test_a_folder_without_a_dictionary_is_refused_before_anything_is_trained(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"has no readable file data\.noun"):
        fit_dataset(bundle.parent, tmp_path / "bundle", FitConfig(dictionary=str(tmp_path)))
