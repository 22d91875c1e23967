"""The splits of fit and evaluation by name, and a check whether questions were in the training data.

Knows nothing about models. Names are those of the command line.
"""

# Axes: U users, E events

from __future__ import annotations

from typing import Literal

import numpy as np

from mmrec.data.interactions import EARLIEST_TIME, Interactions
from mmrec.data.splits import LeaveOneOut, Split, leave_one_out, time_split
from mmrec.errors import InvalidArgumentError, InvalidDatasetError

SplitName = Literal["leave-one-out", "time"]

LEAVE_ONE_OUT: SplitName = "leave-one-out"
SPLIT_NAMES: tuple[SplitName, ...] = ("leave-one-out", "time")


def checked_split(name: str) -> SplitName:
    """`name`, if there is such a split.

    Raises:
        InvalidArgumentError: there is none.
    """
    for known in SPLIT_NAMES:
        if name == known:
            return known
    raise InvalidArgumentError(f"split is {name!r}; it must be one of {', '.join(SPLIT_NAMES)}", field="split")


def split_events(interactions: Interactions, name: str, where: object) -> LeaveOneOut:
    """Split events into training events and questions.

    Args:
        interactions: All events.
        name: ``leave-one-out``: each user's last event is the test, the one before it the validation. ``time``: the
            last tenth of all events is the test, the tenth before it the validation.
        where: Names the events in messages.

    Raises:
        InvalidArgumentError: there is no such split.
        InvalidDatasetError: there are too few events to hold any out, or a time split is wanted of positions.
    """
    if checked_split(name) == LEAVE_ONE_OUT:
        if not interactions.users or interactions.lengths_U.max() < 3:
            raise InvalidDatasetError(
                f"{where} has {interactions.events:,} usable events of {interactions.users:,} users, and no "
                "user has 3; users with at least 3 events are needed (one to learn from, one to validate, one to "
                "test): add events, or remove the events table to fit a catalogue without any"
            )
        return leave_one_out(interactions)
    if interactions.events and int(interactions.times_E.max()) < EARLIEST_TIME:
        raise InvalidDatasetError(
            f"{where}: a time split needs times, and the largest here is {int(interactions.times_E.max()):,}, which "
            "is a position: add a column 'timestamp' to the events, or use the split leave-one-out"
        )
    try:
        return time_split(interactions)
    except InvalidArgumentError as err:
        raise InvalidDatasetError(
            f"{where} cannot be split by time ({err.message}): add events, or use the split leave-one-out"
        ) from err


def without_events(interactions: Interactions) -> LeaveOneOut:
    """The split of a dataset without a single event: nothing to learn from, and no questions."""
    none = Split(np.empty(0, np.int64), [], np.empty(0, np.int32))
    return LeaveOneOut(interactions, none, none)


def leaked_questions(asked: Interactions, questions: Split, learned: Interactions, fitted: LeaveOneOut) -> int:
    """Number of questions whose target is in a fit's training or validation events.

    Events are equal if user, item and time are; duplicates are matched one to one.

    Args:
        asked: All events the questions were taken from, of the same catalogue as `learned`.
        questions: Of `asked`.
        learned: All events the bundle was fitted on.
        fitted: How the fit divided `learned`.
    """
    validation = dict(zip(fitted.validation.users_U.tolist(), fitted.validation.histories, strict=True))
    leaks = 0
    for user, history, target in zip(
        questions.users_U.tolist(), questions.histories, questions.targets_U.tolist(), strict=True
    ):
        own = learned.user_index(asked.user_ids[user])
        if own is None:
            continue
        begin = int(asked.offsets_U[user])
        times = asked.times_E[begin : begin + len(history) + 1]
        before = int(((history == target) & (times[:-1] == times[-1])).sum())
        train_items, train_times = fitted.train.history(own), _times(fitted.train, own)
        known = int(((train_items == target) & (train_times == times[-1])).sum())
        if own in validation:
            event = int(learned.offsets_U[own]) + len(validation[own])
            known += int(learned.items_E[event] == target and learned.times_E[event] == times[-1])
        leaks += before < known
    return leaks


def first_moment(asked: Interactions, questions: Split) -> int:
    """Time of the earliest target, in seconds since 1970."""
    lengths_Q = np.array([len(history) for history in questions.histories])
    return int(asked.times_E[asked.offsets_U[:-1][questions.users_U] + lengths_Q].min())


def _times(interactions: Interactions, user: int) -> np.ndarray:
    return interactions.times_E[interactions.offsets_U[user] : interactions.offsets_U[user + 1]]
