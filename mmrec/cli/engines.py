"""What the commands that ask share: an engine to ask, ids read from a flag, a ranked list to print.

The engine is a bundle loaded into this process or a server; both have the same calls. Knows nothing about how
either answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mmrec.cli.options import DeviceOption, DtypeOption
from mmrec.contract.items import Fallback, ScoredItem
from mmrec.contract.replies import Recommendations, SearchResults
from mmrec.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from mmrec.cli.output import Output
    from mmrec.recommender import Recommender
    from mmrec.sdk.client import Client


@dataclass(frozen=True, slots=True)
class Connection:
    """The server to ask or to change: the options of every command that speaks with one."""

    server: Annotated[
        str, typer.Option("--server", metavar="HOST:PORT", help="A running `mmrec serve`; in place of a bundle.")
    ] = ""
    token: Annotated[
        str,
        typer.Option("--token", envvar="MMREC_TOKEN", show_default=False, help="Token for --server, if it wants one."),
    ] = ""
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS with --server.")] = False
    ca: Annotated[str, typer.Option("--ca", metavar="FILE", help="Trust this authority (PEM); implies --tls.")] = ""
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait for --server's answer.")
    ] = 10.0


@dataclass(frozen=True, slots=True)
class Compute:
    """Where and in which number format a bundle that is loaded here computes."""

    device: DeviceOption = "auto"
    dtype: DtypeOption = "auto"


@dataclass(frozen=True, slots=True)
class Place:
    """Who answers: a bundle folder loaded into this process, or a server.

    Attributes:
        bundle: Bundle folder; empty with a server.
        connection: The server; none is named in it with a bundle.
        compute: Where to compute with a bundle.

    Raises:
        InvalidArgumentError: both are named, or neither.
    """

    bundle: str
    connection: Connection = Connection()
    compute: Compute = Compute()

    def __post_init__(self) -> None:
        server = self.connection.server
        if bool(self.bundle) == bool(server):
            both = f"both the bundle {self.bundle!r} and --server {server!r} are given"
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
    if place.connection.server:
        with open_server(place.connection) as client:
            yield client
    else:
        from mmrec.recommender import Recommender

        yield Recommender.load(Path(place.bundle), device=place.compute.device, dtype=place.compute.dtype)


@contextmanager
def open_server(connection: Connection) -> Iterator[Client]:
    """A client of a server, for the length of a `with`.

    Raises:
        InvalidArgumentError: no server is named.
        NotFoundError: `ca` does not exist.
    """
    if not connection.server:
        raise InvalidArgumentError(
            "--server is not given; name a running server: --server HOST:PORT, as `mmrec serve` prints it",
            field="server",
        )
    from mmrec.sdk.client import Client
    from mmrec.sdk.connection import Tls

    tls = Tls(ca=connection.ca) if connection.ca else connection.tls
    token = connection.token or None
    with Client(connection.server, token=token, tls=tls, timeout=connection.timeout) as client:
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
