"""Fits a rating model: item vectors by matrix factorisation, then how moods fade with time on validation ratings.

Unit of work: all ratings of a dataset. Knows nothing of files and requests.
"""

# Axes: U users, N items, E ratings, K = factors + 1 (the bias), C content dimensions, S singular vectors, G principal
# components

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.sparse.linalg import svds

from mmrec.data.interactions import EARLIEST_TIME, Interactions
from mmrec.data.splits import evenly
from mmrec.errors import InvalidArgumentError
from mmrec.ratings.factorization import Factorization
from mmrec.ratings.model import Evidence, Floats, RatingModel, RatingScale, TimeKernel, User, user_prior
from mmrec.runtime.limits import check_numbers
from mmrec.runtime.progress import NO_PROGRESS, Progress


@dataclass(frozen=True, slots=True)
class RatingConfig:
    """How a rating model is fitted.

    Attributes:
        factors: Length of user and item factors.
        implicit: Singular vectors of the table of who rated what, which describe users and items; 0 for none.
        content: Principal components of the items' content vectors, which describe items; 0 for none.
        ridge: Regularisation of the weights of these descriptions.
        rounds: Updates of all users and items.
        last_rounds: Updates with the validation ratings added.
        tuning_users: Users whose validation ratings set the time kernel.
        tuning_ratings: Most recent ratings of each of them that are read for that.
    """

    factors: int = 16
    implicit: int = 32
    content: int = 40
    ridge: float = 10.0
    rounds: int = 20
    last_rounds: int = 5
    tuning_users: int = 400
    tuning_ratings: int = 200

    def __post_init__(self) -> None:
        check_numbers(self, "factors", "rounds", "tuning_users", "tuning_ratings", low=1)
        check_numbers(self, "implicit", "content", "last_rounds", low=0)
        check_numbers(self, "ridge", over=0.0)


def fit_rating_model(
    ratings: Interactions,
    validation_E: npt.NDArray[np.bool_],
    content_ND: npt.NDArray[np.float32],
    config: RatingConfig | None = None,
    *,
    seed: int = 0,
    progress: Progress = NO_PROGRESS,
) -> RatingModel:
    """Fit a model.

    Args:
        ratings: Ratings to learn from; every event has one.
        validation_E: Ratings that the factors are first learned without, to see how moods fade with time; then they are
            learned from too. At least one, and not all. Shape: (E,).
        content_ND: Vectors of the items, also of those without ratings. Shape: (N, C), C may be 0.
        config: See `RatingConfig`; None for the defaults.
        seed: Seed of the first vectors.
        progress: Reports the rounds.

    Raises:
        InvalidArgumentError: a rating is missing or not finite, or there is nothing to learn from or to validate on.
    """
    config = config or RatingConfig()
    values_E = ratings.ratings_E
    if values_E is None or not np.isfinite(values_E).all():
        raise InvalidArgumentError("there are events without a finite rating; keep those with one")
    if not validation_E.any() or validation_E.all():
        raise InvalidArgumentError(
            f"{int(validation_E.sum()):,} of {len(validation_E):,} ratings are for validation; some and not all must be"
        )
    learned = ratings.where(~validation_E)
    scale = _scale(ratings, learned)
    pairs = _Pairs.of(learned, len(content_ND))
    implicit = _implicit(pairs, config.implicit)
    components_CG, center_C = _components(content_ND, config.content)
    users_UF, items_NF = _features(pairs, implicit, (content_ND - center_C) @ components_CG, scale)
    model = Factorization.start(users_UF, items_NF, config.factors, config.ridge, seed)
    progress.start("learn ratings", config.rounds + config.last_rounds, "rounds")
    model.learn(learned.users_E, learned.items_E, _standard(learned, scale), config.rounds, progress)

    def assembled(kernel: TimeKernel) -> RatingModel:
        singular = users_UF.shape[1] - 2
        weights_GK = model.items.weights_FK[items_NF.shape[1] - components_CG.shape[1] :]
        content_CK = components_CG @ weights_GK
        implicit_NK = implicit.acted_NS @ model.users.weights_FK[2 : 2 + singular]
        return RatingModel(
            item_NK=model.items.mean_MK.astype(np.float32),
            item_variance_NK=model.items.variance_MK.astype(np.float32),
            implicit_NK=implicit_NK.astype(np.float32),
            content_CK=content_CK.astype(np.float32),
            content_mean_K=(model.items.weights_FK[0] - center_C @ content_CK).astype(np.float32),
            user_prior_2K=model.users.weights_FK[:2].astype(np.float32),
            user_KK=model.users.covariance_KK.astype(np.float32),
            scale=scale,
            kernel=kernel,
        )

    start = TimeKernel(0.15, _usual_gap(learned), 0.5, 1.0 / model.precision)
    kernel = _tune(assembled(start), learned, ratings.where(validation_E), config)
    model.learn(ratings.users_E, ratings.items_E, _standard(ratings, scale), config.last_rounds, progress)
    progress.finish()
    return assembled(kernel)


# --- descriptions of users and items ----------------------------------------------------------------------------------


class _Pairs(NamedTuple):
    """Who rated what: the table of ones, and its row and column sums."""

    table: sp.csr_array
    counts_U: Floats
    counts_N: Floats

    @classmethod
    def of(cls, ratings: Interactions, items: int) -> _Pairs:
        ones = np.ones(ratings.events)
        table = sp.csr_array((ones, (ratings.users_E, ratings.items_E)), shape=(ratings.users, items))
        table.data[:] = 1.0  # a pair that is rated twice counts once
        return cls(table, table.sum(axis=1), table.sum(axis=0))


class _Implicit(NamedTuple):
    """Singular vectors of who rated what.

    Attributes:
        users_US: Description of each user, which is the sum of `acted_NS` over the rated items, divided by the root of
            their number.
        items_NS: Description of each item.
        acted_NS: What each item adds to the description of a user.
    """

    users_US: Floats
    items_NS: Floats
    acted_NS: Floats


def _implicit(pairs: _Pairs, wanted: int) -> _Implicit:
    users, items = pairs.table.shape
    keep = min(wanted, min(users, items) - 1)
    roots_N = np.sqrt(np.maximum(pairs.counts_N, 1.0))
    roots_U = np.sqrt(np.maximum(pairs.counts_U, 1.0))
    if keep < 1:
        return _Implicit(np.zeros((users, 0)), np.zeros((items, 0)), np.zeros((items, 0)))
    weighted = sp.diags_array(1.0 / roots_U) @ pairs.table @ sp.diags_array(1.0 / roots_N)
    start = np.random.default_rng(0).standard_normal(min(users, items))
    _, values_S, right_SN = svds(weighted, k=keep, v0=start)
    # Directions of hardly any weight are noise, and dividing by it would blow them up.
    kept_S = values_S > 1e-3 * values_S.max()
    right_NS, values_S = right_SN[kept_S].T, values_S[kept_S]
    acted_NS = np.sqrt(users) * right_NS / (roots_N[:, None] * values_S)
    return _Implicit((pairs.table @ acted_NS) / roots_U[:, None], np.sqrt(items) * right_NS, acted_NS)


def _components(content_ND: npt.NDArray[np.float32], wanted: int) -> tuple[Floats, Floats]:
    """Principal components, of mean square 1 together per component, and the mean. Shapes: (C, G), (C,)."""
    content = content_ND.astype(np.float64)
    center_C = content.mean(axis=0) if content.size else np.zeros(content.shape[1])
    keep = min(wanted, len(content) - 1, content.shape[1])
    if keep < 1:
        return np.zeros((content.shape[1], 0)), center_C
    values_C, vectors_CC = np.linalg.eigh(np.cov(content.T, bias=True).reshape(content.shape[1], -1))
    kept = values_C[-keep:]
    if kept.sum() <= 1e-12:
        return np.zeros((content.shape[1], 0)), center_C
    return vectors_CC[:, -keep:] * np.sqrt(keep / kept.sum()), center_C


def _features(pairs: _Pairs, implicit: _Implicit, content_NG: Floats, scale: RatingScale) -> tuple[Floats, Floats]:
    counts_U = (np.log1p(pairs.counts_U) - scale.log_count) / scale.log_count_deviation
    users_UF = np.column_stack((np.ones(len(counts_U)), np.clip(counts_U, -2.0, 2.0), implicit.users_US))
    rated_N = pairs.counts_N > 0
    logs_N = np.log1p(pairs.counts_N)
    spread = float(logs_N[rated_N].std()) or 1.0
    # An item that nobody has rated is new rather than unloved: it counts as a usual one.
    counts_N = np.where(rated_N, (logs_N - logs_N[rated_N].mean()) / spread, 0.0)
    return users_UF, np.column_stack((np.ones(len(counts_N)), counts_N, implicit.items_NS, content_NG))


def _scale(ratings: Interactions, learned: Interactions) -> RatingScale:
    assert ratings.ratings_E is not None  # checked by the caller
    values_E = ratings.ratings_E.astype(np.float64)
    logs_U = np.log1p(learned.lengths_U[learned.lengths_U > 0])
    return RatingScale(
        low=float(values_E.min()),
        high=float(values_E.max()),
        mean=float(values_E.mean()),
        deviation=float(values_E.std()) or 1.0,
        log_count=float(logs_U.mean()),
        log_count_deviation=float(logs_U.std()) or 1.0,
        timed=bool(ratings.times_E.max() >= EARLIEST_TIME),
    )


def _standard(ratings: Interactions, scale: RatingScale) -> Floats:
    assert ratings.ratings_E is not None  # checked by the caller
    return (ratings.ratings_E.astype(np.float64) - scale.mean) / scale.deviation


# --- the time kernel --------------------------------------------------------------------------------------------------


def _usual_gap(ratings: Interactions) -> float:
    """Median time between two ratings of a user that are not of the same moment; 1 where there are none."""
    same_user = np.diff(ratings.users_E) == 0
    gaps = np.diff(ratings.times_E)[same_user]
    gaps = gaps[gaps > 0]
    return float(np.median(gaps)) if len(gaps) else 1.0


class _Asked(NamedTuple):
    """Validation ratings of one user, and what is known before them."""

    user: User
    evidence: Evidence
    items_TK: Floats
    variances_TK: Floats
    times_T: npt.NDArray[Any]
    values_T: Floats


def _tune(model: RatingModel, learned: Interactions, validation: Interactions, config: RatingConfig) -> TimeKernel:
    """The kernel under which validation ratings are most likely, from the one of `model`."""
    users = np.flatnonzero(validation.lengths_U)
    users = users[evenly(len(users), config.tuning_users)]
    asked = [_asked(model, learned, validation, user, config.tuning_ratings) for user in users.tolist()]
    start = np.log([model.kernel.variance, model.kernel.scale, model.kernel.power, model.kernel.noise])

    def kernel_of(logs: Floats) -> TimeKernel:
        # Wide bounds keep an estimate from few ratings finite.
        variance, scale, power, noise = np.exp(np.clip(logs, start - 6.0, start + 6.0)).tolist()
        return TimeKernel(variance, scale, power, noise)

    def loss(logs: Floats) -> float:
        kernel, total, count = kernel_of(logs), 0.0, 0
        for one in asked:
            mean_T, variance_T = one.evidence.predict(kernel, one.user, one.items_TK, one.variances_TK, one.times_T)
            total += float((np.log(variance_T) + (one.values_T - mean_T) ** 2 / variance_T).sum())
            count += len(mean_T)
        # A weak prior: with few validation ratings the kernel stays near where it starts.
        return total / 2 + float(((logs - start) ** 2).sum()) / 8

    simplex = np.vstack((start, start + np.diag([0.7, 1.0, 0.7, -0.2])))
    found = minimize(
        loss,
        start,
        method="Nelder-Mead",
        options={"initial_simplex": simplex, "maxfev": 80, "xatol": 0.03, "fatol": 0.1},
    )
    return kernel_of(found.x)


def _asked(model: RatingModel, learned: Interactions, validation: Interactions, user: int, recent: int) -> _Asked:
    own, ask = (slice(table.offsets_U[user], table.offsets_U[user + 1]) for table in (learned, validation))
    assert learned.ratings_E is not None  # checked by the caller
    prior = user_prior(model, np.unique(learned.items_E[own]))
    last = slice(max(own.start, own.stop - recent), own.stop)
    rows_T = validation.items_E[ask]
    return _Asked(
        prior,
        Evidence.of(model, prior, learned.items_E[last], learned.ratings_E[last], learned.times_E[last]),
        model.item_NK[rows_T].astype(np.float64),
        model.item_variance_NK[rows_T].astype(np.float64),
        validation.times_E[ask],
        _standard(validation, model.scale)[ask],
    )
