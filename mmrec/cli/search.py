"""`mmrec search`: the items nearest to words, to a picture, or to both."""

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
from mmrec.types import DEFAULT_K, SearchRequest, read_picture

__all__ = ["search"]


def search(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Bundle folder; none with --server.")] = "",
    text: Annotated[str, typer.Option("--text", metavar="WORDS", help="Words to search by.")] = "",
    picture: Annotated[
        str,
        typer.Option("--picture", metavar="FILE", help="Picture to search by: JPEG, PNG, WebP, GIF or BMP."),
    ] = "",
    text_weight: Annotated[
        float, typer.Option("--text-weight", metavar="0..1", help="Share of the words when both are given.")
    ] = 0.5,
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
    """Search the catalogue by words, by a picture, or by both.

    The score is the cosine similarity of the fused embeddings, -1 to 1.

    Example:
        mmrec search bundle/ --text "red shoes" --k 5
        mmrec search --server localhost:50051 --text "the same in blue" --picture shoe.jpg --text-weight 0.4

    Raises:
        InvalidArgumentError: there are neither words nor a picture, or `text_weight` is out of range.
        NotFoundError: the picture file cannot be read.
    """
    if not text.strip() and not picture:
        raise InvalidArgumentError("neither --text nor --picture is given; pass at least one of them")
    # Made here too, so that a bad flag is refused before a bundle is loaded.
    checked = SearchRequest(text=text, image=read_picture(picture or None), text_weight=text_weight, k=k)
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    with open_engine(place) as engine:
        found = engine.search(checked.text, image=checked.image, text_weight=checked.text_weight, k=checked.k)
    out.data(found)
    sought = [f'"{text}"'] if text.strip() else []
    print_ranking(out, f"Nearest to {' and '.join([*sought, *([picture] if picture else [])])}", found.items)
