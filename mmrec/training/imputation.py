"""Imputes a column of a catalogue: items with a value are the examples, the others get a value with a confidence.

The unit of work is one column. Features are the frozen vectors of an item's picture and of its words; the words never
contain the column itself. Softmax regressions are trained on the examples, one over both modalities and one over each,
and their weights are fitted on held-out items. For labels with few examples or none, zero-shot similarity in a shared
space is mixed in. Quality is measured on items held out by title, because copies of a title in both parts would leak:
accuracy, calibration, and the share of items above each confidence. Knows nothing about models and files.
"""

# Axes: N items, M examples, L labels, I picture dimensions, T words dimensions, F features, K alternatives

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from mmrec.catalogue.catalogue import OWN_COLUMNS, Catalogue
from mmrec.catalogue.item_words import ItemWords
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_choice, check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.training.modality import Modality, visible
from mmrec.understanding.calibration import best_temperature, expected_calibration_error, grouped_folds, softmax
from mmrec.understanding.tagging import MAX_LABELS, check_labels, label_vectors
from mmrec_encoders.embedding.catalogue import encode_pictures, encode_words
from mmrec_encoders.fusion import ItemFeatures, check_features

if TYPE_CHECKING:
    from mmrec.data.dataset import Dataset
    from mmrec_encoders.item_encoder import ItemEncoder

Floats = npt.NDArray[np.float32]
Source = Literal["given", "filled", "empty"]

_COVERAGE_AT = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_MIN_HELD_OUT = 20
_MAX_TUNED = 5_000
_ITERATIONS = 60
_ROWS_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class ImputationConfig:
    """How a column is imputed.

    Attributes:
        modality: ``both``, ``picture`` or ``words``: which features are used.
        min_confidence: Values less probable than this are left empty (and listed as alternatives), 0 to 1.
        top_k: Alternatives kept per item, at least 1.
        held_out: Share of the examples for measuring accuracy and calibration, in (0, 0.5].
        max_examples: Most training examples; of more, a random sample is used.
        penalty: Weight of the squared coefficients, above 0.
        few: Examples of a label at which its zero-shot and its trained probability weigh the same, at least 1.
        seed: Seed of all random choices.
    """

    modality: Modality = "both"
    min_confidence: float = 0.0
    top_k: int = 3
    held_out: float = 0.1
    max_examples: int = 100_000
    penalty: float = 1e-4
    few: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("modality", self.modality, ("both", "picture", "words"))
        check_numbers(self, "min_confidence", low=0, high=1)
        check_numbers(self, "held_out", over=0, high=0.5)
        check_numbers(self, "top_k", "max_examples", "few", low=1)
        check_numbers(self, "penalty", over=0)


class Coverage(NamedTuple):
    """Share and accuracy of the values above a confidence.

    Attributes:
        confidence: Values at least this probable.
        covered: Share of the held-out items with such a value.
        accuracy: Share of those that are correct; 1 when there is none.
    """

    confidence: float
    covered: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class ImputationReport:
    """Quality on items held out by title.

    Attributes:
        rows: Items measured.
        accuracy: Share with the correct value, 0 to 1.
        ece: Expected calibration error of the confidences, 0 to 1.
        coverage: By confidence, ascending.
    """

    rows: int
    accuracy: float
    ece: float
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ImputationResult:
    """A column with imputed values.

    Attributes:
        column: Its name.
        labels: The possible values.
        values: Per item: the given value, the imputed one, or '' where the confidence is too low. Length N.
        confidences_N: Probability of the most probable label; 1 for given values, 0 for items without features.
            Shape: (N,), float32.
        sources: ``given``, ``filled`` or ``empty``. Length N.
        alternatives_NK: The most probable labels, as indices of `labels`. Shape: (N, K), int64.
        probabilities_NK: Their probabilities. Shape: (N, K), float32.
        temperature: Divisor of the scores.
        report: Quality; None without enough examples to hold some out.
        examples: Number of training examples, 0 for zero-shot only.
    """

    column: str
    labels: tuple[str, ...]
    values: tuple[str, ...]
    confidences_N: Floats
    sources: tuple[Source, ...]
    alternatives_NK: npt.NDArray[np.int64]
    probabilities_NK: Floats
    temperature: float
    report: ImputationReport | None
    examples: int

    def to_table(self, item_ids: Sequence[str]) -> Any:
        """One row per item (pyarrow Table): item_id, value, confidence, source, alternatives.

        Raises:
            InvalidArgumentError: there are not as many ids as items.
        """
        import pyarrow as pa

        if len(item_ids) != len(self.values):
            raise InvalidArgumentError(f"there are {len(item_ids)} ids for {len(self.values)} items", field="item_ids")
        alternatives = [
            [
                {"value": self.labels[label], "probability": float(probability)}
                for label, probability in zip(labels, probabilities, strict=True)
            ]
            for labels, probabilities in zip(self.alternatives_NK, self.probabilities_NK, strict=True)
        ]
        kind = pa.list_(pa.struct([("value", pa.string()), ("probability", pa.float32())]))
        return pa.table(
            {
                "item_id": pa.array(item_ids, pa.string()),
                "value": pa.array(self.values, pa.string()),
                "confidence": pa.array(self.confidences_N, pa.float32()),
                "source": pa.array(self.sources, pa.string()),
                "alternatives": pa.array(alternatives, kind),
            }
        )


class LabelExamples(NamedTuple):
    """Labels and items in a shared space, for zero-shot probabilities.

    Attributes:
        labels_LD: One unit row per label. Shape: (L, D), float32.
        items_ND: Items in the same space, zero rows for items without features. Shape: (N, D), float32.
    """

    labels_LD: Floats
    items_ND: Floats


# --- one column -------------------------------------------------------------------------------------------------------


def impute_column(
    column: str,
    values: Sequence[str],
    features: ItemFeatures,
    groups: Sequence[Hashable],
    config: ImputationConfig | None = None,
    *,
    labels: Sequence[str] = (),
    zero_shot: LabelExamples | None = None,
    progress: Progress = NO_PROGRESS,
) -> ImputationResult:
    """Give every item without a value the most probable one.

    Args:
        column: Name of the column.
        values: Known values, '' for items to impute. Length N.
        features: Frozen vectors; those of the words must not be made from the column. Rows: N.
        groups: Items of one group, such as a title, are held out together. Length N.
        config: See `ImputationConfig`.
        labels: Further possible values, which may have no example.
        zero_shot: Labels (those of the column, most frequent first, then the further ones; see `labels_of`) and items
            in a shared space. Needed for labels without an example.
        progress: Reports the progress.

    Raises:
        InvalidArgumentError: lengths do not fit, there is no label, or labels without an example come without
            `zero_shot`.
    """
    config = config or ImputationConfig()
    check_features(features)
    count = len(features.image_NI)
    if len(values) != count or len(groups) != count:
        raise InvalidArgumentError(
            f"there are {len(values):,} values, {len(groups):,} groups and {count:,} rows of features; give one each",
            field="values",
        )
    names = _labels_of(values, labels)
    place = {name: number for number, name in enumerate(names)}
    targets_N = np.array([place.get(value.strip(), -1) for value in values], np.int64)
    examples_L = np.bincount(targets_N[targets_N >= 0], minlength=len(names))
    if zero_shot is None and (examples_L == 0).any():
        missing = names[int(np.argmin(examples_L))]
        raise InvalidArgumentError(
            f"no item has the value {missing!r:.60} in {column!r}; a label without an example needs vectors in a "
            "shared space: use a fitted bundle's encoders",
            field="labels",
        )
    if zero_shot is not None and zero_shot.labels_LD.shape[0] != len(names):
        raise InvalidArgumentError(
            f"there are {len(zero_shot.labels_LD)} label vectors for {len(names)} labels; give one each", field="labels"
        )
    table = _FeatureViews(features, config.modality)
    known_M = np.flatnonzero((targets_N >= 0) & table.known_N)
    problem = _Problem(table, targets_N, names, zero_shot)
    measured = _measure(problem, known_M, groups, config, progress)
    scorer = _Scorer(problem, known_M, config, progress)
    if measured.tuning is not None:
        scorer.tuning = measured.tuning
    return _result(column, values, problem, scorer, measured.report, config)


def impute_dataset(
    data: Dataset,
    column: str,
    encoder: ItemEncoder,
    config: ImputationConfig | None = None,
    *,
    labels: Sequence[str] = (),
    progress: Progress = NO_PROGRESS,
) -> ImputationResult:
    """Fill a column of a dataset.

    Args:
        data: The dataset.
        column: The column; it need not exist when `labels` are given.
        encoder: Encodes pictures and words. With a trained fusion, labels are compared with items in its space;
            without, with the words alone.
        config: See `ImputationConfig`.
        labels: Values to choose from, beside those in the column.
        progress: Reports the progress.

    Raises:
        InvalidArgumentError: the column is not an attribute, there is no label, or the encoder's template names the
            column.
    """
    config = config or ImputationConfig()
    catalogue = data.catalogue
    check_column(catalogue, column, labels)
    values = catalogue.attributes.get(column, ("",) * len(catalogue))
    bare = without_column(catalogue, column)
    _check_words(encoder.words, column)
    words = encode_words(encoder, bare, progress=progress)
    pictures = encode_pictures(encoder, bare, data.pictures, progress=progress)
    features = ItemFeatures(pictures.image_NI, pictures.has_image_N, words.text_NT, words.has_text_N)
    names = _labels_of(values, labels)
    zero_shot = _zero_shot(encoder, names, column, features, config.modality)
    # Items without a title are groups of their own.
    groups: list[Hashable] = [title.casefold().strip() or row for row, title in enumerate(catalogue.titles)]
    return impute_column(
        column, values, features, groups, config, labels=labels, zero_shot=zero_shot, progress=progress
    )


def check_column(catalogue: Catalogue, column: str, labels: Sequence[str]) -> None:
    """Check that a column can be imputed.

    Raises:
        InvalidArgumentError: it is no attribute, or there is none of this name and no labels are given.
    """
    if column in OWN_COLUMNS or (column not in catalogue.attributes and not labels):
        known = ", ".join(map(repr, catalogue.attributes)) or "none"
        raise InvalidArgumentError(
            f"column is {column!r:.60}; the attributes of the catalogue are {known}: name one of them, or give labels "
            "for a new one",
            field="column",
        )


def without_column(catalogue: Catalogue, column: str) -> Catalogue:
    """The catalogue without an attribute, so that the text of an item cannot contain the target."""
    attributes = {name: values for name, values in catalogue.attributes.items() if name != column}
    return dataclasses.replace(catalogue, attributes=attributes)


def _check_words(words: ItemWords, column: str) -> None:
    if column in words.named:
        raise InvalidArgumentError(
            f"the text template {words.template!r:.200} names {column!r}, the column to fill, so the words would hold "
            "the answer; use a template without it",
            field="template",
        )


def _labels_of(values: Sequence[str], further: Sequence[str]) -> tuple[str, ...]:
    """Values of the column, by descending frequency and then by name, followed by the further labels."""
    present = [value.strip() for value in values if value.strip()]
    counts = Counter(present)
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    found = list(dict.fromkeys([*ordered, *(label.strip() for label in further)]))
    if not found:
        raise InvalidArgumentError(
            "no item has a value in the column, and no labels are given; give labels to choose from", field="labels"
        )
    if len(found) > MAX_LABELS:
        raise InvalidArgumentError(
            f"the column has {len(found):,} distinct values; at most {MAX_LABELS:,} are supported: it is not a "
            "column of labels",
            field="column",
        )
    return check_labels(found)


def _zero_shot(
    encoder: ItemEncoder, names: Sequence[str], column: str, features: ItemFeatures, modality: Modality
) -> LabelExamples | None:
    """Labels and items in the fused space, or without a fusion in that of the text encoder."""
    fusion = encoder.fusion
    if fusion is None:
        if modality == "picture":
            return None
        labels_LD = label_vectors(names, lambda texts: encoder.text.encode(texts, query=True), column=column)
        return LabelExamples(labels_LD, np.where(features.has_text_N[:, None], features.text_NT, np.float32(0)))
    trained = fusion
    labels_LD = label_vectors(
        names, lambda texts: trained.text_query(encoder.text.encode(texts, query=True)), column=column
    )
    return LabelExamples(labels_LD, fusion.fuse(visible(features, modality)))


# --- learning ---------------------------------------------------------------------------------------------------------


class _FeatureMatrix:
    """Features of items as one matrix, made a block at a time: vectors of the modalities, a zero block and a flag where
    one is missing, and a constant."""

    def __init__(self, features: ItemFeatures, modality: Modality) -> None:
        self._parts: list[tuple[Floats, npt.NDArray[np.bool_]]] = []
        if modality != "words":
            self._parts.append((features.image_NI, features.has_image_N))
        if modality != "picture":
            self._parts.append((features.text_NT, features.has_text_N))
        self.known_N: npt.NDArray[np.bool_] = np.logical_or.reduce([has for _, has in self._parts])
        # One scale per modality and not per dimension, which would amplify dimensions that hardly vary.
        self._means = [
            part[has].mean(axis=0) if has.any() else np.zeros(part.shape[1], np.float32) for part, has in self._parts
        ]
        self._scales = [
            float(np.sqrt(np.square(part[has] - mean).mean()) or 1.0) if has.any() else 1.0
            for (part, has), mean in zip(self._parts, self._means, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.known_N)

    def rows(self, rows_M: npt.NDArray[np.int64]) -> Floats:
        """Shape: (M, F), float32."""
        blocks = []
        for (part, has), mean, scale in zip(self._parts, self._means, self._scales, strict=True):
            there = has[rows_M, None]
            blocks += [np.where(there, (part[rows_M] - mean) / scale, 0.0), there.astype(np.float32)]
        blocks.append(np.ones((len(rows_M), 1), np.float32))
        return np.concatenate(blocks, axis=1).astype(np.float32)


class _FeatureViews:
    """Training features: all modalities as one matrix, and where there are two, each alone as well.

    One regression over both modalities relies on the words, which explain the training examples almost alone. Three
    regressions with weights fitted on held-out items use the picture where the words are vague.
    """

    def __init__(self, features: ItemFeatures, modality: Modality) -> None:
        self.whole = _FeatureMatrix(features, modality)
        self.both_N: npt.NDArray[np.bool_] = features.has_image_N & features.has_text_N
        split = modality == "both" and bool(self.both_N.any())
        self.sides = (_FeatureMatrix(features, "words"), _FeatureMatrix(features, "picture")) if split else ()

    @property
    def known_N(self) -> npt.NDArray[np.bool_]:
        """Items with features. Shape: (N,), bool."""
        return self.whole.known_N

    def __len__(self) -> int:
        return len(self.whole)


class _Problem(NamedTuple):
    """A column to impute.

    Attributes:
        table: Features of the items.
        targets_N: Index in `labels` of each item's value; -1 if it has none. Shape: (N,).
        labels: The possible values.
        zero_shot: Labels and items in a shared space; None for none.
    """

    table: _FeatureViews
    targets_N: npt.NDArray[np.int64]
    labels: tuple[str, ...]
    zero_shot: LabelExamples | None


class _Tuning(NamedTuple):
    """Parameters fitted on held-out items.

    Attributes:
        modality_weights: Weights of the regressions: over all features, then over each modality.
        temperature: Temperature of the probabilities.
    """

    modality_weights: tuple[float, ...]
    temperature: float


class _Scorer:
    """Label scores of items: from regressions, mixed with zero-shot scores where examples are few."""

    def __init__(
        self,
        problem: _Problem,
        examples_M: npt.NDArray[np.int64],
        config: ImputationConfig,
        progress: Progress,
    ) -> None:
        table, targets_N, labels, zero_shot = problem.table, problem.targets_N, len(problem.labels), problem.zero_shot
        self._table, self._zero_shot = table, zero_shot
        self.tuning = _Tuning((1.0, *(0.0 for _ in table.sides)), 1.0)
        generator = np.random.default_rng(config.seed)
        if len(examples_M) > config.max_examples:
            examples_M = np.sort(generator.choice(examples_M, config.max_examples, replace=False))
        self.examples = len(examples_M)
        counts_L = np.bincount(targets_N[examples_M], minlength=labels)
        self._seen_L: npt.NDArray[np.bool_] = counts_L > 0
        self._regressions: list[tuple[_FeatureMatrix, Floats]] = []
        self._zero_temperature = 0.05
        if self._seen_L.sum() > 1:
            self._regressions = [
                (
                    part,
                    _softmax_regression(part.rows(examples_M), targets_N[examples_M], labels, config.penalty, progress),
                )
                for part in (table.whole, *table.sides)
            ]
        # Weight of a label's zero-shot probability: 1 without examples, 1/2 with `few`.
        self._zero_shot_weight_L = np.where(self._seen_L, config.few / (config.few + counts_L), 1.0).astype(np.float32)
        if zero_shot is not None and len(examples_M):
            some_M = np.sort(generator.choice(examples_M, min(5_000, len(examples_M)), replace=False))
            self._zero_temperature = best_temperature(self._cosines(zero_shot, some_M), targets_N[some_M])

    def scores(self, rows_M: npt.NDArray[np.int64]) -> Floats:
        """Logarithms of probabilities, before the temperature. Shape: (M, L), float32."""
        labels = len(self._seen_L)
        learned_ML = np.zeros((len(rows_M), labels), np.float32)
        if self._regressions:
            found_TML = self._log_probabilities(rows_M)
            combined_ML = np.einsum("t,tml->ml", np.array(self.tuning.modality_weights, np.float32), found_TML)
            # Items with one modality use only the regression over all features.
            logits = np.where(self._table.both_N[rows_M, None], combined_ML, found_TML[0])
            logits[:, ~self._seen_L] = -np.inf
            learned_ML = softmax(logits)
        elif self._seen_L.any():
            learned_ML[:, self._seen_L] = 1.0
        if self._zero_shot is None:
            return np.log(np.maximum(learned_ML, 1e-12))
        zero_ML = softmax(self._cosines(self._zero_shot, rows_M), self._zero_temperature)
        mixed_ML = self._zero_shot_weight_L * zero_ML + (1 - self._zero_shot_weight_L) * learned_ML
        mixed_ML /= np.maximum(mixed_ML.sum(axis=1, keepdims=True), 1e-12)
        return np.log(np.maximum(mixed_ML, 1e-12))

    def tune(self, rows_M: npt.NDArray[np.int64], targets_M: npt.NDArray[np.int64]) -> None:
        """Fit the weights and the temperature on items that are no training examples."""
        self.tuning = _Tuning(self._best_modality_weights(rows_M, targets_M), 1.0)
        self.tuning = self.tuning._replace(temperature=best_temperature(self.scores(rows_M), targets_M))

    def _best_modality_weights(
        self, rows_M: npt.NDArray[np.int64], targets_M: npt.NDArray[np.int64]
    ) -> tuple[float, ...]:
        """Weights of the regressions with the least log-loss, each in [0, 3]."""
        both_M = self._table.both_N[rows_M] & self._seen_L[targets_M]
        if len(self._regressions) < 2 or both_M.sum() < _MIN_HELD_OUT:
            return self.tuning.modality_weights
        rows_M, targets_M = rows_M[both_M][:_MAX_TUNED], targets_M[both_M][:_MAX_TUNED]
        log_probabilities_TML = self._log_probabilities(rows_M)
        target_TM = log_probabilities_TML[:, np.arange(len(rows_M)), targets_M]

        def loss(weights_T: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
            combined_ML = np.einsum("t,tml->ml", weights_T.astype(np.float32), log_probabilities_TML)
            probabilities_ML = softmax(combined_ML)
            total = -np.log(np.maximum(probabilities_ML[np.arange(len(rows_M)), targets_M], 1e-12)).mean()
            expected_T = np.einsum("ml,tml->t", probabilities_ML, log_probabilities_TML) / len(rows_M)
            return float(total), (expected_T - target_TM.mean(axis=1)).astype(np.float64)

        start = np.full(len(self._regressions), 1.0 / len(self._regressions))
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0.0, 3.0)] * len(start))
        return tuple(float(share) for share in found.x)

    def _log_probabilities(self, rows_M: npt.NDArray[np.int64]) -> Floats:
        """Log-probabilities of every regression. Shape: (T, M, L), float32."""
        probabilities = [softmax(part.rows(rows_M) @ weights_FL) for part, weights_FL in self._regressions]
        return np.log(np.maximum(np.stack(probabilities), 1e-12)).astype(np.float32)

    def probabilities(self, rows_M: npt.NDArray[np.int64]) -> Floats:
        """Shape: (M, L), float32, rows sum to 1."""
        return softmax(self.scores(rows_M), self.tuning.temperature)

    @staticmethod
    def _cosines(zero_shot: LabelExamples, rows_M: npt.NDArray[np.int64]) -> Floats:
        return np.asarray(zero_shot.items_ND[rows_M] @ zero_shot.labels_LD.T, np.float32)


def _softmax_regression(
    features_MF: Floats, targets_M: npt.NDArray[np.int64], labels: int, penalty: float, progress: Progress
) -> Floats:
    """Coefficients of least log-loss with a penalty on their squares, by L-BFGS. Shape: (F, L), float32."""
    count, width = features_MF.shape
    rows = np.arange(count)
    progress.start("learning the column", _ITERATIONS, "rounds")

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights = flat.reshape(width, labels).astype(np.float32)
        gradient = np.zeros((width, labels), np.float64)
        total = 0.0
        for at in range(0, count, _ROWS_AT_ONCE):
            block = features_MF[at : at + _ROWS_AT_ONCE]
            right = (rows[: len(block)], targets_M[at : at + len(block)])
            probabilities = softmax(block @ weights)
            total -= float(np.log(np.maximum(probabilities[right], 1e-12)).sum(dtype=np.float64))
            probabilities[right] -= 1.0
            gradient += block.T @ probabilities
        squares = float(np.square(flat).sum())
        return total / count + penalty / 2 * squares, (gradient / count).ravel() + penalty * flat

    found = minimize(
        loss,
        np.zeros(width * labels),
        jac=True,
        method="L-BFGS-B",
        callback=lambda _: progress.advance(),
        options={"maxiter": _ITERATIONS, "maxcor": 6},
    )
    progress.finish(f"learned from {count:,} items")
    return np.asarray(found.x.reshape(width, labels), np.float32)


# --- measuring --------------------------------------------------------------------------------------------------------


class _Measured(NamedTuple):
    tuning: _Tuning | None
    report: ImputationReport | None


def _measure(
    problem: _Problem,
    known_M: npt.NDArray[np.int64],
    groups: Sequence[Hashable],
    config: ImputationConfig,
    progress: Progress,
) -> _Measured:
    """Train without the held-out examples; measure each half of them with parameters fitted on the other half."""
    folds = max(2, round(2 / config.held_out)) if len(known_M) else 2
    fold_M = grouped_folds([groups[row] for row in known_M.tolist()], folds, seed=config.seed)
    halves = [known_M[fold_M == 0], known_M[fold_M == 1]]
    training = known_M[fold_M > 1]
    if min(map(len, halves)) < _MIN_HELD_OUT or not len(training):
        return _Measured(None, None)
    scorer, targets_N = _Scorer(problem, training, config, progress), problem.targets_N
    confidences, rights = [], []
    for tuned, measured in (halves, halves[::-1]):
        scorer.tune(tuned, targets_N[tuned])
        probabilities = scorer.probabilities(measured)
        confidences.append(probabilities.max(axis=1))
        rights.append(probabilities.argmax(axis=1) == targets_N[measured])
    confidence, right = np.concatenate(confidences), np.concatenate(rights)
    together = np.concatenate(halves)
    coverage = []
    for least in _COVERAGE_AT:
        sure = confidence >= least
        coverage.append(Coverage(least, float(sure.mean()), float(right[sure].mean()) if sure.any() else 1.0))
    report = ImputationReport(
        rows=len(right),
        accuracy=float(right.mean()),
        ece=expected_calibration_error(confidence, right),
        coverage=tuple(coverage),
    )
    scorer.tune(together, targets_N[together])
    return _Measured(scorer.tuning, report)


def _result(
    column: str,
    values: Sequence[str],
    problem: _Problem,
    scorer: _Scorer,
    report: ImputationReport | None,
    config: ImputationConfig,
) -> ImputationResult:
    table, labels = problem.table, problem.labels
    count, wanted = len(table), min(config.top_k, len(labels))
    alternatives_NK = np.zeros((count, wanted), np.int64)
    probabilities_NK = np.zeros((count, wanted), np.float32)
    for at in range(0, count, _ROWS_AT_ONCE):
        rows = np.arange(at, min(count, at + _ROWS_AT_ONCE))
        probabilities = scorer.probabilities(rows)
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :wanted]
        alternatives_NK[rows] = order
        probabilities_NK[rows] = np.take_along_axis(probabilities, order, axis=1)
    # No probabilities for items without features.
    probabilities_NK[~table.known_N] = 0.0
    given_N = problem.targets_N >= 0
    confidences_N = np.where(given_N, np.float32(1.0), probabilities_NK[:, 0]).astype(np.float32)
    filled_N = ~given_N & table.known_N & (confidences_N >= config.min_confidence)
    return ImputationResult(
        column=column,
        labels=labels,
        values=tuple(
            values[row].strip() if given_N[row] else labels[alternatives_NK[row, 0]] if filled_N[row] else ""
            for row in range(count)
        ),
        confidences_N=confidences_N,
        sources=tuple(
            "given" if given else "filled" if filled else "empty"
            for given, filled in zip(given_N.tolist(), filled_N.tolist(), strict=True)
        ),
        alternatives_NK=alternatives_NK,
        probabilities_NK=probabilities_NK,
        temperature=scorer.tuning.temperature,
        report=report,
        examples=scorer.examples,
    )
