"""Writes reports, given as a list of blocks, as Markdown with figure files and as one self-contained HTML page.

Every text of a block is escaped for the output format, never read as markup. Knows nothing of what is reported.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmrec.errors import InvalidArgumentError
from mmrec.runtime.disk_errors import refusals_as_errors
from mmrec.runtime.files import replace_file

FIGURES = "figures"
"""Folder of the figures of the Markdown report, inside the report's."""


class Heading(NamedTuple):
    """A title; `level` 1 is the report's."""

    level: int
    text: str


class Text(NamedTuple):
    """A paragraph."""

    text: str


class TextTable(NamedTuple):
    """A table; cells are shown as they are, and those that begin with a digit or sign are set flush right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Figure(NamedTuple):
    """A plot.

    name: file name without suffix.  caption: what it shows.  svg: the picture.
    """

    name: str
    caption: str
    svg: bytes


Block = Heading | Text | TextTable | Figure


def prepare_folder(folder: Path) -> None:
    """Make the folder and check that it is writable.

    Raises:
        InvalidArgumentError: it is a file.
        FailedPreconditionError: it cannot be made or written to.
    """
    if folder.exists() and not folder.is_dir():
        raise InvalidArgumentError(f"the report folder {str(folder)!r} is a file; name another one", field="report")
    probe = folder / FIGURES / ".probe"
    with refusals_as_errors(path=folder):
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()


def write_document(folder: Path, blocks: Sequence[Block]) -> Path:
    """Write ``report.md``, the figures beside it, and ``report.html``, each file atomically.

    Returns:
        The HTML file.

    Raises:
        InvalidArgumentError: the folder is a file.
        FailedPreconditionError: the disk is full, or refuses otherwise.
    """
    prepare_folder(folder)
    files = {f"{FIGURES}/{block.name}.svg": block.svg for block in blocks if isinstance(block, Figure)}
    files |= {"report.md": render_markdown(blocks).encode(), "report.html": render_html(blocks).encode()}
    with refusals_as_errors():
        for name, data in files.items():
            replace_file(folder / name, lambda temporary, data=data: temporary.write_bytes(data))  # type: ignore[misc]
    return folder / "report.html"


def render_markdown(blocks: Sequence[Block]) -> str:
    """Markdown with tables of pipes (GitHub's)."""
    parts = []
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append("#" * level + " " + _markdown(text))
            case Text(text):
                parts.append(_markdown(text))
            case TextTable(columns, rows):
                head = "| " + " | ".join(map(_markdown, columns)) + " |"
                rule = "|" + "|".join("---:" if _is_number(rows, i) else "---" for i in range(len(columns))) + "|"
                parts.append("\n".join([head, rule, *("| " + " | ".join(map(_markdown, row)) + " |" for row in rows)]))
            case Figure(name, caption, _):
                parts.append(f"![{_markdown(caption)}]({FIGURES}/{name}.svg)")
    return "\n\n".join(parts) + "\n"


def render_html(blocks: Sequence[Block]) -> str:
    """One page: style inside, figures as data, no script."""
    parts = []
    title = next((block.text for block in blocks if isinstance(block, Heading)), "report")
    for block in blocks:
        match block:
            case Heading(level, text):
                parts.append(f"<h{level}>{html.escape(text)}</h{level}>")
            case Text(text):
                parts.append(f"<p>{html.escape(text)}</p>")
            case TextTable(columns, rows):
                parts.append(_html_table(columns, rows))
            case Figure(_, caption, svg):
                # As an image: an SVG in an img element cannot run or fetch anything.
                data = base64.b64encode(svg).decode("ascii")
                words = html.escape(caption)
                parts.append(
                    f'<figure><img alt="{words}" src="data:image/svg+xml;base64,{data}">'
                    f"<figcaption>{words}</figcaption></figure>"
                )
    body = "\n".join(parts)
    return _PAGE.replace("{title}", html.escape(title)).replace("{body}", body)


def _html_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    kinds = [' class="n"' if _is_number(rows, i) else "" for i in range(len(columns))]
    head = "".join(f"<th{kind}>{html.escape(name)}</th>" for kind, name in zip(kinds, columns, strict=True))
    lines = [
        "<tr>" + "".join(f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    ]
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(lines) + "\n</tbody></table>"


def _is_number(rows: Sequence[Sequence[str]], column: int) -> bool:
    return bool(rows) and all(re.match(r"[-+]?\d|$", row[column]) for row in rows)


def _markdown(text: str) -> str:
    """`text` with everything escaped that Markdown or HTML reads as markup."""
    one_line = " ".join(text.split())
    escaped = re.sub(r"([\\`*_{}\[\]|~#!$])", r"\\\1", one_line)
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c1c1c; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: left; white-space: nowrap; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; }
img { max-width: 100%; }
figcaption { color: #555; }
</style>
</head>
<body>
{body}
</body>
</html>
"""
