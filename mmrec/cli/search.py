"""`mmrec search`: the items nearest to a text, a picture, an item, or a combination of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mmrec.cli.engines import (
    Connection,
    Place,
    note_checked,
    note_fallback,
    note_nothing_found,
    open_engine,
    print_ranking,
)
from mmrec.cli.option_groups import Flag, RequestFlags
from mmrec.cli.options import BundleArgument, Compute
from mmrec.cli.output import Output
from mmrec.cli.query_file import named, print_answers, read_queries
from mmrec.contract.items import FilterMode
from mmrec.contract.replies import SearchResults
from mmrec.contract.requests import SearchRequest
from mmrec.contract.rules import MAX_BATCH
from mmrec.errors import InvalidArgumentError, MmrecError
from mmrec.sdk.options import SearchOptions

_FLAGS = {
    "image": Flag("--picture", "FILE", "Picture to search by: JPEG, PNG, WebP, GIF or BMP."),
    "item_id": Flag("--item", "ID"),
}


def search(
    bundle: BundleArgument = "",
    text: Annotated[str, typer.Option("--text", metavar="WORDS", help="Words to search by.")] = "",
    queries: Annotated[
        str,
        typer.Option("--queries", metavar="FILE", help="Many searches: one JSON object per line, with flags as keys."),
    ] = "",
    *,
    options: Annotated[SearchOptions, RequestFlags(SearchRequest, ("vector", "item_fields"), _FLAGS)],
    connection: Connection,
    compute: Compute,
    output: Output,
) -> None:
    """Search the catalogue by a text, a picture, an item, or a combination of them.

    The score is the cosine similarity of the fused embeddings, -1 to 1. With --queries, each line is one search with
    any of text, picture (a path), text_weight, item, item_weight, k, filter, relaxed and modality; the flags give the
    values of the others. A search that fails does not stop the others.

    Example:
        mmrec search bundle/ --text "red shoes" --k 5 --filter 'price < 50'
        mmrec search --server localhost:50051 --text "the same in blue" --item p0001 --item-weight 0.6
        mmrec search bundle/ --queries searches.jsonl --json

    Raises:
        InvalidArgumentError: there is nothing to search by, or a flag or a line of the file breaks a rule.
        NotFoundError: the picture or the file of searches cannot be read.
    """
    place = Place(bundle, connection, compute)
    if queries:
        flags = {
            "text": text,
            "picture": options["image"] or "",
            "text_weight": options["text_weight"],
            "item": options["item_id"],
            "item_weight": options["item_weight"],
            "k": options["k"],
            "filter": options["filter"],
            "relaxed": options["filter_mode"] is FilterMode.RELAXED,
            "modality": options["modality"],
        }
        _search_all(Path(queries), flags, place, output, validate_only=options["validate_only"])
        return
    if not text.strip() and not options["image"] and not options["item_id"]:
        raise InvalidArgumentError(
            "neither --text nor --picture is given, nor --item or --queries; pass at least one of them"
        )
    # Checked before the bundle is loaded.
    asked = SearchRequest(text, **options)  # type: ignore[arg-type]  # the request reads the picture
    picture, options["image"] = str(options["image"] or ""), asked.image
    with open_engine(place) as engine:
        found = engine.search(text, **options)
    if asked.validate_only:
        note_checked(output, found)
        return
    note_fallback(output, found)
    note_nothing_found(output, found, asked.filter)
    output.data(found)
    print_ranking(output, f"Nearest to {named(text, picture, asked.item_id)}", found.items)


def _search_all(path: Path, flags: Mapping[str, object], place: Place, output: Output, *, validate_only: bool) -> None:
    """Run the searches of a file, or only check them, at most `MAX_BATCH` per request."""
    requests = [replace(request, validate_only=validate_only) for request in read_queries(path, flags)]
    answers: list[SearchResults | MmrecError] = []
    with open_engine(place) as engine:
        for at in range(0, len(requests), MAX_BATCH):
            answers += engine.search_many(requests[at : at + MAX_BATCH])
    print_answers(output, requests, answers)
