"""`mmrec similar`: the items nearest to one item."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.options import (
    CaOption,
    DeviceOption,
    DtypeOption,
    JsonFlag,
    KOption,
    QuietFlag,
    ServerOption,
    TimeoutOption,
    TlsFlag,
    TokenOption,
)
from mmrec.cli.output import Output
from mmrec.cli.session import Place, open_engine, print_ranking
from mmrec.errors import InvalidArgumentError
from mmrec.types import DEFAULT_K

__all__ = ["similar"]


def similar(
    names: Annotated[
        list[str],
        typer.Argument(metavar="[BUNDLE] ITEM", help="Bundle folder (none with --server), and the item's id."),
    ],
    k: KOption = DEFAULT_K,
    server: ServerOption = "",
    token: TokenOption = "",
    tls: TlsFlag = False,
    ca: CaOption = "",
    timeout: TimeoutOption = 10.0,
    device: DeviceOption = "auto",
    dtype: DtypeOption = "auto",
    json: JsonFlag = False,
    quiet: QuietFlag = False,
) -> None:
    """List the items whose picture and words are nearest to an item's.

    The score is the cosine similarity of the fused embeddings, -1 to 1.

    Example:
        mmrec similar bundle/ 50 --k 5
        mmrec similar 50 --server localhost:50051

    Raises:
        InvalidArgumentError: there are more or fewer than one bundle (or server) and one item.
    """
    bundle, item = _bundle_and_item(names, server)
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.similar(item, k)
    out.data(found)
    print_ranking(out, f"Similar to {item}", found.items)


def _bundle_and_item(names: list[str], server: str) -> tuple[str, str]:
    wanted = ["ITEM"] if server else ["BUNDLE", "ITEM"]
    if len(names) != len(wanted):
        raise InvalidArgumentError(
            f"received {len(names)} names ({', '.join(names)}); {'with' if server else 'without'} --server "
            f"this takes exactly {' and '.join(wanted)}"
        )
    return ("", names[0]) if server else (names[0], names[1])
