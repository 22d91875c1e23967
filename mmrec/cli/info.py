"""`mmrec info`: what a bundle or a running server holds."""

from __future__ import annotations

from typing import Annotated

import typer

from mmrec.cli.engines import Place, open_engine
from mmrec.cli.options import (
    CaOption,
    DeviceOption,
    DtypeOption,
    JsonFlag,
    QuietFlag,
    ServerOption,
    TimeoutOption,
    TlsFlag,
    TokenOption,
)
from mmrec.cli.output import Output


def info(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")] = "",
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
    """Say what a bundle or a running server holds: sizes, versions, device.

    A bundle is loaded as `mmrec serve` would load it, so this also tells whether it is whole.

    Example:
        mmrec info bundle/
        mmrec info --server localhost:50051 --json
    """
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.info()
    out.data(found)
    rows = [
        ("name", found.name),
        ("preset", found.preset),
        ("items", f"{found.items:,}"),
        ("users", f"{found.users:,}"),
        ("embedding length", str(found.dimension)),
        ("usable prefixes", ", ".join(str(prefix) for prefix in found.prefixes)),
        ("semantic ID", f"{found.levels} codes of {found.codebook_size}"),
        ("model version", found.versions.model),
        ("catalogue version", found.versions.catalogue),
        ("codebook version", found.versions.codebook),
        ("device", found.device),
    ]
    out.table("", ("what", "value"), rows)
