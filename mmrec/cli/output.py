"""Output of one command: data on stdout, everything else on stderr.

Text mode prints tables, JSON mode prints one document, and `quiet` suppresses notes and progress. Knows nothing about
what the commands compute.
"""

from __future__ import annotations

import base64
import json as jsonlib
import math
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mmrec.cli.progress import PlainProgress, TerminalProgress
from mmrec.errors import MmrecError
from mmrec.runtime.progress import NO_PROGRESS, Progress

_WIDEST = 1_000_000


class Output:
    """Prints the results of one command.

    Args:
        json: Print one JSON document on stdout instead of tables.
        quiet: Print nothing on stderr except errors.
    """

    def __init__(self, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        self._tables = 0

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table on stdout; nothing in JSON mode.

        Columns of numbers are right-aligned, floats have four decimals. In a pipe or file each row is one line, however
        wide.
        """
        if self.json:
            return
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        cells = [[_without_numpy(value) for value in row] for row in rows]
        for i, column in enumerate(columns):
            numbers = bool(rows) and all(_is_number(row[i]) for row in cells)
            table.add_column(printable(column), justify="right" if numbers else "left", overflow="fold")
        for row in cells:
            # Text, not str: rich would read brackets in a title as markup.
            table.add_row(*(Text(_cell(value)) for value in row))
        console = Console(file=sys.stdout, highlight=False)
        if not console.is_terminal:
            console.width = _WIDEST
            console.width = console.measure(table).maximum
        with console.capture() as captured:
            console.print(table)
        lines = [line.rstrip() for line in captured.get().splitlines()]
        # Not printed by the console, which would end the program when the pipe is closed.
        print("\n".join([*([""] if self._tables else []), *([printable(title)] if title else []), *lines]))
        self._tables += 1

    def line(self, text: str) -> None:
        """Print a sentence on stdout; nothing in JSON mode."""
        if not self.json:
            print(printable(text), flush=True)

    def part(self, text: str) -> None:
        """Print a part of a line on stdout, which `line` ends; nothing in JSON mode."""
        if not self.json:
            print(printable(text), end="", flush=True)

    def data(self, obj: object) -> None:
        """Print `obj` as JSON (see `plain`) on stdout; nothing in text mode."""
        if not self.json:
            return
        ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
        print(jsonlib.dumps(plain(obj), indent=2, ensure_ascii=ascii_only, allow_nan=False))

    def note(self, text: str) -> None:
        """Print a message on stderr; nothing with `quiet`."""
        if not self.quiet:
            print(printable(text, keep="\n\t"), file=sys.stderr, flush=True)

    def progress(self) -> Progress:
        """Progress on stderr: a bar on a terminal, else lines; none with `quiet`."""
        if self.quiet:
            return NO_PROGRESS
        if sys.stderr.isatty():
            return TerminalProgress()
        return PlainProgress(sys.stderr)


def printable(text: str, keep: str = "") -> str:
    """`text` with control characters replaced by spaces: they could move the cursor or recolour the terminal."""
    return "".join(c if c in keep or not (c < " " or "\x7f" <= c <= "\x9f") else " " for c in text)


def plain(obj: object) -> object:
    """`obj` as JSON values: dataclasses become objects, arrays lists, bytes base64, NaN and infinity null."""
    if obj is None or isinstance(obj, bool | int | str):
        return obj.value if isinstance(obj, Enum) else obj
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, Enum):
        return plain(obj.value)
    if isinstance(obj, MmrecError):
        return {"code": obj.code, "reason": obj.reason, "message": obj.message}
    if is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: plain(getattr(obj, field.name)) for field in fields(obj)}
    if isinstance(obj, tuple) and hasattr(obj, "_fields"):
        return {name: plain(value) for name, value in zip(obj._fields, obj, strict=True)}
    if isinstance(obj, Mapping):
        return {str(plain(key)): plain(value) for key, value in obj.items()}
    if isinstance(obj, bytes | bytearray):
        return base64.b64encode(obj).decode("ascii")
    if isinstance(obj, PurePath):
        return str(obj)
    if isinstance(obj, datetime | date):
        return obj.isoformat()
    if isinstance(obj, Set):
        return sorted((plain(value) for value in obj), key=str)
    if isinstance(obj, Sequence):
        return [plain(value) for value in obj]
    if hasattr(obj, "tolist"):  # numpy arrays and numpy numbers, without importing numpy
        return plain(obj.tolist())
    raise TypeError(f"cannot write a {type(obj).__name__} as JSON")


def _without_numpy(value: object) -> object:
    return value.tolist() if hasattr(value, "tolist") else value


def _is_number(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4f}"
    return printable(str(value))
