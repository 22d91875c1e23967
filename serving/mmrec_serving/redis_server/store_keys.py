"""The names of the keys of a store, and the version of its layout.

Unit of work: one store. The hash ``PREFIX:layout`` has the version of each kind of store; every other key of a store
begins with ``PREFIX:KIND:``. The hash ``PREFIX:KIND:log`` is made with the store and stays for as long as it does.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmrec.errors import FailedPreconditionError, NotFoundError

BEGIN = """#!lua
local found = redis.call('HGET', KEYS[1], ARGV[1])
if found then
  return tonumber(found)
end
redis.call('HSET', KEYS[2], unpack(ARGV, 3))
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return tonumber(ARGV[2])
"""
"""Makes a store unless it is there; returns the version of its layout. Of servers that start at once, one makes it."""


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """The keys of a kind of store.

    Attributes:
        name: The kind, as messages name it, such as "store of events".
        again: What a caller sends again to be sure that nothing is done twice: "the same event ids".
        kind: The kind in the names of keys, such as "events".
        version: The layout of this mmrec, 1 or more.
    """

    name: str
    again: str
    kind: str
    version: int

    def check(self, found: int | None) -> None:
        """Check the version of the layout of a store.

        Raises:
            NotFoundError: there is none, as there is no store.
            FailedPreconditionError: it is another one.
        """
        if found is None:
            raise NotFoundError(
                f"there is no {self.name} in the database under this prefix; name that of `mmrec serve --store`"
            )
        if found != self.version:
            raise FailedPreconditionError(
                f"the {self.name} has version {found} of its layout, this mmrec reads version {self.version}; use the "
                "mmrec that wrote it, or give another prefix or database"
            )
