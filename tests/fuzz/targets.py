"""What is fuzzed: functions of arbitrary bytes that end in a value or an error of ours, each with inputs to begin with.

Unit of work: one execution. Anything but `MmrecError`, and `InternalError` itself, is a finding and is raised. Knows
nothing about what makes the bytes.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save

from mmrec.bundle import Bundle
from mmrec.bundle.manifest import FileEntry, Manifest, parse_manifest, render_manifest
from mmrec.catalogue.catalogue import Catalogue
from mmrec.contract.changes import DeleteRequest, UpsertRequest
from mmrec.contract.conversation import ConverseRequest
from mmrec.contract.engine import Engine
from mmrec.contract.events import DeleteUserRequest, ListEventsRequest, RecordEventsRequest, UserEvent
from mmrec.contract.items import ItemInput, Versions
from mmrec.contract.requests import (
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ExplainRequest,
    HistoryEvent,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    RankRequest,
    RatingRequest,
    RecommendBatch,
    RecommendRequest,
    ResolveRequest,
    SearchBatch,
    SearchRequest,
    SemanticIdsRequest,
    ServiceInfoRequest,
    SimilarBatch,
    SimilarRequest,
    TagRequest,
)
from mmrec.data.tables import read_table
from mmrec.errors import InternalError, InvalidArgumentError, MmrecError
from mmrec.filters.filter import CatalogueFilter
from mmrec.recommender.page_tokens import ReturnedItems, last_id, page_by_id, page_by_rank
from mmrec.sdk.rpcs import QUESTIONS, RPCS, Rpc
from mmrec.semantic_ids.decode_index import build_decode_index
from mmrec.semantic_ids.path_lookup import check_path, parse_path, path_range
from mmrec_encoders.picture_decoding import PictureSetup, decode_as

Execute = Callable[[bytes], object]

ENCODING = frozenset({"embed", "tag", "search", "converse"})
"""Questions whose answer needs an encoder: their requests are read and checked, and not answered."""


@dataclass(frozen=True)
class Target:
    """One thing that is fuzzed.

    Attributes:
        execute: Reads the bytes.
        seeds: Inputs to begin with.
    """

    execute: Execute
    seeds: Sequence[bytes]

    def run(self, data: bytes) -> bool:
        """Whether these bytes were accepted; raises what no input may raise."""
        try:
            self.execute(data)
        except InternalError:
            raise
        except MmrecError:
            return False
        return True


def targets(engine: Engine) -> Mapping[str, Target]:
    """Every target by name; `engine` answers questions, and is not changed."""
    return {path.rpartition("/")[2]: _rpc(rpc, engine) for path, rpc in RPCS.items()} | _READERS


# --- calls ------------------------------------------------------------------------------------------------------------

_HISTORY = ("p0001", "p0002")
_ITEMS = (ItemInput("a", title="mug", attributes={"price": "3"}),)
_REQUESTS: Mapping[type[Any], Any] = {
    RecommendRequest: RecommendRequest(_HISTORY, k=3, filter="title:mug OR category:*", diversity=0.5),
    RankRequest: RankRequest(_HISTORY, RecommendRequest(_HISTORY)),
    ConverseRequest: ConverseRequest("something warm", k=2),
    EmbedUserRequest: EmbedUserRequest(_HISTORY),
    ExplainRequest: ExplainRequest(_HISTORY, RecommendRequest(_HISTORY)),
    SimilarRequest: SimilarRequest("p0001", k=2),
    SearchRequest: SearchRequest("mug", k=2),
    DuplicatesRequest: DuplicatesRequest(page_size=2),
    MismatchRequest: MismatchRequest(page_size=2),
    ItemsRequest: ItemsRequest(_HISTORY),
    ListItemsRequest: ListItemsRequest(page_size=2),
    ServiceInfoRequest: ServiceInfoRequest(),
    SemanticIdsRequest: SemanticIdsRequest(_HISTORY),
    ResolveRequest: ResolveRequest(((1, 2), (0,))),
    ListEventsRequest: ListEventsRequest("u"),
    DeleteUserRequest: DeleteUserRequest("u"),
    RecommendBatch: RecommendBatch((RecommendRequest(_HISTORY), RecommendRequest((), "u0001"))),
    SearchBatch: SearchBatch((SearchRequest("mug"), SearchRequest(item_id="p0001"))),
    SimilarBatch: SimilarBatch((SimilarRequest("p0001"),)),
    RatingRequest: RatingRequest(("p0001",), (HistoryEvent("p0002", rating=4.0),)),
    TagRequest: TagRequest(_ITEMS, labels=("mug", "lamp")),
    EmbedRequest: EmbedRequest(_ITEMS),
    UpsertRequest: UpsertRequest(_ITEMS),
    DeleteRequest: DeleteRequest(_HISTORY),
    RecordEventsRequest: RecordEventsRequest(
        (UserEvent("p0001", "view", user_id="u", time=1.0), UserEvent("p0002", "view", session_id="s"))
    ),
}


def _rpc(rpc: Rpc[Any, Any], engine: Engine) -> Target:
    request = _REQUESTS.get(rpc.request)
    return Target(partial(_call, rpc, engine), () if request is None else (rpc.encode_request(request),))


def _call(rpc: Rpc[Any, Any], engine: Engine, data: bytes) -> None:
    request = rpc.decode_request(data)
    rpc.encode_request(request)
    if rpc.kind not in QUESTIONS or rpc.kind in ENCODING:
        rpc.split(request)
        return
    for message in rpc.messages(engine, request):
        rpc.encode_reply(message)


# --- readers ----------------------------------------------------------------------------------------------------------


@cache
def _filters() -> CatalogueFilter:
    return CatalogueFilter(
        Catalogue(
            item_ids=("a", "b", "c"),
            titles=("Mug", "Lamp", ""),
            descriptions=("", "warm light", ""),
            images=("", "", ""),
            attributes={
                "price": ("12.99", "5", ""),
                "stocked": ("true", "false", ""),
                "added": ("2024-05-31", "2023-01-01T00:00:00Z", ""),
                "tags": ("red|blue", "green", ""),
                "cost": ("1.299,50 €", "3,20 €", ""),
            },
        ),
        cache_size=4,
    )


def _filter(data: bytes) -> None:
    _filters().bitmap(data.decode("utf-8", "surrogateescape"))


def _path(data: bytes) -> None:
    codes = parse_path(data.decode("utf-8", "surrogateescape"))
    index = build_decode_index(np.array([[0, 1, 0], [0, 2, 0], [3, 1, 1]], np.int32))
    check_path(codes, index.widths)
    path_range(index, codes)


def _page_token(data: bytes) -> None:
    token = data.decode("utf-8", "surrogateescape")
    with suppress(InvalidArgumentError):
        last_id(replace(_LISTING, page_token=token))
    ReturnedItems(replace(_GROUPS, page_token=token))


def _manifest(data: bytes) -> None:
    parse_manifest(data, "manifest.json")


def _decode_index(data: bytes) -> None:
    """Three codes a path, as the bytes say, against the paths that they are."""
    codes = np.frombuffer(data[: len(data) // 3 * 3], np.int8).reshape(-1, 3).astype(np.int32)
    index = build_decode_index(codes)
    assert np.array_equal(index.paths(), codes)


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="mmrec-fuzz-")
    _kept.append(folder)
    return Path(folder.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []
"""Folders that are removed when the process ends."""


def _bundle_file(name: str, data: bytes) -> Bundle:
    (_folder() / name).write_bytes(data)
    return Bundle(_folder(), _folder(), replace(_MANIFEST, files={name: FileEntry("0" * 64, len(data))}))


def _tensors(data: bytes) -> None:
    _bundle_file("arrays.safetensors", data).read_tensors("arrays.safetensors")


def _json(data: bytes) -> None:
    _bundle_file("config.json", data).read_json("config.json")


def _parquet(data: bytes) -> None:
    _bundle_file("rows.parquet", data).read_table("rows.parquet")


def _table(name: str, data: bytes) -> None:
    path = _folder() / name
    path.write_bytes(data)
    read_table(path)


def _picture(data: bytes) -> None:
    decode_as(_SETUP, data)


_SETUP = PictureSetup(lambda picture: np.asarray(picture.resize((8, 8))), 8, None)
_MANIFEST = Manifest(
    "20260131T093000Z-0123456789ab", "shop", "embedded", "2026-01-31T09:30:00Z", Versions("m", "c", "b"), {"k": 1}, {}
)


def _encoded(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((9, 7)).convert(mode).save(file, kind)
    return file.getvalue()


def _parquet_bytes() -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", None]}), file)
    return file.getvalue()


_LISTING, _GROUPS = ListItemsRequest(page_size=2), DuplicatesRequest(page_size=2)
_READERS: Mapping[str, Target] = {
    "filter": Target(
        _filter,
        (
            b'price < 50 AND (title:mug OR NOT tags IN ("red", "blue"))',
            b'added >= 2024-01-01 AND stocked = true AND description = "warm*"',
            'cost < "1.299,50 €" OR price:* AND -title = ""'.encode(),
        ),
    ),
    "path": Target(_path, (b"0/1/0", b"3", b"0/2")),
    "page-token": Target(
        _page_token,
        (
            page_by_id(_LISTING, ["a"], True, str).next_page_token.encode(),
            page_by_rank(_GROUPS, 1, ReturnedItems(_GROUPS), ["a", "b"], lambda one: (one,)).next_page_token.encode(),
        ),
    ),
    "manifest": Target(
        _manifest, (render_manifest(replace(_MANIFEST, files={"a/b.json": FileEntry("0" * 64, 3)})), b"{}")
    ),
    "decode-index": Target(_decode_index, (bytes((0, 1, 0, 0, 2, 0, 3, 1, 1)),)),
    "tensors": Target(_tensors, (save({"codebooks": np.zeros((2, 3), np.float32), "n": np.arange(3)}),)),
    "json": Target(_json, (json.dumps({"a": [1, {"b": None}]}).encode(),)),
    "parquet": Target(_parquet, (_parquet_bytes(),)),
    "csv": Target(partial(_table, "items.csv"), (b'item_id,title\na,"A ""mug"""\nb,\n',)),
    "tsv": Target(partial(_table, "events.tsv"), (b"user_id\titem_id\ttimestamp\nu\ta\t1\n",)),
    "jsonl": Target(partial(_table, "items.jsonl"), (b'{"item_id": "a", "price": 1.5}\n{"item_id": "b"}\n',)),
    "picture": Target(
        _picture,
        (
            *(_encoded(kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP")),
            _encoded("PNG", "LA"),
            _encoded("WEBP", "RGBA"),
        ),
    ),
}
