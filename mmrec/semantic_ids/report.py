"""What semantic IDs are worth before any model is trained on them: collisions, use of the codes, sense of the prefixes.

Works on paths in catalogue order, on columns of categories and on training histories; knows nothing about how the paths
were made. A prefix is good when it gathers what belongs together: items of one category, and items that customers take
one after the other. Both are set beside chance, because long prefixes look pure by being small.
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
"""Shuffled catalogues that the chance of a category match is averaged over."""


@dataclass(frozen=True, slots=True)
class LevelUsage:
    """How the codes of one level are used.

    Attributes:
        codes: Codes the level has.
        used: Codes that at least one item has.
        perplexity: Equally used codes that would carry as much information, 1 to `codes`.
    """

    codes: int
    used: int
    perplexity: float


@dataclass(frozen=True, slots=True)
class CategoryMatch:
    """How well the prefixes of one depth gather the values of a column, each from 0 to 1.

    Attributes:
        purity: Share of items that have the commonest value under their prefix.
        homogeneity: Share of the values' entropy that the prefix explains.
        mutual_information: Normalised mutual information, which long prefixes do not raise by themselves as much.
        chance_purity: Purity of the same paths dealt out to the items at random.
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
    """How often an item and the one taken after it share a prefix, 0 to 1.

    Attributes:
        share: Of the training transitions between two different items.
        chance: Expected of two different items drawn independently, each as often as transitions leave and reach it.
    """

    share: float
    chance: float


@dataclass(frozen=True, slots=True)
class PrefixDepth:
    """All prefixes of one length.

    Attributes:
        depth: Codes of the prefix.
        prefixes: Different ones.
        categories: By column.
        transitions: None where there are none in training.
    """

    depth: int
    prefixes: int
    categories: Mapping[str, CategoryMatch]
    transitions: TransitionMatch | None


@dataclass(frozen=True, slots=True)
class TokenReport:
    """What the semantic IDs of a catalogue look like; `as_json` for a file, `columns` and `rows` for a table.

    Attributes:
        items: N.
        collision_share: Share of items whose quantised path another item has too, 0 to 1.
        largest_group: Items of the path that most items share.
        group_sizes: How many paths are shared by how many items; paths of one item count under 1.
        levels: Use of each level's codes, the last code of a semantic ID not counted.
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
        """Heads of `rows`."""
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
            for match in depth.categories.values():
                cells.append(f"{match.purity:.3f} ({match.chance_purity:.3f})")
                cells.append(f"{match.mutual_information:.3f} ({match.chance_mutual_information:.3f})")
            found = depth.transitions
            rows.append((*cells, f"{found.share:.4f} ({found.chance:.4f})" if found else "-"))
        return tuple(rows)


def report_tokens(
    semantic_ids_NP: npt.NDArray[np.int32],
    widths: Sequence[int],
    train: Interactions,
    categories: Mapping[str, Sequence[str]],
    *,
    seed: int = 0,
) -> TokenReport:
    """Describe semantic IDs.

    Args:
        semantic_ids_NP: Unique paths in catalogue order, N at least 1. Shape: (N, P), int32.
        widths: Codes of each of the L levels before the last.
        train: Training events only.
        categories: Columns by name, a value per item; '' is unknown and left out.
        seed: Of the shuffles.
    """
    codes_NL = semantic_ids_NP[:, :-1]
    items, levels = codes_NL.shape
    groups = [np.unique(codes_NL[:, :depth], axis=0, return_inverse=True)[1].ravel() for depth in range(1, levels + 1)]
    sizes = np.bincount(groups[-1])
    before_T, after_T = _transitions(train)
    values = {name: _numbered(column) for name, column in categories.items()}
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
    """Columns that sort items into kinds: at least two values, five items to a value, and half of the items known.

    Args:
        columns: By name, a value per item; '' is unknown.
        most: Columns that are kept, those with the most values (the finest sorting) first.
    """
    fitting = []
    for name, values in columns.items():
        known = [value for value in values if value]
        distinct = len(set(known))
        if distinct >= 2 and len(known) >= 5 * distinct and 2 * len(known) >= len(values):
            fitting.append((-distinct, name))
    return {name: columns[name] for _, name in sorted(fitting)[:most]}


def _usage(codes_N: npt.NDArray[np.int32], width: int) -> LevelUsage:
    counts_K = np.bincount(codes_N, minlength=width)
    share_K = counts_K[counts_K > 0] / len(codes_N)
    return LevelUsage(width, int((counts_K > 0).sum()), float(np.exp(-(share_K * np.log(share_K)).sum())))


def _numbered(column: Sequence[str]) -> npt.NDArray[np.int64]:
    """Number of each value, -1 where unknown. Shape: (N,), int64."""
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
    """Items followed by another one, and those. Shape: (T,) each."""
    before, after = train.items_E[:-1], train.items_E[1:]
    follows = (train.users_E[1:] == train.users_E[:-1]) & (before != after)
    return before[follows], after[follows]


def _transition_match(
    group_N: npt.NDArray[Any], before_T: npt.NDArray[np.int32], after_T: npt.NDArray[np.int32]
) -> TransitionMatch | None:
    count = len(before_T)
    if not count:
        return None
    leave_N = np.bincount(before_T, minlength=len(group_N)) / count
    reach_N = np.bincount(after_T, minlength=len(group_N)) / count
    itself = float(leave_N @ reach_N)
    together = float(np.bincount(group_N, leave_N) @ np.bincount(group_N, reach_N))
    # No two different items are drawn where a single item has everything.
    chance = (together - itself) / (1 - itself) if itself < 1 else 0.0
    return TransitionMatch(float((group_N[before_T] == group_N[after_T]).mean()), max(chance, 0.0))
