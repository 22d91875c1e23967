"""Options that several commands share, with one spelling and one help text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")]
KOption = Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many items.")]
SkipOption = Annotated[
    int, typer.Option("--skip", metavar="N", help="Skip the first N batches, which were answered before.")
]
TemplateOption = Annotated[
    str,
    typer.Option(
        "--template",
        metavar="TEXT",
        help="Item words from columns: '{title} by {brand}'. [dataset.toml, or the columns that are words]",
    ),
]
HeldOutOption = Annotated[
    str, typer.Option("--split", metavar="leave-one-out|time", help="Which events are held out, as in mmrec fit.")
]
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


@dataclass(frozen=True, slots=True)
class Writing:
    """The language model that words sentences, of a bundle that is loaded into this process."""

    language_model: Annotated[
        str,
        typer.Option(
            "--language-model",
            metavar="MODEL",
            help="Words sentences by smollm2-135m, a hub id, folder or GGUF file; left out: by templates.",
        ),
    ] = ""
    wording_seconds: Annotated[
        float,
        typer.Option("--wording-seconds", metavar="SECONDS", help="Most time for the words of one reply."),
    ] = 6.0
    models: Annotated[
        str, typer.Option("--models", metavar="DIR", envvar="MMREC_MODELS", help="Folder of mmrec models get.")
    ] = "~/.cache/mmrec/models"
