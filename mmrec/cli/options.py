"""Options that several commands share, so that a flag has one spelling and one help text everywhere."""

from __future__ import annotations

from typing import Annotated

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout instead of tables.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="No notes and no progress on stderr.")]
DeviceOption = Annotated[
    str,
    typer.Option("--device", metavar="auto|cpu|cuda", help="Where to compute; auto takes a GPU if there is one."),
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype",
        metavar="auto|float32|bfloat16|float16",
        help="Number format; auto takes bfloat16 where the hardware multiplies it.",
    ),
]
KOption = Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many items.")]
MaxLeftOutOption = Annotated[
    float,
    typer.Option(
        "--max-left-out",
        metavar="SHARE",
        help="Largest share of unusable rows, 0 to 1; left out: as dataset.toml says, or 0.1.",
        show_default=False,
    ),
]
