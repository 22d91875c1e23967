"""Events: what customers did, as a service is told of it, and the result for each event.

Knows nothing of protobuf, torch or files. Requests validate themselves when they are created.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar

from mmrec.contract.changes import ChangeEntry, ValidateOnly
from mmrec.contract.frames import Framed
from mmrec.contract.requests import PageSize
from mmrec.contract.rules import (
    DEFAULT_PAGE,
    MAX_BATCH,
    MAX_INT32,
    MAX_REQUEST_ID_CHARS,
    PAGE_TOKEN,
    TIME,
    Checked,
    Doc,
    Each,
    Id,
    Instance,
    Number,
    Text,
    Whole,
)
from mmrec.errors import InvalidArgumentError, MmrecError


@dataclass(frozen=True, slots=True)
class UserEvent(Checked):
    """One thing that a customer did with an item."""

    item_id: Annotated[
        str,
        Id(new=True, empty="pass the id of the item"),
        Doc("The item. One that the catalogue lacks is kept, and counts when the catalogue has it."),
    ]
    event_type: Annotated[
        str,
        Id(new=True, empty="say what was done, such as view, cart, purchase, impression or dismiss"),
        Doc("What was done: impression, view, cart, purchase, dismiss, or a word of the dataset's own."),
    ]
    user_id: Annotated[str, Id(new=True), Doc("The customer; empty for an anonymous one, with `session_id` then.")] = ""
    session_id: Annotated[str, Id(new=True), Doc("An anonymous visit. Empty: none.")] = ""
    event_id: Annotated[
        str,
        Id(new=True),
        Doc(
            "Chosen by the caller: a second event with the same id changes nothing. Empty: no protection against that."
        ),
    ] = ""
    time: Annotated[float | None, TIME, Doc("When, in seconds since 1970; None: when the server receives it.")] = None
    rating: Annotated[
        float | None, Number(), Doc("The customer's rating, in the unit of the dataset; None: no rating.")
    ] = None
    value: Annotated[float | None, Number(), Doc("Money or quantity, in the shop's own unit; None: not known.")] = None
    recommendation_id: Annotated[
        str, Id(), Doc("The reply in which the customer saw the item. Empty: not from a recommendation.")
    ] = ""
    position: Annotated[int | None, Whole(high=MAX_INT32), Doc("Place in that reply, from 0; None: not known.")] = None

    def _check_together(self) -> None:
        if not self.user_id and not self.session_id:
            raise InvalidArgumentError(
                "user_id and session_id are both empty; pass who did it, or an id of the anonymous visit",
                field="user_id",
            )


@dataclass(frozen=True, slots=True)
class EventResults(Framed):
    """What became of each event.

    Attributes:
        entries: One per event of the request, in the same order; `ChangeEntry.id` is the event's own id.
        request_id: That of the request; empty if it had none.
    """

    _entry: ClassVar[type[Any]] = ChangeEntry
    _entries: ClassVar[str] = "entries"

    entries: tuple[ChangeEntry, ...]
    request_id: str = ""

    @property
    def refused(self) -> tuple[ChangeEntry, ...]:
        """The entries that were refused."""
        return tuple(entry for entry in self.entries if entry.error is not None)


@dataclass(frozen=True, slots=True)
class RecordEventsRequest(Checked):
    """Events to record; an error stands for an event that was refused already."""

    events: Annotated[
        tuple[UserEvent | MmrecError, ...],
        Each(Instance((UserEvent, MmrecError), "mmrec.UserEvent values"), "mmrec.UserEvent values", MAX_BATCH),
        Doc("At most 1,000 events, oldest first; each has its own result."),
    ]
    request_id: Annotated[
        str,
        Text(MAX_REQUEST_ID_CHARS),
        Doc(
            "Chosen by the caller: events without an id of their own are not recorded again when the same request is "
            "sent again. Empty: none."
        ),
    ] = ""
    validate_only: ValidateOnly = False

    @property
    def valid(self) -> tuple[UserEvent, ...]:
        """The events without those that were refused already."""
        return tuple(event for event in self.events if isinstance(event, UserEvent))

    def identified(self) -> tuple[UserEvent, ...]:
        """The valid events; one without an id of its own has one made of the request's, if there is one."""
        if not self.request_id:
            return self.valid
        return tuple(
            event if event.event_id else replace(event, event_id=f"{self.request_id}#{place}")
            for place, event in enumerate(self.valid)
        )

    def results(self, errors: Mapping[int, MmrecError] | None = None) -> EventResults:
        """The reply.

        Args:
            errors: Errors of events, by index in `valid`.
        """
        entries, place = [], 0
        for event in self.events:
            if isinstance(event, MmrecError):
                entries.append(ChangeEntry("", event))
            else:
                entries.append(ChangeEntry(event.event_id, (errors or {}).get(place)))
                place += 1
        return EventResults(tuple(entries), self.request_id)


@dataclass(frozen=True, slots=True)
class ListEventsRequest(Checked):
    """A page of the recorded events of a customer, the one that was recorded last first.

    Events may come in between pages: each that was there at the first page, and is not deleted, is on exactly one.
    """

    user_id: Annotated[str, Id(empty="pass the id of the customer"), Doc("The customer.")]
    page_size: PageSize = DEFAULT_PAGE
    page_token: Annotated[
        str,
        PAGE_TOKEN,
        Doc("`next_page_token` of the previous page, also when events were recorded since; empty for the first page."),
    ] = ""


@dataclass(frozen=True, slots=True)
class EventPage(Framed):
    """Some recorded events of a customer.

    Attributes:
        events: The events of this page, the one that was recorded last first; each has its time.
        next_page_token: Pass it to get the next page; empty for the last page.
    """

    _entry: ClassVar[type[Any]] = UserEvent
    _entries: ClassVar[str] = "events"

    events: tuple[UserEvent, ...]
    next_page_token: str = ""


@dataclass(frozen=True, slots=True)
class DeleteUserRequest(Checked):
    """A customer to delete: recorded events, and the use of what the bundle knows of the customer."""

    user_id: Annotated[str, Id(empty="pass the id of the customer"), Doc("The customer.")]


@dataclass(frozen=True, slots=True)
class DeletedUser:
    """What was deleted of a customer.

    The bundle's history, rejections and ratings of the customer are not counted: they are no longer used, and stay in
    its files until the next fit.

    Attributes:
        events: Recorded events that were removed; 0 at a second call.
    """

    events: int
