"""Which catalogue the changes of a store are made to, and what may follow it: the rules that all stores share.

Unit of work: one state of a store. Knows nothing about any database.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from mmrec.contract.rules import Text, Whole
from mmrec.errors import FailedPreconditionError, InvalidArgumentError
from mmrec_serving.change_log.changes import MAX_VERSION_CHARS, StoreState

BATCH: Final = Whole(1, 100_000, "be from 1 to 100,000")
"""The most changes that are read at once."""
PAUSE_S = 0.001
"""Pause between two transactions of long work: locks are not fair, so requests would wait for all of it."""
SLICE_ITEMS, SLICE_CHANGES = 200, 1000
"""Items that are compacted, and changes that are dropped, in one transaction."""


def checked_sequence(number: int, where: str) -> int:
    """The number of a change, or 0.

    Raises:
        InvalidArgumentError: it is no whole number, or is below 0 or over 2^62.
    """
    return Whole(0, 2**62, "be 0 or the number of a change").check(number, where)


def other_base(where: str, base: str, state: StoreState) -> FailedPreconditionError:
    """The error of a store whose base is another catalogue."""
    return FailedPreconditionError(
        f"{where} has changes to the catalogue {state.base!r}, up to number {state.position}, and "
        f"is opened for {base!r}. Nothing is lost: serve {state.base!r}, or give a new store, or, where "
        f"{base!r} is to follow it, open the store for {state.base!r} and call rebase({base!r}, upto) with the number "
        "of the last change that it holds (0: none, so that all changes are made to it)"
    )


def first_read(state: StoreState, asked: str | None, after: int, where: str) -> int:
    """Number after which a reader must read.

    Args:
        state: State of the store.
        asked: Version of the catalogue that the reader has; None: the base of the store.
        after: Number of the last change that it has.
        where: The store, as messages name it.

    Raises:
        FailedPreconditionError: changes that it needs were dropped.
    """
    if asked is None or asked == state.base:
        return max(after, state.folded)
    if asked == state.successor:
        return max(after, state.successor_holds)
    if after < state.dropped:
        raise FailedPreconditionError(
            f"changes {after + 1} to {state.dropped} of {where} were dropped, because the catalogue {state.base!r} "
            f"holds them, and this reader has {asked!r}; load {state.base!r} and replay from there"
        )
    return after


def following(state: StoreState, new_base: str, upto: int) -> StoreState:
    """The state after a change of the base."""
    check_base(new_base, "new_base")
    upto = checked_sequence(upto, "upto")
    if not state.dropped <= upto <= state.position:
        raise InvalidArgumentError(
            f"upto is {upto}; the base must hold changes up to a number from {state.dropped} (the last that was "
            f"dropped) to {state.position} (the last there is)",
            field="upto",
        )
    if new_base == state.base and upto != state.folded:
        raise InvalidArgumentError(
            f"new_base is {new_base!r:.80}, the base already, which holds changes up to {state.folded}, not {upto}; a "
            "catalogue of other content needs a version of its own",
            field="new_base",
        )
    new = replace(state, base=new_base, folded=upto, successor="", successor_holds=0)
    return new if new_base == state.base else replace(new, previous=state.base, previous_holds=state.folded)


def announced(state: StoreState, new_base: str, upto: int) -> StoreState:
    """The state after the announcement of the next base."""
    new = following(state, new_base, upto)
    if new.base == state.base:
        raise InvalidArgumentError(f"new_base is {new_base!r:.80}, which is the base already", field="new_base")
    return replace(state, successor=new.base, successor_holds=new.folded)


def without_folded(state: StoreState, upto: int) -> StoreState:
    """The state after changes up to a number were dropped; to be written no later than the first row is deleted, so
    that a reader of an older base gets an error. If the base before this one lacks some of them, it is forgotten.

    Raises:
        FailedPreconditionError: the base does not hold them all.
    """
    if upto > state.folded:
        raise FailedPreconditionError(
            f"upto is {upto}, and the catalogue {state.base!r} holds changes up to {state.folded}; call rebase with a "
            "catalogue that holds them first"
        )
    new = replace(state, dropped=max(upto, state.dropped))
    return replace(new, previous="", previous_holds=0) if new.dropped > new.needless else new


def check_base(base: str, where: str) -> None:
    """Check the version of a catalogue.

    Raises:
        InvalidArgumentError: it is empty, or too long.
    """
    if not Text(MAX_VERSION_CHARS).check(base, where):
        raise InvalidArgumentError(f"{where} is empty; pass the version of the catalogue", field=where)
