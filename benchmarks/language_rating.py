"""Rating prediction: the model of `PredictRating` beside predictors without a model, and SVD and SVD++ of
scikit-surprise, on the same splits.

Two protocols: the last rating of each user, and random fifths. Every constant of the model is its default, and what it
fits on validation ratings it takes from the training part.
"""

# Axes: E events, N items, C content dimensions

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.options import Options
from benchmarks.report import Report, file_hashes
from benchmarks.rows import Rows
from mmrec.channels.lexical import LexicalConfig, build_lexical_index
from mmrec.channels.lsa_projection import fit_lsa_projection
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.data.interactions import Interactions
from mmrec.data.word_columns import find_words
from mmrec.evaluation.ratings import KnownRatings, rating_row, simple_predictions
from mmrec.generator.config import GeneratorConfig
from mmrec.ratings.fitting import fit_rating_model
from mmrec.training.ratings import predict_events

SEEDS = 5
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
LAST = "last rating of each user"
COLUMNS = ("ratings", "predictor", "RMSE", "95% of RMSE", "MAE", "95% of MAE", "within 1 and 2 deviations", "seconds")

Floats = npt.NDArray[np.float64]


class Task(NamedTuple):
    """One split.

    Attributes:
        known: Ratings to learn from.
        asked: Ratings to predict, of the same users in the same rows.
        validation_E: Ratings of `known` that are for validation.
        seed: Of the models.
    """

    known: Interactions
    asked: Interactions
    validation_E: npt.NDArray[np.bool_]
    seed: int


class Prediction(NamedTuple):
    """Predicted ratings, and their standard deviations where there are any."""

    ratings: Floats
    deviations: Floats | None = None


def run(options: Options) -> None:
    """Measure and publish the table."""
    folder = options.data / "movielens-100k"
    data = read_dataset(folder)
    hashes = file_hashes(folder, "events.tsv", "items.tsv")
    seeds = 1 if options.quick else SEEDS
    rows = Rows("language-rating", options, {"data": hashes, "seeds": seeds})
    content_NC = words_of(data)
    table: list[tuple[Any, ...]] = []
    details = []
    protocols = {LAST: [last_ratings(data.rated)]}
    protocols[f"random 80/20, {seeds} seeds"] = [random_ratings(data.rated, seed) for seed in range(seeds)]
    for protocol, tasks in protocols.items():
        for contender, predict in contenders(content_NC).items():
            measured = [
                rows.measure(f"{protocol}: {contender}, {place}", partial(_measure, contender, task, predict))
                for place, task in enumerate(tasks)
            ]
            table.append((protocol, contender, *_cells(measured)))
            details.append({"protocol": protocol, "predictor": contender, "splits": measured})
    Report(
        "language-rating",
        "movielens-100k, every rating. SVD and SVD++ are scikit-surprise's with its defaults. 'times "
        "hidden' is mmrec without the times of ratings, as the others are. Seconds are training and prediction "
        "together, one split, one thread. Intervals are 95% bootstrap intervals over the test ratings; for several "
        "seeds the figures are means over splits, and the intervals those of the mean by Student's t.",
        COLUMNS,
        table,
        data=hashes,
        versions=_peer_versions(),
        details={"measured": details},
        notes=("amazon-beauty has no ratings, so nothing is predicted there.",),
        rehearsal=options.quick,
    ).publish()
    rows.finish()


# --- splits -----------------------------------------------------------------------------------------------------------


def last_ratings(rated: Interactions) -> Task:
    """Each user's last rating is asked for, and the one before it is for validation."""
    asked_E = np.zeros(rated.events, np.bool_)
    asked_E[rated.offsets_U[1:] - 1] = True
    known = rated.where(~asked_E)
    validation_E = np.zeros(known.events, np.bool_)
    validation_E[known.offsets_U[1:][known.lengths_U > 1] - 1] = True
    return Task(known, rated.where(asked_E), validation_E, seed=0)


def random_ratings(rated: Interactions, seed: int) -> Task:
    """A random fifth is asked for, and a random tenth of the rest is for validation."""
    rng = np.random.default_rng(seed)
    asked_E = np.zeros(rated.events, np.bool_)
    asked_E[rng.permutation(rated.events)[: int(rated.events * TEST_SHARE)]] = True
    known = rated.where(~asked_E)
    return Task(known, rated.where(asked_E), rng.random(known.events) < VALIDATION_SHARE, seed)


# --- contenders -------------------------------------------------------------------------------------------------------


def contenders(content_NC: npt.NDArray[np.float32]) -> dict[str, Callable[[Task], Prediction]]:
    """Every predictor by name."""
    named: dict[str, Callable[[Task], Prediction]] = {
        simple: partial(_simple, simple) for simple in ("global mean", "user mean", "item mean", "biases")
    }
    named |= {peer: partial(_surprise, peer) for peer in ("SVD", "SVD++")}
    return named | {
        "mmrec, times hidden": partial(_ours, content_NC, timed=False),
        "mmrec": partial(_ours, content_NC, timed=True),
    }


def words_of(data: Dataset) -> npt.NDArray[np.float32]:
    """Content vectors of the items from their words alone, as a fit makes them. Shape: (N, C), float32."""
    texts = data.catalogue.texts(find_words(data.catalogue, data.settings.words))
    rows = build_lexical_index(texts, LexicalConfig()).rows
    return fit_lsa_projection(rows, GeneratorConfig().sketch, seed=0).of(rows)


def _simple(name: str, task: Task) -> Prediction:
    known = task.known
    assert known.ratings_E is not None  # rated events
    every = simple_predictions(
        KnownRatings(known.users_E, known.items_E, known.ratings_E), task.asked.users_E, task.asked.items_E
    )
    return Prediction(every[name])


def _surprise(name: str, task: Task) -> Prediction:
    import surprise

    known, asked = task.known, task.asked
    assert known.ratings_E is not None  # rated events
    reader = surprise.Reader(rating_scale=(float(known.ratings_E.min()), float(known.ratings_E.max())))
    rows = zip(known.users_E.tolist(), known.items_E.tolist(), known.ratings_E.tolist(), strict=True)
    trainset = surprise.Dataset(reader).construct_trainset([(user, item, rating, None) for user, item, rating in rows])
    model = (surprise.SVD if name == "SVD" else surprise.SVDpp)(random_state=task.seed).fit(trainset)
    pairs = zip(asked.users_E.tolist(), asked.items_E.tolist(), strict=True)
    return Prediction(np.array([model.predict(user, item).est for user, item in pairs]))


def _ours(content_NC: npt.NDArray[np.float32], task: Task, *, timed: bool) -> Prediction:
    known, asked = (table if timed else _without_times(table) for table in (task.known, task.asked))
    model = fit_rating_model(known, task.validation_E, content_NC, seed=task.seed)
    return Prediction(*predict_events(model, known, asked, content_NC))


def _without_times(events: Interactions) -> Interactions:
    return Interactions(
        events.user_ids, events.offsets_U, events.items_E, np.zeros_like(events.times_E), events.ratings_E
    )


# --- figures ----------------------------------------------------------------------------------------------------------


def _measure(name: str, task: Task, predict: Callable[[Task], Prediction]) -> dict[str, Any]:
    begin = time.perf_counter()
    predicted = predict(task)
    seconds = time.perf_counter() - begin
    assert task.asked.ratings_E is not None  # rated events
    row = rating_row(name, predicted.ratings, task.asked.ratings_E, predicted.deviations)
    return row.as_json() | {"seconds": seconds}


def _cells(measured: list[dict[str, Any]]) -> Iterator[Any]:
    """The cells of one predictor over all splits of a protocol."""
    for name in ("rmse", "mae"):
        values = np.array([row[name] for row in measured])
        low, high = (measured[0][f"{name}_{end}"] for end in ("low", "high"))
        if len(values) > 1:
            from scipy.stats import t

            half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
            low, high = values.mean() - half, values.mean() + half
        yield round(float(values.mean()), 4)
        yield f"{low:.4f} to {high:.4f}"
    shares = [[row[name] for row in measured] for name in ("within_one", "within_two")]
    yield None if shares[0][0] is None else ", ".join(f"{np.mean(share):.3f}" for share in shares)
    yield round(float(np.mean([row["seconds"] for row in measured])), 1)


def _peer_versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"scikit-surprise": version("scikit-surprise")}
