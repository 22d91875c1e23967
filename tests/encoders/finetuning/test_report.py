from __future__ import annotations

import json

from mmrec.data.summary import ColumnUse, DatasetSummary, TableSummary
from mmrec_encoders.finetuning.report import FinetuningReport, report_from_json, report_page
from mmrec_encoders.finetuning.retrieval import Retrieval
from mmrec_encoders.finetuning.scoring import HeldOutFigures
from mmrec_encoders.finetuning.task import EpochFigures
from mmrec_encoders.finetuning.zero_shot import LabelAccuracy


def _figures(recall: float, *labels: LabelAccuracy) -> HeldOutFigures:
    one = Retrieval(40, 50, recall, recall + 0.1, recall + 0.2, 12.5)
    return HeldOutFigures(one, one, one, one, labels)


REPORT = FinetuningReport(
    out="adapted",
    mode="small",
    pairs=1200,
    texts=3000,
    held_pictures=50,
    held_titles=40,
    batch=64,
    steps=90,
    unreadable=(("7", "is gone"),),
    before=_figures(0.01, LabelAccuracy("colour", 9, 48, 0.125, 0.25)),
    after=_figures(0.5, LabelAccuracy("colour", 9, 48, 0.75, 0.25), LabelAccuracy("shape", 2, 50, 1.0, 0.5)),
    epochs=(EpochFigures(1, 3.25, 0.2, 0.4, 0.3, 61.0),),
    seconds=120.0,
    fingerprints={"image": "a@1", "text": "b@2"},
    dataset_rows=DatasetSummary(
        (TableSummary("items.csv", 9, 8, {"long text": 1}),), (ColumnUse("rating", "none", used=False),)
    ),
)


def test_it_comes_back_from_json_as_it_was() -> None:
    assert report_from_json(json.loads(json.dumps(REPORT.as_json()))) == REPORT


def test_the_page_has_every_figure_before_and_after() -> None:
    page = report_page(REPORT, "shop")
    assert page.startswith("# Encoders adapted to shop\n\nMode small: 1,200 pairs")
    assert "| title to picture | 40 | 50 | 0.0100 | 0.5000 | 0.1100 | 0.6000 | 0.2100 | 0.7000 | 12.5 | 12.5 |" in page
    assert "| picture to title |" in page
    assert "| colour | 9 | 48 | 0.2500 | 0.1250 | 0.7500 |" in page
    assert "| shape | 2 | 50 | 0.5000 |  | 1.0000 |" in page
    assert "| 1 | 3.2500 | 0.2000 | 0.4000 | 0.3000 | 1.0 |" in page
    assert "2.0 minutes" in page
