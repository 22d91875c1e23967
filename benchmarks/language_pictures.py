"""What pictures add to words: films by genre and by the next one, and how long the demonstration's pictures take.

Knows nothing about how the encoders and the fusion work.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import movielens
from benchmarks.options import Options
from benchmarks.report import Report
from mmrec.data.dataset import read_dataset
from mmrec.demo import write_demo_dataset
from mmrec_encoders.embedding.catalogue import encode_pictures
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.presets import build_encoders


def run(options: Options) -> None:
    """Measure and publish both tables."""
    _demo_pictures(options)
    movielens.run(options)


def _demo_pictures(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_demo_dataset(Path(folder), items=60 if options.quick else 480, users=20)
        data = read_dataset(Path(folder))
        start = time.monotonic()
        image, text = build_encoders("embedded", options.device)
        loaded, busy = time.monotonic(), time.process_time()
        found = encode_pictures(ItemEncoder(image, text), data.catalogue, data.pictures)
        encoded, busy = time.monotonic() - loaded, time.process_time() - busy
    count = int(found.has_image_N.sum())
    Report(
        "language-demo-pictures",
        "Pictures of the demonstration, 160 x 160 pixels, encoded by the `embedded` preset, without a cache.",
        ("pictures", "models loaded, s", "encoded, s", "processor time, s"),
        [(count, round(loaded - start, 1), round(encoded, 1), round(busy, 1))],
        rehearsal=options.quick,
    ).publish()
