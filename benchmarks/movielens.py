"""MovieLens-100K: does the fused embedding beat pictures alone and words alone?

Two questions of one fusion: the genres of a film from its nearest neighbours, and the next film of a user when no
training has seen that film. Contenders are the fusion with the other modality hidden: in training and in use, or in use
alone; and the encoders' frozen vectors.
"""

# Axes: N items, D dimensions, U users, R resamples

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.cold_items import METRICS, ColdQuestions, answer_questions, cold_questions, draw_cold_items
from benchmarks.genre_prediction import (
    FOLDS,
    NEIGHBOURS,
    estimate_of,
    genre_truth,
    mean_average_precision,
    micro_f1,
    predict_genres,
)
from benchmarks.intervals import RESAMPLES, Estimate, mean_estimate, resample_weights, shown
from benchmarks.options import Options
from benchmarks.quality_sets import EVERY_RATING
from benchmarks.report import WORK, Report, file_hashes
from benchmarks.rows import Rows
from mmrec.data.dataset import Dataset, read_dataset
from mmrec_encoders.embedding.catalogue import encode_pictures, encode_words
from mmrec_encoders.fusion import ItemFeatures
from mmrec_encoders.fusion_training import FusionConfig, train_fusion
from mmrec_encoders.item_encoder import ItemEncoder
from mmrec_encoders.presets import build_encoders
from mmrec_encoders.training import following_pairs

FOLDER = "movielens-100k"
CONTENDERS = ("fused", "picture only", "words only")
WAYS = {
    "trained": "a fusion for each",
    "one": "one fusion",
    "frozen": "frozen, side by side",
}
"""A fusion trained on what the contender shows; the fused contender's fusion, asked by one modality alone; and the
encoders' own vectors, side by side for the fused one, which nothing was trained for."""
GENRES, COLD = "genres", "next film"
LEAST_HISTORY = 5


class _Inputs(NamedTuple):
    """What both questions start from.

    Attributes:
        plain: Vectors of films whose words do not name the genres.
        full: Vectors of films with all their words.
        cold_N: Films held out of every training of the second question.
        seconds: How long the pictures took.
    """

    plain: ItemFeatures
    full: ItemFeatures
    cold_N: npt.NDArray[np.bool_]
    seconds: float


def run(options: Options) -> None:
    """Measure and publish the table."""
    folder = options.data / FOLDER
    if not folder.is_dir():
        print(f"movielens: not run: no folder {folder}; pass --data")
        return
    hashes = file_hashes(folder, "items.tsv", "events.tsv", "images")
    seeds = 1 if options.quick else options.seeds
    fusion = FusionConfig(steps=40) if options.quick else FusionConfig()
    rows = Rows("language-pictures", options, {"data": hashes, "seeds": seeds, "fusion": str(fusion)})
    data = read_dataset(folder, require="picture", min_rating=EVERY_RATING)
    work = WORK / rows.path.stem
    work.mkdir(parents=True, exist_ok=True)
    inputs = _inputs(data, options, rows, work)
    vectors = _vectors(data, inputs, fusion, seeds, options, rows, work)
    users = 100 if options.quick else None
    questions = cold_questions(data.interactions, inputs.cold_N, least_history=LEAST_HISTORY, users=users)
    table = _genre_rows(data, vectors, seeds) + _cold_rows(questions, inputs.cold_N, vectors, seeds)
    chance = 10 / max(1, len(data.catalogue) - int(np.mean([len(history) for history in questions.histories])))
    Report(
        "language-pictures",
        f"{len(data.catalogue):,} films with a poster, {data.interactions.users} users; MiniLM for words, "
        f"EfficientNet-Lite0 and colours for posters ({inputs.seconds:.0f} s); "
        f"fusion trained with {seeds} seed(s), figures averaged over them; 95% bootstrap intervals ({RESAMPLES} "
        f"resamples, paired), over films for genres and over users for the next film. Genres: {NEIGHBOURS} nearest "
        f"films of the other {FOLDS - 1} folds vote, words and fusion never see the genres column. Next film: "
        f"{int(inputs.cold_N.sum())} films are held out of everything that is trained; {len(questions.targets_Q):,} "
        f"events of {len(np.unique(questions.users_Q))} users ask for them, all films not yet seen are ranked by the "
        "content channel; a user counts once.",
        (
            "question",
            "metric",
            "vectors",
            *CONTENDERS,
            "fused - picture only",
            "fused - words only",
            "beats both",
        ),
        [row.cells for row in table],
        data=hashes,
        details={"estimates": [row.details for row in table]},
        notes=[f"A random ranking has a Recall@10 of about {chance:.4f} among the whole catalogue."],
        rehearsal=options.quick,
    ).publish()
    rows.finish()


# --- vectors ----------------------------------------------------------------------------------------------------------


def _inputs(data: Dataset, options: Options, rows: Rows, work: Path) -> _Inputs:
    cold_N = draw_cold_items(data.interactions, len(data.catalogue))
    image, text = build_encoders("embedded", options.device)
    bare = {name: values for name, values in data.catalogue.attributes.items() if name != "genres"}
    plain_words = encode_words(ItemEncoder(None, text), dataclasses.replace(data.catalogue, attributes=bare))
    full_words = encode_words(ItemEncoder(None, text), data.catalogue)
    path = work / "pictures.npz"

    def encode() -> dict[str, Any]:
        start = time.monotonic()
        found = encode_pictures(ItemEncoder(image, text), data.catalogue, data.pictures)
        seconds = time.monotonic() - start
        np.savez(path, image_NI=found.image_NI, has_image_N=found.has_image_N)
        return {"pictures": int(found.has_image_N.sum()), "seconds": seconds}

    seconds = rows.measure("the pictures are encoded", encode)["seconds"]
    with np.load(path, allow_pickle=False) as found:
        pictures = {name: found[name] for name in ("image_NI", "has_image_N")}
    return _Inputs(
        ItemFeatures(**pictures, **plain_words._asdict()),
        ItemFeatures(**pictures, **full_words._asdict()),
        cold_N,
        seconds,
    )


_Vectors = dict[tuple[str, str, str, int], npt.NDArray[np.float32]]
"""By question, way, contender and seed. Shape of each: (N, D)."""


def _vectors(
    data: Dataset, inputs: _Inputs, config: FusionConfig, seeds: int, options: Options, rows: Rows, work: Path
) -> _Vectors:
    found: _Vectors = {}
    every = np.arange(len(data.catalogue))
    for question, features, trained_on in (
        (GENRES, inputs.plain, every),
        (COLD, inputs.full, np.flatnonzero(~inputs.cold_N)),
    ):
        new_rows_N = np.full(len(every), -1)
        new_rows_N[trained_on] = np.arange(len(trained_on))
        pairs_P2 = following_pairs(data.interactions.restrict_items(new_rows_N))
        for contender in CONTENDERS:
            masked = _masked(features, contender)
            taught = ItemFeatures(*(part[trained_on] for part in masked))
            for seed in range(seeds):
                path = work / f"{question}-{contender}-{seed}.npz".replace(" ", "-")

                def train(
                    contender: str = contender,
                    masked: ItemFeatures = masked,
                    taught: ItemFeatures = taught,
                    pairs_P2: npt.NDArray[np.int64] = pairs_P2,
                    seed: int = seed,
                    path: Path = path,
                ) -> dict[str, Any]:
                    fusion = train_fusion(taught, pairs_P2, config, seed=seed, device=options.device)
                    sides = [_masked(masked, side) for side in CONTENDERS] if contender == "fused" else [masked]
                    np.savez(path, *map(fusion.fuse, sides))
                    return {"items": len(taught.image_NI), "pairs": len(pairs_P2)}

                rows.measure(f"{question}: {contender}, seed {seed}", train)
                with np.load(path, allow_pickle=False) as vectors:
                    found[question, "trained", contender, seed] = vectors["arr_0"]
                    if contender == "fused":
                        for place, side in enumerate(CONTENDERS):
                            found[question, "one", side, seed] = vectors[f"arr_{place}"]
            found[question, "frozen", contender, 0] = _side_by_side(masked)
    return found


def _masked(features: ItemFeatures, contender: str) -> ItemFeatures:
    if contender == "picture only":
        return features._replace(has_text_N=np.zeros_like(features.has_text_N))
    if contender == "words only":
        return features._replace(has_image_N=np.zeros_like(features.has_image_N))
    return features


def _side_by_side(features: ItemFeatures) -> npt.NDArray[np.float32]:
    """Centred vectors of what is shown, one after the other, unit norm: what one has without a fusion."""
    parts = []
    for rows, there in ((features.image_NI, features.has_image_N), (features.text_NT, features.has_text_N)):
        if there.any():
            centred = np.where(there[:, None], rows - rows[there].mean(axis=0), 0)
            parts.append(centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9))
    joined = np.concatenate(parts, axis=1)
    return np.asarray(joined / np.maximum(np.linalg.norm(joined, axis=1, keepdims=True), 1e-9), np.float32)


# --- the table --------------------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    cells: tuple[Any, ...]
    details: dict[str, Any]


def _row(question: str, metric: str, way: str, own: list[Estimate], differences: list[Estimate]) -> _Row:
    wins = all(difference.low > 0 for difference in differences)
    names = (*CONTENDERS, "fused - picture only", "fused - words only")
    return _Row(
        (
            question,
            metric,
            WAYS[way],
            *map(shown, own),
            *(shown(difference, sign=True) for difference in differences),
            "yes" if wins else "no",
        ),
        {
            "question": question,
            "metric": metric,
            "vectors": way,
            **{name: value.as_json() for name, value in zip(names, [*own, *differences], strict=True)},
        },
    )


def _genre_rows(data: Dataset, vectors: _Vectors, seeds: int) -> list[_Row]:
    truth = genre_truth(data.catalogue.attributes["genres"])
    weights_RN = resample_weights(len(data.catalogue))
    table = []
    for way in WAYS:
        predictions = {
            contender: [
                predict_genres(vectors[GENRES, way, contender, seed], truth)
                for seed in range(seeds if way != "frozen" else 1)
            ]
            for contender in CONTENDERS
        }
        for metric, measure in (("micro-F1", micro_f1), ("mAP", mean_average_precision)):
            figures = [measure(predictions[contender], truth, weights_RN) for contender in CONTENDERS]
            own = [estimate_of(figure) for figure in figures]
            differences = [estimate_of(figures[0] - figure) for figure in figures[1:]]
            table.append(_row(f"genres ({len(truth.names)})", metric, way, own, differences))
    return table


def _cold_rows(questions: ColdQuestions, cold_N: npt.NDArray[np.bool_], vectors: _Vectors, seeds: int) -> list[_Row]:
    weights_RU = resample_weights(len(np.unique(questions.users_Q)))
    table = []
    for way in WAYS:
        by_contender = []
        for contender in CONTENDERS:
            answers = [
                answer_questions(questions, vectors[COLD, way, contender, seed], cold_N)
                for seed in range(seeds if way != "frozen" else 1)
            ]
            by_contender.append({metric: np.mean([answer[metric] for answer in answers], axis=0) for metric in METRICS})
        for metric in METRICS:
            own = [mean_estimate(figures[metric], weights_RU) for figures in by_contender]
            differences = [
                mean_estimate(by_contender[0][metric] - figures[metric], weights_RU) for figures in by_contender[1:]
            ]
            table.append(_row("next film, never in training", metric, way, own, differences))
    return table
