"""Variational Bayesian matrix factorisation with side information: posterior means and variances of users and items.

A rating is ``p_u . q_i + b_u + b_i`` plus noise. The vector (p, b) of a user is Gaussian around a linear function of
the user's features, and likewise for items; weights, covariances and noise are estimated with them. Works on
standardised ratings; knows nothing of time.

Sources: Lim and Teh 2007 (Variational Bayesian approach to movie rating prediction); side information as in Park et al.
2013 (Hierarchical Bayesian matrix factorization with side information).
"""

# Axes: M rows of one side (users or items), K = factors + 1 (the bias), A = factors + 2 (also the constant 1),
# P = A * (A + 1) / 2 entries of a symmetric matrix, F features

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from mmrec.runtime.progress import NO_PROGRESS, Progress

Floats = npt.NDArray[np.float64]

_ROWS_AT_ONCE = 16_384
_PRIOR_WEIGHT = 1.0
"""Rows that the prior of a covariance counts for."""
_PRIOR_VARIANCE = 0.01


@dataclass(slots=True, eq=False)
class Side:
    """Users or items.

    Attributes:
        own_K: Where the vector (factors, bias) lies in the augmented one. Shape: (K,).
        one: Where the augmented vector has its 1; the other side has its bias there.
        features_MF: Features; the first column is 1. Shape: (M, F).
        ridge_F: Regularisation of their weights. Shape: (F,).
        mean_MK: Posterior means. Shape: (M, K).
        variance_MK: Posterior variances. Shape: (M, K).
        seconds_MP: Expected outer products of the augmented vectors. Shape: (M, P), float32.
        weights_FK: Of the features. Shape: (F, K).
        covariance_KK: Of the vectors around what the features say. Shape: (K, K).
    """

    own_K: npt.NDArray[np.int64]
    one: int
    features_MF: Floats
    ridge_F: Floats
    mean_MK: Floats
    variance_MK: Floats
    seconds_MP: npt.NDArray[np.float32]
    weights_FK: Floats
    covariance_KK: Floats

    @classmethod
    def start(cls, features_MF: Floats, ridge_F: Floats, factors: int, one: int, rng: np.random.Generator) -> Side:
        """Small random vectors, and weights of 0."""
        rows, width = len(features_MF), factors + 1
        own_K = np.delete(np.arange(factors + 2), one)
        mean_MK = 0.1 * rng.standard_normal((rows, width))
        mean_MK[:, -1] = 0.0
        side = cls(
            own_K,
            one,
            features_MF,
            ridge_F,
            mean_MK,
            np.full((rows, width), _PRIOR_VARIANCE),
            np.empty((rows, (factors + 2) * (factors + 3) // 2), np.float32),
            np.zeros((features_MF.shape[1], width)),
            np.diag(np.append(np.full(factors, 0.1), 1.0)),
        )
        unsure_KK = np.eye(width) * _PRIOR_VARIANCE
        side.seconds_MP[:] = side.packed(mean_MK, np.broadcast_to(unsure_KK, (rows, width, width)))
        return side

    def augmented(self) -> Floats:
        """Means with the constant 1. Shape: (M, A)."""
        return np.insert(self.mean_MK, self.one, 1.0, axis=1)

    def packed(self, mean_MK: Floats, covariance_MKK: Floats) -> npt.NDArray[np.float32]:
        """Upper triangles of the expected outer products of augmented vectors. Shape: (M, P), float32."""
        vectors_MA = np.insert(mean_MK, self.one, 1.0, axis=1)
        seconds_MAA = vectors_MA[:, :, None] * vectors_MA[:, None, :]
        seconds_MAA[:, self.own_K[:, None], self.own_K] += covariance_MKK
        rows, columns = np.triu_indices(vectors_MA.shape[1])
        return seconds_MAA[:, rows, columns].astype(np.float32)

    def update(self, other: Side, counts: sp.csr_array, sums: sp.csr_array, precision: float) -> float:
        """Posteriors given the other side, then weights and covariance given the posteriors.

        Args:
            other: The other side.
            counts: Ratings of each pair. Shape: (M, rows of the other side).
            sums: Their sum. Shape: as `counts`.
            precision: 1 / variance of the noise.

        Returns:
            Expected sum of the squares of the predictions of all ratings.
        """
        width, size = self.mean_MK.shape[1], self.mean_MK.shape[1] + 1
        rows, columns = np.triu_indices(size)
        prior_MK = self.features_MF @ self.weights_FK
        inverse_KK = np.linalg.inv(self.covariance_KK)
        others_A = other.augmented()
        squares = 0.0
        covariance_KK: Floats = np.zeros((width, width))
        for begin in range(0, len(prior_MK), _ROWS_AT_ONCE):
            part = slice(begin, min(begin + _ROWS_AT_ONCE, len(prior_MK)))
            packed_MP = counts[part] @ other.seconds_MP
            read_MAA = np.empty((len(packed_MP), size, size))
            read_MAA[:, rows, columns] = packed_MP
            read_MAA[:, columns, rows] = packed_MP
            own_MKK = read_MAA[:, self.own_K[:, None], self.own_K]
            target_MK = (sums[part] @ others_A)[:, self.own_K] - read_MAA[:, self.own_K, self.one]
            covariance_MKK = np.asarray(np.linalg.inv(inverse_KK + precision * own_MKK), dtype=np.float64)
            right_MK = prior_MK[part] @ inverse_KK + precision * target_MK
            mean_MK = (covariance_MKK @ right_MK[:, :, None])[:, :, 0]
            self.mean_MK[part] = mean_MK
            self.variance_MK[part] = covariance_MKK[:, np.arange(width), np.arange(width)]
            self.seconds_MP[part] = self.packed(mean_MK, covariance_MKK)
            covariance_KK = covariance_KK + covariance_MKK.sum(axis=0)
            twice_P = np.where(rows == columns, 1.0, 2.0)
            squares += float(((packed_MP * self.seconds_MP[part]) @ twice_P).sum())
        features_MF, ridge_FF = self.features_MF, np.diag(self.ridge_F)
        gram_FF = features_MF.T @ features_MF + ridge_FF
        self.weights_FK = np.asarray(np.linalg.solve(gram_FF, features_MF.T @ self.mean_MK), dtype=np.float64)
        around_MK: Floats = np.asarray(self.mean_MK - features_MF @ self.weights_FK, dtype=np.float64)
        covariance_KK = covariance_KK + around_MK.T @ around_MK + self.weights_FK.T @ ridge_FF @ self.weights_FK
        covariance_KK += _PRIOR_WEIGHT * _PRIOR_VARIANCE * np.eye(width)
        self.covariance_KK = np.asarray(covariance_KK / (len(around_MK) + _PRIOR_WEIGHT))
        return squares


@dataclass(slots=True, eq=False)
class Factorization:
    """Users, items and the noise of their ratings, learned together.

    Attributes:
        users: The users.
        items: The items.
        precision: 1 / variance of the noise.
    """

    users: Side
    items: Side
    precision: float

    @classmethod
    def start(
        cls,
        user_features_UF: Floats,
        item_features_NF: Floats,
        factors: int,
        ridge: float,
        seed: int,
    ) -> Factorization:
        """Nothing learned yet.

        Args:
            user_features_UF: Their first column is 1, which is hardly regularised. Shape: (U, F).
            item_features_NF: Likewise. Shape: (N, F).
            factors: Length of the factors.
            ridge: Regularisation of the weights of features.
            seed: Of the first vectors.
        """
        rng = np.random.default_rng(seed)
        users, items = (
            Side.start(features, np.append(1.0, np.full(features.shape[1] - 1, ridge)), factors, one, rng)
            for features, one in ((user_features_UF, factors + 1), (item_features_NF, factors))
        )
        return cls(users, items, precision=2.0)

    def learn(
        self,
        users_E: npt.NDArray[Any],
        items_E: npt.NDArray[Any],
        values_E: Floats,
        rounds: int,
        progress: Progress = NO_PROGRESS,
    ) -> None:
        """Go on for some rounds of updates with these ratings. Shape of each array: (E,); E is over 0."""
        shape = (len(self.users.mean_MK), len(self.items.mean_MK))
        counts = sp.csr_array((np.ones(len(values_E), np.float32), (users_E, items_E)), shape=shape)
        sums = sp.csr_array((values_E, (users_E, items_E)), shape=shape)
        of_items = counts.T.tocsr(), sums.T.tocsr()
        for _ in range(rounds):
            self.users.update(self.items, counts, sums, self.precision)
            squares = self.items.update(self.users, *of_items, self.precision)
            crossed = float((self.users.augmented() * (sums @ self.items.augmented())).sum())
            errors = float(values_E @ values_E) - 2.0 * crossed + squares
            # One rating more, of variance 1, keeps a table without any noise finite.
            self.precision = (len(values_E) + 1.0) / (max(errors, 0.0) + 1.0)
            progress.advance()
