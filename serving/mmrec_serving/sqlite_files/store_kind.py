"""What tells the stores of one kind from other files, and how messages speak of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreKind:
    """A kind of store. A folder holds at most one store of each kind.

    Attributes:
        name: As messages name it, such as "store of catalogue changes".
        entry: One of its entries, with the article: "a change".
        entries: Several of them: "changes".
        key: What a caller sends again to be sure that nothing is done twice: "the same request id".
        more_room: How to make its file smaller, or make room for it, in a message.
        file: Name of the file.
        lock: Name of the file that the process which writes locks.
        application: `application_id` in the header of the file.
        version: Version of the layout: `user_version` in the header.
        schema: Statements that create the tables.
    """

    name: str
    entry: str
    entries: str
    key: str
    more_room: str
    file: str
    lock: str
    application: int
    version: int
    schema: tuple[str, ...]
