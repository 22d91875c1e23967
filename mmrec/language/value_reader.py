"""Which values of a catalogue's columns a sentence means, as probabilities: ``laugh`` may mean Comedy.

For each column whose values can be compared by likeness there is a linear model of the sentence's vector, followed by a
softmax over the values. It adds up three things: how like the sentence is to wordings of a value's name, how like it is
to the words of the items that have the value (a ridge regression), and how many items have it. How much each of them
counts is fitted on wishes that no other part has seen: the words of items that the regression was not fitted on, and
names of values in wordings of their own. Words that several items have are read alone too, as far as they tell values
apart: ``loafers`` is what most casual shoes are called, and says nothing about their colour. Which column a sentence is
about is told by a logistic regression on these words and on wishes that name values. Unit of work: one catalogue. Knows
nothing about histories and rankings.
"""

# Axes: N items, V values of a column, D dimensions of the text encoder, B sentences, S wishes of the fit, F parts of a
# score (name, words, frequency), L values of an item in all columns, C columns

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from mmrec.catalogue.catalogue import Catalogue
from mmrec.language.attributes import Attributes, Encode, entries_of
from mmrec.language.sentences import shown_column
from mmrec.language.wishes import OTHER_WORDINGS, WORDINGS
from mmrec.language.words import stem, stems, tokens_of, vocabulary
from mmrec.runtime.limits import check_numbers

Vectors = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]

_RIDGES = (0.001, 0.005, 0.025)
"""Penalties that are tried, per item."""
_ABOUT_RIDGE = 1e-3
_FOLDS = 4
_FEWEST_TEXTS = 3
"""Words of fewer items are not read alone."""
_PRIOR = 2.0
"""As many items without the word speak against what those with it say."""
_FEWEST_ITEMS = 20
"""Fewer items than this say nothing about a value's words."""
_LEAST = 0.01
"""Chance that an item is what is wanted although it has none of the values that are meant."""


@dataclass(frozen=True, slots=True)
class ValueReaderConfig:
    """How the reader of values is fitted.

    Attributes:
        items: Most items whose words are encoded.
        words: Most words of items that are read alone, the most frequent ones; 0: none.
        named_share: Weight of wishes that name a value, among all wishes, 0 to 1; the others are the words of items.
    """

    items: int = 4000
    words: int = 2000
    named_share: float = 0.5

    def __post_init__(self) -> None:
        check_numbers(self, "items", low=1)
        check_numbers(self, "words", low=0)
        check_numbers(self, "named_share", over=0, below=1)


@dataclass(frozen=True, slots=True, eq=False)
class ColumnModel:
    """The model of one column.

    Attributes:
        column: Its name.
        kind: ``text`` or ``list``.
        values: As the catalogue writes them.
        weights_DV: Of the sentence's vector. Shape: (D, V), float32.
        bias_V: Shape: (V,), float32.
        share_V: Share of the items that have each value. Shape: (V,), float32.
    """

    column: str
    kind: str
    values: tuple[str, ...]
    weights_DV: Vectors
    bias_V: Vectors
    share_V: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class AboutModel:
    """Says which column a sentence is about.

    Attributes:
        weights_DC: Of the sentence's vector. Shape: (D, C), float32.
        bias_C: Shape: (C,), float32.
    """

    weights_DC: Vectors
    bias_C: Vectors


class ValueReader:
    """Reads sentences about one catalogue.

    Args:
        models: One for each column.
        about: Says which of them a sentence is about.
    """

    def __init__(self, models: Sequence[ColumnModel], about: AboutModel) -> None:
        self.models = tuple(models)
        self.about = about
        self._code = [{value: code for code, value in enumerate(model.values)} for model in self.models]
        self.column_words = frozenset(word for model in self.models for word in stems(shown_column(model.column)))
        """Stems of the words of the columns' names."""
        self.value_names = frozenset(filter(None, (stems(value) for model in self.models for value in model.values)))
        """Stems of every value."""

    def probabilities(self, vectors_BD: Vectors) -> list[Vectors]:
        """Chance of each value of each column that it is meant.

        Args:
            vectors_BD: Unit vectors of sentences. Shape: (B, D), float32.

        Returns:
            One array a column. Shape: (B, V), float32; rows add up to 1.
        """
        return [
            np.asarray(softmax(vectors_BD @ model.weights_DV + model.bias_V, axis=1), np.float32)
            for model in self.models
        ]

    def columns(self, vectors_BD: Vectors) -> Vectors:
        """Chance of each column that it is meant. Shape: (B, D) to (B, C), float32; rows add up to 1."""
        return np.asarray(softmax(vectors_BD @ self.about.weights_DC + self.about.bias_C, axis=1), np.float32)

    def chance(self, vector_D: Vectors, column: str, values: Iterable[str]) -> float | None:
        """Chance that one of some values of a column is meant; None for a column that is not read."""
        for model, code, chances in zip(self.models, self._code, self.probabilities(vector_D[None]), strict=True):
            if model.column == column:
                return float(sum(chances[0, code[value]] for value in set(values) if value in code))
        return None

    def codes(self, columns: Mapping[str, Sequence[str]], rows: Iterable[int]) -> Codes:
        """Values of some items, as numbers in the order of `models`; -1 after the last of a column.

        Args:
            columns: The columns of a catalogue.
            rows: Rows of the items.

        Returns:
            Shape: (rows, L), int32; L is the same for all items.
        """
        rows = list(rows)
        found = [
            _codes_of(columns.get(model.column), model.kind, code, rows)
            for model, code in zip(self.models, self._code, strict=True)
        ]
        return np.concatenate(found, axis=1)

    def log_chances(self, vectors_BD: Vectors, codes_NL: Codes) -> Vectors:
        """Logarithm of the chance that an item is what a sentence wants, added up over the columns.

        The column that the sentence is most likely about counts fully, the others as much less as they are less likely.

        Args:
            vectors_BD: Unit vectors of sentences. Shape: (B, D), float32.
            codes_NL: From `codes`. Shape: (N, L), int32.

        Returns:
            Shape: (B, N), float32.
        """
        about_BC = self.columns(vectors_BD)
        about_BC = about_BC / about_BC.max(axis=1, keepdims=True)
        total_BN = np.zeros((len(vectors_BD), len(codes_NL)), np.float32)
        for number, (model, chances_BV) in enumerate(zip(self.models, self.probabilities(vectors_BD), strict=True)):
            own_NL = codes_NL[:, number * MOST_ENTRIES : (number + 1) * MOST_ENTRIES]
            width = int((own_NL >= 0).any(axis=0).sum())
            padded = np.pad(chances_BV, ((0, 0), (0, 1)))
            has_BN = np.zeros_like(total_BN)
            for place in range(width):
                has_BN += padded[:, own_NL[:, place]]
            # An item that says nothing about a column is as good as any.
            has_BN[:, own_NL[:, 0] < 0] = (chances_BV @ model.share_V)[:, None]
            total_BN += about_BC[:, number, None] * np.log(_LEAST + (1 - _LEAST) * np.minimum(has_BN, 1.0))
        return total_BN

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of all columns, for `from_tensors`."""
        found: dict[str, npt.NDArray[Any]] = {"about.weights": self.about.weights_DC, "about.bias": self.about.bias_C}
        for number, model in enumerate(self.models):
            found |= {
                f"{number}.weights": model.weights_DV,
                f"{number}.bias": model.bias_V,
                f"{number}.share": model.share_V,
            }
        return found

    def described(self) -> list[dict[str, Any]]:
        """Columns and values, as JSON."""
        return [{"column": one.column, "kind": one.kind, "values": list(one.values)} for one in self.models]

    @classmethod
    def from_tensors(cls, described: Sequence[Mapping[str, Any]], tensors: Mapping[str, Vectors]) -> ValueReader:
        """Put together again what `described` and `tensors` gave.

        Raises:
            KeyError: an array is missing.
        """
        return cls(
            [
                ColumnModel(
                    one["column"],
                    one["kind"],
                    tuple(one["values"]),
                    tensors[f"{number}.weights"],
                    tensors[f"{number}.bias"],
                    tensors[f"{number}.share"],
                )
                for number, one in enumerate(described)
            ],
            AboutModel(tensors["about.weights"], tensors["about.bias"]),
        )


MOST_ENTRIES = 12
"""Most values of one item in one column that are read."""


def _codes_of(texts: Sequence[str] | None, kind: str, code: Mapping[str, int], rows: Sequence[int]) -> Codes:
    """Codes of one column. Shape: (rows, MOST_ENTRIES), int32."""
    found = np.full((len(rows), MOST_ENTRIES), -1, np.int32)
    if texts is None:
        return found
    known: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        text = texts[row]
        own = known.get(text)
        if own is None:
            named = dict.fromkeys(code[entry] for entry in entries_of(text, kind) if entry in code)
            own = known[text] = list(named)[:MOST_ENTRIES]
        found[place, : len(own)] = own
    return found


# --- fitting ----------------------------------------------------------------------------------------------------------


class _Samples(NamedTuple):
    """Texts whose values are known.

    Attributes:
        vectors_SD: Shape: (S, D), float32.
        fold_S: Part of a cross-validation. Shape: (S,), int64.
        has_SV: Share of what the text is about that has each value. Shape: (S, V), float64.
        weights_S: How much each counts. Shape: (S,), float64.
    """

    vectors_SD: Vectors
    fold_S: npt.NDArray[np.int64]
    has_SV: npt.NDArray[np.float64] = np.zeros((0, 0))
    weights_S: npt.NDArray[np.float64] = np.zeros(0)

    def with_values(
        self, has_SV: npt.NDArray[np.float64], weights_S: npt.NDArray[np.float64] | None = None
    ) -> _Samples:
        """Those that say something, with what they say; without weights, all of these count alike."""
        if weights_S is None:
            weights_S = np.asarray(has_SV.any(axis=1), np.float64)
        kept = weights_S > 0
        return _Samples(self.vectors_SD[kept], self.fold_S[kept], has_SV[kept], weights_S[kept])


class _Wishes(NamedTuple):
    """Wishes whose values are known, and the parts of their scores.

    Attributes:
        parts_SVF: What is weighed, for each value. Shape: (S, V, F), float64.
        meant_SV: Chance of each value; rows add up to 1. Shape: (S, V), float64.
        weights_S: Of the wishes; they add up to 1. Shape: (S,), float64.
    """

    parts_SVF: npt.NDArray[np.float64]
    meant_SV: npt.NDArray[np.float64]
    weights_S: npt.NDArray[np.float64]


def fit_value_reader(
    catalogue: Catalogue, encode: Encode, config: ValueReaderConfig | None = None, *, seed: int = 0
) -> ValueReader | None:
    """Fit a reader of sentences about a catalogue; None where it has no column that can be read.

    Args:
        catalogue: The items.
        encode: The text encoder, as for sentences of customers.
        config: See `ValueReaderConfig`.
        seed: Of which items are read.
    """
    config = config or ValueReaderConfig()
    attributes = Attributes(catalogue)
    values: dict[str, list[str]] = {}
    for value in attributes.comparable:
        if not attributes.is_boolean(value.column):
            values.setdefault(value.column, []).append(value.text)
    values = {column: own for column, own in values.items() if len(own) > 1}
    rng = np.random.default_rng(seed)
    words = [
        " ".join(filter(None, pair)).strip() for pair in zip(catalogue.titles, catalogue.descriptions, strict=True)
    ]
    chosen = np.sort(rng.permutation([row for row, text in enumerate(words) if text])[: config.items]).astype(np.int64)
    if not values or len(chosen) < _FEWEST_ITEMS:
        return None
    texts = [words[row] for row in chosen.tolist()]
    alone = _words_of_items(texts, config.words)
    items = _Samples(encode(texts), rng.permutation(len(texts)) % _FOLDS)
    single = _Samples(encode(list(alone)) if alone else items.vectors_SD[:0], rng.permutation(len(alone)) % _FOLDS)
    models = []
    named: list[Vectors] = []
    tells: list[npt.NDArray[np.float64]] = []
    for column, own in values.items():
        kind = attributes.attributes[column].kind
        code = {value: number for number, value in enumerate(own)}
        codes = _codes_of(catalogue.attributes[column], kind, code, chosen.tolist())
        has_SV = np.zeros((len(chosen), len(own) + 1))
        has_SV[np.arange(len(chosen))[:, None], codes] = 1.0
        has_SV = has_SV[:, :-1]
        if not has_SV.any():
            continue
        has_WV, tells_W = _told_by_words(list(alone.values()), has_SV)
        tells.append(tells_W)
        named.append(_named(own, column, WORDINGS, encode))
        models.append(
            _fit_column(
                column,
                kind,
                own,
                items.with_values(has_SV),
                single.with_values(has_WV, tells_W),
                named[-1],
                encode,
                config,
            )
        )
    return ValueReader(models, _fit_about(named, single.vectors_SD, np.stack(tells, axis=1))) if models else None


def _words_of_items(texts: Sequence[str], most: int) -> dict[str, list[int]]:
    """The words that several texts have and not most of them, and which; the most frequent ones."""
    found: dict[str, dict[int, None]] = defaultdict(dict)
    for row, text in enumerate(texts):
        for token in tokens_of(text):
            if token.text[0].isalpha() and len(token.text) > 2:
                found[token.text][row] = None
    ordinary = vocabulary().ordinary
    told = [
        (word, list(rows))
        for word, rows in found.items()
        if _FEWEST_TEXTS <= len(rows) <= len(texts) / 2 and stem(word) not in ordinary
    ]
    return dict(sorted(told, key=lambda entry: (-len(entry[1]), entry[0]))[:most])


def _told_by_words(
    rows_W: Sequence[Sequence[int]], has_SV: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What each word says about the values of a column.

    Returns:
        Share of the items with the word that have each value, drawn to that of all items where they are few, and how
        far it is from the latter (Kullback-Leibler divergence, in nats). Shapes: (W, V) and (W,).
    """
    said_S = np.asarray(has_SV.any(axis=1))
    share_V = (has_SV[said_S].sum(axis=0) + 0.5) / (said_S.sum() + 1.0)
    has_WV = np.zeros((len(rows_W), has_SV.shape[1]))
    for word, rows in enumerate(rows_W):
        own = has_SV[[row for row in rows if said_S[row]]]
        has_WV[word] = (own.sum(axis=0) + _PRIOR * share_V) / (len(own) + _PRIOR)
    chance_WV = has_WV / has_WV.sum(axis=1, keepdims=True)
    tells_W = (chance_WV * np.log(chance_WV / (share_V / share_V.sum()))).sum(axis=1)
    return has_WV, np.maximum(tells_W, 0.0)


def _fit_column(
    column: str,
    kind: str,
    values: Sequence[str],
    items: _Samples,
    alone: _Samples,
    named_VWD: Vectors,
    encode: Encode,
    config: ValueReaderConfig,
) -> ColumnModel:
    share_V = (items.has_SV.sum(axis=0) + 0.5) / (len(items.has_SV) + 1.0)
    by_name = _by_name(named_VWD, items.vectors_SD)
    named_SD = _named(values, column, OTHER_WORDINGS, encode).reshape(-1, items.vectors_SD.shape[1])
    texts_SD = np.concatenate([items.vectors_SD, alone.vectors_SD])
    has_SV = np.concatenate([items.has_SV, alone.has_SV])
    fold_S = np.concatenate([items.fold_S, alone.fold_S])
    # Texts of items and words alone count alike.
    groups = [one.weights_S / one.weights_S.sum() for one in (items, alone) if len(one.weights_S)]
    weights_S = np.concatenate(groups) / len(groups)
    named_V = np.repeat(np.arange(len(values)), len(OTHER_WORDINGS))
    frequency_V = share_V / share_V.sum()

    def parts(vectors_SD: Vectors, by_words: _Linear) -> npt.NDArray[np.float64]:
        own = (
            by_name(vectors_SD),
            by_words(vectors_SD),
            np.broadcast_to(np.log(share_V), (len(vectors_SD), len(values))),
        )
        return np.stack(own, axis=2)

    best: tuple[float, npt.NDArray[np.float64], float] | None = None
    for ridge in _RIDGES:
        of_texts = np.zeros((*has_SV.shape, 3))
        for fold in range(_FOLDS):
            out = fold_S == fold
            if out.any() and not out.all():
                of_texts[out] = parts(texts_SD[out], _ridge(texts_SD[~out], has_SV[~out], ridge))
        whole = _ridge(texts_SD, has_SV, ridge)
        wishes = _Wishes(
            np.concatenate([of_texts, parts(named_SD, whole)]),
            np.concatenate([has_SV / has_SV.sum(axis=1, keepdims=True), np.eye(len(values))[named_V]]),
            np.concatenate(
                [
                    (1 - config.named_share) * weights_S,
                    config.named_share * frequency_V[named_V] / len(OTHER_WORDINGS),
                ]
            ),
        )
        weights_F, loss = _weigh(wishes)
        if best is None or loss < best[2] - 1e-4:
            best = (ridge, weights_F, loss)
    assert best is not None
    (ridge, (name, words, frequent), _) = best
    by_words = _ridge(texts_SD, has_SV, ridge)
    return ColumnModel(
        column,
        kind,
        tuple(values),
        np.asarray(name * by_name.weights_DV + words * by_words.weights_DV, np.float32),
        np.asarray(name * by_name.bias_V + words * by_words.bias_V + frequent * np.log(share_V), np.float32),
        np.asarray(share_V, np.float32),
    )


def _fit_about(named: Sequence[Vectors], words_WD: Vectors, tells_WC: npt.NDArray[np.float64]) -> AboutModel:
    """Which column a wish is about, from wishes that name its values but not the column, and from words of items."""
    places = [place for place, wording in enumerate(WORDINGS) if "{column}" not in wording]
    vectors_SD = np.concatenate([own[:, places].reshape(-1, own.shape[-1]) for own in named]).astype(np.float64)
    column_S = np.repeat(np.arange(len(named)), [len(own) * len(places) for own in named])
    # Columns of many values count as much as those of few.
    weights_S = 1.0 / (len(named) * np.bincount(column_S)[column_S])
    meant_SC = np.eye(len(named))[column_S]
    if len(words_WD):
        total_W = tells_WC.sum(axis=1)
        vectors_SD = np.concatenate([vectors_SD, words_WD])
        meant_SC = np.concatenate([meant_SC, tells_WC / np.maximum(total_W, 1e-9)[:, None]])
        weights_S = np.concatenate([weights_S, total_W / max(float(total_W.sum()), 1e-9)]) / 2
    mean_D = vectors_SD.mean(axis=0)
    inputs_SE = np.pad(vectors_SD - mean_D, ((0, 0), (0, 1)), constant_values=1.0)

    def loss(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        weights_EC = flat.reshape(-1, len(named))
        log_SC = log_softmax(inputs_SE @ weights_EC, axis=1)
        penalised_EC = np.pad(weights_EC[:-1], ((0, 1), (0, 0)))
        value = -float((weights_S[:, None] * meant_SC * log_SC).sum()) + _ABOUT_RIDGE * float((penalised_EC**2).sum())
        gradient_EC = inputs_SE.T @ (weights_S[:, None] * (np.exp(log_SC) - meant_SC)) + 2 * _ABOUT_RIDGE * penalised_EC
        return value, gradient_EC.ravel()

    start = np.zeros(inputs_SE.shape[1] * len(named))
    weights_EC = minimize(loss, start, jac=True, method="L-BFGS-B").x.reshape(-1, len(named))
    bias_C = weights_EC[-1] - mean_D @ weights_EC[:-1]
    return AboutModel(np.asarray(weights_EC[:-1], np.float32), np.asarray(bias_C, np.float32))


def _named(values: Sequence[str], column: str, wordings: Sequence[str], encode: Encode) -> Vectors:
    """Vectors of wishes that name each value. Shape: (V, wordings, D), float32."""
    texts = [wording.format(value=value, column=shown_column(column)) for value in values for wording in wordings]
    return encode(texts).reshape(len(values), len(wordings), -1)


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """A score of each value, linear in a sentence's vector, whose spread over items is 1."""

    weights_DV: npt.NDArray[np.float64]
    bias_V: npt.NDArray[np.float64]

    def __call__(self, vectors_SD: Vectors) -> npt.NDArray[np.float64]:
        return np.asarray(vectors_SD @ self.weights_DV + self.bias_V, np.float64)

    @classmethod
    def scaled(cls, weights_DV: npt.NDArray[np.float64], items_SD: Vectors) -> _Linear:
        """With a mean of 0 and a spread of 1 over the items."""
        scores_SV = items_SD @ weights_DV
        spread_V = np.maximum(scores_SV.std(axis=0), 1e-6)
        return cls(weights_DV / spread_V, -scores_SV.mean(axis=0) / spread_V)


def _by_name(named_VWD: Vectors, items_SD: Vectors) -> _Linear:
    """Likeness to the wordings of each value's name."""
    mean_VD = named_VWD.mean(axis=1).astype(np.float64)
    return _Linear.scaled((mean_VD / np.linalg.norm(mean_VD, axis=1, keepdims=True)).T, items_SD)


def _ridge(items_SD: Vectors, has_SV: npt.NDArray[np.float64], penalty: float) -> _Linear:
    """Ridge regression of having each value on the vector of an item's words."""
    centred_SD = items_SD.astype(np.float64) - items_SD.mean(axis=0)
    gram_DD = centred_SD.T @ centred_SD + penalty * len(items_SD) * np.eye(items_SD.shape[1])
    return _Linear.scaled(np.linalg.solve(gram_DD, centred_SD.T @ (has_SV - has_SV.mean(axis=0))), items_SD)


def _weigh(wishes: _Wishes) -> tuple[npt.NDArray[np.float64], float]:
    """Weights of the parts that make what is meant likeliest, none below 0, and the loss per wish."""

    def loss(weights_F: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        log_SV = log_softmax(wishes.parts_SVF @ weights_F, axis=1)
        wrong_SV = wishes.weights_S[:, None] * (np.exp(log_SV) - wishes.meant_SV)
        value = -float((wishes.weights_S[:, None] * wishes.meant_SV * log_SV).sum())
        return value, np.einsum("sv,svf->f", wrong_SV, wishes.parts_SVF)

    found = minimize(loss, np.full(3, 0.5), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * 3)
    return np.asarray(found.x, np.float64), float(found.fun)
