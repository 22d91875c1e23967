"""Kills a real embedding job at every named failpoint, lets it go on, and writes what came of it as JSON.

One process imports everything, by a run of its own, and forks a child for each further run; with one thread for torch
there are none to be lost.
"""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import torch

from mmrec_encoders.embedding.config import EmbedConfig
from mmrec_encoders.embedding.failpoints import FAILPOINTS
from mmrec_encoders.embedding.job import embed_dataset
from mmrec_encoders.fusion_training import FusionConfig
from mmrec_encoders.small_clip import SmallClipShape
from mmrec_encoders.small_clip_training import SmallClipConfig
from mmrec_encoders.training import ItemEncoderConfig
from tests.children import die, end_of

TRAINING = ItemEncoderConfig(
    SmallClipConfig(shape=SmallClipShape(dim=16, width=4, image_size=32), epochs=1, batch_size=8),
    FusionConfig(dimension=16, prefixes=(8,), steps=2, batch_size=4),
)
SECOND = FAILPOINTS.index("after-read"), FAILPOINTS.index("after-shard-rename")
"""Between these, a failpoint comes once a shard or more: the job dies when it comes for the second shard."""


def config_of(model: Path) -> EmbedConfig:
    return EmbedConfig(
        image_model="small",
        text_model=str(model),
        device="cpu",
        dtype="float32",
        shard_rows=5,
        workers=1,
        batch_pixels=2 * 32 * 32,
        training=TRAINING,
    )


def run(dataset: Path, config: EmbedConfig, out: Path, log: Path, die_at: str = "", hit: int = 1) -> int:
    """One run in a child of its own; see `end_of`."""
    hits = 0

    def failpoint(name: str) -> None:
        nonlocal hits
        assert name in FAILPOINTS
        with log.open("a") as file:
            file.write(f"{name}\n")
        hits += name == die_at
        if hits == hit:
            die()

    def embed() -> None:
        summary = embed_dataset(dataset, out, config, failpoint=failpoint)
        with log.open("a") as file:
            file.write(f"written {summary.shards_written}\n")

    return end_of(embed)


def content(out: Path) -> dict[str, str]:
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".cache" not in path.parts
    }


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def die_and_go_on(dataset: Path, model: Path, work: Path, reports: Path) -> None:
    """Write a line about an unbroken run, and one about each failpoint."""
    torch.set_num_threads(1)
    config = config_of(model)
    # What goes on needs no process that decodes: the vectors do not depend on who decodes.
    going_on = replace(config, workers=0)
    embed_dataset(dataset, work / "imports", config)
    # The memory of what is there is then shared with children instead of copied by their collections.
    gc.freeze()
    whole, whole_log = work / "whole", work / "whole.log"
    assert run(dataset, config, whole, whole_log) == 0
    expected, passed = content(whole), lines(whole_log)
    with reports.open("w") as file:
        print(json.dumps({"passed": sorted(set(passed)), "files": sorted(expected)}), file=file)
    trained = work / "trained"
    for number, name in enumerate(FAILPOINTS):
        out, log = work / name, work / f"{name}.log"
        per_shard = SECOND[0] <= number <= SECOND[1]
        hit = passed.count(name) // 2 + 1 if per_shard else 1
        if trained.exists():
            shutil.copytree(trained, out)
        status = run(dataset, config, out, log, name, hit)
        if name == "after-encoders":
            # Later kills go on from here, without training.
            shutil.copytree(out, trained)
        there = len(list(out.glob("part-*.parquet")))
        again = run(dataset, going_on, out, log)
        found = content(out)
        done = lines(log)
        report = {
            "name": name,
            "status": status,
            "again": again,
            "shards_before": there,
            "written_after": int(next((line.split()[1] for line in done if line.startswith("written")), -1)),
            "batches_more": done.count("mid-pictures") - passed.count("mid-pictures"),
            "trainings": done.count("before-training"),
            "differences": sorted(path for path in {*expected, *found} if expected.get(path) != found.get(path)),
        }
        with reports.open("a") as file:
            print(json.dumps(report), file=file)
