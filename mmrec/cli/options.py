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
ServerOption = Annotated[
    str,
    typer.Option("--server", metavar="HOST:PORT", help="Ask a running `mmrec serve` instead of loading a bundle."),
]
ChangedServerOption = Annotated[
    str, typer.Option("--server", metavar="HOST:PORT", help="The running `mmrec serve` whose catalogue is changed.")
]
TokenOption = Annotated[
    str,
    typer.Option("--token", envvar="MMREC_TOKEN", show_default=False, help="Token for --server, if it wants one."),
]
TlsFlag = Annotated[bool, typer.Option("--tls", help="Speak TLS with --server.")]
CaOption = Annotated[str, typer.Option("--ca", metavar="FILE", help="Trust this authority (PEM); implies --tls.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", help="How long to wait for --server's answer.")
]
KOption = Annotated[int, typer.Option("--k", "-k", metavar="N", help="How many items.")]
FilterOption = Annotated[
    str,
    typer.Option("--filter", metavar="CONDITION", help="""Only these items, as in 'colour = "red" AND price < 50'."""),
]
RelaxedFlag = Annotated[
    bool, typer.Option("--relaxed", help="When too few items pass --filter, fill up with the best of the others.")
]
ModalityOption = Annotated[
    str,
    typer.Option("--modality", metavar="fused|picture|words", help="Which side of the items to look at."),
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
