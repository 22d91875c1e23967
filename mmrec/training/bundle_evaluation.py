"""Evaluates a published bundle, on its own events or on those of a dataset folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mmrec.bundle import Bundle, open_bundle
from mmrec.catalogue.catalogue import Catalogue
from mmrec.data.dataset import Dataset, read_dataset
from mmrec.data.interactions import Interactions
from mmrec.data.splits import LeaveOneOut, Split
from mmrec.data.summary import DatasetSummary
from mmrec.errors import InvalidArgumentError, InvalidDatasetError
from mmrec.evaluation.comparisons import Comparison
from mmrec.evaluation.metrics import CUTOFFS, checked_cutoffs
from mmrec.recommender.artefact import Parts, read_parts
from mmrec.recommender.ranking_model import RankingModel
from mmrec.runtime.device import resolve_device, resolve_dtype
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.training.beam_check import BeamCheck, check_beam, quick_sample
from mmrec.training.evaluation import Evaluation, chosen_questions, compare_with_floor, evaluate
from mmrec.training.leak_check import count_known_answers
from mmrec.training.ratings import rating_rows, split_ratings
from mmrec.training.saved_ranks import AnsweredQuestions, catalogue_hash
from mmrec.training.splitting import (
    SplitName,
    checked_split,
    first_moment,
    leaked_questions,
    split_events,
)


@dataclass(frozen=True, slots=True)
class BundleEvaluation:
    """Results of an evaluation of a bundle.

    Attributes:
        bundle: The folder.
        name: The bundle's own name.
        version: Its version.
        split: How the events were divided.
        evaluation: The table, and slices of it.
        comparisons: Tests of mmrec's rows against the best floor.
        beam: The beam beside exact ranking; None when it was not wanted.
        questions: Rank of every target.
        epochs: Training curve as `fit` stored it, one mapping per epoch.
        best_epoch: The epoch that is served; None where it was not stored.
        dataset_rows: What became of the rows of the dataset; None for the events of the bundle.
    """

    bundle: Path
    name: str
    version: str
    split: SplitName
    evaluation: Evaluation
    comparisons: tuple[Comparison, ...]
    beam: BeamCheck | None
    questions: AnsweredQuestions
    epochs: tuple[Mapping[str, Any], ...]
    best_epoch: int | None
    dataset_rows: DatasetSummary | None = None

    def as_json(self) -> dict[str, Any]:
        """The evaluation's mapping with ``split``, ``comparisons``, ``beam`` (None when not wanted), and
        ``dataset_rows`` (None for the events of the bundle)."""
        return self.evaluation.as_json() | {
            "dataset_rows": asdict(self.dataset_rows) if self.dataset_rows is not None else None,
            "bundle": str(self.bundle),
            "version": self.version,
            "split": self.split,
            "comparisons": [comparison.as_json() for comparison in self.comparisons],
            "beam": self.beam.as_json() if self.beam is not None else None,
        }


@dataclass(frozen=True, slots=True)
class EvaluationSettings:
    """What is measured of a bundle, and with what.

    Attributes:
        split: ``leave-one-out`` or ``time``; empty for the one the bundle was fitted with.
        cutoffs: List lengths; None for 5, 10 and 20.
        questions: Most users who are asked, evenly chosen; None for as many as take minutes (all of a small dataset), 0
            for all.
        beam_sample: Questions on which the beam is compared with exact ranking: None for as many as are quick, 0 for
            no such comparison.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
    """

    split: str = ""
    cutoffs: Sequence[int] | None = None
    questions: int | None = None
    beam_sample: int | None = None
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        check_numbers(self, "questions", "beam_sample", low=0)


def evaluate_bundle(
    bundle: str | os.PathLike[str],
    dataset: str | os.PathLike[str] | None = None,
    settings: EvaluationSettings | None = None,
    *,
    progress: Progress = NO_PROGRESS,
    note: Callable[[str], None] = lambda _: None,
) -> BundleEvaluation:
    """Rank every held-out event among the whole catalogue.

    Args:
        bundle: Bundle folder.
        dataset: Takes the events from here instead of from the bundle. The bundle's transition counts and weights
            stay those of its own training events.
        settings: What is measured, and with what; None for the defaults.
        progress: Reports every question.
        note: Called with sentences, before the work begins, which rows of the dataset are not used.

    Raises:
        BundleError: the bundle is damaged.
        InvalidDatasetError: the dataset shares no events with the bundle's catalogue, or cannot be split.
        InvalidArgumentError: there is no such split, a cut-off is larger than the catalogue, or the bundle was fitted
            on answers that the split asks for.
    """
    settings = settings or EvaluationSettings()
    where = resolve_device(settings.device)
    number_format = resolve_dtype(settings.dtype, where)
    opened = open_bundle(bundle)
    own_split = fitted_split(opened)
    wanted = checked_split(settings.split) if settings.split else own_split
    parts = read_parts(opened, where)
    # Only lengths that somebody asked for must fit: those of the tables stand for any catalogue.
    lengths = CUTOFFS if settings.cutoffs is None else checked_cutoffs(settings.cutoffs, len(parts.catalogue))
    interactions, rows = parts.interactions, None
    if dataset is not None:
        # Fit and evaluation must agree on which events are positive.
        data = read_dataset(dataset, min_rating=_fitted_min_rating(opened))
        interactions, rows = _events_of(data, parts.catalogue), data.summary
        for line in _notes(data, interactions):
            note(line)
    divided = split_events(interactions, wanted, opened.root if dataset is None else dataset)
    if parts.catalogue.alive_N is not None:
        # Deleted items cannot be recommended.
        divided = divided._replace(test=_answerable(divided.test, parts.catalogue.alive_N))
    if dataset is not None or wanted != own_split:
        _refuse_leaks(opened, parts, own_split, interactions, divided, wanted)
    of = len(divided.test.targets_U)
    divided = divided._replace(test=chosen_questions(divided.test, len(parts.catalogue), settings.questions))
    ranker = RankingModel(parts, where, number_format)
    evaluation = evaluate(ranker, parts.blends, divided.train, divided.test, progress, of=of, cutoffs=lengths)
    if dataset is None and wanted == own_split and parts.rating_model is not None:
        split = split_ratings(parts.rated, wanted, interactions, split_events(interactions, wanted, opened.root))
        if split is not None:
            evaluation = replace(evaluation, ratings=rating_rows(parts.rating_model, split))
    beam = None
    sample = quick_sample(ranker) if settings.beam_sample is None else settings.beam_sample
    if sample:
        beam = check_beam(ranker, divided.test, questions=sample, cutoffs=lengths, progress=progress)
    metrics = opened.read_json("metrics.json")
    return BundleEvaluation(
        bundle=Path(bundle),
        name=opened.manifest.name,
        version=opened.version,
        split=wanted,
        evaluation=evaluation,
        comparisons=compare_with_floor(evaluation),
        beam=beam,
        questions=_answered(opened, parts.catalogue, interactions, divided, wanted, evaluation),
        epochs=tuple(metrics["epochs"]),
        best_epoch=metrics["best_epoch"],
        dataset_rows=rows,
    )


def fitted_split(bundle: Bundle) -> SplitName:
    """The split a bundle was fitted with."""
    return checked_split(str(bundle.manifest.parameters["config"]["split"]))


def _fitted_min_rating(bundle: Bundle) -> float | None:
    """The threshold of the fit; None where the dataset decided."""
    threshold: float | None = bundle.manifest.parameters["config"]["min_rating"]
    return threshold


def _answerable(test: Split, alive_N: npt.NDArray[np.bool_]) -> Split:
    """The questions whose target is not deleted."""
    return test.take(np.flatnonzero(alive_N[test.targets_U]))


def _refuse_leaks(
    bundle: Bundle,
    parts: Parts,
    own_split: SplitName,
    interactions: Interactions,
    divided: LeaveOneOut,
    wanted: SplitName,
) -> None:
    """Raise if the bundle was trained on targets of the questions."""
    fitted = split_events(parts.interactions, own_split, bundle.root)
    leaked = leaked_questions(interactions, divided.test, parts.interactions, fitted)
    # Under a time split nothing that happened after the first question may be known, whoever did it.
    later = int((fitted.train.times_E >= first_moment(interactions, divided.test)).sum()) if wanted == "time" else 0
    known = count_known_answers(divided.test, fitted)
    if not leaked and not later and known.learned:
        raise InvalidArgumentError(
            f"{bundle.root} has learned what these questions ask for: {known.known:,} of {known.asked:,} answers "
            "come after the same items as in events that it was fitted on (by chance about "
            f"{known.expected:,.0f} would), so they are probably these events with other user ids or times, and "
            "figures would be too good: evaluate on events that it was not fitted on, or on the split of those it was "
            "fitted on",
            field="dataset",
        )
    if leaked or later:
        learned = [f"the answers of {leaked:,} of the {len(divided.test.targets_U):,} questions"] if leaked else []
        learned += [f"{later:,} events that are later than the first question"] if later else []
        raise InvalidArgumentError(
            f"{bundle.root} was fitted on the split {own_split} and has learned {' and '.join(learned)} of this "
            f"{wanted} split, so figures would be too good: fit with `mmrec fit --split {wanted}`, or evaluate on the "
            f"split {own_split} of the events it was fitted on",
            field="split",
        )


def _answered(
    bundle: Bundle,
    catalogue: Catalogue,
    interactions: Interactions,
    divided: LeaveOneOut,
    split: SplitName,
    evaluation: Evaluation,
) -> AnsweredQuestions:
    test = divided.test
    popularity_N = np.bincount(divided.train.items_E, minlength=len(catalogue))
    return AnsweredQuestions(
        source=str(bundle.root),
        version=bundle.version,
        split=split,
        catalogue=catalogue_hash(catalogue.item_ids),
        items=len(catalogue),
        user_ids=tuple(interactions.user_ids[user] for user in test.users_U.tolist()),
        targets=tuple(catalogue.item_ids[row] for row in test.targets_U.tolist()),
        history_length_Q=np.array([len(history) for history in test.histories], dtype=np.int64),
        popularity_Q=popularity_N[test.targets_U].astype(np.int64),
        ranks=evaluation.ranks,
    )


def _notes(data: Dataset, interactions: Interactions) -> tuple[str, ...]:
    """Notes of a dataset, and how many of its events are of items that the bundle lacks."""
    left_out = data.interactions.events - interactions.events
    if not left_out:
        return data.notes
    return (
        *data.notes,
        f"{left_out:,} of {data.interactions.events:,} events are of items that the bundle does not have; they are "
        "left out",
    )


def _events_of(data: Dataset, catalogue: Catalogue) -> Interactions:
    """Events of a dataset as rows of the bundle's catalogue."""
    rows = [catalogue.row_of(item_id) for item_id in data.catalogue.item_ids]
    new_rows_N = np.array([-1 if row is None else row for row in rows], dtype=np.int64)
    interactions = data.interactions.restrict_items(new_rows_N)
    if not interactions.users or interactions.lengths_U.max() < 3:
        raise InvalidDatasetError(
            f"{data.root} has {interactions.events:,} events of items that the bundle knows, and no user has 3 of "
            "them; evaluate with the dataset that the bundle was fitted on, or without one"
        )
    return interactions
