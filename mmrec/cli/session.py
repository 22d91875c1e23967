"""What the commands that ask share: an engine to ask, ids read from a flag, a ranked list to print.

The engine is a bundle loaded into this process or a server; both have the same calls. Knows nothing about how
either answers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mmrec.errors import InvalidArgumentError
from mmrec.types import ScoredItem

if TYPE_CHECKING:
    from mmrec.cli.output import Output
    from mmrec.client import Client
    from mmrec.recommender import Recommender

__all__ = ["open_engine", "print_ranking", "read_ids"]


@contextmanager
def open_engine(
    bundle: str,
    server: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    token: str = "",
    timeout: float = 10.0,
) -> Iterator[Client | Recommender]:
    """The bundle in this process, or the server, whichever is named.

    Raises:
        InvalidArgumentError: both are named, or neither.
        BundleError: the bundle is damaged.
        UnavailableError: the server cannot be reached.
    """
    if bool(bundle) == bool(server):
        received = f"both {bundle!r} and --server {server!r} are" if bundle else "neither is"
        raise InvalidArgumentError(
            f"{received} given; name exactly one of a bundle folder and --server HOST:PORT"
        )
    if server:
        from mmrec.client import Client

        with Client(server, token=token or None, timeout=timeout) as client:
            yield client
    else:
        from mmrec.recommender import Recommender

        yield Recommender.load(Path(bundle), device=device, dtype=dtype)


def read_ids(values: Sequence[str], flag: str) -> list[str]:
    """The ids in a flag that may be repeated: commas separate, double quotes protect a comma inside an id.

    Args:
        values: What each use of the flag was given, e.g. ``["1,2", '"red, large",7']``.
        flag: The flag's name, for the message.

    Raises:
        InvalidArgumentError: an id is empty, or a double quote is not closed.
    """
    ids: list[str] = []
    for value in values:
        try:
            found = [one for row in csv.reader([value], strict=True, skipinitialspace=True) for one in row]
        except csv.Error as err:
            raise InvalidArgumentError(
                f"{flag} is {value!r}, whose double quotes do not match; commas separate ids, and an id that "
                f"""holds a comma is put in double quotes: {flag} '"a,b",c'"""
            ) from err
        if "" in found:
            raise InvalidArgumentError(f"{flag} is {value!r}, with an empty id in it; remove the extra comma")
        ids += found
    return ids


def print_ranking(out: Output, title: str, items: Sequence[ScoredItem], *, explain: bool = False) -> None:
    """Print rank, id, title and score of each item, and with `explain` what the score is made of."""
    columns = ["rank", "item", "title", "score", *(["why"] if explain else [])]
    rows = [
        [rank, scored.item_id, scored.title, float(scored.score), *([_why(scored)] if explain else [])]
        for rank, scored in enumerate(items, start=1)
    ]
    out.table(title, columns, rows)


def _why(scored: ScoredItem) -> str:
    largest_first = sorted(scored.shares, key=lambda share: -abs(share.share))
    return "; ".join(
        f"{share.channel} {share.share:+.3f}"
        + (f" from {share.history_item_id}" if share.history_item_id else "")
        for share in largest_first
    )
