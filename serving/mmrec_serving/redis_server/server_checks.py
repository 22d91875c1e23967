"""Whether a Redis keeps what it acknowledges: its version and settings.

Unit of work: one connection, as a server may come back with other settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mmrec.errors import FailedPreconditionError

_OLDEST = 7
"""The first whose scripts are told in advance that memory is used up, before they have written anything."""


class _Setting(NamedTuple):
    name: str
    value: str
    why: str


_NEEDED = (
    _Setting("appendonly", "yes", "so whatever was acknowledged is lost when it ends"),
    _Setting("appendfsync", "always", "so a power cut loses what was acknowledged"),
    _Setting(
        "no-appendfsync-on-rewrite", "no", "so a power cut while the file is rewritten loses what was acknowledged"
    ),
    _Setting("maxmemory-policy", "noeviction", "so it removes what was acknowledged when memory is used up"),
)
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("INFO", "server"),
    ("CONFIG", "GET", *(setting.name for setting in _NEEDED)),
)
"""The commands whose replies `check_server` reads."""


def check_server(replies: Sequence[object], where: str) -> None:
    """Check the replies to `QUESTIONS`.

    Args:
        replies: The replies as they came.
        where: The store, as messages name it.

    Raises:
        FailedPreconditionError: the server is too old, a part of a cluster, or would lose what it acknowledged; the
            message names the setting to change.
    """
    info, settings = replies
    lines = info.decode("utf-8", "replace").splitlines() if isinstance(info, bytes) else []
    about = dict(line.split(":", 1) for line in lines if ":" in line)
    version = about.get("redis_version", "")
    if not version.partition(".")[0].isdigit() or int(version.partition(".")[0]) < _OLDEST:
        raise FailedPreconditionError(
            f"{where} cannot be used: Redis has version {version or 'unknown'}, and {_OLDEST} is the oldest that is "
            "supported; upgrade it"
        )
    if about.get("redis_mode") == "cluster":
        raise FailedPreconditionError(
            f"{where} cannot be used: that Redis is part of a cluster, whose transactions cannot span all keys of a "
            "store; give one that is none, with a replica for failures"
        )
    words = (
        [word.decode("utf-8", "replace") for word in settings if isinstance(word, bytes)]
        if isinstance(settings, list)
        else []
    )
    found = dict(zip(words[::2], words[1::2], strict=False))
    for setting in _NEEDED:
        if (value := found.get(setting.name, "unknown")) != setting.value:
            raise FailedPreconditionError(
                f"{where} cannot be used: {setting.name} is {value} in that Redis, {setting.why}; set "
                f"`{setting.name} {setting.value}` in its configuration"
            )
