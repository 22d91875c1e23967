"""The rating model: expected rating of an item by a user, with its standard deviation, from the user's ratings.

Unit of work: one user. A rating is the sum of an item bias, a user bias, the product of user and item factors, a mood
of the user that fades with time, and noise. Item vectors are learned; everything about a user follows from the user's
history by Gaussian conditioning, so a user whom the training never saw, and a rating given a second ago, need no
training. Knows nothing of requests and of how the vectors were learned.

Sources: Bayesian matrix factorisation (Lim and Teh 2007; Salakhutdinov and Mnih 2008), the set of rated items as
evidence of its own (SVD++, Koren 2008), Gaussian processes over the user's time line (Rasmussen and Williams 2006).
"""

# Axes: N items, K = factors + 1 (the last one is the bias), C content dimensions, H ratings of a history, A items acted
# on, T items to rate

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.linalg import cho_factor, cho_solve

from mmrec.errors import BundleError, InvalidArgumentError
from mmrec.runtime.limits import check_numbers
from mmrec_encoders.weights import read_weights, write_weights

Floats = npt.NDArray[np.float64]

MAX_RATINGS = 1_000
"""Most recent ratings of a user that are read; the time for one user grows with the cube of their number."""

_KIND = "mmrec-ratings"
_FORMAT = 1
_TENSORS = ("item_NK", "item_variance_NK", "implicit_NK", "content_CK", "content_mean_K", "user_prior_2K", "user_KK")


@dataclass(frozen=True, slots=True)
class TimeKernel:
    """Covariance of two ratings of a user that are some time apart: ``variance * (1 + distance / scale) ** -power``.

    Attributes:
        variance: At distance 0, in units of the variance of all ratings.
        scale: Distance from which it fades, in the unit of the times.
        power: How fast it fades.
        noise: Variance of a rating that nothing explains, in units of the variance of all ratings.
    """

    variance: float
    scale: float
    power: float
    noise: float

    def __post_init__(self) -> None:
        check_numbers(self, "variance", "power", low=0.0)
        check_numbers(self, "scale", "noise", over=0.0)

    def of(self, distances: Floats) -> Floats:
        """Covariances at these distances, elementwise."""
        return np.asarray(self.variance * (1.0 + distances / self.scale) ** -self.power)


@dataclass(frozen=True, slots=True)
class RatingScale:
    """The ratings that a model was fitted on.

    Attributes:
        low: The lowest one.
        high: The highest one.
        mean: Their mean.
        deviation: Their standard deviation; 1 where all are equal.
        log_count: Mean of log(1 + ratings) over users.
        log_count_deviation: Its standard deviation; 1 where all are equal.
        timed: Whether times are seconds since 1970; False for positions.
    """

    low: float
    high: float
    mean: float
    deviation: float
    log_count: float
    log_count_deviation: float
    timed: bool

    def __post_init__(self) -> None:
        check_numbers(self, "deviation", "log_count_deviation", over=0.0)
        check_numbers(self, "high", low=self.low)


class RatedHistory(NamedTuple):
    """What a user did.

    Attributes:
        rows_H: Catalogue rows that the user rated, oldest first. Shape: (H,), integers.
        ratings_H: The ratings. Shape: (H,).
        times_H: When; same unit as the times of the training. Shape: (H,).
        acted_A: Rows of every item that the user rated or acted on otherwise. Shape: (A,), integers.
    """

    rows_H: npt.NDArray[Any]
    ratings_H: npt.NDArray[Any]
    times_H: npt.NDArray[Any]
    acted_A: npt.NDArray[Any]


class Predicted(NamedTuple):
    """Expected ratings within the scale, and their standard deviations. Shape of each: (T,)."""

    ratings_T: Floats
    deviations_T: Floats


@dataclass(frozen=True, slots=True, eq=False)
class RatingModel:
    """A fitted model. Ratings inside are standardised: minus the mean, divided by the deviation of the scale.

    Attributes:
        item_NK: Factors and bias of each item. Shape: (N, K), float32.
        item_variance_NK: How unsure each of them is. Shape: (N, K), float32.
        implicit_NK: What having acted on an item says about the user. Shape: (N, K), float32.
        content_CK: Maps the vector of an item that nobody rated to factors and bias. Shape: (C, K), float32.
        content_mean_K: Added to it. Shape: (K,), float32.
        user_prior_2K: Mean of the users, and its change with the standardised log count. Shape: (2, K), float32.
        user_KK: Covariance of the users around their prior. Shape: (K, K), float32.
        scale: The ratings of the training.
        kernel: How ratings that are near in time go together.
    """

    item_NK: npt.NDArray[np.float32]
    item_variance_NK: npt.NDArray[np.float32]
    implicit_NK: npt.NDArray[np.float32]
    content_CK: npt.NDArray[np.float32]
    content_mean_K: npt.NDArray[np.float32]
    user_prior_2K: npt.NDArray[np.float32]
    user_KK: npt.NDArray[np.float32]
    scale: RatingScale
    kernel: TimeKernel

    # --- storage ------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write everything into one safetensors file."""
        weights = {name: torch.from_numpy(getattr(self, name)) for name in _TENSORS}
        description = {"kind": _KIND, "format": _FORMAT, "scale": asdict(self.scale), "kernel": asdict(self.kernel)}
        write_weights(path, weights, description)

    @classmethod
    def load(cls, path: Path) -> RatingModel:
        """Inverse of `save`.

        Raises:
            BundleError: the file is missing or damaged, holds no rating model, or its parts do not fit each other.
        """
        weights, description = read_weights(path, _KIND, _FORMAT)
        try:
            arrays = {name: weights[name].numpy() for name in _TENSORS}
            scale = RatingScale(**description["scale"])
            kernel = TimeKernel(**description["kernel"])
        except (KeyError, TypeError, InvalidArgumentError) as err:
            raise BundleError(f"the rating model in {path} lacks a part ({err}): fit again") from err
        items, width = arrays["item_NK"].shape
        content = len(arrays["content_CK"])
        shapes = (
            (items, width),
            (items, width),
            (items, width),
            (content, width),
            (width,),
            (2, width),
            (width, width),
        )
        for name, shape in zip(_TENSORS, shapes, strict=True):
            if arrays[name].shape != shape:
                raise BundleError(
                    f"{name} of the rating model in {path} has the shape {arrays[name].shape}, and its other parts "
                    f"belong to {shape}: fit again"
                )
        return cls(**arrays, scale=scale, kernel=kernel)

    # --- prediction ---------------------------------------------------------------------------------------------------

    def predict(
        self,
        history: RatedHistory,
        rows_T: npt.NDArray[Any],
        times_T: npt.NDArray[Any],
        content_TC: npt.NDArray[np.float32] | None = None,
    ) -> Predicted:
        """How a user would rate items.

        Args:
            history: What the user did; rows that the model does not have are left out.
            rows_T: The items. Shape: (T,), integers.
            times_T: When they would be rated. Shape: (T,).
            content_TC: Their content vectors, read for the rows that the model does not have; None: zeros.
        """
        known_H = history.rows_H < len(self.item_NK)
        rows_H, times_H = history.rows_H[known_H][-MAX_RATINGS:], history.times_H[known_H][-MAX_RATINGS:]
        ratings_H = history.ratings_H[known_H][-MAX_RATINGS:]
        items_TK, variances_TK = self._items(rows_T, content_TC)
        user = user_prior(self, history.acted_A)
        evidence = Evidence.of(self, user, rows_H, ratings_H, times_H)
        mean_T, variance_T = evidence.predict(self.kernel, user, items_TK, variances_TK, times_T)
        scale = self.scale
        ratings_T = np.clip(scale.mean + scale.deviation * mean_T, scale.low, scale.high)
        return Predicted(ratings_T, scale.deviation * np.sqrt(variance_T))

    def _items(self, rows_T: npt.NDArray[Any], content_TC: npt.NDArray[np.float32] | None) -> tuple[Floats, Floats]:
        """Vectors and variances of items; those that the model does not have follow from their content."""
        new_T = rows_T >= len(self.item_NK)
        rows_T = np.where(new_T, 0, rows_T)
        items_TK = self.item_NK[rows_T].astype(np.float64)
        variances_TK = self.item_variance_NK[rows_T].astype(np.float64)
        if new_T.any():
            content_MC = np.zeros((1, len(self.content_CK))) if content_TC is None else content_TC[new_T]
            items_TK[new_T] = content_MC @ self.content_CK + self.content_mean_K
            # Nobody knows less about an item than about the one that is known least.
            variances_TK[new_T] = self.item_variance_NK.max(axis=0)
        return items_TK, variances_TK


class User(NamedTuple):
    """mean_K, covariance_KK: of factors and bias of a user before any rating is read. Shapes: (K,), (K, K)."""

    mean_K: Floats
    covariance_KK: Floats


def user_prior(model: RatingModel, acted_A: npt.NDArray[Any]) -> User:
    """What is known of a user from which items, and how many, the user acted on. Shape of `acted_A`: (A,), rows."""
    acted_A = acted_A[acted_A < len(model.implicit_NK)]
    mean_K = model.user_prior_2K[0].astype(np.float64)
    if len(acted_A):
        scale = model.scale
        count = (np.log1p(len(acted_A)) - scale.log_count) / scale.log_count_deviation
        # Beyond two deviations the line through the users of the training says nothing.
        mean_K = mean_K + np.clip(count, -2.0, 2.0) * model.user_prior_2K[1]
        mean_K = mean_K + model.implicit_NK[acted_A].sum(axis=0, dtype=np.float64) / np.sqrt(len(acted_A))
    return User(mean_K, model.user_KK.astype(np.float64))


class Evidence(NamedTuple):
    """The ratings of one user, ready for any time kernel.

    Attributes:
        read_HK: What multiplies the user's vector: item factors, and 1 for the bias. Shape: (H, K).
        surprise_H: Standardised ratings minus what the prior expects. Shape: (H,).
        spread_H: Variance from unsure item vectors. Shape: (H,).
        times_H: When. Shape: (H,).
        covariance_HH: Of the ratings, from the user's vector alone. Shape: (H, H).
        distances_HH: Time between them. Shape: (H, H).
    """

    read_HK: Floats
    surprise_H: Floats
    spread_H: Floats
    times_H: Floats
    covariance_HH: Floats
    distances_HH: Floats

    @classmethod
    def of(
        cls,
        model: RatingModel,
        user: User,
        rows_H: npt.NDArray[Any],
        ratings_H: npt.NDArray[Any],
        times_H: npt.NDArray[Any],
    ) -> Evidence:
        """The evidence of rated catalogue rows."""
        items_HK = model.item_NK[rows_H].astype(np.float64)
        read_HK, expected_H, spread_H = _read(user, items_HK, model.item_variance_NK[rows_H].astype(np.float64))
        times_H = times_H.astype(np.float64)
        return cls(
            read_HK,
            (ratings_H - model.scale.mean) / model.scale.deviation - expected_H,
            spread_H,
            times_H,
            read_HK @ user.covariance_KK @ read_HK.T,
            np.abs(times_H[:, None] - times_H),
        )

    def predict(
        self, kernel: TimeKernel, user: User, items_TK: Floats, variances_TK: Floats, times_T: npt.NDArray[Any]
    ) -> tuple[Floats, Floats]:
        """Mean and variance of standardised ratings of items. Shape of each: (T,)."""
        read_TK, mean_T, spread_T = _read(user, items_TK, variances_TK)
        spread_TK = read_TK @ user.covariance_KK
        variance_T = (spread_TK * read_TK).sum(axis=1) + kernel.variance + kernel.noise + spread_T
        if not len(self.surprise_H):
            return mean_T, variance_T
        total_HH = self.covariance_HH + kernel.of(self.distances_HH)
        total_HH[np.diag_indices_from(total_HH)] += kernel.noise + self.spread_H
        cross_TH = spread_TK @ self.read_HK.T + kernel.of(np.abs(times_T.astype(np.float64)[:, None] - self.times_H))
        solved = cho_solve(cho_factor(total_HH, lower=True), np.column_stack((self.surprise_H, cross_TH.T)))
        variance_T = variance_T - (cross_TH * solved[:, 1:].T).sum(axis=1)
        # Rounding must not take more than the noise leaves.
        return mean_T + cross_TH @ solved[:, 0], np.maximum(variance_T, kernel.noise)


def _read(user: User, items_K: Floats, variances_K: Floats) -> tuple[Floats, Floats, Floats]:
    """What multiplies the user's vector, the expected ratings, and the variance from unsure item vectors."""
    read_K = np.column_stack((items_K[:, :-1], np.ones(len(items_K))))
    factors = np.append(user.mean_K[:-1] ** 2 + np.diag(user.covariance_KK)[:-1], 1.0)
    return read_K, read_K @ user.mean_K + items_K[:, -1], variances_K @ factors
