"""Finds duplicate items: near-identical pictures, near-identical words, or both.

Works on frozen vectors of pictures and words, on the words themselves, and where there are thumbnails on pixels; knows
nothing about encoders and files. Candidates are the nearest neighbours by picture, by words and by both together, found
by `mmrec.understanding.vector_index`, so the work is not quadratic in the catalogue. A candidate pair is then scored:

- Both have a picture and a thumbnail: the thumbnails are aligned (`mmrec.understanding.picture_match`). The items are
  duplicates if the difference is at most `max_difference` grey levels where the words are the same, down to half of
  that where the words have little in common.
- Both have a picture, without thumbnails: the cosine of the picture vectors decides. Its thresholds come from the
  catalogue: items with different words show how similar pictures of different products are.
- One has no picture: the words must be nearly the same.

A pair is excluded if each text has a number that the other lacks (shade 03 and 05). Pairs are joined into groups,
strongest first; two groups join only if half of the pairs between them are linked, which prevents chains.
"""

# Axes: N items, P pairs, I picture dimensions, T words dimensions, K neighbours, H height, W width

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.background import between_steps
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress
from mmrec.understanding.nearest import Floats, check_vectors
from mmrec.understanding.picture_match import NOT_ALIGNED, PictureMatcher
from mmrec.understanding.vector_index import IndexConfig, build_vector_index
from mmrec.understanding.words_match import WordsMatcher

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
By = Literal["picture", "words", "both"]

_WORDS_AGREE = 0.4
_WORDS_SAME = 0.9
_WORDS_DIFFER = 0.2
_COSINE_AGREE = 0.85
_COSINE_SAME = 0.98
_COSINE_DIFFER = 0.5
_FALSE_PER_1000 = 5.0
_JOIN_SHARE = 0.5
_QUERIES_AT_ONCE = 8_192
_PICTURES_AT_ONCE = 1_024
_CROP_NEIGHBOURS = 2
_PAIRS_AT_ONCE = 16_384
_CLOSE_IF_WORDS_AGREE = (5, 22.0)
_CLOSE_OTHERWISE = (2, 8.0)
"""Pairs of an item that are aligned, and their largest coarse difference: where the words agree, and otherwise."""


@dataclass(frozen=True, slots=True)
class DuplicateConfig:
    """Thresholds for duplicates.

    Attributes:
        min_picture: Cosine of picture vectors from which on pictures are near-identical regardless of the texts, in
            (0, 1]; None: estimated from the catalogue. Not used for pairs with thumbnails.
        max_difference: Largest difference of aligned thumbnails in grey levels where the words are the same, 0 to 255;
            half of it where they have little in common. See `PictureMatcher.match`.
        neighbours: Nearest neighbours of each item in each of the three searches, at least 1.
        max_group: Most items of a group, at least 2.
        seed: Seed of the neighbour search.
    """

    min_picture: float | None = None
    max_difference: float = 10.0
    neighbours: int = 8
    max_group: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_numbers(self, "min_picture", over=0, high=1)
        check_numbers(self, "max_difference", low=0, high=NOT_ALIGNED)
        check_numbers(self, "neighbours", low=1)
        check_numbers(self, "max_group", low=2)


class DuplicateFeatures(NamedTuple):
    """Features of the items.

    Attributes:
        image_NI: Picture vectors of an encoder, unit rows, zero rows where there is no picture. Shape: (N, I), float32.
        text_NT: Words vectors, likewise. Shape: (N, T), float32.
        texts: Words that name an item (its title), empty for none; None: not available. Length N.
        pixels_N3HW: Thumbnails, `THUMBNAIL_SIDE` pixels a side; may be a memory map. Rows of items without a picture
            are not read. None: not available. Shape: (N, 3, H, W), uint8.
    """

    image_NI: Floats
    text_NT: Floats
    texts: Sequence[str] | None = None
    pixels_N3HW: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Items that are one product.

    Attributes:
        rows: At least two, ascending.
        similarity: Lowest similarity of the links of the group: cosine of pictures, or, where one has none, the share
            of words in common. 0 to 1.
        difference: Largest difference in grey levels of a link compared by thumbnails; None without one.
        by: Whether the links depend on pictures, words or both.
    """

    rows: tuple[int, ...]
    similarity: float
    difference: float | None
    by: By


@dataclass(frozen=True, slots=True)
class DuplicateThresholds:
    """The thresholds that were used, and where they come from.

    Attributes:
        picture_same: Cosine of pictures from which on the pair is linked regardless of the words.
        words_same: Share of words in common (or cosine, without texts) from which on words are the same.
        why: These and the others as a sentence.
    """

    picture_same: float
    words_same: float
    why: str


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Duplicates of a catalogue.

    Attributes:
        groups: Most similar first.
        thresholds: See `DuplicateThresholds`.
    """

    groups: tuple[DuplicateGroup, ...]
    thresholds: DuplicateThresholds


class _Pairs(NamedTuple):
    """Candidate pairs, first below second, with the features of each."""

    first_P: Rows
    second_P: Rows
    picture_P: Floats
    """Cosine of the pictures; NaN where one has none."""
    words_P: Floats
    """Share of words in common, or cosine without texts; 0 where one has none."""
    agree_P: Flags
    same_P: Flags
    no_words_P: Flags
    contradict_P: Flags


def find_duplicates(
    features: DuplicateFeatures, config: DuplicateConfig | None = None, progress: Progress = NO_PROGRESS
) -> Duplicates:
    """Find the groups of items that are one product.

    Args:
        features: Features of the items.
        config: See `DuplicateConfig`.
        progress: Reports every search.

    Raises:
        InvalidArgumentError: shapes do not fit, or vectors are not unit or zero rows.
    """
    config = config or DuplicateConfig()
    features = _check_features(features)
    scorer = _PairScorer(features, config)
    first_P, second_P = _candidates(features, scorer, config, progress)
    pairs = scorer.compare(first_P, second_P)
    thresholds = scorer.fit_thresholds(pairs)
    progress.start("comparing pairs")
    strength_P = scorer.strengths(pairs)
    progress.finish(f"{len(first_P):,} pairs compared")
    groups = _groups(scorer, pairs, strength_P, config.max_group)
    return Duplicates(groups, thresholds)


class _PairScorer:
    """Scores pairs of items by the probability that they are one product."""

    def __init__(self, features: DuplicateFeatures, config: DuplicateConfig) -> None:
        self._features = features
        self._config = config
        self.has_image_N: Flags = np.asarray(features.image_NI.any(axis=1))
        self.has_text_N: Flags = np.asarray(features.text_NT.any(axis=1))
        self._words = None if features.texts is None else WordsMatcher(features.texts)
        self.matcher = None if features.pixels_N3HW is None else PictureMatcher(features.pixels_N3HW, self.has_image_N)
        with_texts = self._words is not None
        self._agree, self._alike = (_WORDS_AGREE, _WORDS_SAME) if with_texts else (_COSINE_AGREE, _COSINE_SAME)
        self._same, self._close = 1.0, 1.0
        self.difference: dict[tuple[int, int], float] = {}

    def compare(self, first_P: Rows, second_P: Rows) -> _Pairs:
        """All features of pairs except pixels."""
        features = self._features
        picture_P = _cosines(features.image_NI, first_P, second_P)
        picture_P[~(self.has_image_N[first_P] & self.has_image_N[second_P])] = np.nan
        cosine_P = _cosines(features.text_NT, first_P, second_P)
        if self._words is None:
            words_P, contradict_P = np.maximum(cosine_P, 0.0), np.zeros(len(first_P), np.bool_)
            agree_P, same_P = cosine_P >= _COSINE_AGREE, cosine_P >= _COSINE_SAME
        else:
            words_P, contradict_P = self._words.match(first_P, second_P)
            agree_P = (words_P >= _WORDS_AGREE) | (cosine_P >= _COSINE_AGREE)
            same_P = words_P >= _WORDS_SAME
        # Missing words do not disagree.
        no_words_P = ~(self.has_text_N[first_P] & self.has_text_N[second_P])
        return _Pairs(
            first_P, second_P, picture_P, words_P, agree_P | no_words_P, same_P & ~no_words_P, no_words_P, contradict_P
        )

    def fit_thresholds(self, pairs: _Pairs) -> DuplicateThresholds:
        """Estimate the thresholds from pairs whose words have little in common."""
        config = self._config
        with_texts = self._words is not None
        differ_P = pairs.words_P < (_WORDS_DIFFER if with_texts else _COSINE_DIFFER)
        differ_P &= self.has_text_N[pairs.first_P] & self.has_text_N[pairs.second_P] & ~np.isnan(pairs.picture_P)
        nearest_N = _best_per_item(pairs, pairs.picture_P, differ_P, len(self.has_image_N))
        nearest = nearest_N[np.isfinite(nearest_N)]
        enough = len(nearest) >= 200
        self._same = float(np.quantile(nearest, 1 - _FALSE_PER_1000 / 1000)) if enough else 0.98
        self._same = min(self._same, 0.9995)
        self._close = float(np.quantile(nearest, 0.95)) if enough else 0.95
        if config.min_picture is not None:
            self._same = config.min_picture
        self._close = min(self._close, self._same)
        expected = 1000.0 * float((nearest >= self._same).mean()) if len(nearest) else 0.0
        source = (
            f"of {len(nearest):,} items compared with their nearest picture among items whose words differ"
            if enough
            else f"a default, for only {len(nearest):,} items have a neighbour by picture whose words differ"
        )
        given = "given" if config.min_picture is not None else f"exceeded by {expected:.1f} in 1,000 {source}"
        words = "share of words in common, rare ones counting more" if with_texts else "cosine of the words"
        why = (
            f"pictures are near-identical from a cosine of {self._same:.4f} on ({given}), or from {self._close:.4f} on "
            f"where the words agree; words agree from {self._agree} on and are the same from {self._alike} on ({words})"
        )
        if self.matcher is not None:
            why += (
                f"; pictures with a thumbnail are laid over each other instead, and may then differ by "
                f"{config.max_difference / 2:g} of 255 grey levels at 98% of places whatever the words, rising to "
                f"{config.max_difference:g} where they are the same"
            )
        return DuplicateThresholds(self._same, self._alike, why)

    def strengths(self, pairs: _Pairs, *, compare_all: bool = False) -> Floats:
        """Score of each pair in (0, 2], 0 for pairs that are not duplicates. Shape: (P,), float32."""
        pictured_P = ~np.isnan(pairs.picture_P)
        strength_P = np.zeros(len(pairs.first_P), np.float32)
        by_words_P = ~pictured_P & pairs.same_P
        strength_P[by_words_P] = pairs.words_P[by_words_P]
        if self.matcher is None:
            near_P = pictured_P & ((pairs.picture_P >= self._same) | ((pairs.picture_P >= self._close) & pairs.agree_P))
            strength_P[near_P] = np.maximum(pairs.picture_P[near_P], 1e-3)
        else:
            difference_P = self._differences(self.matcher, pairs, pictured_P & ~pairs.contradict_P, compare_all)
            # The more the words have in common, the more the pictures may differ.
            more_P = np.clip((pairs.words_P - self._agree) / (self._alike - self._agree), 0.0, 1.0)
            more_P[pairs.no_words_P] = 1.0
            allowed_P = self._config.max_difference * (0.5 + 0.5 * more_P)
            near_P = difference_P <= allowed_P
            strength_P[near_P] = 2.0 - difference_P[near_P] / NOT_ALIGNED
        strength_P[pairs.contradict_P] = 0.0
        return strength_P

    def _differences(self, matcher: PictureMatcher, pairs: _Pairs, wanted_P: Flags, compare_all: bool) -> Floats:
        """Difference in grey levels of the wanted pairs; infinite for the others. Shape: (P,), float32."""
        found_P = np.full(len(pairs.first_P), np.inf, np.float32)
        for chosen_P, (max_close, give_up) in (
            (wanted_P & pairs.agree_P, _CLOSE_IF_WORDS_AGREE),
            (wanted_P & ~pairs.agree_P, _CLOSE_OTHERWISE),
        ):
            rows = np.flatnonzero(chosen_P)
            many = len(rows) if compare_all else max_close
            first_P, second_P = pairs.first_P[rows], pairs.second_P[rows]
            found_P[rows] = matcher.match(first_P, second_P, max_close=many, give_up=give_up)
            kept = found_P[rows] <= self._config.max_difference
            links = zip(first_P[kept].tolist(), second_P[kept].tolist(), strict=True)
            self.difference.update(zip(links, found_P[rows][kept].tolist(), strict=True))
        return found_P


# --- candidates -------------------------------------------------------------------------------------------------------


def _check_features(features: DuplicateFeatures) -> DuplicateFeatures:
    image_NI = check_vectors(features.image_NI, "image")
    text_NT = check_vectors(features.text_NT, "text")
    count = len(image_NI)
    for name, part in (("text", text_NT), ("texts", features.texts), ("pixels", features.pixels_N3HW)):
        if part is not None and len(part) != count:
            raise InvalidArgumentError(
                f"there are {len(part):,} rows of {name} for {count:,} picture vectors; give one per item", field=name
            )
    return DuplicateFeatures(image_NI, text_NT, features.texts, features.pixels_N3HW)


def _candidates(
    features: DuplicateFeatures, scorer: _PairScorer, config: DuplicateConfig, progress: Progress
) -> tuple[Rows, Rows]:
    """Pairs of neighbours by picture, by words, by both together, and by crops of thumbnails.

    Each pair once, first below second.
    """
    joint_NJ = np.concatenate([features.image_NI, features.text_NT], axis=1) / np.float32(np.sqrt(2))
    keys = [np.zeros(0, np.int64)]
    count = len(joint_NJ)
    for name, vectors, rows in (
        ("picture", features.image_NI, np.flatnonzero(scorer.has_image_N)),
        ("words", features.text_NT, np.flatnonzero(scorer.has_text_N)),
        ("picture and words", joint_NJ, np.flatnonzero(scorer.has_image_N & scorer.has_text_N)),
    ):
        if len(rows) < 2:
            continue
        own: Floats = np.ascontiguousarray(vectors[rows], np.float32)
        index = build_vector_index(own, _search_config(config), progress)
        progress.start(f"neighbours by {name}", len(rows), "items")
        for at in range(0, len(rows), _QUERIES_AT_ONCE):
            between_steps()
            queries = own[at : at + _QUERIES_AT_ONCE]
            found_QK = index.search(queries, config.neighbours + 1).rows_QK
            asked_QK = np.broadcast_to(np.arange(at, at + len(queries))[:, None], found_QK.shape)
            keys.append(_keys(rows[asked_QK.ravel()], rows[found_QK.ravel()], count))
            progress.advance(len(queries))
        progress.finish()
        # Many equal vectors would fill the few neighbours, so each is also paired with the next equal one.
        order = np.lexsort(own.T[: min(8, own.shape[1])])
        equal = (own[order[1:]] == own[order[:-1]]).all(axis=1)
        keys.append(_keys(rows[order[:-1][equal]], rows[order[1:][equal]], count))
    if scorer.matcher is not None and len(scorer.matcher.rows) > 1:
        keys.append(_crop_candidates(scorer.matcher, count, config, progress))
    pairs = np.unique(np.concatenate(keys))
    return pairs // max(count, 1), pairs % max(count, 1)


def _crop_candidates(matcher: PictureMatcher, count: int, config: DuplicateConfig, progress: Progress) -> Rows:
    """Pairs of a picture and the pictures nearest to it or to one of its crops, as keys."""
    rows = matcher.rows
    index = build_vector_index(matcher.sketches(rows), _search_config(config), progress)
    progress.start("neighbours by cuttings", len(rows), "pictures")
    keys = [np.zeros(0, np.int64)]
    for at in range(0, len(rows), _PICTURES_AT_ONCE):
        between_steps()
        asked = rows[at : at + _PICTURES_AT_ONCE]
        queries = matcher.sketches(asked, crops=True)
        found_QK = index.search(queries, _CROP_NEIGHBOURS + 1).rows_QK
        each = len(queries) // len(asked)
        asked_QK = np.broadcast_to(np.repeat(asked, each)[:, None], found_QK.shape)
        keys.append(_keys(asked_QK.ravel(), rows[found_QK.ravel()], count))
        progress.advance(len(asked))
    progress.finish()
    return np.unique(np.concatenate(keys))


def _search_config(config: DuplicateConfig) -> IndexConfig:
    """Many searches at once: an index pays off earlier than for one at a time."""
    return IndexConfig(exact_up_to=20_000, hnsw_up_to=0, target_recall=0.95, seed=config.seed)


def _keys(one: Rows, two: Rows, count: int) -> Rows:
    different = one != two
    one, two = one[different], two[different]
    return np.unique(np.minimum(one, two) * count + np.maximum(one, two))


def _cosines(vectors: Floats, first_P: Rows, second_P: Rows) -> Floats:
    found_P = np.empty(len(first_P), np.float32)
    for at in range(0, len(first_P), _PAIRS_AT_ONCE):
        between_steps()
        here = slice(at, at + _PAIRS_AT_ONCE)
        found_P[here] = np.einsum("pd,pd->p", vectors[first_P[here]], vectors[second_P[here]])
    return np.clip(found_P, -1.0, 1.0)


def _best_per_item(pairs: _Pairs, values_P: Floats, chosen_P: Flags, count: int) -> npt.NDArray[np.float64]:
    """Highest value of an item's chosen pairs; -inf for an item without one. Shape: (N,), float64."""
    best_N = np.full(count, -np.inf)
    for side_P in (pairs.first_P, pairs.second_P):
        np.maximum.at(best_N, side_P[chosen_P], values_P[chosen_P].astype(np.float64))
    return best_N


# --- groups -----------------------------------------------------------------------------------------------------------


def _groups(scorer: _PairScorer, pairs: _Pairs, strength_P: Floats, max_group: int) -> tuple[DuplicateGroup, ...]:
    """Join linked pairs, strongest first; of equal ones the lower rows first."""
    linked = np.flatnonzero(strength_P > 0)
    linked = linked[np.lexsort((pairs.second_P[linked], pairs.first_P[linked], -strength_P[linked]))]
    firsts, seconds = pairs.first_P[linked].tolist(), pairs.second_P[linked].tolist()
    holds = set(zip(firsts, seconds, strict=True))
    scored = set(zip(pairs.first_P.tolist(), pairs.second_P.tolist(), strict=True))
    # At first every item is a group of its own.
    group_of = {row: row for row in (*firsts, *seconds)}
    members = {row: [row] for row in group_of}
    links: dict[int, list[int]] = {row: [] for row in group_of}
    for place, first, second in zip(linked.tolist(), firsts, seconds, strict=True):
        one, two = group_of[first], group_of[second]
        left, right = members[one], members[two]
        if one == two:
            links[one].append(place)
        elif len(left) + len(right) <= max_group and _can_join(scorer, left, right, holds, scored):
            members[one] = sorted(left + right)
            links[one] += [*links.pop(two), place]
            del members[two]
            group_of.update(dict.fromkeys(right, one))
    found = [_describe_group(scorer, pairs, rows, links[name]) for name, rows in members.items() if links[name]]
    return tuple(sorted(found, key=lambda group: (-group.similarity, group.rows)))


def _can_join(
    scorer: _PairScorer, left: list[int], right: list[int], holds: set[tuple[int, int]], scored: set[tuple[int, int]]
) -> bool:
    """Whether at least half of the pairs between two groups are linked; missing pairs are scored now."""
    between = [(min(one, two), max(one, two)) for one in left for two in right]
    new = [pair for pair in between if pair not in scored]
    if new:
        strength = scorer.strengths(scorer.compare(*np.array(new, np.int64).T), compare_all=True)
        scored.update(new)
        holds.update(pair for pair, value in zip(new, strength, strict=True) if value > 0)
    return sum(pair in holds for pair in between) >= _JOIN_SHARE * len(between)


def _describe_group(scorer: _PairScorer, pairs: _Pairs, rows: list[int], links: list[int]) -> DuplicateGroup:
    picture = pairs.picture_P[links]
    pictured = ~np.isnan(picture)
    similarity = np.where(pictured, picture, pairs.words_P[links])
    differences = [
        scorer.difference[pair]
        for pair in zip(pairs.first_P[links].tolist(), pairs.second_P[links].tolist(), strict=True)
        if pair in scorer.difference
    ]
    by: By = "picture"
    if not pictured.any():
        by = "words"
    elif pairs.agree_P[links].all() and (pairs.words_P[links] > 0).all():
        by = "both"
    return DuplicateGroup(
        rows=tuple(rows),
        similarity=float(np.clip(similarity.min(), 0.0, 1.0)),
        difference=max(differences) if differences else None,
        by=by,
    )
