"""Predicts the genres of films from their nearest neighbours in an embedding, and says how well.

Multi-label, five folds: the genres of a film come from its ten nearest films of the other folds. Knows nothing of how
the vectors were made.
"""

# Axes: N items, D dimensions, G genres, R resamples

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.intervals import Estimate

NEIGHBOURS, FOLDS, RAREST = 10, 5, 20
Floats = npt.NDArray[np.float64]


class GenreTruth(NamedTuple):
    """Which films have which genres.

    Attributes:
        names: Genres of at least `RAREST` films.
        has_NG: Shape: (N, G), bool.
    """

    names: tuple[str, ...]
    has_NG: npt.NDArray[np.bool_]


class GenreScores(NamedTuple):
    """Predictions for films whose own genres were hidden.

    Attributes:
        scores_NG: Share of the neighbours, weighted by likeness, that have the genre. Shape: (N, G).
        predicted_NG: Scores over a threshold chosen on the other folds. Shape: (N, G), bool.
    """

    scores_NG: Floats
    predicted_NG: npt.NDArray[np.bool_]


def genre_truth(values: Sequence[str]) -> GenreTruth:
    """Genres out of a column that joins them with a ``|``."""
    rows = [{entry.strip() for entry in value.split("|") if entry.strip()} for value in values]
    every = sorted(set().union(*rows))
    names = tuple(name for name in every if sum(name in row for row in rows) >= RAREST)
    return GenreTruth(names, np.array([[name in row for name in names] for row in rows], np.bool_))


def predict_genres(vectors_ND: npt.NDArray[np.float32], truth: GenreTruth, seed: int = 0) -> GenreScores:
    """Predict every film's genres from the other folds; folds depend on the seed alone."""
    items = len(vectors_ND)
    fold_N = np.random.default_rng(seed).permutation(items) % FOLDS
    cosine_NN = vectors_ND @ vectors_ND.T
    scores_NG = np.zeros(truth.has_NG.shape)
    predicted_NG = np.zeros(truth.has_NG.shape, np.bool_)
    for fold in range(FOLDS):
        held, known = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        within = cosine_NN[np.ix_(known, known)].copy()
        np.fill_diagonal(within, -np.inf)
        threshold = _best_threshold(_shares(within, truth.has_NG[known]), truth.has_NG[known])
        scores_NG[held] = _shares(cosine_NN[np.ix_(held, known)], truth.has_NG[known])
        predicted_NG[held] = scores_NG[held] >= threshold
    return GenreScores(scores_NG, predicted_NG)


def _shares(cosine_QN: npt.NDArray[np.float32], has_NG: npt.NDArray[np.bool_]) -> Floats:
    nearest_QK = np.argpartition(-cosine_QN, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    weight_QK = np.maximum(np.take_along_axis(cosine_QN, nearest_QK, axis=1), 0).astype(np.float64) + 1e-6
    shares: Floats = np.einsum("qk,qkg->qg", weight_QK / weight_QK.sum(axis=1, keepdims=True), has_NG[nearest_QK])
    return shares


def _best_threshold(scores_NG: Floats, has_NG: npt.NDArray[np.bool_]) -> float:
    grid = np.linspace(0.05, 0.95, 37)
    figures = []
    for threshold in grid:
        predicted = scores_NG >= threshold
        figures.append(2 * (predicted & has_NG).sum() / max(1, predicted.sum() + has_NG.sum()))
    return float(grid[int(np.argmax(figures))])


def micro_f1(predictions: Sequence[GenreScores], truth: GenreTruth, weights_RN: npt.NDArray[np.int64]) -> Floats:
    """Micro-averaged F1, the mean over several predictions; first as measured, then resampled. Shape: (1 + R,)."""
    has = truth.has_NG
    all_RN = _with_whole(weights_RN)
    figures = []
    for prediction in predictions:
        right_N = (prediction.predicted_NG & has).sum(axis=1)
        named_N = prediction.predicted_NG.sum(axis=1) + has.sum(axis=1)
        figures.append(2 * (all_RN @ right_N) / np.maximum(1, all_RN @ named_N))
    return np.asarray(np.mean(figures, axis=0))


def mean_average_precision(
    predictions: Sequence[GenreScores], truth: GenreTruth, weights_RN: npt.NDArray[np.int64]
) -> Floats:
    """Mean over genres of the average precision of films ranked by score. Shape: (1 + R,), as `micro_f1`."""
    all_RN = _with_whole(weights_RN)
    figures = []
    for prediction in predictions:
        for genre in range(len(truth.names)):
            # Ties are few, and broken the same way for every contender by the order of rows.
            order = np.argsort(-prediction.scores_NG[:, genre], kind="stable")
            weight_RN = all_RN[:, order].astype(np.float64)
            has_N = truth.has_NG[order, genre]
            seen_RN, found_RN = np.cumsum(weight_RN, axis=1), np.cumsum(weight_RN * has_N, axis=1)
            precision_RN = found_RN / np.maximum(seen_RN, 1)
            total_R = np.maximum((weight_RN * has_N).sum(axis=1), 1)
            figures.append((weight_RN * has_N * precision_RN).sum(axis=1) / total_R)
    return np.asarray(np.mean(figures, axis=0))


def _with_whole(weights_RN: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([np.ones((1, weights_RN.shape[1]), np.int64), weights_RN])


def estimate_of(figures: Floats) -> Estimate:
    """The first figure, and the interval of the others."""
    return Estimate.of(float(figures[0]), figures[1:])
