"""`mmrec search`: the items nearest to words, to a picture, to an item, or to several of them at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.engines import Place, note_fallback, note_nothing_found, open_engine, print_ranking
from mmrec.cli.options import (
    CaOption,
    DeviceOption,
    DtypeOption,
    FilterOption,
    JsonFlag,
    KOption,
    ModalityOption,
    QuietFlag,
    RelaxedFlag,
    ServerOption,
    TimeoutOption,
    TlsFlag,
    TokenOption,
)
from mmrec.cli.output import Output
from mmrec.cli.query_file import named, print_answers, read_queries
from mmrec.contract.items import FilterMode
from mmrec.contract.replies import SearchResults
from mmrec.contract.requests import SearchRequest
from mmrec.contract.rules import DEFAULT_K, MAX_BATCH, Picture
from mmrec.errors import InvalidArgumentError, MmrecError


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
    item: Annotated[str, typer.Option("--item", metavar="ID", help="Item of the catalogue to search by.")] = "",
    item_weight: Annotated[
        float, typer.Option("--item-weight", metavar="0..1", help="Share of the item beside words or a picture.")
    ] = 0.5,
    k: KOption = DEFAULT_K,
    filter: FilterOption = "",
    relaxed: RelaxedFlag = False,
    modality: ModalityOption = "fused",
    page_token: Annotated[
        str, typer.Option("--page-token", metavar="TOKEN", help="next_page_token of the page before (see --json).")
    ] = "",
    queries: Annotated[
        str,
        typer.Option("--queries", metavar="FILE", help="Many searches: a JSON object a line, with these flags' names."),
    ] = "",
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
    """Search the catalogue by words, by a picture, by an item, or by several of them at once.

    The score is the cosine similarity of the fused embeddings, -1 to 1. With --queries every line is a search of its
    own: it may have text, picture (a path), text_weight, item, item_weight, k, filter, relaxed and modality; what it
    leaves out is as in the flags. One that fails does not stop the others.

    Example:
        mmrec search bundle/ --text "red shoes" --k 5 --filter 'price < 50'
        mmrec search --server localhost:50051 --text "the same in blue" --item p0001 --item-weight 0.6
        mmrec search bundle/ --queries searches.jsonl --json

    Raises:
        InvalidArgumentError: there is nothing to search by, or a flag or a line of the file breaks a rule.
        NotFoundError: the picture or the file of searches cannot be read.
    """
    flags = {
        "text": text,
        "picture": picture,
        "text_weight": text_weight,
        "item": item,
        "item_weight": item_weight,
        "k": k,
        "filter": filter,
        "relaxed": relaxed,
        "modality": modality,
    }
    place = Place(bundle, server, token, tls, ca, timeout, device, dtype)
    out = Output(json=json, quiet=quiet)
    if queries:
        _search_all(Path(queries), flags, place, out)
        return
    if not text.strip() and not picture and not item:
        raise InvalidArgumentError(
            "neither --text nor --picture is given, nor --item or --queries; pass at least one of them"
        )
    # Made here too, so that a bad flag is refused before a bundle is loaded.
    asked = SearchRequest(
        text=text,
        image=Picture().check(picture, "image") if picture else None,
        text_weight=text_weight,
        k=k,
        item_id=item,
        item_weight=item_weight,
        modality=modality,  # type: ignore[arg-type]  # the request makes members of words
        filter=filter,
        filter_mode=FilterMode.RELAXED if relaxed else FilterMode.STRICT,
        page_token=page_token,
    )
    with open_engine(place) as engine:
        found = engine.search(
            asked.text,
            image=asked.image,
            text_weight=asked.text_weight,
            item_id=asked.item_id,
            item_weight=asked.item_weight,
            k=asked.k,
            modality=asked.modality,
            filter=asked.filter,
            filter_mode=asked.filter_mode,
            page_token=asked.page_token,
        )
    note_fallback(out, found)
    note_nothing_found(out, found, asked.filter)
    out.data(found)
    print_ranking(out, f"Nearest to {named(asked.text, picture, item)}", found.items)


def _search_all(path: Path, flags: dict[str, object], place: Place, out: Output) -> None:
    """Every search of a file, in parts that a server takes."""
    requests = read_queries(path, flags)
    answers: list[SearchResults | MmrecError] = []
    with open_engine(place) as engine:
        for at in range(0, len(requests), MAX_BATCH):
            answers += engine.search_many(requests[at : at + MAX_BATCH])
    print_answers(out, requests, answers)
