"""Splits interactions into training events and evaluation questions. Knows nothing of models and metrics.

Everything that is learned (weights, co-occurrence counts, popularity) may use only `train`. The history of a question
is the model's input at that time; in the test it includes the validation event.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mmrec.data.interactions import Interactions
from mmrec.errors import InvalidArgumentError
from mmrec.runtime.limits import check_number


def evenly(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most `most` of `count` places, evenly spread: files are often sorted, so the first ones would not do."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(most, count)).astype(np.int64))


class Split(NamedTuple):
    """Questions with their answers. Q questions, one per user at most.

    users_U: rows of the interactions' users, ascending. Shape: (Q,), int64.
    histories: catalogue rows before the target, oldest first, one array per question; never empty.
    targets_U: the catalogue row of the next event. Shape: (Q,), int32.
    """

    users_U: npt.NDArray[np.int64]
    histories: list[npt.NDArray[np.int32]]
    targets_U: npt.NDArray[np.int32]

    def take(self, places: npt.NDArray[np.int64]) -> Split:
        """Some of the questions. Shape of `places`: (q,), int64."""
        return Split(self.users_U[places], [self.histories[place] for place in places.tolist()], self.targets_U[places])


class LeaveOneOut(NamedTuple):
    """train: training events, of the same users in the same rows.  validation, test: questions."""

    train: Interactions
    validation: Split
    test: Split


def leave_one_out(interactions: Interactions, min_events: int = 3) -> LeaveOneOut:
    """Each user's last event is the test, the one before it the validation, the rest training.

    Args:
        interactions: All events.
        min_events: Users with fewer stay in training with all their events; at least 3, so that every
            question has a history.

    Raises:
        InvalidArgumentError: `min_events` is less than 3, or no user has that many events.
    """
    if min_events < 3:
        raise InvalidArgumentError(
            f"min_events is {min_events}; at least 3 are needed: history, validation and test",
            field="min_events",
        )
    held_out_U = interactions.lengths_U >= min_events
    if not held_out_U.any():
        raise InvalidArgumentError(
            f"none of the {interactions.users:,} users has {min_events} events; nothing can be held out",
            field="min_events",
        )
    users = np.flatnonzero(held_out_U)
    ends = interactions.offsets_U[1:][users]
    keep_E = np.ones(interactions.events, dtype=np.bool_)
    keep_E[ends - 1] = False
    keep_E[ends - 2] = False
    return LeaveOneOut(
        train=interactions.where(keep_E),
        validation=_questions(interactions, users, ends - 2),
        test=_questions(interactions, users, ends - 1),
    )


def time_split(interactions: Interactions, validation_fraction: float = 0.1, test_fraction: float = 0.1) -> LeaveOneOut:
    """Split the events of all users at two times: training before the first, validation between, test after.

    A user's question in a period is the user's first event in it, with all events before the period as its history.
    Users without an earlier event have no question. Meaningful for timestamps, not for positions.

    Args:
        interactions: All events.
        validation_fraction: Share of the events between the two times, in (0, 1). Events of the same second
            stay together, so the share is approximate.
        test_fraction: Share of the events after the second time, in (0, 1).

    Raises:
        InvalidArgumentError: a fraction is out of range, their sum leaves no training events, or a period has
            no question.
    """
    for name, value in (("validation_fraction", validation_fraction), ("test_fraction", test_fraction)):
        check_number(name, value, over=0, below=1)
    held_out = validation_fraction + test_fraction
    if held_out >= 1.0:
        raise InvalidArgumentError(
            f"validation_fraction + test_fraction is {held_out:g}; it must be below 1",
            field="test_fraction",
        )
    if not interactions.events:
        raise InvalidArgumentError("there are no events to split; add an events table")
    times = np.sort(interactions.times_E)
    last = interactions.events - 1
    first_cut, second_cut = (
        times[min(last, int(np.ceil(interactions.events * (1.0 - share))))] for share in (held_out, test_fraction)
    )
    train_E = interactions.times_E < first_cut
    validation = _period(interactions, first_cut, second_cut)
    test = _period(interactions, second_cut, None)
    for name, split in (("validation", validation), ("test", test)):
        if not len(split.users_U):
            raise InvalidArgumentError(
                f"no user has an event in the {name} period and one before it; use larger fractions, or leave_one_out",
                field=f"{name}_fraction",
            )
    return LeaveOneOut(train=interactions.where(train_E), validation=validation, test=test)


def _period(interactions: Interactions, start: Any, end: Any) -> Split:
    """Each user's first event in [start, end) with all events before `start` as its history."""
    before_E = np.concatenate(([0], np.cumsum(interactions.times_E < start, dtype=np.int64)))
    firsts = interactions.offsets_U[:-1] + before_E[interactions.offsets_U[1:]] - before_E[interactions.offsets_U[:-1]]
    has_question_U = (firsts > interactions.offsets_U[:-1]) & (firsts < interactions.offsets_U[1:])
    if end is not None:
        has_question_U[has_question_U] = interactions.times_E[firsts[has_question_U]] < end
    users = np.flatnonzero(has_question_U)
    return _questions(interactions, users, firsts[users])


def _questions(interactions: Interactions, users: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> Split:
    """Questions whose targets are the events with these indices."""
    starts = interactions.offsets_U[:-1][users]
    return Split(
        users_U=users,
        histories=[
            interactions.items_E[start:end] for start, end in zip(starts.tolist(), targets.tolist(), strict=True)
        ],
        targets_U=interactions.items_E[targets],
    )
