"""Customers that a service has deleted, remembered by keyed digests, so that what is remembered contains no id.

Unit of work: one immutable value, which tells of an id whether it was deleted. Whoever has both the key and the digests
can test guessed ids, so they are to be kept as carefully as the events themselves. Knows nothing of stores and models.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

_KEY_BYTES = 32


def new_key() -> bytes:
    """A random key."""
    return secrets.token_bytes(_KEY_BYTES)


def nobody(user_id: str) -> bool:
    """Of no customer anything is forgotten."""
    return False


@dataclass(frozen=True, slots=True)
class ForgottenUsers:
    """Deleted customers.

    Attributes:
        key: Key of the digests; empty while there are none.
        deletions: Number of the last deletion of each customer, 1 or more, by digest (HMAC-SHA-256 of the id in UTF-8).
            Later deletions have higher numbers.
    """

    key: bytes = b""
    deletions: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """Number of the last deletion; 0: there was none."""
        return max(self.deletions.values(), default=0)

    def digest(self, user_id: str) -> bytes:
        """The digest of an id."""
        return hmac.digest(self.key, user_id.encode("utf-8", "surrogatepass"), "sha256")

    def has(self, user_id: str, after: int = 0) -> bool:
        """Whether a customer was deleted, by a deletion with a higher number than `after`."""
        return bool(self.deletions and user_id) and self.deletions.get(self.digest(user_id), 0) > after

    def with_user(self, user_id: str) -> ForgottenUsers:
        """These customers and one more, by a deletion of its own."""
        keyed = self if self.key else ForgottenUsers(new_key())
        return ForgottenUsers(keyed.key, {**keyed.deletions, keyed.digest(user_id): self.last + 1})
