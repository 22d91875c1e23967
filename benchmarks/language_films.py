"""A bundle of MovieLens-100K for the language figures, fitted in minutes and kept for the next run.

Trained shortly: what is measured with it rests on what a bundle holds, not on how well it ranks; the tables say so.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.quality_sets import EVERY_RATING, derive
from benchmarks.report import WORK
from mmrec.training import FitConfig, fit_dataset

__all__ = ["FILMS", "SHORT_FIT", "films_in_words", "short_bundle"]

FILMS = "movielens-100k"
_EPOCHS = 3
SHORT_FIT = f"a bundle fitted shortly ({_EPOCHS} epochs of the LLM, every rating an event)"
"""How the bundle was fitted, in words."""


def films_in_words(options: Options) -> Path:
    """A dataset folder of the films without pictures, with the users; of a hundred users in a rehearsal."""
    name = "language-films-in-words" + ("-quick" if options.quick else "")
    dataset = derive(options.data / FILMS, WORK / name, hidden="picture", users=100 if options.quick else 0)
    shutil.copy(options.data / FILMS / "users.tsv", dataset / "users.tsv")
    return dataset


def short_bundle(options: Options, dataset: str = FILMS) -> Path:
    """The bundle's folder; it is fitted when it is not there, or with `options.fresh`."""
    folder = WORK / ("language-films" if dataset == FILMS else f"short-{dataset}")
    if options.fresh or not (folder / "CURRENT").is_file():
        config = FitConfig()
        config = replace(
            config,
            min_rating=EVERY_RATING,
            training=replace(config.training, epochs=_EPOCHS),
            device=options.device,
        )
        fit_dataset(options.data / dataset, folder, config, Lines(every=30))
    return folder
