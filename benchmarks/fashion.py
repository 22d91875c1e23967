"""Product photographs: what adapting encoders to the catalogue gives, filling in a column, and finding duplicates.

Titles are held out, not items; what is measured was never trained on. One folder of adapted encoders serves all three
tables; it is made here, or given.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.fashion_data import drawn_subset
from benchmarks.fashion_duplicates import measure_duplicates
from benchmarks.fashion_filling import HeldOut, measure_filling
from benchmarks.intervals import share_estimate, shown
from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.report import WORK, Report, file_hashes
from benchmarks.rows import Rows
from mmrec.data.dataset import Dataset, read_dataset
from mmrec_encoders.aligned import AlignedPictures
from mmrec_encoders.finetuning import finetune_encoders, finetuning_preset
from mmrec_encoders.finetuning.pairs import find_pairs
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.minilm import MINILM
from mmrec_encoders.sentence_texts import SentenceTextConfig, SentenceTextEncoder

FOLDER = "fashion"
AIMS = {
    "title to picture, Recall@1": ">= 0.279, better 0.35",
    "title to picture, Recall@10": ">= 0.721, better 0.80",
    "zero-shot master_category": ">= 0.95",
    "zero-shot article_type": ">= 0.725, better 0.80",
    "zero-shot colour": ">= 0.624, better 0.68",
    "minutes of training": "<= 30 on two cores",
}
"""Figures that adapting is asked for."""
QUICK_ITEMS = 3000
_MINUTES = 27.5
"""Limit of training, preparation included; measuring and writing come on top."""


def run(options: Options) -> None:
    """Measure and publish the tables."""
    folder = options.data / FOLDER
    if not folder.is_dir():
        print(f"fashion: not run: no folder {folder}; pass --data")
        return
    hashes = file_hashes(folder, "items.tsv", "images.zip")
    rows = Rows("fashion", options, {"data": hashes, "adapted": str(options.adapted or "")})
    dataset = drawn_subset(folder, QUICK_ITEMS) if options.quick else folder
    adapted = options.adapted or _adapt(dataset, WORK / f"adapted-{dataset.name}", options, rows)
    _report_adaptation(adapted, hashes, options)
    data = read_dataset(dataset, require="picture")
    text = SentenceTextEncoder(SentenceTextConfig(MINILM, device=options.device))
    encoder = ItemEncoder(AlignedPictures.of(str(adapted), device=options.device), text)
    work = WORK / rows.path.stem
    work.mkdir(parents=True, exist_ok=True)
    held = HeldOut.of(data, _held_ids(data, adapted))
    measure_filling(data, encoder, held, hashes, options, rows, work)
    measure_duplicates(data, encoder, hashes, options, rows, work)
    rows.finish()
    shutil.rmtree(work, ignore_errors=True)


def _held_ids(data: Dataset, adapted: Path) -> set[str]:
    """Items whose titles the adaptation held out."""
    described = json.loads((adapted / "adapt.json").read_text(encoding="utf-8"))
    config = {name: described["config"][name] for name in ("hold_out", "max_held_out", "seed")}
    pairs = find_pairs(data, finetuning_preset(described["mode"], **config))
    held = {pairs.catalogue.item_ids[row] for row in pairs.held_rows.tolist()}
    report = described["report"]
    if not 0 <= len(held) - report["held_pictures"] <= len(report["unreadable"]):
        raise SystemExit(
            f"{adapted} held {report['held_pictures']:,} items out, which would be {len(held):,} of this catalogue: "
            "it was adapted to another one; pass a folder adapted to this one, or none"
        )
    return held


def _adapt(dataset: Path, out: Path, options: Options, rows: Rows) -> Path:
    """EfficientNet-Lite0, fine-tuned; a run that was cut short goes on where it was, a finished one is not repeated."""
    import torch

    torch.set_num_threads(options.threads)
    changes: dict[str, Any] = {"epochs": 2} if options.quick else {"max_minutes": _MINUTES}

    if options.fresh:
        shutil.rmtree(out, ignore_errors=True)

    def adapt() -> dict[str, Any]:
        report = finetune_encoders(dataset, out, finetuning_preset(device=options.device, **changes), Lines())
        return {"seconds": report.seconds, "pairs": report.pairs, "recall@10": report.after.text_to_image.recall_10}

    rows.measure("encoders are adapted", adapt)
    return out


def _report_adaptation(adapted: Path, hashes: dict[str, str], options: Options) -> None:
    described = json.loads((adapted / "adapt.json").read_text(encoding="utf-8"))
    report = described["report"]
    before, after = report["before"], report["after"]
    table: list[tuple[Any, ...]] = []
    for way, words in (
        ("text_to_image", "title to picture"),
        ("text_to_own_image", "title to its very own picture"),
        ("image_to_text", "picture to title"),
        ("words_to_image", "all words to picture"),
    ):
        for cut in (1, 10):
            label = f"{words}, Recall@{cut}"
            old, new = before[way][f"recall_{cut}"], after[way][f"recall_{cut}"]
            asked = after[way]["queries"]
            table.append((label, old, shown(share_estimate(new, asked)), asked, None, AIMS.get(label)))
    untrained = {label["column"]: label for label in before["labels"]}
    for found in after["labels"]:
        label = f"zero-shot {found['column']}"
        table.append(
            (
                label,
                untrained[found["column"]]["accuracy"],
                shown(share_estimate(found["accuracy"], found["pictures"])),
                found["pictures"],
                found["commonest"],
                AIMS.get(label),
            )
        )
    minutes = report["seconds"] / 60
    table.append(("minutes of training", None, f"{minutes:.1f}", None, None, AIMS["minutes of training"]))
    Report(
        "fashion-adapt",
        f"`adapt`, mode {report['mode']}: {report['pairs']:,} pairs, {report['texts']:,} texts, {report['steps']:,} "
        f"steps of {report['batch']:,} in {minutes:.1f} minutes, {len(report['epochs'])} passes; "
        f"{report['held_titles']:,} titles with {report['held_pictures']:,} pictures held out, ranked among all "
        f"held-out pictures; 95% intervals after Wilson. Seed {described['config']['seed']}.",
        ("figure", "before", "after", "asked", "always the commonest", "aim"),
        table,
        data=hashes,
        details={
            # Without the folder: it is one of this machine's.
            "report": {name: value for name, value in report.items() if name != "out"},
            "config": described["config"],
            "fingerprints": described["fingerprints"],
        },
        rehearsal=options.quick,
    ).publish()
