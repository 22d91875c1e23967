"""Bundles of MovieLens-100K for the language figures, fitted in minutes and kept for the next run.

Most figures rest on what a bundle holds, not on how well it ranks, and take the one that is trained shortly; the tables
say so.
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

__all__ = ["FILMS", "LONGER_FIT", "SHORT_FIT", "films_in_words", "longer_bundle", "short_bundle"]

FILMS = "movielens-100k"
_SHORT, _LONGER = 3, 8
SHORT_FIT = f"a bundle fitted shortly ({_SHORT} epochs of the LLM, every rating an event)"
LONGER_FIT = f"a bundle of up to {_LONGER} epochs of the LLM, every rating an event"
"""How the bundles were fitted, in words."""


def films_in_words(options: Options) -> Path:
    """A dataset folder of the films without pictures, with the users; of a hundred users in a rehearsal."""
    name = "language-films-in-words" + ("-quick" if options.quick else "")
    dataset = derive(options.data / FILMS, WORK / name, hidden="picture", users=100 if options.quick else 0)
    shutil.copy(options.data / FILMS / "users.tsv", dataset / "users.tsv")
    return dataset


def short_bundle(options: Options, dataset: str = FILMS) -> Path:
    """The bundle's folder; it is fitted when it is not there, or with `options.fresh`."""
    name = "language-films" if dataset == FILMS else f"short-{dataset}"
    return _bundle(options, options.data / dataset, WORK / name, _SHORT)


def longer_bundle(options: Options) -> Path:
    """The same of a bundle that ranks nearly as well as one of the default epochs."""
    name = "language-films-longer" + ("-quick" if options.quick else "")
    return _bundle(options, options.data / FILMS, WORK / name, 1 if options.quick else _LONGER)


def _bundle(options: Options, dataset: Path, folder: Path, epochs: int) -> Path:
    if options.fresh or not (folder / "CURRENT").is_file():
        config = FitConfig()
        config = replace(
            config,
            min_rating=EVERY_RATING,
            training=replace(config.training, epochs=epochs, patience=min(epochs, 4)),
            device=options.device,
        )
        fit_dataset(dataset, folder, config, Lines(every=30))
    return folder
