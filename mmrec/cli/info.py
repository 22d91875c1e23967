"""`mmrec info`: what a bundle or a running server holds."""

from __future__ import annotations

from datetime import UTC, datetime

from mmrec.cli.engines import Connection, Place, open_engine
from mmrec.cli.options import BundleArgument, Compute
from mmrec.cli.output import Output


def info(
    bundle: BundleArgument = "",
    *,
    connection: Connection,
    compute: Compute,
    output: Output,
) -> None:
    """Describe a bundle or a running server: sizes, versions, device.

    A bundle is loaded as by `mmrec serve`, so this also checks that it is complete and undamaged.

    Example:
        mmrec info bundle/
        mmrec info --server localhost:50051 --json
    """
    with open_engine(Place(bundle, connection, compute), whole=True) as engine:
        found = engine.info()
    output.data(found)
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
        ("mmrec", found.mmrec_version or "unknown"),
        ("language model", f"{found.language_model or 'none'} {found.language_model_version[:12]}".strip()),
    ]
    refused = found.refused_bundle
    if refused is not None:
        when = datetime.fromtimestamp(refused.time, UTC)
        rows.append(
            ("refused version", f"{refused.version or 'unknown'} at {when:%Y-%m-%d %H:%M:%S} UTC: {refused.reason}")
        )
    output.table("", ("what", "value"), rows)
