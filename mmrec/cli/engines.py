"""What the commands that ask share: an engine to ask, ids read from a flag, a ranked list to print.

The engine is a bundle loaded into this process or a server; both have the same calls. Knows nothing about how
either answers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmrec.contract.items import Fallback, ScoredItem
from mmrec.contract.replies import Recommendations, SearchResults
from mmrec.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from mmrec.cli.output import Output
    from mmrec.recommender import Recommender
    from mmrec.sdk.client import Client


@dataclass(frozen=True, slots=True)
class Place:
    """Who answers: a bundle folder loaded into this process, or a server.

    Attributes:
        bundle: Bundle folder; empty with a server.
        server: Address of the server, ``host:port``; empty with a bundle.
        token: The server's token; empty for none.
        tls: Whether to speak TLS with the server, with the usual authorities.
        ca: PEM file of the authority to trust instead; implies `tls`. Empty for none.
        timeout: Seconds to wait for the server's answer, over 0.
        device: Where to compute with a bundle.
        dtype: Number format to compute in with a bundle.
    """

    bundle: str
    server: str
    token: str = ""
    tls: bool = False
    ca: str = ""
    timeout: float = 10.0
    device: str = "auto"
    dtype: str = "auto"

    def __post_init__(self) -> None:
        if bool(self.bundle) == bool(self.server):
            both = f"both the bundle {self.bundle!r} and --server {self.server!r} are given"
            raise InvalidArgumentError(
                f"{both if self.bundle else 'neither a bundle nor --server is given'}; name exactly one of a "
                "bundle folder and --server HOST:PORT"
            )


@contextmanager
def open_engine(place: Place) -> Iterator[Client | Recommender]:
    """Whoever answers, for the length of a `with`.

    Raises:
        BundleError: the bundle is damaged.
        DeviceNotAvailableError: the device is not here.
        NotFoundError: the bundle folder or `ca` does not exist.
    """
    if place.server:
        with open_server(place.server, place.token, place.tls, place.ca, place.timeout) as client:
            yield client
    else:
        from mmrec.recommender import Recommender

        yield Recommender.load(Path(place.bundle), device=place.device, dtype=place.dtype)


@contextmanager
def open_server(server: str, token: str, tls: bool, ca: str, timeout: float) -> Iterator[Client]:
    """A client of a server, for the length of a `with`; the arguments are those of `Place`.

    Raises:
        InvalidArgumentError: no server is named.
        NotFoundError: `ca` does not exist.
    """
    if not server:
        raise InvalidArgumentError(
            "--server is not given; name a running server: --server HOST:PORT, as `mmrec serve` prints it",
            field="server",
        )
    from mmrec.sdk.client import Client
    from mmrec.sdk.connection import Tls

    with Client(server, token=token or None, tls=Tls(ca=ca) if ca else tls, timeout=timeout) as client:
        yield client


def holds_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset rather than a bundle.

    Raises:
        NotFoundError: there is no such folder, or it is neither.
    """
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {str(folder)!r}; name a bundle or a dataset folder")
    if (folder / "CURRENT").is_file() or (folder / "manifest.json").is_file():
        return False
    if any((folder / f"items.{kind}").is_file() for kind in ("parquet", "csv", "tsv", "jsonl")):
        return True
    raise NotFoundError(
        f"{str(folder)!r} is neither a bundle (it has no file CURRENT) nor a dataset (it has no items table: "
        "items.parquet, .csv, .tsv or .jsonl); name the folder itself"
    )


def read_ids(values: Sequence[str], flag: str) -> list[str]:
    """The ids in a flag that may be repeated: commas separate, double quotes protect a comma inside an id.

    Every other character belongs to the id, spaces at its ends too.

    Args:
        values: What each use of the flag was given, e.g. ``["1,2", '"red, large",7']``.
        flag: The flag's name, for the message.

    Raises:
        InvalidArgumentError: an id is empty, or a double quote is not closed.
    """
    ids: list[str] = []
    for value in values:
        try:
            found = [one for row in csv.reader([value], strict=True) for one in row]
        except csv.Error as err:
            raise InvalidArgumentError(
                f"{flag} is {value!r}, whose double quotes do not match; commas separate ids, and an id that "
                f"""holds a comma is put in double quotes: {flag} '"a,b",c'"""
            ) from err
        if any(one[0] in " \t" and one.lstrip().startswith('"') for one in found if one):
            raise InvalidArgumentError(
                f"{flag} is {value!r}, with a space before double quotes; leave it out, or put it inside them if it "
                "belongs to the id"
            )
        if "" in found:
            raise InvalidArgumentError(f"{flag} is {value!r}, with an empty id in it; remove the extra comma")
        ids += found
    return ids


def shown_ids(ids: Sequence[str]) -> str:
    """Ids for people: those that hold what cannot be seen, or a comma, as they would be written in Python."""
    return ", ".join(repr(one) if one != one.strip() or "," in one or not one.isprintable() else one for one in ids)


def note_fallback(out: Output, found: SearchResults | Recommendations) -> None:
    """Say on stderr that a list goes beyond its filter."""
    if found.fallback in (Fallback.FILTER_RELAXED, Fallback.POPULARITY_FILTER_RELAXED):
        out.note("too few items pass the filter: the last ones come from outside it")


def note_nothing_found(out: Output, found: SearchResults, filter: str) -> None:
    """Say on stderr that a list is empty for its filter, and that = finds no entry of a list."""
    if not found.items and filter:
        words = '="' in filter.replace(" ", "")
        hint = '; an entry of a list is found by : and not by =, as in category:"Lamps"' if words else ""
        out.note(f"no other item passes the filter{hint}")


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
        f"{share.channel} {share.share:+.3f}" + (f" from {share.history_item_id}" if share.history_item_id else "")
        for share in largest_first
    )
