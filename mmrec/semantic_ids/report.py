"""Quality of semantic IDs before a model is trained on them: collisions, code usage, and coherence of prefixes.

Works on paths in catalogue order, category columns and training histories. A good prefix groups items of one category
and items that follow each other in histories. Both figures are compared with chance, because long prefixes look pure
just by covering few items.
"""

# Axes: N items, P levels of a semantic ID (the last one tells collisions apart), L = P - 1, E events, T transitions

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import homogeneity_score, normalized_mutual_info_score
from sklearn.metrics.cluster import contingency_matrix

from mmrec.data.interactions import Interactions

SHUFFLES = 3
"""Number of shuffles averaged for the chance level of a category match."""


@dataclass(frozen=True, slots=True)
class LevelUsage:
    """Use of the codes of one level.

    Attributes:
        codes: Size of the level's codebook.
        used: Codes of at least one item.
        perplexity: Exponential of the entropy of code frequencies, 1 to `codes`.
    """

    codes: int
    used: int
    perplexity: float


@dataclass(frozen=True, slots=True)
class CategoryMatch:
    """How well prefixes of one length match the values of a column; all figures from 0 to 1.

    Attributes:
        purity: Share of items with the most common value under their prefix.
        homogeneity: Share of the values' entropy that the prefix explains.
        mutual_information: Normalised mutual information, which rises less with prefix length alone.
        chance_purity: Purity after shuffling the paths over the items.
        chance_homogeneity: Likewise.
        chance_mutual_information: Likewise.
    """

    purity: float
    homogeneity: float
    mutual_information: float
    chance_purity: float
    chance_homogeneity: float
    chance_mutual_information: float


@dataclass(frozen=True, slots=True)
class TransitionMatch:
    """How often consecutive items share a prefix, 0 to 1.

    Attributes:
        share: Share of training transitions between two different items.
        chance: Expected share if source and target were drawn independently, with their observed frequencies.
    """

    share: float
    chance: float


@dataclass(frozen=True, slots=True)
class PrefixDepth:
    """Figures of all prefixes of one length.

    Attributes:
        depth: Length of the prefix in codes.
        prefixes: Number of distinct prefixes.
        categories: Category match by column.
        transitions: None if training has no transitions.
    """

    depth: int
    prefixes: int
    categories: Mapping[str, CategoryMatch]
    transitions: TransitionMatch | None


@dataclass(frozen=True, slots=True)
class TokenReport:
    """Report on the semantic IDs of a catalogue; `as_json` for a file, `columns` and `rows` for a table.

    Attributes:
        items: N.
        collision_share: Share of items that share their quantised path with another item, 0 to 1.
        largest_group: Largest number of items with one quantised path.
        group_sizes: Number of quantised paths by the number of their items.
        levels: Code usage per level, without the last code of a semantic ID.
        depths: Prefixes by length, 1 to L.
    """

    items: int
    collision_share: float
    largest_group: int
    group_sizes: Mapping[int, int]
    levels: tuple[LevelUsage, ...]
    depths: tuple[PrefixDepth, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain JSON."""
        plain = asdict(self)
        plain |= {"levels": list(plain["levels"]), "depths": list(plain["depths"])}
        plain["group_sizes"] = {str(size): count for size, count in self.group_sizes.items()}
        return plain

    @property
    def columns(self) -> tuple[str, ...]:
        """Headers of `rows`."""
        names = tuple(self.depths[0].categories) if self.depths else ()
        heads = ["depth", "codes used", "perplexity", "prefixes"]
        for name in names:
            heads += [f"{name}: purity (chance)", f"{name}: NMI (chance)"]
        return (*heads, "next item shares it (chance)")

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]:
        """One row of text per depth."""
        rows = []
        for level, depth in zip(self.levels, self.depths, strict=True):
            cells = [
                str(depth.depth),
                f"{level.used:,} of {level.codes:,}",
                f"{level.perplexity:.1f}",
                f"{depth.prefixes:,}",
            ]
            for category in depth.categories.values():
                cells.append(f"{category.purity:.3f} ({category.chance_purity:.3f})")
                cells.append(f"{category.mutual_information:.3f} ({category.chance_mutual_information:.3f})")
            match = depth.transitions
            rows.append((*cells, f"{match.share:.4f} ({match.chance:.4f})" if match else "-"))
        return tuple(rows)


def report_tokens(
    semantic_ids_NP: npt.NDArray[np.int32],
    widths: Sequence[int],
    train: Interactions,
    categories: Mapping[str, Sequence[str]],
    *,
    seed: int = 0,
) -> TokenReport:
    """Compute the report.

    Args:
        semantic_ids_NP: Unique paths in catalogue order, N at least 1. Shape: (N, P), int32.
        widths: Codebook size of each of the L levels before the last.
        train: Training events only.
        categories: Columns by name, one value per item; '' is unknown and left out.
        seed: Of the shuffles.
    """
    codes_NL = semantic_ids_NP[:, :-1]
    items, levels = codes_NL.shape
    groups = [np.unique(codes_NL[:, :depth], axis=0, return_inverse=True)[1].ravel() for depth in range(1, levels + 1)]
    sizes = np.bincount(groups[-1])
    before_T, after_T = _transitions(train)
    values = {name: _value_ids(column) for name, column in categories.items()}
    depths = tuple(
        PrefixDepth(
            depth=depth,
            prefixes=int(group_N.max()) + 1,
            categories={name: _category_match(group_N, value_N, seed) for name, value_N in values.items()},
            transitions=_transition_match(group_N, before_T, after_T),
        )
        for depth, group_N in enumerate(groups, start=1)
    )
    return TokenReport(
        items=items,
        collision_share=float(sizes[sizes > 1].sum() / items),
        largest_group=int(sizes.max()),
        group_sizes={int(size): int(count) for size, count in zip(*np.unique(sizes, return_counts=True), strict=True)},
        levels=tuple(_usage(codes_NL[:, level], width) for level, width in enumerate(widths)),
        depths=depths,
    )


def categorical_columns(columns: Mapping[str, Sequence[str]], most: int = 3) -> dict[str, Sequence[str]]:
    """Categorical columns: at least two values, five items per value on average, and half of the items known.

    Args:
        columns: By name, one value per item; '' is unknown.
        most: Maximum number of columns, those with the most values first.
    """
    candidates = []
    for name, values in columns.items():
        known = [value for value in values if value]
        distinct = len(set(known))
        if distinct >= 2 and len(known) >= 5 * distinct and 2 * len(known) >= len(values):
            candidates.append((-distinct, name))
    return {name: columns[name] for _, name in sorted(candidates)[:most]}


def _usage(codes_N: npt.NDArray[np.int32], width: int) -> LevelUsage:
    counts_K = np.bincount(codes_N, minlength=width)
    share_K = counts_K[counts_K > 0] / len(codes_N)
    return LevelUsage(width, int((counts_K > 0).sum()), float(np.exp(-(share_K * np.log(share_K)).sum())))


def _value_ids(column: Sequence[str]) -> npt.NDArray[np.int64]:
    """Integer id of each value, -1 where unknown. Shape: (N,), int64."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) if value else -1 for value in column], dtype=np.int64)


def _category_match(group_N: npt.NDArray[Any], value_N: npt.NDArray[np.int64], seed: int) -> CategoryMatch:
    known = value_N >= 0
    group, value = group_N[known], value_N[known]
    if not len(group):
        return CategoryMatch(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    rng = np.random.default_rng(seed)
    chance = np.mean([_match(rng.permutation(group), value) for _ in range(SHUFFLES)], axis=0)
    return CategoryMatch(*(float(figure) for figure in (*_match(group, value), *chance)))


def _match(group: npt.NDArray[Any], value: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Purity, homogeneity and normalised mutual information."""
    table = contingency_matrix(value, group, sparse=True)
    purity = table.max(axis=0).sum() / len(value)
    return float(purity), float(homogeneity_score(value, group)), float(normalized_mutual_info_score(value, group))


def _transitions(train: Interactions) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Source and target items of transitions between different items. Shape: (T,) each."""
    before, after = train.items_E[:-1], train.items_E[1:]
    follows = (train.users_E[1:] == train.users_E[:-1]) & (before != after)
    return before[follows], after[follows]


def _transition_match(
    group_N: npt.NDArray[Any], before_T: npt.NDArray[np.int32], after_T: npt.NDArray[np.int32]
) -> TransitionMatch | None:
    count = len(before_T)
    if not count:
        return None
    source_N = np.bincount(before_T, minlength=len(group_N)) / count
    target_N = np.bincount(after_T, minlength=len(group_N)) / count
    same_item = float(source_N @ target_N)
    same_group = float(np.bincount(group_N, source_N) @ np.bincount(group_N, target_N))
    # With a single item, no two different items can be drawn.
    chance = (same_group - same_item) / (1 - same_item) if same_item < 1 else 0.0
    return TransitionMatch(float((group_N[before_T] == group_N[after_T]).mean()), max(chance, 0.0))
