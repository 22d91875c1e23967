"""Candidates: the items that a request ranks, each with its score in every channel.

First stage of two: sources propose items within the request's filter, each up to its own budget; blend, rerank and
every control then see these items alone. In a small catalogue, and for a small eligible set, every eligible item is a
candidate, and the list is exact. Works on catalogue rows; knows nothing about requests.
"""

# Axes: B searches, N items, C candidates of a search, H hidden width, W beams

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from mmrec.channels.blend import Blend
from mmrec.channels.content import content_query
from mmrec.channels.sparse_scores import SparseScores
from mmrec.recommender.candidate_filter import Tier
from mmrec.recommender.ranking_model import SENTENCE, WISH, ItemHeadState, RankingModel
from mmrec.runtime.stages import stage
from mmrec.understanding.vector_index import VectorIndex

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bitmap = npt.NDArray[np.bool_]

_SEARCHES_AT_ONCE = 64
_MOST_EXCEPTIONS = 64
"""Searches within the same set of items look for neighbours together where each leaves out no more single items."""
_SHORT = 1e-6
"""A shorter vector of a history points nowhere."""
_PLACES_PER_BUDGET = 100
"""Budgets are for lists up to this length; longer lists have proportionally more candidates."""


class Search(NamedTuple):
    """One search for candidates.

    Attributes:
        history: Catalogue rows, oldest first.
        tier: Items that may be returned.
        places: Length of the list.
        instruction_D: Vector of a sentence that follows the history; None: none does. Shape: (D,), float32.
        instruction: The sentence.
        raised: Items that need candidates of their own: members of promotions and of shares of places. Shape of each:
            (N,), bool.
        liked_N: Likeness of each item to a wish; None: no wish. Shape: (N,), float32.
        meaning_D: Vector of the sentence by which values are read; None: `instruction_D`. Shape: (D,), float32.
    """

    history: npt.NDArray[np.int32]
    tier: Tier
    places: int
    instruction_D: Floats | None = None
    instruction: str = ""
    raised: tuple[Bitmap, ...] = ()
    liked_N: Floats | None = None
    meaning_D: Floats | None = None

    @property
    def wish_D(self) -> Floats | None:
        """What values are read by. Shape: (D,), float32."""
        return self.instruction_D if self.meaning_D is None else self.meaning_D


class Candidates(NamedTuple):
    """What a search found.

    Attributes:
        rows_C: Eligible catalogue rows, ascending. Shape: (C,), int64.
        features: Their scores by channel; see `mmrec.recommender.ranking_model.Features`, except that ``item-head`` is
            a logit plus a number that is the same for all of them. Shape of each: (C,), float32.
        sources: Rows that each source proposed; empty where every eligible item is a candidate.
    """

    rows_C: Rows
    features: Mapping[str, Floats]
    sources: Mapping[str, Rows]

    def sources_of(self, rows_K: Rows) -> list[tuple[str, ...]]:
        """Names of the sources that proposed each of these items."""
        proposed = {name: np.isin(rows_K, rows) for name, rows in self.sources.items()}
        return [tuple(name for name, is_K in proposed.items() if is_K[place]) for place in range(len(rows_K))]


class _Group(NamedTuple):
    """Searches within the same set of items, for lists of about the same length.

    Attributes:
        places: Which searches.
        eligible_N: The set; None for the whole catalogue. Shape: (N,), bool.
        exceptions: Most items of the set that one of the searches leaves out.
        scale: Factor of the budgets.
    """

    places: list[int]
    eligible_N: Bitmap | None
    exceptions: int
    scale: int


class CandidateSearch:
    """Finds candidates in one catalogue.

    Args:
        ranker: Scores its items.
        nearest: An index over its fused vectors; None: content proposes nothing.
    """

    def __init__(self, ranker: RankingModel, nearest: VectorIndex | None) -> None:
        self._ranker = ranker
        self._nearest = nearest
        self._config = ranker.parts.candidates

    def takes_all(self) -> bool:
        """Whether the catalogue is so small that every eligible item is a candidate."""
        return self._ranker.items <= self._config.exact_up_to

    def find(self, searches: Sequence[Search], blend: Blend, *, beam_width: int, exact: bool) -> Iterator[Candidates]:
        """Candidates of each search.

        Args:
            searches: With an instruction all, or none of them; histories are empty only with one.
            blend: Channels that are needed.
            beam_width: Beams of the semantic-ID search.
            exact: Take every eligible item.
        """
        exact = exact or self.takes_all()
        many = self._ranker.most_at_once if exact else _SEARCHES_AT_ONCE
        for begin in range(0, len(searches), many):
            part = searches[begin : begin + many]
            yield from (self._all if exact else self._proposed)(part, blend, beam_width)

    def popular(self, tier: Tier, places: int, raised: tuple[Bitmap, ...], *, exact: bool) -> Rows:
        """Candidates for a customer of whom nothing is known. Shape: (C,), int64, ascending."""
        mask_N = tier.mask_N
        if exact or self.takes_all():
            return np.flatnonzero(mask_N)
        scale = self._scale(places)
        found = [
            self._popular(mask_N, self._config.total * scale),
            *self._raised(mask_N, raised, scale),
        ]
        return self._filled(np.unique(np.concatenate(found)), mask_N, places)

    # --- every eligible item --------------------------------------------------------------------------------

    def _all(self, searches: Sequence[Search], blend: Blend, beam_width: int) -> Iterator[Candidates]:
        with stage("candidates"):
            features = self._ranker.features(
                [search.history for search in searches],
                [search.tier for search in searches],
                beam_width=beam_width,
                channels=blend.channels,
                instructions_BD=_instructions(searches),
                instructions=[search.instruction for search in searches],
                wishes_BD=_stacked(search.wish_D for search in searches),
            ).by_channel
        for place, search in enumerate(searches):
            rows_C = np.flatnonzero(search.tier.mask_N)
            yield Candidates(rows_C, {name: feature[place, rows_C] for name, feature in features.items()}, {})

    # --- proposals ------------------------------------------------------------------------------------------

    def _proposed(self, searches: Sequence[Search], blend: Blend, beam_width: int) -> Iterator[Candidates]:
        ranker, channels = self._ranker, blend.channels
        instructions_BD = _instructions(searches)
        heads: list[dict[str, ItemHeadState]] = [{} for _ in searches]
        beams: list[SparseScores | None] = [None] * len(searches)
        if "item-head" in channels or "semantic-id" in channels:
            with stage("encode"):
                memory = ranker.read([search.history for search in searches])
                if "item-head" in channels:
                    for own, head in zip(heads, ranker.item_head_states(memory), strict=True):
                        own["item-head"] = head
            if "semantic-id" in channels:
                with stage("beam"):
                    found = ranker.generate(memory, [search.tier for search in searches], width=beam_width)
                    beams = list(ranker.generated(found))
        if SENTENCE in channels and instructions_BD is not None:
            instructions = [search.instruction for search in searches]
            with stage("encode"):
                memory = ranker.read([search.history for search in searches], instructions_BD, instructions)
                for own, head in zip(heads, ranker.item_head_states(memory, instructions_BD), strict=True):
                    own[SENTENCE] = head
        with stage("candidates"):
            near = self._neighbours(searches, heads, channels)
        # Threads would not make this faster: it is many short steps, which hold Python's lock.
        for search, own, beam, one_near in zip(searches, heads, beams, near, strict=True):
            with stage("candidates"):
                found_by_one = self._of_one(channels, search, own, beam, one_near)
            yield found_by_one

    def _of_one(
        self,
        channels: frozenset[str],
        search: Search,
        heads: Mapping[str, ItemHeadState],
        beam: SparseScores | None,
        near: Mapping[str, Rows] | None,
    ) -> Candidates:
        ranker, parts, config, history = self._ranker, self._ranker.parts, self._config, search.history
        mask_N, scale = search.tier.mask_N, self._scale(search.places)
        counted: dict[str, SparseScores] = {}
        if "transitions" in channels:
            counted["transitions"] = parts.transitions.reachable(history, parts.channels.transitions)
        if "transitions-wide" in channels:
            counted["transitions-wide"] = parts.transitions_wide.reachable(history, parts.channels.transitions_wide)
        words = parts.lexical.query(history, parts.channels.lexical) if "lexical" in channels else None
        sources: dict[str, Rows] = {}
        if near is None:
            rows_C = np.flatnonzero(mask_N)
        else:
            if beam is not None:
                sources["semantic-id"] = beam.rows_S
            sources |= near
            for name, scores in counted.items():
                budget = scale * (config.transitions if name == "transitions" else config.transitions_wide)
                followers = scores.best(budget, mask_N)
                sources[name] = np.concatenate([followers, ranker.smoothing.lifted(scores, budget // 4 + 1, mask_N)])
            if words is not None:
                sources["lexical"] = parts.lexical.similar(words, config.lexical * scale, mask_N)
            sources["popularity"] = self._popular(mask_N, config.popular * scale)
            sources["new-item"] = self._latest(mask_N, config.new * scale)
            if search.raised:
                sources["raised"] = np.concatenate(list(self._raised(mask_N, search.raised, scale)))
            if search.liked_N is not None:
                sources["instruction"] = self._liked(search.liked_N, mask_N, config.content * scale)
            rows_C = np.unique(np.concatenate(list(sources.values())))
            rows_C = self._filled(rows_C[mask_N[rows_C]], mask_N, search.places)
        return Candidates(rows_C, self._features(search, rows_C, channels, heads, beam, counted, words), sources)

    def _features(
        self,
        search: Search,
        rows_C: Rows,
        channels: frozenset[str],
        heads: Mapping[str, ItemHeadState],
        beam: SparseScores | None,
        counted: Mapping[str, SparseScores],
        words: SparseScores | None,
    ) -> dict[str, Floats]:
        ranker, parts, history = self._ranker, self._ranker.parts, search.history
        found: dict[str, Floats] = {}
        for name, head in heads.items():
            found[name] = ranker.item_head_at(head, rows_C)
        if beam is not None:
            found["semantic-id"] = beam.at(rows_C)
        smoothed: dict[str, Callable[[Rows], Floats]] = {name: scores.at for name, scores in counted.items()}
        if "popularity" in channels:
            smoothed["popularity"] = ranker.log_popularity_at
        if smoothed:
            scores_SC = ranker.smoothing.at(rows_C, lambda rows: np.stack([score(rows) for score in smoothed.values()]))
            found |= zip(smoothed, scores_SC, strict=True)
        if words is not None:
            found["lexical"] = parts.lexical.at(words, rows_C)
        if "content" in channels:
            query_D = content_query(history, parts.fused_ND, parts.channels.content)
            found["content"] = parts.fused_ND.scores_at(rows_C, lambda vectors_RD: vectors_RD @ query_D)
        if WISH in channels and search.wish_D is not None:
            found[WISH] = ranker.wish_at(search.wish_D, rows_C)
        return found

    # --- sources --------------------------------------------------------------------------------------------

    def _scale(self, places: int) -> int:
        return -(-places // _PLACES_PER_BUDGET)

    def _neighbours(
        self, searches: Sequence[Search], heads: Sequence[Mapping[str, ItemHeadState]], channels: frozenset[str]
    ) -> list[dict[str, Rows] | None]:
        """Items near the LLM's state and near the history, by source; some are not eligible.

        None for a search that takes every eligible item.
        """
        config, found = self._config, list[dict[str, Rows] | None]([None] * len(searches))
        for group in self._groups(searches):
            own: list[dict[str, Rows]] = [{} for _ in group.places]
            for name in heads[group.places[0]] if config.item_head else ():
                states_BH = torch.stack([heads[place][name].state_H for place in group.places])
                many = config.item_head * group.scale + group.exceptions
                for known, rows in zip(
                    own, self._ranker.token_index.best(states_BH, many, group.eligible_N), strict=True
                ):
                    known[name] = rows
            if "content" in channels and config.content:
                histories = [searches[place].history for place in group.places]
                many = config.content * group.scale + group.exceptions
                for known, rows in zip(own, self._alike(histories, many, group.eligible_N), strict=True):
                    known["content"] = rows
            for place, known in zip(group.places, own, strict=True):
                found[place] = known
        return found

    def _groups(self, searches: Sequence[Search]) -> list[_Group]:
        """The searches that do not take every eligible item."""
        groups: dict[tuple[int, int], _Group] = {}
        for place, search in enumerate(searches):
            mask_N, within, left_out = search.tier
            if np.count_nonzero(mask_N) <= self._config.total:
                continue
            scale = self._scale(search.places)
            if len(left_out) > _MOST_EXCEPTIONS:
                group = _Group([], mask_N, 0, scale)
            elif within is None:
                group = _Group([], self._ranker.parts.catalogue.alive_N, _MOST_EXCEPTIONS, scale)
            else:
                group = _Group([], within.rows_N, _MOST_EXCEPTIONS, scale)
            groups.setdefault((id(group.eligible_N), scale), group).places.append(place)
        return list(groups.values())

    def _alike(self, histories: Sequence[npt.NDArray[np.int32]], most: int, eligible_N: Bitmap | None) -> list[Rows]:
        parts = self._ranker.parts
        queries_BD = np.stack([content_query(one, parts.fused_ND, parts.channels.content) for one in histories])
        norm_B1 = np.linalg.norm(queries_BD, axis=1, keepdims=True)
        if self._nearest is None:
            return [np.empty(0, np.int64)] * len(histories)
        found = self._nearest.propose(queries_BD / np.maximum(norm_B1, _SHORT), most, eligible_N)
        return [rows if norm >= _SHORT else rows[:0] for rows, norm in zip(found, norm_B1[:, 0].tolist(), strict=True)]

    def _popular(self, mask_N: Bitmap, most: int) -> Rows:
        """The items with most training events."""
        found: list[Rows] = []
        rows_R, missing = self._ranker.popular_rows, most
        for begin in range(0, len(rows_R), max(1, 4 * most)):
            if not missing:
                break
            block = rows_R[begin : begin + 4 * most]
            found.append(block[mask_N[block]][:missing])
            missing -= len(found[-1])
        return np.concatenate([np.empty(0, np.int64), *found])

    def _liked(self, liked_N: Floats, mask_N: Bitmap, most: int) -> Rows:
        """The items that are liked most, of as good ones the most popular."""
        rows = _best(liked_N, mask_N, 4 * most)
        return rows[np.lexsort((-self._ranker.popularity_at(rows), -liked_N[rows]))[:most]]

    def _latest(self, mask_N: Bitmap, most: int) -> Rows:
        """The last rows of new items."""
        found, missing = [np.empty(0, np.int64)], most
        for end in range(len(mask_N), 0, min(-1, -16 * most)):
            if not missing or len(found) > _PLACES_PER_BUDGET:
                break
            block = np.arange(max(0, end - 16 * most), end)
            rows = block[mask_N[block] & self._ranker.is_new(block)][-missing:]
            found.append(rows)
            missing -= len(rows)
        return np.concatenate(found)

    def _raised(self, mask_N: Bitmap, raised: Sequence[Bitmap], scale: int) -> Iterator[Rows]:
        """For each set its most popular and its latest items."""
        for members_N in raised:
            inside_N = mask_N & members_N
            popular = self._popular(inside_N, self._config.raised * scale)
            latest = np.flatnonzero(inside_N)[::-1][: self._config.raised * scale]
            yield np.union1d(popular, latest)

    def _filled(self, rows_C: Rows, mask_N: Bitmap, places: int) -> Rows:
        """The candidates, and other eligible items where they are fewer than the places."""
        if len(rows_C) >= places:
            return rows_C
        others = np.setdiff1d(np.flatnonzero(mask_N), rows_C, assume_unique=True)
        return np.union1d(rows_C, others[: places - len(rows_C)])


def _instructions(searches: Sequence[Search]) -> Floats | None:
    return _stacked(search.instruction_D for search in searches)


def _stacked(vectors: Iterable[Floats | None]) -> Floats | None:
    given = [vector for vector in vectors if vector is not None]
    return np.stack(given) if given else None


def _best(scores_N: Floats, mask_N: Bitmap, most: int) -> Rows:
    rows: Rows = np.flatnonzero(mask_N)
    if len(rows) > most:
        rows = rows[np.argpartition(-scores_N[rows], most)[:most]]
    return rows
