"""Options that several commands share, with one spelling and one help text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

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


@dataclass(frozen=True, slots=True)
class Compute:
    """Where models run, and in which number format."""

    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda", help="Device; auto uses a GPU if there is one.")
    ] = "auto"
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            metavar="auto|float32|bfloat16|float16",
            help="Number format; auto uses bfloat16 where the hardware supports it.",
        ),
    ] = "auto"
