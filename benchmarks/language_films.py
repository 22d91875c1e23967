"""Bundles of MovieLens-100K for the language figures, fitted in minutes and kept for the next run.

Most figures rest on what a bundle holds, not on how well it ranks, and take the one that is trained shortly; the tables
say so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from benchmarks.options import Options
from benchmarks.progress import Lines
from benchmarks.quality_sets import EVERY_RATING, derive
from benchmarks.report import WORK
from mmrec.ratings.fitting import RatingConfig
from mmrec.training import FitConfig, FitResult, FitRun, fit_dataset

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
    config = FitConfig(min_rating=EVERY_RATING, device=options.device)
    config = replace(config, training=replace(config.training, epochs=epochs, patience=min(epochs, 4)))
    return kept_bundle(folder, options, lambda empty: fit_dataset(dataset, empty, config, Lines(every=30)))


def kept_bundle(folder: Path, options: Options, fit: Callable[[Path], object]) -> Path:
    """A bundle's folder, which `fit` fills where there is no bundle yet, or with `options.fresh`."""
    if options.fresh or not (folder / "CURRENT").is_file():
        fit(folder)
    return folder


def fit_for_ranking(dataset: str, bundle: str, config: FitConfig, epochs: int) -> FitResult:
    """Fit a bundle for figures of the LLM's lists alone: no sentences behind histories, and hardly any ratings."""
    config = replace(
        config,
        min_rating=EVERY_RATING,
        training=replace(config.training, epochs=epochs),
        sentences=replace(config.sentences, epochs=0),
        # Learning ratings takes a minute.
        ratings=RatingConfig(factors=1, implicit=0, content=0, rounds=1, last_rounds=0, tuning_users=1),
    )
    run = FitRun(cache=WORK / "language-vectors", fresh=True)
    return fit_dataset(dataset, bundle, config, Lines(every=30), run=run)
