"""Items that a customer returned, removed or rated low, which are therefore not recommended.

Unit of work: one customer. Knows nothing about requests and scores.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mmrec.recommender.artefact import Parts


def rejected_rows(parts: Parts, user_id: str, history: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """Catalogue rows of items that a customer rejected and has not taken since, ascending.

    Args:
        parts: Parts of the bundle.
        user_id: The customer; an unknown one has rejected nothing.
        history: Catalogue rows of the customer's events: those of the bundle, then later ones.
    """
    user = parts.rejected.user_index(user_id)
    if user is None:
        return np.empty(0, dtype=np.int32)
    stored = parts.interactions.user_index(user_id)
    later = history[0 if stored is None else len(parts.interactions.history(stored)) :]
    return np.setdiff1d(parts.rejected.history(user), later)
