"""Where the encoders of a filled column come from, and where its values go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmrec.data.dataset import read_dataset
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec.training.imputation import ImputationConfig
from mmrec.training.impute_column import ImputationSource, ImputedColumn, impute_dataset_column, write_imputed
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip_training import SmallClipConfig
from mmrec_encoders.training import ItemEncoderConfig

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def filled(demo_dataset: Path) -> ImputedColumn:
    quick = ItemEncoderConfig(SmallClipConfig(epochs=1), FusionConfig(steps=20))
    return impute_dataset_column(
        demo_dataset, "material", ImputationSource(training=quick, device="cpu"), labels=LABELS
    )


LABELS = ("cork", "nylon", "steel", "merino", "velvet", "glass", "walnut", "enamel", "hemp", "leather", "alpaca", "oak")


def test_encoders_are_trained_where_there_are_none_and_a_new_column_needs_labels(filled: ImputedColumn) -> None:
    assert filled.counts == {"given": 0, "filled": 60, "empty": 0}
    assert filled.result.report is None
    assert set(filled.result.values) <= set(LABELS)
    document = filled.as_json(values=True)
    assert document["held_out"] is None
    assert [row["item_id"] for row in document["values"]] == list(filled.item_ids)


def test_a_new_column_without_labels_is_refused(demo_dataset: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="attributes of the catalogue are 'category'") as refused:
        impute_dataset_column(demo_dataset, "material")
    assert [violation.field for violation in refused.value.violations] == ["column"]


def test_the_encoders_of_a_bundle_fill_by_picture_words_or_both(demo_dataset: Path, demo_bundle: Path) -> None:
    source = ImputationSource(bundle=str(demo_bundle), device="cpu")
    for modality in ("both", "picture", "words"):
        found = impute_dataset_column(demo_dataset, "category", source, ImputationConfig(modality=modality))
        assert found.counts["given"] == 60
        assert found.result.values == read_dataset(demo_dataset).catalogue.attributes["category"]


def test_a_file_is_written_whole_or_not_at_all(filled: ImputedColumn, tmp_path: Path) -> None:
    out = tmp_path / "filled.csv"
    out.write_text("what was there before", encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match="60 items"):
        write_imputed(replace(filled, item_ids=("a",)), out)
    assert out.read_text(encoding="utf-8") == "what was there before"
    write_imputed(filled, out)
    assert out.read_text(encoding="utf-8").splitlines()[0] == '"item_id","value","confidence","source","alternatives"'
    with pytest.raises(FailedPreconditionError, match="cannot write"):
        write_imputed(filled, tmp_path / "no folder" / "filled.csv")
    with pytest.raises(InvalidArgumentError, match="its suffix determines the format"):
        write_imputed(filled, tmp_path / "filled")
    assert [path.name for path in tmp_path.iterdir()] == ["filled.csv"]
