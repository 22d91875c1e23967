"""The rules of the arguments of every store of events."""

from __future__ import annotations

from typing import Final

from mmrec.contract.events import UserEvent
from mmrec.contract.rules import Each, Id, Instance, Whole

LAST: Final = 2**62
"""No event has a higher number."""
NUMBER: Final = Whole(0, LAST, "be 0 or the number of an event")
MOST: Final = Whole(1, 100_000, "be from 1 to 100,000")
USER: Final = Id(empty="pass the id of the customer")
EVENTS: Final = Each(Instance((UserEvent,), "mmrec.UserEvent values"), "mmrec.UserEvent values")
