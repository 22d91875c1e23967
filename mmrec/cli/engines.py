"""Shared by the commands that send requests: opening an engine, notes about a result, printing a ranked list.

An engine is a bundle loaded into this process, or a client of a server; both have the same methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mmrec.cli.options import Compute, Writing
from mmrec.contract.items import Fallback, ScoredItem
from mmrec.contract.replies import Recommendations, SearchResults
from mmrec.errors import InvalidArgumentError, NotFoundError

if TYPE_CHECKING:
    from mmrec.cli.output import Output
    from mmrec.generator.pretrained import Checkpoint
    from mmrec.recommender import Recommender
    from mmrec.sdk.client import Client
    from mmrec.sdk.connection import Tls
    from mmrec.sdk.timing import CallTiming


@dataclass(frozen=True, slots=True)
class Connection:
    """A server: options of every command that sends requests to one."""

    server: Annotated[
        str, typer.Option("--server", metavar="HOST:PORT", help="A running `mmrec serve`, instead of a bundle.")
    ] = ""
    token: Annotated[
        str,
        typer.Option("--token", envvar="MMREC_TOKEN", show_default=False, help="Token for --server, if required."),
    ] = ""
    tls: Annotated[bool, typer.Option("--tls", help="Use TLS for --server.")] = False
    ca: Annotated[str, typer.Option("--ca", metavar="FILE", help="Trust this authority (PEM); implies --tls.")] = ""
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", help="Timeout of a request to --server.")
    ] = 10.0
    timing: Annotated[
        bool, typer.Option("--timing", help="Say on stderr how long --server took for each stage of a call.")
    ] = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where requests are answered: by a bundle loaded into this process, or by a server.

    Attributes:
        bundle: Bundle folder; empty for a server.
        connection: The server; its address is empty for a bundle.
        compute: Device and number format for a bundle.
        writing: Language model for a bundle.

    Raises:
        InvalidArgumentError: both or neither are given, or a language model beside a server.
    """

    bundle: str
    connection: Connection = Connection()
    compute: Compute = field(default_factory=Compute)
    writing: Writing = field(default_factory=Writing)

    def __post_init__(self) -> None:
        server = self.connection.server
        if bool(self.bundle) == bool(server):
            both = f"both the bundle {self.bundle!r} and --server {server!r} are given"
            raise InvalidArgumentError(
                f"{both if self.bundle else 'neither a bundle nor --server is given'}; name exactly one of a "
                "bundle folder and --server HOST:PORT"
            )
        if server and self.writing.language_model:
            raise InvalidArgumentError(
                f"--language-model {self.writing.language_model!r} is given beside --server, which has its own or "
                "none; leave it out here, and give it to mmrec serve",
                field="language_model",
            )


@contextmanager
def open_engine(place: Place, *, whole: bool = False) -> Iterator[Client | Recommender]:
    """The engine for a `Place`, as a context manager.

    Args:
        place: The bundle or the server.
        whole: Load every encoder of a bundle now, and not only when a question needs it.

    Raises:
        BundleError: the bundle is damaged.
        DeviceNotAvailableError: this machine does not have the device.
        NotFoundError: the bundle folder or `ca` does not exist.
    """
    if place.connection.server:
        with open_server(place.connection) as client:
            yield client
    else:
        yield recommender_loader(place.bundle, place.compute, place.writing, encoders_when_used=not whole)()


def recommender_loader(
    bundle: str, compute: Compute, writing: Writing, *, encoders_when_used: bool = False
) -> Callable[[], Recommender]:
    """What loads a bundle with its language model, whose files are looked for at once.

    Raises:
        InvalidArgumentError: the limits of the language model are out of range, or its files of another format.
        MissingExtraError, ModelNotAvailableError: the language model is not here.
    """
    from mmrec.generator.pretrained import find_checkpoint
    from mmrec.recommender import Recommender
    from mmrec.recommender.reply_wording import WordingConfig

    limits = WordingConfig(seconds=writing.wording_seconds)
    model: str | Checkpoint = ""
    if writing.language_model and Path(bundle).is_dir():  # without the bundle, no model is fetched
        model = find_checkpoint(writing.language_model, cache=Path(writing.models).expanduser())
    return lambda: Recommender.load(
        Path(bundle),
        device=compute.device,
        dtype=compute.dtype,
        language_model=model,
        wording=limits,
        encoders_when_used=encoders_when_used,
    )


class Access(NamedTuple):
    """How to reach a server: the arguments of a client.

    Attributes:
        target: Its address.
        token: The token that it requires; None for none.
        tls: TLS settings; None for no TLS.
    """

    target: str
    token: str | None
    tls: Tls | None


def server_access(connection: Connection) -> Access:
    """The server that the flags name.

    Raises:
        InvalidArgumentError: `connection` has no server.
    """
    if not connection.server:
        raise InvalidArgumentError(
            "--server is not given; name a running server: --server HOST:PORT, as `mmrec serve` prints it",
            field="server",
        )
    from mmrec.sdk.connection import Tls

    tls = Tls(ca=connection.ca or None) if connection.ca or connection.tls else None
    return Access(connection.server, connection.token or None, tls)


@contextmanager
def open_server(connection: Connection) -> Iterator[Client]:
    """A client of a server, as a context manager.

    Raises:
        InvalidArgumentError: `connection` has no server.
        NotFoundError: `ca` does not exist.
    """
    target, token, tls = server_access(connection)
    from mmrec.sdk.client import Client

    on_timing = _print_timing if connection.timing else None
    with Client(target, token=token, tls=tls or False, timeout=connection.timeout, on_timing=on_timing) as client:
        yield client


def _print_timing(timing: CallTiming) -> None:
    stages = ", ".join(f"{name} {1000 * seconds:.1f}" for name, seconds in timing.stages.items())
    typer.echo(f"{timing.method.rpartition('/')[2]}: {1000 * timing.total:.1f} ms on the server ({stages})", err=True)


def holds_dataset(folder: Path) -> bool:
    """Whether a folder is a dataset; False for a bundle.

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
    """Ids in a message; one with a comma, outer spaces or unprintable characters is shown as a Python literal."""
    return ", ".join(repr(one) if one != one.strip() or "," in one or not one.isprintable() else one for one in ids)


def note_missing(output: Output, ids: Sequence[str]) -> None:
    """Note which ids of a request are not in the catalogue."""
    if ids:
        output.note(f"not in the catalogue, skipped: {shown_ids(ids)}")


def note_checked(output: Output, found: object) -> None:
    """Print the reply to a request that was only checked."""
    output.note("the request is in order; it was checked and not answered")
    output.data(found)


def note_fallback(output: Output, found: SearchResults | Recommendations) -> None:
    """Note that a list contains items that do not pass its filter."""
    if found.fallback in (Fallback.FILTER_RELAXED, Fallback.POPULARITY_FILTER_RELAXED):
        output.note("too few items pass the filter: the last items do not pass it")


def note_nothing_found(output: Output, found: SearchResults, filter: str) -> None:
    """Note that no item passes the filter, with a hint if = may have been used instead of : for a list column."""
    if not found.items and filter:
        words = '="' in filter.replace(" ", "")
        hint = '; an entry of a list is found by : and not by =, as in category:"Lamps"' if words else ""
        output.note(f"no other item passes the filter{hint}")


def print_ranking(output: Output, title: str, items: Sequence[ScoredItem], *, explain: bool = False) -> None:
    """Print rank, id, title and score of each item; with `explain` the parts of the score; explanations in words."""
    told = any(scored.explanation for scored in items)
    columns = ["rank", "item", "title", "score", *(["why"] if explain else []), *(["in words"] if told else [])]
    rows = []
    for rank, scored in enumerate(items, start=1):
        row: list[object] = [rank, scored.item_id, scored.title, float(scored.score)]
        rows.append([*row, *([_why(scored)] if explain else []), *([scored.explanation] if told else [])])
    output.table(title, columns, rows)


def _why(scored: ScoredItem) -> str:
    largest_first = sorted(scored.shares, key=lambda share: -abs(share.share))
    return "; ".join(
        f"{share.channel} {share.share:+.3f}" + (f" from {share.history_item_id}" if share.history_item_id else "")
        for share in largest_first
    )
