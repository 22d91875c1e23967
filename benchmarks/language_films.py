"""A bundle of MovieLens-100K for the language figures, fitted in minutes and kept for the next run.

Trained shortly: what is measured with it rests on what a bundle holds, not on how well it ranks; the tables say so.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.report import WORK
from mmrec.training import FitConfig, fit_dataset

__all__ = ["FILMS", "SHORT_FIT", "short_bundle"]

FILMS = "movielens-100k"
_EPOCHS = 3
SHORT_FIT = f"a bundle fitted shortly ({_EPOCHS} epochs of the LLM, every rating an event)"
"""How the bundle was fitted, in words."""


def short_bundle(options: Options) -> Path:
    """The bundle's folder; it is fitted when it is not there, or with `options.fresh`."""
    folder = WORK / "language-films"
    if options.fresh or not (folder / "CURRENT").is_file():
        config = FitConfig()
        config = replace(
            config,
            min_rating=EVERY_RATING,
            training=replace(config.training, epochs=_EPOCHS),
            device=options.device,
        )
        fit_dataset(options.data / FILMS, folder, config, Lines(every=30))
    return folder
