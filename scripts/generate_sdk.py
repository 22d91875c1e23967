"""Generates parts of the SDK: keyword arguments from the request dataclasses, asyncio code from blocking code.

    python scripts/generate_sdk.py           # write them
    python scripts/generate_sdk.py --check   # change nothing; exit 1 if what is committed is stale

mmrec/sdk/options.py has a TypedDict per request. mmrec/sdk/aio.py and aio_methods.py are client.py and methods.py with
`async` and `await` put in.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parent.parent
SDK = ROOT / "mmrec" / "sdk"
sys.path.insert(0, str(ROOT))

from mmrec.contract.changes import DeleteRequest, UpsertRequest  # noqa: E402
from mmrec.contract.conversation import ConverseRequest  # noqa: E402
from mmrec.contract.events import ListEventsRequest, RecordEventsRequest  # noqa: E402
from mmrec.contract.requests import (  # noqa: E402
    DuplicatesRequest,
    EmbedRequest,
    EmbedUserRequest,
    ItemsRequest,
    ListItemsRequest,
    MismatchRequest,
    RatingRequest,
    RecommendRequest,
    ResolveRequest,
    SearchRequest,
    SemanticIdsRequest,
    SimilarRequest,
    TagRequest,
)
from mmrec.contract.rules import field_rules  # noqa: E402


class Options(NamedTuple):
    """A TypedDict to write.

    Attributes:
        request: The dataclass whose fields it has.
        named: Fields that it lacks: those that the method names in its own signature, or does not read.
    """

    request: type
    named: tuple[str, ...]


OPTIONS = {
    "RecommendOptions": Options(RecommendRequest, ("history",)),
    "RankOptions": Options(RecommendRequest, ("history", "k", "allow", "include_seen")),
    "ConverseOptions": Options(ConverseRequest, ("text", "state", "history", "image")),
    "EmbedUserOptions": Options(EmbedUserRequest, ("history",)),
    "ExplainOptions": Options(
        RecommendRequest,
        (
            "history",
            "k",
            "allow",
            "deny",
            "include_seen",
            "explain",
            "filter",
            "filter_mode",
            "diversity",
            "exploration",
            "exploration_column",
            "exploration_max_age_days",
            "explain_in_words",
            "language",
            "item_fields",
        ),
    ),
    "RatingOptions": Options(RatingRequest, ("item_ids",)),
    "SimilarOptions": Options(SimilarRequest, ("item_id", "k")),
    "SearchOptions": Options(SearchRequest, ("text",)),
    "EmbedOptions": Options(EmbedRequest, ("items", "dimension")),
    "TagOptions": Options(TagRequest, ("items", "item_ids")),
    "DuplicatesOptions": Options(DuplicatesRequest, ("item_ids",)),
    "MismatchOptions": Options(MismatchRequest, ("item_ids",)),
    "ItemsOptions": Options(ItemsRequest, ("item_ids",)),
    "ListItemsOptions": Options(ListItemsRequest, ("filter",)),
    "SemanticIdsOptions": Options(SemanticIdsRequest, ("item_ids",)),
    "ResolveOptions": Options(ResolveRequest, ("semantic_ids",)),
    "UpsertOptions": Options(UpsertRequest, ("items",)),
    "DeleteOptions": Options(DeleteRequest, ("item_ids",)),
    "RecordEventsOptions": Options(RecordEventsRequest, ("events",)),
    "ListEventsOptions": Options(ListEventsRequest, ("user_id",)),
}
HEAD = '''"""Keyword arguments of the SDK's methods, one TypedDict per request.

Generated from the request dataclasses: do not edit; run scripts/generate_sdk.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TypedDict

from mmrec.contract.items import FilterMode, Modality, NumberFormat, Versions
from mmrec.contract.requests import HistoryEvent, Promotion
'''


def options_module() -> str:
    """Source of mmrec/sdk/options.py."""
    return HEAD + "".join(_options_class(name, options) for name, options in OPTIONS.items())


def _options_class(name: str, options: Options) -> str:
    entries = [entry for entry in fields(options.request) if entry.name not in options.named]
    docs = {field.name: field.doc for field in field_rules(options.request)}
    hints = get_type_hints(options.request)
    lines = [f"\n\nclass {name}(TypedDict, total=False):"]
    lines.append(f'    """Fields of `{options.request.__name__}`.\n\n    Attributes:')
    for entry in entries:
        text = f"{entry.name}: {docs[entry.name]}{_default(entry)}"
        lines += textwrap.wrap(text, 120, initial_indent=8 * " ", subsequent_indent=12 * " ", break_on_hyphens=False)
    lines.append('    """\n')
    lines += [f"    {entry.name}: {_taken(hints[entry.name])}" for entry in entries]
    return "\n".join(lines) + "\n"


def _default(entry: Field[Any]) -> str:
    value = entry.default.value if isinstance(entry.default, Enum) else entry.default
    if value is MISSING or value is None or value in ("", ()) or isinstance(value, bool) or is_dataclass(value):
        return ""
    return f" [{value:g}]" if isinstance(value, float) else f" [{value}]"


def _taken(hint: Any) -> str:
    """The type of a method's argument for a field of a request."""
    if get_origin(hint) is tuple:
        entry = get_args(hint)[0]
        return f"Iterable[{entry.__name__}]" + (" | None" if entry is float else "")  # a vector; None for none
    if get_origin(hint) is Mapping:
        return f"Mapping[{', '.join(kind.__name__ for kind in get_args(hint))}]"
    if get_args(hint):
        names = ["None" if kind is NoneType else kind.__name__ for kind in get_args(hint)]
        return " | ".join(["bytes", "str", "os.PathLike[str]", *names[1:]] if names[0] == "bytes" else names)
    return f"{hint.__name__} | str" if issubclass(hint, Enum) else str(hint.__name__)


AWAITED = (
    r"(self\._call(?:_each)?|self\.close|self\._transport\.(?:call|stream|close)"
    r"|stream\.(?:send|receive|finish|close))\("
)
TO_ASYNC = (
    (r"\bFakeTransport\b", "AsyncFakeTransport"),
    (
        r"\b(Client|Transport|GrpcTransport|EngineTransport|Methods|UpsertBatches|Conversation|Stream|Iterator)\b",
        r"Async\1",
    ),
    (r"\bmmrec\.sdk\.(methods|transport|conversation)( import |\.)(Async)", r"mmrec.sdk.aio_\1\2\3"),
    (r"\bdef (?!__init__|stream_upserts|_upserts|converse)(\w+)\(\s*self\b", r"async def \1(self"),
    (r"\bdef _upserts\b", "async def _upserts"),
    (r"__(enter|exit)__", r"__a\1__"),
    (rf"(?<!def ){AWAITED}", r"await \1("),
    (r"\bfor piece in self\.pieces\(", "async for piece in self.pieces("),
    (r"\biter\(batches\)", "each(batches)"),
    (r"(?m)^from mmrec\.sdk\.connection", "from mmrec.sdk.streams import each\nfrom mmrec.sdk.connection"),
    (r"\bnext\(", "await anext("),
    ("server. Safe to share between threads; use it as a", "server from one event loop. Use it as an async"),
    ("or call `close`", "or await `close`"),
    (r"\bStopIteration\b", "StopAsyncIteration"),
)
"""Replacements that turn blocking code into asyncio code."""


def aio_module(source: str, doc: str) -> str:
    """The asyncio version of a module.

    Args:
        source: The blocking module.
        doc: Docstring of the asyncio module.
    """
    body = source.partition('"""\n\nfrom __future__')[2]
    text = f"from __future__{body}"
    for pattern, replacement in TO_ASYNC:
        text = re.sub(pattern, replacement, text)
    return f'"""{doc}"""\n\n{text}'


def formatted(source: str) -> str:
    """Source as ruff sorts and formats it."""
    for command in (["check", "--quiet", "--select", "I", "--fix", "-"], ["format", "--quiet", "-"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command],
            cwd=ROOT, input=source, capture_output=True, text=True, check=True,
        )  # fmt: skip
        source = done.stdout
    return source


def generated() -> dict[Path, str]:
    """Every file that is generated, with its text."""
    twins = {
        "aio_methods.py": (
            "methods.py",
            "The asyncio version of `mmrec.sdk.methods`.\n\nGenerated: do not edit; run scripts/generate_sdk.py.\n",
        ),
        "aio_conversation.py": (
            "conversation.py",
            "The asyncio twin of `mmrec.sdk.conversation`.\n\nGenerated: do not edit; run scripts/generate_sdk.py.\n",
        ),
        "aio.py": (
            "client.py",
            "The asyncio client: like `mmrec.sdk.client`, with the same methods, results and errors.\n\n"
            "Cancelling the task cancels the call, and the server drops the work.\n\n"
            "Generated: do not edit; run scripts/generate_sdk.py.\n",
        ),
    }
    texts = {SDK / "options.py": options_module()}
    texts |= {
        SDK / name: aio_module((SDK / source).read_text(encoding="utf-8"), doc) for name, (source, doc) in twins.items()
    }
    return {path: formatted(text) for path, text in texts.items()}


def main() -> int:
    """Exit status."""
    files = generated()
    if "--check" not in sys.argv[1:]:
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path for path, text in files.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)} is stale; run: python scripts/generate_sdk.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
